"""Feedback: what is taken, whose it is, and that nothing of it is learned before a person agreed."""

import json
import shutil
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))
sys.path.insert(0, str(Path(__file__).parents[1] / "release"))

import httpx
from gatewayed import ask, gateway, settled
from released import released, scripted_project

from tuneworthy import service, worth
from tuneworthy.content import file_digest
from tuneworthy.data.json_rows import parse_json
from tuneworthy.watch import corrections, feedback
from tuneworthy.watch.feedback import Said, read_given
from tuneworthy.watch.traces import Keeping, answer_id


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(project, release, URL) of a gateway that keeps the content of every answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuneworthy.content.os.fsync", lambda file: None)
        project = scripted_project(tmp_path_factory.mktemp("told") / "small")
        release = released(project, trained=False)
        service.deploy(project.folder, "", alias="champion", why="")
        with gateway(project, keeping=Keeping(content=1.0)) as (_, url):
            settled(project)
            yield project, release, url


def tell(url, body, headers=None):
    return httpx.post(f"{url}/v1/feedback", json=body, headers=headers or {}, trust_env=False, timeout=30)


def asked(url, content):
    return ask(url, content).json()["id"]


def test_a_correction_comes_before_a_person_and_only_then_into_the_examples(served, capsys):
    from tuneworthy import cli

    project, release, url = served
    before = file_digest(project.examples_file)
    number = asked(url, "the boiler makes a noise, write to me at anna@example.com")
    reply = tell(url, {"id": number, "right": False, "correction": "plumbing", "note": "call +49 30 901820"})
    assert (reply.status_code, reply.json()["correction"]) == (200, "kept, for a person to look at")
    said = next(one for one in feedback.read(project.feedback)[0] if one.id == number)
    assert said.input == {"message": "the boiler makes a noise, write to me at [E-MAIL]"}
    assert (said.answer, said.note, said.release) == ("none of them", "call [PHONE]", release.name)

    cli.app(["data", "label", "--feedback", str(project.folder), "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["rows"][0]["suggested"] == "plumbing"
    assert file_digest(project.examples_file) == before
    assert worth.take_labels(project.folder).added == 0  # nobody has agreed yet
    row = json.loads(project.to_label_file.read_text("utf-8"))
    assert number in row["source"]
    row["expected"] = row["suggested"]
    project.to_label_file.write_text(json.dumps(row) + "\n", "utf-8")
    examples = project.examples_file.read_bytes()
    assert worth.take_labels(project.folder).added == 1
    added = json.loads(project.examples_file.read_text("utf-8").splitlines()[-1])
    assert added["expected"] == "plumbing"
    assert number in added["provenance"]["source"]
    project.examples_file.write_bytes(examples)


def test_a_case_of_the_locked_suite_is_never_kept(served):
    project, release, url = served
    case = release.cases[0]
    number = asked(url, case.input["message"])
    reply = tell(url, {"id": number, "correction": "keys"})
    assert reply.json()["correction"] == "not kept: it stands in the locked suite"
    said = next(one for one in feedback.read(project.feedback)[0] if one.id == number)
    assert (said.input, said.correction, said.locked, said.right) == (None, None, True, False)
    found = corrections.collect([said], [], release.cases)
    assert (found.rows, found.judged) == ((), 1)


def test_a_line_that_was_written_by_hand_cannot_bring_a_case_in(served):
    _, release, _ = served
    said = Said(id=answer_id(), when="2026-01-01", right=False, correction="keys", input=dict(release.cases[0].input))
    assert corrections.collect([said], [], release.cases).rows == ()


def test_the_last_word_counts_and_clients_who_disagree_are_told(served):
    project, _, url = served
    number = asked(url, "there is a smell in the hall")
    for right in (True, False):
        assert tell(url, {"id": number, "right": right}).status_code == 200
    assert [one.right for one in feedback.read(project.feedback)[0] if one.id == number] == [False]
    rows = [
        Said(id=answer_id(), when="2026", client=client, right=False, correction=label, input={"message": "smell"})
        for client, label in (("a", "keys"), ("b", "power"))
    ]
    (row,) = corrections.collect(rows, [], []).rows
    assert row.suggested is None
    assert "clients disagree" in row.why


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"id": "chatcmpl-20260101-" + "0" * 24}, 404, "no answer"),
        ({"id": "../../etc/passwd"}, 400, "id"),
        ({"id": 5}, 400, "id"),
        ({"right": "yes"}, 400, "right"),
        ({"right": None}, 400, "right"),
        ({"right": True, "correction": "keys"}, 400, "correction"),
        ({"correction": "roof"}, 400, "correction: output.labels lacks 'roof'"),
        ({"correction": "keys", "input": {"text": "x"}}, 400, "input.text"),
        ({"correction": "keys", "input": 5}, 400, "input.message"),
        ({"note": "x" * 3000}, 400, "note"),
        ({"rating": "good"}, 400, "rating"),
    ],
)
def test_what_cannot_be_taken_is_a_clear_error(served, change, status, word):
    _, _, url = served
    reply = tell(url, {"id": asked(url, "the pipe"), "right": False, **change})
    assert (reply.status_code, word in reply.json()["error"]["message"]) == (status, True)


