"""`watch` on traces that are written as the gateway writes them: what it tells, what it calls an alarm."""

import json
import random
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))
sys.path.insert(0, str(Path(__file__).parents[1] / "release"))

from gatewayed import ask, gateway, wait
from released import SIGNS, released, scripted_project
from typer.testing import CliRunner

from small import USECASE, small_usecase
from tuneworthy import cli, flow, watching
from tuneworthy.errors import DataError, GateRefused, ModelError, PrivacyRefused
from tuneworthy.records import Comparison, Interval, RetrieverRef, Trace
from tuneworthy.serving import deployments
from tuneworthy.watch import feedback, stale, traces
from tuneworthy.watch.feedback import Said

TODAY = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuneworthy.content.os.fsync", lambda file: None)
        project = scripted_project(tmp_path_factory.mktemp("watched") / "small")
        release = released(project, trained=False)
        deployments.write(project, "champion", "live", release.name, why="")
        return project, release


class Quiet:
    def step(self, what, done, total): ...

    def lever(self, name, state, text): ...

    def arm(self, report, comparison): ...


@pytest.fixture
def project(made):
    project, _ = made
    for name in ("traces", "feedback", "watch"):
        shutil.rmtree(project.store / name, ignore_errors=True)
    return project


def write_days(project, release, *, changed=None, days=25, volume=60, since=5, texts=None):
    """Traces of whole days up to yesterday; `changed(measured)` is planted on the last `since` days."""
    draw = random.Random(0)
    for age in range(days, 0, -1):
        when = (TODAY - timedelta(days=age)).replace(hour=9)
        lines = []
        for number in range(volume):
            measured = {
                "input_chars": draw.randint(20, 60),
                "language": "en",
                "answer": draw.choice(["plumbing", "power", "keys"]),
            }
            if changed and age <= since:
                measured = changed(measured)
            trace = Trace(
                id=f"chatcmpl-{when:%Y%m%d}-{number:024x}",
                when=when.isoformat(timespec="milliseconds"),
                request={"model": "champion"} if texts is None else content(texts[age <= since].format(number)),
                response={
                    "model": release.name,
                    "choices": [{"index": 0, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 20, "completion_tokens": 2},
                },
                release=release.name,
                alias="champion",
                seconds=0.1 + 0.001 * number,
                measured=measured,
            )
            lines.append(trace.model_dump_json(exclude_defaults=True))
        project.traces.mkdir(parents=True, exist_ok=True)
        (project.traces / f"{when:%Y-%m-%d}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def content(text):
    return {"model": "champion", "messages": [{"role": "user", "content": text}]}


def say(project, release, *, right, wrong, age):
    when = TODAY - timedelta(days=age)
    for number in range(right + wrong):
        said = Said(
            id=f"chatcmpl-{when:%Y%m%d}-{number:024x}", when=when.isoformat(), alias="champion", release=release.name,
            right=number < right,
        )  # fmt: skip
        feedback.keep(project.feedback, said)


def test_calm_days_are_counted_and_raise_no_alarm(project, made):
    write_days(project, made[1])
    found = watching.watch(project.folder, alias="champion", days=30)
    assert found.alarms == ()
    day = found.days[0]
    assert (day.answers, day.failed, day.tokens_in, day.tokens_out, day.eur) == (60, 0, 1200, 120, None)
    assert (day.p50, day.p95) == (pytest.approx(0.1295), pytest.approx(0.156, abs=1e-4))
    assert len(found.reference) == 14
    assert any(text.startswith("cost") for text in found.not_measured)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (lambda m: {**m, "input_chars": m["input_chars"] + 30}, "input_chars"),
        (lambda m: {**m, "language": "de"}, "language"),
        (lambda m: {**m, "answer": "keys"}, "answer"),
    ],
)
def test_what_changed_is_told_with_its_day_and_exit_code(project, made, changed, what):
    write_days(project, made[1], changed=changed)
    ran = CliRunner().invoke(cli.app, ["watch", str(project.folder), "--json"])
    assert ran.exit_code == 3
    alarms = json.loads(ran.stdout)["alarms"]
    assert {alarm["what"] for alarm in alarms} == {what}
    assert min(alarm["day"] for alarm in alarms) == (TODAY - timedelta(days=5)).strftime("%Y-%m-%d")
    assert not any(alarm["worse"] for alarm in alarms)


def test_the_reference_outlives_the_traces_it_was_made_of(project, made):
    write_days(project, made[1], changed=lambda m: {**m, "language": "de"})
    watching.watch(project.folder, alias="champion", days=30)
    for path, _ in list(traces.days(project.traces))[:-3]:
        path.unlink()
    found = watching.watch(project.folder, alias="champion", days=3)
    assert {alarm.what for alarm in found.alarms} == {"language"}
    kept = project.watched(made[1].name, "champion")
    assert "messages" not in kept.read_text("utf-8")
    kept.write_text("{}", "utf-8")
    with pytest.raises(DataError, match="reference"):
        watching.watch(project.folder, alias="champion", days=3)


