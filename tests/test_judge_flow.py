"""A judge from its labels to a verdict, by the command line; and people who vote blind on two arms."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from judging import FACTS, HONEST, LIKES_LENGTH, LIKES_THE_FIRST, judged_folder, material
from test_flow import Watcher
from tuneworthy import cli, flow, judging
from tuneworthy.errors import DataError, JudgeNotCalibrated, SuiteChanged, TuneworthyError
from tuneworthy.models.scripted import Scripted
from tuneworthy.records import Vote

PAGE = Path(__file__).parents[1] / "docs" / "concepts" / "judges.md"


def tuneworthy(folder, *arguments):
    """(what is printed, exit code) of a command run beside the folder."""
    done = subprocess.run(
        [sys.executable, "-m", "tuneworthy", *arguments], cwd=folder.parent, capture_output=True, text=True, check=False
    )
    return "\n".join(line.rstrip() for line in (done.stdout + done.stderr).splitlines()), done.returncode


@pytest.mark.parametrize(
    ("rules", "mode", "command", "code"),
    [
        (HONEST, "rubric", ("suite", "lock", "replies"), 3),
        (HONEST, "rubric", ("suite", "judge", "replies"), 0),
        (LIKES_LENGTH, "rubric", ("suite", "judge", "replies"), 3),
        (LIKES_THE_FIRST, "pairwise", ("suite", "judge", "replies"), 3),
    ],
    ids=["uncalibrated", "honest", "length", "position"],
)
def test_the_transcripts_in_the_docs_are_what_is_printed(tmp_path, rules, mode, command, code):
    folder = judged_folder(tmp_path / "replies", rules, mode=mode)
    printed, found = tuneworthy(folder, *command)
    assert found == code
    transcript = f"$ tuneworthy {' '.join(command)}\n{printed.replace(str(tmp_path) + '/', '')}\n(exit code {code})"
    assert transcript in PAGE.read_text("utf-8"), f"put this into {PAGE.name}:\n\n{transcript}"


def asked_base(right):
    """A base model that states a fact to a share of the questions; which ones hangs on the whole prompt."""

    def reply(request):
        draw = random.Random("".join(message.content for message in request.messages))
        return draw.choice(FACTS) if draw.random() < right else "We will look into it some day"

    return reply


def stating_facts(request):
    return "right" if any(fact in material(request)[-1] for fact in FACTS) else "wrong"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A calibrated use case; judge and base model are two scripted models."""
    monkeypatch.setattr(flow, "open_model", lambda usecase, folder: Scripted(asked_base(0.6), name="base"))
    monkeypatch.setattr("tuneworthy.scorers.judge.open_model", lambda usecase, folder: Scripted(stating_facts))
    monkeypatch.setattr(flow, "minilm_at_hand", lambda: False)
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)
    return judged_folder(tmp_path / "replies", HONEST)


def test_a_judge_carries_the_bar_and_its_error_is_in_the_interval(folder):
    judging.calibrate_judge(folder, None)
    flow.lock_suite(folder, again=False)
    record = flow.run(folder, Watcher())
    (prompt,) = [arm for arm in record.arms if arm.name == "prompt"]
    assert prompt.n == 40
    assert prompt.interval.method == "Rogan-Gladen"
    judged = [row.outputs["prompt"].score for row in record.cases]
    assert prompt.interval.value == pytest.approx(sum(judged) / 40, abs=0.05)
    plain = 1.96 * (prompt.interval.value * (1 - prompt.interval.value) / 40) ** 0.5
    assert prompt.interval.high - prompt.interval.value > plain


