"""Traces: what is written, what is not, and that nothing of it stands in the way of an answer."""

import json
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))
sys.path.insert(0, str(Path(__file__).parents[1] / "release"))

import httpx
from gatewayed import ask, gateway, settled, wait
from released import released, scripted_project

from tuneworthy import service
from tuneworthy.data import read as reading
from tuneworthy.records import Answer
from tuneworthy.serving.gateway import Limits
from tuneworthy.watch import drift, traces
from tuneworthy.watch.traces import Keeping, Served, Traces, answer_id

SECRET = "my pipe leaks, call anna.schmidt@example.com or +49 30 901820"


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuneworthy.content.os.fsync", lambda file: None)
        project = scripted_project(tmp_path_factory.mktemp("traced") / "small")
        return project, released(project, trained=False)


@pytest.fixture
def traced(made, tmp_path):
    """(project without traces, release)."""
    import shutil

    project, release = made
    for folder in (project.traces, project.feedback):
        shutil.rmtree(folder, ignore_errors=True)
    return project, release


def written(project, release, keeping, texts, **became):
    counted, told = [], []
    writer = Traces(project, keeping, told.append, counted.append)
    writer.start()
    for text in texts:
        served = Served(
            answer_id(), "champion", "", release, {"message": text}, 0.2, answer=Answer(text="plumbing"), **became
        )
        writer.offer(served)
    writer.stop()
    return traces.read(project.traces)[0], counted, told


def test_content_is_off_by_default_in_traces_and_in_what_is_printed(traced, capfd):
    project, release = traced
    told = []
    service.deploy(project.folder, "", alias="champion", why="")
    with gateway(project) as (server, url):
        server.tell = server.traces.tell = told.append
        settled(project)
        assert ask(url, SECRET).status_code == 200
        assert ask(url, " ").status_code == 400
        wait(lambda: traces.read(project.traces)[0])
    found, bad = traces.read(project.traces)
    assert (len(found), bad) == (1, 0)  # what the gate asked left none
    kept = "".join(path.read_text("utf-8") for path in project.store.rglob("*") if path.suffix == ".jsonl")
    for word in ("leaks", "anna.schmidt", "901820"):
        assert word not in kept + "".join(told) + "".join(capfd.readouterr())
    trace = found[0]
    assert (trace.alias, trace.outcome, trace.release) == ("champion", "ok", release.name)
    assert trace.measured["answer"] == "plumbing"
    assert trace.measured["input_chars"] == len(SECRET)
    assert 0 < trace.measured["unknown_words"] < 1


def test_content_that_was_asked_for_is_redacted(traced):
    project, release = traced
    found, _, _ = written(project, release, Keeping(content=1.0), [SECRET])
    assert traces.asked(found[0], release.usecase)["message"] == "my pipe leaks, call [E-MAIL] or [PHONE]"
    assert traces.answered(found[0]) == "plumbing"


def test_a_share_of_the_content_is_kept_and_all_of_the_numbers(traced):
    project, release = traced
    found, counted, _ = written(project, release, Keeping(content=0.3), ["pipe"] * 300)
    whole = [trace for trace in found if "messages" in trace.request]
    assert len(found) == counted.count("written") == 300
    assert 50 < len(whole) < 130  # 90 ± 5 standard deviations


def test_traces_with_content_are_what_data_import_reads(traced):
    project, release = traced
    written(project, release, Keeping(content=1.0), ["the pipe is broken again", "a fuse is out"])
    path = next(project.traces.glob("*.jsonl"))
    rows = reading.read_examples(path, release.usecase)
    assert not rows.problems
    assert {e.input["message"] for e in rows.examples} == {"the pipe is broken again", "a fuse is out"}
    assert {e.provenance.model for e in rows.examples} == {release.name}


def test_old_days_are_removed(traced):
    project, release = traced
    today = datetime.now(UTC).date()
    for age in (0, 5, 6, 7, 8):
        for folder in (project.traces, project.feedback):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{today - timedelta(days=age)}.jsonl").write_text("", "utf-8")
    (project.traces / "mine.jsonl").write_text("", "utf-8")
    _, counted, _ = written(project, release, Keeping(days=7), ["pipe"])
    assert sorted(day for _, day in traces.days(project.traces)) == [today - timedelta(days=n) for n in (6, 5, 0)]
    assert (project.traces / "mine.jsonl").exists()
    assert counted.count("removed") == 4


def test_an_old_file_that_cannot_be_removed_is_told_and_the_next_is_written(traced, monkeypatch):
    project, release = traced
    old = [project.traces / f"2020-01-0{day}.jsonl" for day in (1, 2)]
    project.traces.mkdir(parents=True)
    for path in old:
        path.write_text("", "utf-8")

    def stuck(path, missing_ok=False):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "unlink", stuck)
    found, counted, told = written(project, release, Keeping(), ["pipe", "pipe"])
    assert (len(found), counted) == (2, ["written", "written"])
    assert told == [f"traces or feedback older than 30 days cannot be removed: Operation not permitted: {old[1]}"]


def test_too_few_days_for_drift_are_told_at_the_start(traced):
    project, release = traced
    assert traces.LEAST_DAYS == drift.REFERENCE_DAYS + 2
    for days, word in ((15, "cannot tell drift"), (16, "")):
        _, _, told = written(project, release, Keeping(days=days), [])
        assert [word in text for text in told] == [True] * bool(word)