def test_nobody_speaks_about_the_answers_of_another_client(tmp_path):
    project = scripted_project(tmp_path / "small")
    released(project, trained=False)
    service.deploy(project.folder, "", alias="champion", why="")
    mine, other = (
        {"authorization": f"Bearer {service.new_key(project.folder, name, [])}"} for name in ("mine", "other")
    )
    with gateway(project) as (server, url):
        settled(project)
        number = ask(url, "the pipe", headers=mine).json()["id"]
        assert tell(url, {"id": number, "right": True}).status_code == 401
        assert tell(url, {"id": number, "right": True}, other).status_code == 404
        reply = tell(url, {"id": number, "correction": "power"}, mine)
        assert reply.json()["correction"] == "not kept: send the input too"  # content is off
        reply = tell(url, {"id": number, "correction": "power", "input": "the heating is cold"}, mine)
        assert reply.json()["correction"].startswith("kept")
        text = generate_latest(server.gateway.registry).decode()
    assert 'tuneworthy_feedback_total{alias="champion",said="wrong"} 2.0' in text
    assert [one.client for one in feedback.read(project.feedback)[0]] == ["mine"]


def test_without_traces_or_disk_feedback_says_so(served, monkeypatch):
    project, _, url = served
    number = asked(url, "the fuse")
    shutil.rmtree(project.feedback, ignore_errors=True)
    project.feedback.write_text("in the way", "utf-8")
    reply = tell(url, {"id": number, "right": True})
    project.feedback.unlink()
    assert (reply.status_code, "could not be kept" in reply.json()["error"]["message"]) == (503, True)


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.dictionaries(st.sampled_from(["id", "right", "correction", "input", "note"]), VALUES, max_size=5)


@given(raw=st.binary(max_size=100) | BODIES.map(lambda body: json.dumps(body).encode()))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_feedback_or_are_refused(raw):
    with suppress(ValueError):
        found = read_given(raw)
        assert found.right is not None or found.correction is not None


@given(body=BODIES)
@settings(max_examples=30, deadline=None)
def test_any_feedback_on_an_answer_is_taken_or_refused_with_a_reason(served, body):
    _, _, url = served
    reply = tell(url, {**body, "id": _one_answer(url)})
    assert reply.status_code in (200, 400)
    assert parse_json(reply.text)


@cache
def _one_answer(url):
    return asked(url, "the pipe")


@given(lines=st.lists(st.binary(max_size=60) | st.sampled_from([b"{}", b"[" * 3000]), max_size=5))
@settings(max_examples=100, deadline=None)
def test_lines_that_are_no_feedback_are_counted(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("said")
    (folder / "2026-01-01.jsonl").write_bytes(b"\n".join(lines))
    found, bad = feedback.read(folder)
    assert len(found) + bad == sum(bool(piece.strip()) for line in lines for piece in line.split(b"\n"))