def test_labels_and_rubric_are_part_of_the_lock(folder):
    judging.calibrate_judge(folder, None)
    flow.lock_suite(folder, again=False)
    labels = folder / "suite" / "judged.jsonl"
    rows = labels.read_text().splitlines()
    labels.write_text("\n".join([*rows[1:], rows[0]]))
    with pytest.raises(JudgeNotCalibrated, match="labels are not those"):
        flow.lock_suite(folder, again=False)
    judging.calibrate_judge(folder, None)
    with pytest.raises(SuiteChanged, match="scorer judge: signature"):
        flow.lock_suite(folder, again=False)
    labels.write_text("\n".join(rows) + "\n")
    toml = folder / "usecase.toml"
    toml.write_text(toml.read_text().replace("kind words", "polite words"))
    with pytest.raises(JudgeNotCalibrated, match="rubric, model, anchors or task changed"):
        flow.lock_suite(folder, again=False)


def test_a_judge_with_a_bias_may_be_watched_but_not_decide(tmp_path):
    carries = judged_folder(tmp_path / "carries", LIKES_LENGTH)
    assert judging.calibrate_judge(carries, None).problems
    with pytest.raises(JudgeNotCalibrated, match="may not carry the bar: length"):
        flow.lock_suite(carries, again=False)
    beside = judged_folder(tmp_path / "beside", LIKES_LENGTH, metric="contains")
    (beside / "usecase.toml").write_text((beside / "usecase.toml").read_text() + '[[scorers]]\nname = "judge"\n')
    judging.calibrate_judge(beside, None)
    flow.lock_suite(beside, again=False)


def test_a_damaged_calibration_is_refused(folder):
    judging.calibrate_judge(folder, None)
    (folder / "suite" / "judge.json").write_text("{")
    with pytest.raises(JudgeNotCalibrated, match="cannot be read"):
        flow.lock_suite(folder, again=False)


def test_answers_of_a_run_are_drafted_for_people_under_code_names(folder, tmp_path):
    judging.calibrate_judge(folder, None)
    flow.lock_suite(folder, again=False)
    record = flow.run(folder, Watcher())
    file = tmp_path / "draft.jsonl"
    assert judging.draft_labels(folder, file) == len(file.read_text().splitlines()) > 40
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert {row["arm"] for row in rows} <= {f"arm {n}" for n in range(1, len(record.arms) + 1)}
    assert not any(arm.name in json.dumps(row) for row in rows for arm in record.arms)
    assert {row["right"] for row in rows} == {None}
    with pytest.raises(DataError, match="there already"):
        judging.draft_labels(folder, file)
    (folder / "suite" / "judged.jsonl").unlink()
    file.write_text("".join(f"{json.dumps({**row, 'right': row['output'] in FACTS})}\n" for row in rows))
    assert judging.calibrate_judge(folder, file).n == len(rows)


def test_people_vote_blind_and_their_votes_calibrate_a_pairwise_judge(folder, tmp_path):
    judging.calibrate_judge(folder, None)
    flow.lock_suite(folder, again=False)
    record = flow.run(folder, Watcher())
    reference, candidate = [arm.name for arm in record.arms][:2]
    file = tmp_path / "pairs.jsonl"
    key = judging.blind_pairs(folder, reference, candidate, file)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(rows) == len(key.pairs)
    assert all(row["better"] is None for row in rows)
    with pytest.raises(TuneworthyError, match="perhaps with votes in it"):
        judging.blind_pairs(folder, reference, candidate, file)
    for row in rows:
        row |= {"better": "one" if row["one"] in FACTS else "two", "by": "ann", "why": "states the fact"}
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    found = judging.count_votes(folder, reference, candidate, file)
    assert found.votes.wins + found.votes.losses == len(rows)
    assert len(found.reasons) == len(rows)
    with pytest.raises(TuneworthyError, match="these votes are about"):
        judging.count_votes(folder, candidate, reference, file)
    assert [Vote.model_validate(row) for row in rows]
    shown = CliRunner().invoke(cli.app, ["compare", reference, candidate, str(folder), "--votes", str(file)])
    assert "sign test over pairs" in shown.stdout
    assert shown.exit_code in (0, 3, 4)