def test_a_young_release_has_no_reference_and_says_so(project, made):
    write_days(project, made[1], days=5)
    found = watching.watch(project.folder, alias="champion", days=30)
    assert found.alarms == ()
    assert any("5 of 14 days" in text for text in found.not_measured)


def test_a_reference_whose_first_days_are_gone_says_so_and_which_days_it_is(project, made, monkeypatch):
    entries = [e.model_copy(update={"at": "2020-01-01T00:00:00+00:00"}) for e in deployments.read(project)]
    monkeypatch.setattr(deployments, "read", lambda project: tuple(entries))
    write_days(project, made[1], days=5)
    found = watching.watch(project.folder, alias="champion", days=3)
    assert any("from 2020-01-01 on, are gone" in text for text in found.not_measured)
    write_days(project, made[1])
    found = watching.watch(project.folder, alias="champion", days=3)
    first = [(TODAY - timedelta(days=25 - n)).strftime("%Y-%m-%d") for n in range(14)]
    assert list(found.reference) == first  # the first that are left, however few days are looked at
    told = f"the reference begins on {first[0]}, but the release answered from 2020-01-01 on"
    assert any(told in note for note in found.notes)
    monkeypatch.undo()
    ran = CliRunner().invoke(cli.app, ["watch", str(project.folder)])
    assert told in ran.output  # it was so when the reference was made
    assert f"{first[0]} to {first[-1]} (14 days with answers)" in ran.output


def test_each_alias_of_a_release_has_a_reference_of_its_own(project, made, monkeypatch):
    entries = [e.model_copy(update={"alias": a}) for e in deployments.read(project) for a in ("champion", "second")]
    monkeypatch.setattr(deployments, "read", lambda project: tuple(entries))
    write_days(project, made[1])
    assert watching.watch(project.folder, alias="champion", days=30).reference
    found = watching.watch(project.folder, alias="second", days=30)
    assert found.reference == ()
    assert any("0 of 14 days" in text for text in found.not_measured)


def test_fewer_right_answers_are_worse(project, made):
    write_days(project, made[1])
    say(project, made[1], right=60, wrong=3, age=20)
    say(project, made[1], right=20, wrong=20, age=2)
    ran = CliRunner().invoke(cli.app, ["watch", str(project.folder)])
    assert ran.exit_code == 3
    assert "WORSE" in ran.output
    assert "right 95.2 % of 63 → 50.0 % of 40" in ran.output
    assert "right 77.7" in ran.output  # 80 of 103


def test_other_texts_are_told_where_content_is_kept(project, made):
    write_days(project, made[1], texts=("the pipe in room {} leaks", "please reset the password of user {}"))
    found = watching.watch(project.folder, alias="champion", days=30)
    assert found.texts.auc > 0.75  # planted on five of seven days: at most 0.86
    assert "texts" in {alarm.what for alarm in found.alarms}
    write_days(project, made[1], texts=("the pipe in room {} leaks", "the pipe in room {} leaks"))
    assert watching.watch(project.folder, alias="champion", days=30).alarms == ()


def test_answers_that_were_corrected_are_scored_by_the_scorers_of_the_suite(project, made):
    write_days(project, made[1])
    for number, (answer, wanted) in enumerate([("keys", "power"), ("plumbing", "plumbing"), ("keys", "keys")]):
        said = Said(
            id=f"chatcmpl-20260101-{number:024x}", when=TODAY.isoformat(), alias="champion", release=made[1].name,
            right=False, answer=answer, correction=wanted, input={"message": "x"},
        )  # fmt: skip
        feedback.keep(project.feedback, said)
    (score,) = watching.watch(project.folder, alias="champion", days=30).scores
    assert (score.scorer, score.on, score.n) == ("classification", "corrections", 3)
    assert score.mean.value == pytest.approx(2 / 3)


def test_failures_are_counted_and_a_day_of_them_is_an_alarm(project, made):
    write_days(project, made[1])
    path = sorted(project.traces.iterdir())[-1]
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for line in lines[:30]:
        line.update(outcome="timeout", measured={})
    path.write_text("\n".join(map(json.dumps, lines)) + "\nhalf a li", "utf-8")
    found = watching.watch(project.folder, alias="champion", days=30)
    assert found.days[-1].failed == 30
    assert {alarm.what for alarm in found.alarms} == {"outcome"}
    assert found.bad_lines == 1


def test_the_page_holds_what_the_terminal_shows(project, made, tmp_path):
    write_days(project, made[1], changed=lambda m: {**m, "language": "<script>"})
    CliRunner().invoke(cli.app, ["watch", str(project.folder), "--out", str(tmp_path / "w.html")])
    page = (tmp_path / "w.html").read_text("utf-8")
    assert made[1].name in page
    assert "&lt;script&gt;" in page
    assert "<script" not in page


def test_nothing_live_is_refused(tmp_path):
    bare = scripted_project(tmp_path / "bare")
    with pytest.raises(GateRefused, match="nothing is live"):
        watching.watch(bare.folder, alias="champion", days=30)