def test_a_full_disk_loses_traces_is_counted_and_told_once_and_answers_go_on(traced, monkeypatch):
    project, _ = traced
    told = []
    service.deploy(project.folder, "", alias="champion", why="")
    with gateway(project) as (server, url):
        settled(project)
        server.traces.tell = told.append
        project.traces.mkdir(parents=True)
        real = Path.open

        def full(path, mode="r", *args, **settings):
            if path.parent == project.traces and "a" in mode:
                raise OSError(28, "No space left on device")
            return real(path, mode, *args, **settings)

        monkeypatch.setattr(Path, "open", full)
        assert [ask(url, "the pipe").status_code for _ in range(3)] == [200] * 3
        wait(lambda: 'tuneworthy_traces_total{state="failed"} 3.0' in metrics(url))
        monkeypatch.setattr(Path, "open", real)
        assert ask(url, "the pipe").status_code == 200
        wait(lambda: 'tuneworthy_traces_total{state="written"} 1.0' in metrics(url))
    assert [text.split(":")[0] for text in told] == ["traces are lost, answers go on", "traces are written again"]


def test_a_scorer_that_breaks_loses_its_trace_and_not_the_next(traced, monkeypatch):
    project, release = traced
    looker = traces.open_looker(project, release)
    monkeypatch.setattr(traces, "open_looker", lambda project, release: looker)
    monkeypatch.setattr(looker, "scores", lambda row, answer: 1 / 0 if row["message"] == "odd" else {})
    found, counted, told = written(project, release, Keeping(), ["odd", "odd", "pipe"])
    assert (len(found), counted) == (1, ["failed", "failed", "written"])
    assert told == ["traces are lost, answers go on: ZeroDivisionError: division by zero", "traces are written again"]


def test_a_full_queue_drops_and_never_waits(traced):
    project, release = traced
    counted = []
    writer = Traces(project, Keeping(), lambda text: None, counted.append, room=5)  # nothing writes yet
    started = time.perf_counter()
    for _ in range(1000):
        writer.offer(Served(answer_id(), "champion", "", release, {"message": "pipe"}))
    assert time.perf_counter() - started < 1
    writer.start()
    writer.stop()
    assert (counted.count("dropped"), counted.count("written")) == (995, 5)


def test_what_failed_is_traced_without_measurements(traced):
    project, release = traced
    found, _, _ = written(project, release, Keeping(content=1.0), ["pipe"], outcome="timeout")
    assert (found[0].outcome, found[0].response["error"], found[0].measured) == ("timeout", "timeout", {})


def test_no_traces_when_they_are_off(traced):
    project, release = traced
    found, counted, _ = written(project, release, Keeping(on=False), ["pipe"])
    assert (found, counted) == ([], [])


def test_a_line_that_a_killed_gateway_left_does_not_swallow_the_next(traced):
    project, release = traced
    path = project.traces / f"{datetime.now(UTC).date()}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"id": "half')
    written(project, release, Keeping(), ["pipe"])
    found, bad = traces.read(project.traces)
    assert (len(found), bad) == (1, 1)


LINES = st.binary(max_size=60) | st.sampled_from(
    [
        b"{}",
        b"[]",
        b"null",
        b'{"id": "x", "when": "2026-01-01", "request": {}, "response": {}}',
        b"\xff\xfe",
        b"[" * 3000,
    ]
)


@given(lines=st.lists(LINES, max_size=6))
@settings(max_examples=150, deadline=None)
def test_whatever_lies_in_a_file_is_a_trace_or_is_counted(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("lines")
    (folder / "2026-01-01.jsonl").write_bytes(b"\n".join(lines))
    found, bad = traces.read(folder)
    pieces = [piece for line in lines for piece in line.split(b"\n") if piece.strip()]
    assert len(found) + bad == len(pieces)
    assert traces.find(folder, "chatcmpl-20260101-" + "0" * 24) is None


@given(text=st.text(max_size=300), answer=st.text(max_size=100))
@settings(max_examples=100, deadline=None)
def test_anything_can_be_looked_at_and_read_back(made, text, answer):
    project, release = made
    looker = traces.open_looker(project, release)
    measured = looker.measured({"message": text}, answer)
    assert json.loads(json.dumps(measured)) == measured
    assert looker.scores({"message": text}, answer) == {}  # the metric wants an expected output


def test_traces_of_one_day_only(traced):
    project, release = traced
    written(project, release, Keeping(), ["pipe"])
    assert traces.read(project.traces, date(2999, 1, 1)) == ([], 0)


def test_failures_of_the_gateway_are_traced(traced):
    project, _ = traced
    service.deploy(project.folder, "", alias="champion", why="")
    with gateway(project) as (server, url):
        settled(project)
        server.gateway.limits = Limits(seconds=0.2)
        server.gateway.lanes[server.gateway.routes["champion"]].answerer.answer = lambda rows: time.sleep(1)
        assert ask(url, "the pipe").status_code == 504
        wait(lambda: traces.read(project.traces)[0])
    assert traces.read(project.traces)[0][0].outcome == "timeout"


def metrics(url):
    return httpx.get(f"{url}/metrics", trust_env=False).text
