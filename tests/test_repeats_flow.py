"""Two arms of a run asked again: what flips, what the difference is worth, and that a look is a look."""

import json
import random

import pytest
from typer.testing import CliRunner

from small import LABELS, asked, right, small_usecase
from test_flow import Watcher
from tuneworthy import cli, flow, judging
from tuneworthy.errors import TuneworthyError
from tuneworthy.models.scripted import Scripted
from tuneworthy.suite import openings


def wavering(request):
    """Right on a third of the messages whatever happens, on a third never, and on a third by the throw of a coin that
    hangs on the seed, once it is sampled."""
    kind = random.Random(asked(request)).random()
    coin = random.Random(f"{asked(request)} {request.decoding.seed} {len(request.messages)}").random() < 0.5
    known = kind < 1 / 3 or (kind < 2 / 3 and request.decoding.temperature > 0 and coin)
    return right(request) if known else LABELS[(LABELS.index(right(request)) + 1) % 3]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A finished run of a model that wavers when it is sampled."""
    folder = tmp_path_factory.mktemp("wavering") / "small"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow, "open_model", lambda usecase, folder: Scripted(wavering))
        patch.setattr(flow, "minilm_at_hand", lambda: False)
        patch.setattr("tuneworthy.content.os.fsync", lambda file: None)
        small_usecase(folder, cases=60)
        flow.lock_suite(folder, again=False)
        yield folder, flow.run(folder, Watcher())


def test_sampled_answers_flip_and_greedy_ones_do_not(ran):
    folder, record = ran
    warm = judging.repeat(folder, "prompt", "few_shot", Watcher(), times=6, temperature=0.7)
    coins = [row.id for row in record.cases if 1 / 3 <= random.Random(str(row.input["message"])).random() < 2 / 3]
    assert set(warm.reference.steadiness.unsteady) <= set(coins)
    assert warm.reference.steadiness.ever > warm.reference.steadiness.always > 0
    assert warm.reference.flipping.low < len(coins) / 60 * (1 - 0.5**5) < warm.reference.flipping.high
    assert (warm.repeats, warm.temperature, warm.comparison.registered) == (6, 0.7, False)
    assert warm.noise > 0
    assert warm.cases_once > warm.cases_repeated
    greedy = judging.repeat(folder, "prompt", "few_shot", Watcher(), times=2)
    assert greedy.reference.steadiness.unsteady == greedy.candidate.steadiness.unsteady == ()
    assert greedy.reference.steadiness.within == 0
    measured = next(arm.interval for arm in record.arms if arm.name == "prompt")
    assert greedy.reference.mean == measured
    assert greedy.comparison.difference.value == greedy.measured.difference.value


def test_every_repeat_is_a_look_that_cannot_be_hidden(ran):
    folder, record = ran
    log = flow.open_project(folder).openings_file
    judging.repeat(folder, "prompt", "few_shot", Watcher(), times=3, temperature=0.3)
    looks = [line for line in openings.read(log) if line["contrast"] == "few_shot, asked again"]
    assert len({look["arm_digest"] for look in looks}) == len(looks) >= 3
    assert all(look["exploratory"] for look in looks)
    again = flow.run(folder, Watcher())
    assert [arm.exploratory for arm in again.arms] == [arm.exploratory for arm in record.arms]


def test_what_was_asked_again_is_kept(ran, monkeypatch):
    folder, _ = ran
    first = judging.repeat(folder, "prompt", "few_shot", Watcher(), times=2, temperature=0.9)
    monkeypatch.setattr(Scripted, "_one", lambda *_: pytest.fail("asked although it was kept"))
    assert judging.repeat(folder, "prompt", "few_shot", Watcher(), times=2, temperature=0.9) == first


def test_the_command_line_tells_it_and_refuses_what_makes_no_sense(ran):
    folder, _ = ran

    def told(*words):
        return CliRunner().invoke(cli.app, ["compare", "prompt", "few_shot", str(folder), *words])

    shown = told("--repeats", "3", "--temperature", "0.7")
    assert shown.exit_code in (0, 3, 4)
    assert "few_shot flips on: case-" in shown.output
    assert "is noise within cases" in shown.output
    assert "Exploratory" in shown.output
    machine = told("--repeats", "2", "--json")
    plain = json.loads(machine.stdout.splitlines()[-1])
    assert plain["candidate"]["flipping"]["value"] == 0.0
    assert told("--temperature", "0.7").exit_code == 2
    assert told("--repeats", "1").exit_code == 2
    with pytest.raises(TuneworthyError, match="at least twice"):
        judging.repeat(folder, "prompt", "few_shot", Watcher(), times=1)
    with pytest.raises(TuneworthyError, match="no arm called 'lara'"):
        judging.repeat(folder, "prompt", "lara", Watcher(), times=2)