def test_the_suite_is_asked_again_through_the_gateway_and_does_not_count_as_traffic(project, made):
    release = made[1]
    with gateway(project) as (server, url):
        wait(lambda: ask(url, "the pipe").status_code == 200)
        wait(lambda: traces.read(project.traces)[0])
        shutil.rmtree(project.traces)
        line = watching.reevaluate(project.folder, alias="champion", url=url, key="")
        assert (line["state"], "100.0 %" in line["found"]) == ("passed", True)
        server.gateway.lanes[release.name].answerer.model._reply = lambda request: "keys"
        line = watching.reevaluate(project.folder, alias="champion", url=url, key="")
        assert line["state"] == "failed"
    found = watching.watch(project.folder, alias="champion", days=30)
    assert found.days == ()
    assert [one["state"] for one in found.suite] == ["passed", "failed"]
    assert [(alarm.what, alarm.worse) for alarm in found.alarms] == [("suite", True)]


def test_a_gateway_that_is_not_there_or_may_not_be_asked_is_an_error(project):
    with pytest.raises(ModelError, match="does not answer"):
        watching.reevaluate(project.folder, alias="champion", url="http://127.0.0.1:9", key="")
    with pytest.raises(PrivacyRefused):
        watching.reevaluate(project.folder, alias="champion", url="https://example.com", key="")


def test_nothing_to_redecide_when_nothing_changed(project):
    found = watching.redecide(project.folder, Quiet(), alias="champion")
    assert (found.decision, found.changes) == ("unchanged", ())


def test_other_prices_are_told_and_the_ladder_is_climbed_again_with_what_is_live_as_an_arm(tmp_path):
    project = small_usecase(tmp_path / "small", usecase=USECASE.replace("max_tokens = 8", "max_tokens = 12"))
    (project.folder / "scripted.json").write_text(json.dumps(SIGNS), "utf-8")
    flow.lock_suite(project.folder, again=False)
    release = released(project, trained=False)
    deployments.write(project, "champion", "live", release.name, why="")
    text = project.usecase_file.read_text("utf-8")
    project.usecase_file.write_text(f"{text}\n[value]\nright_answer_eur = 0.1\n", "utf-8")
    found = watching.redecide(project.folder, Quiet(), alias="champion")
    assert found.changes == ("value.right_answer_eur: None → 0.1",)
    assert found.live.interval.value == 1.0
    assert found.comparison.n == 40
    assert found.decision in ("goes", "undecided")  # the best lever without training knows every answer too
    logged = project.openings_file.read_text("utf-8")
    assert f"live against {found.reference}" in logged
    ran = CliRunner().invoke(cli.app, ["watch", str(project.folder), "--redecide"])
    assert ran.exit_code == {"goes": 3, "undecided": 4}[found.decision]
    assert "live minus" in ran.output or "cannot be told apart" in ran.output


@pytest.mark.parametrize(
    ("low", "value", "high", "decision"),
    [(0.02, 0.06, 0.10, "stays"), (-0.06, -0.01, 0.03, "goes"), (-0.02, 0.03, 0.08, "undecided")],
)
def test_it_stays_only_where_it_is_better_beyond_chance(low, value, high, decision):
    found = Comparison(
        reference="prompt", candidate="live", n=100, difference=Interval(value=value, low=low, high=high), p=0.5,
        test="mid-p McNemar", wins=5, losses=3, dropped=0, worst_case=0,
    )  # fmt: skip
    assert watching.decided(found, "prompt", 0.05)[0] == decision


def test_answers_that_rest_on_what_the_documents_no_longer_say_are_counted(tmp_path):
    long = "Returns take 14 days and are free for parcels below two kilos in weight."
    texts = {
        "a.md": f"# Returns\n\n{long}\n\nRefunds follow.",
        "b.md": "Shipping costs 5 euros.",
        "c.md": "Opening at nine.",
    }
    for folder in ("docs", "release/docs"):
        (tmp_path / folder).mkdir(parents=True)
        for name, text in texts.items():
            (tmp_path / folder / name).write_text(text, "utf-8")
    retriever = RetrieverRef(name="bm25", docs="", top_k=2, chunk_words=10)
    release = SimpleNamespace(
        folder=tmp_path / "release", manifest=SimpleNamespace(candidate=SimpleNamespace(retriever=retriever))
    )
    now = tmp_path / "docs"
    (now / "a.md").write_text(f"# Returns\n\nNew: a first sentence.\n\n{long}\n\nRefunds follow.", "utf-8")
    (now / "b.md").write_text("Shipping costs 6 euros.", "utf-8")
    (now / "c.md").unlink()
    (now / "d.md").write_text("New.", "utf-8")
    answered = [answer_with(*passages) for passages in (("b.md#1", "a.md#1"), ("a.md#1",), ("c.md#1",), ())]
    found = stale.check(release, now, answered)
    assert [(p.passage, p.state, p.answers) for p in found.gone] == [("b.md#1", "changed", 1), ("c.md#1", "removed", 1)]
    assert (found.answers, found.stale_answers, found.new_files) == (3, 2, ("d.md",))
    assert stale.check(release, None, answered) is None


def answer_with(*passages):
    return Trace(id="x", when="2026-01-01", request={}, response={}, passages=passages)
