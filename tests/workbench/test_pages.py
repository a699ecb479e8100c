"""What the pages do: the same as the command line, with the same refusals."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from desk import HOSTILE, token, visitor
from tuneworthy.data import decisions, labelled
from tuneworthy.data.read import read_examples
from tuneworthy.workbench.app import GET, POST, Workbench
from tuneworthy.workbench.compare import marked


def shown(html: str) -> str:
    """Name of the row that a page asks about."""
    found = re.search(r'name="row" value="([0-9a-f]+)"', html)
    assert found
    return found[1]


def say(client: TestClient, path: str, **fields: object) -> str:
    answer = client.post(path, data={"form": token(client), **fields})
    assert answer.status_code in (200, 409), answer.text
    return answer.text


def test_labelling_by_two_people_then_taking_over(bench: Workbench) -> None:
    ann, bo = visitor(bench, "ann"), visitor(bench, "bo")
    first, second = shown(ann.get("/label").text), shown(bo.get("/label").text)
    assert first != second
    assert shown(say(ann, "/label", row=first, expected="keys", note="clear")) != first
    say(bo, "/label", row=second, expected="power", flag="1")
    entries, _ = labelled.read(bench.project.labels_file)
    assert [(e.row, e.by, e.expected, e.flag) for e in entries] == [
        (first, "ann", "keys", False),
        (second, "bo", "power", True),
    ]
    before = len(read_examples(bench.project.native_examples, bench.project.usecase).examples)
    assert "2 rows are examples now" in say(ann, "/label/take")
    assert len(read_examples(bench.project.native_examples, bench.project.usecase).examples) == before + 2


def test_undo_shows_the_row_again_with_the_answer_marked(bench: Workbench) -> None:
    ann = visitor(bench)
    first = shown(ann.get("/label").text)
    say(ann, "/label", row=first, expected="keys")
    again = say(ann, "/label/undo")
    assert shown(again) == first
    assert re.search(r'value="keys"[^>]*aria-pressed="true"', again)


def test_a_wrong_answer_is_told_and_nothing_is_written(bench: Workbench) -> None:
    ann = visitor(bench)
    first = shown(ann.get("/label").text)
    assert "output.labels lacks" in say(ann, "/label", row=first, expected="garden")
    assert "not in the queue" in say(ann, "/label", row="f" * 16, expected="keys")
    assert not bench.project.labels_file.exists()
    assert ann.post("/label/check", data={"form": token(ann), "expected": "kes"}).json()["problem"]
    assert not ann.post("/label/check", data={"form": token(ann), "expected": "keys"}).json()["problem"]


def test_hostile_text_is_text(bench: Workbench) -> None:
    ann = visitor(bench, '"><script>alert(2)</script>')
    page = ann.get("/label").text
    assert HOSTILE[:30] not in page
    assert "&lt;script&gt;" in page
    assert "⟦U+202E⟧" in page
    assert "<script>alert(2)" not in page
    query = ann.get("/rows", params={"q": '"><script>alert(3)</script>'}).text
    assert "<script>alert(3)" not in query
    left, right = marked("<b>a</b> x", "<i>a</i> x")
    assert "<b>" not in left
    assert "<i>" not in right
    assert "<mark>" in left


def test_a_megabyte_of_text_is_shown_in_part(bench: Workbench) -> None:
    row = {"input": {"message": "long " * 190_000}, "why": ""}
    bench.project.to_label_file.write_text(json.dumps(row) + "\n", "utf-8")
    page = visitor(bench).get("/label")
    assert page.status_code == 200
    assert len(page.text) < 50_000


def test_rows_are_found_by_words_and_output(bench: Workbench) -> None:
    ann = visitor(bench)
    assert "60 of 60" in ann.get("/rows").text
    assert "20 of 60" in ann.get("/rows", params={"label": "keys"}).text
    assert "20 of 60" in ann.get("/rows", params={"q": "DOOR"}).text
    assert "0 of 60" in ann.get("/rows", params={"q": "door fuse"}).text
    assert ann.get("/rows", params={"page": "99999999999999"}).status_code == 200
    assert ann.get("/rows", params={"page": "²"}).status_code == 200


def test_findings_are_reviewed_left_out_and_taken_back(bench: Workbench) -> None:
    path = bench.project.native_examples
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([*lines, lines[0], lines[1]]) + "\n", "utf-8")
    ann = visitor(bench)
    page = say(ann, "/review/check")
    assert "duplicates.exact" in page
    rows = ann.get("/review/rows/duplicates.exact").text
    assert "Repair all of them: exact_duplicates" in rows
    say(ann, "/review/fix", rule="exact_duplicates")
    assert len(path.read_text("utf-8").splitlines()) == 60
    assert [d.rule for d in decisions.read(bench.project.decisions_file)] == ["exact_duplicates"]
    say(ann, "/review/undo")
    assert len(path.read_text("utf-8").splitlines()) == 62
    say(ann, "/review/check")
    name = re.findall(r'name="name" value="([0-9a-f]+)"', ann.get("/review/rows/duplicates.exact").text)[0]
    say(ann, "/review/drop", name=name, why="seen twice")
    assert decisions.read(bench.project.decisions_file)[-1].why == "seen twice"
    assert "no row was chosen" in say(ann, "/review/drop")


def test_rows_are_judged_and_a_second_verdict_does_not_overwrite_the_first(bench: Workbench) -> None:
    ann, bo = visitor(bench, "ann"), visitor(bench, "bo")
    say(ann, "/review/check")
    first = shown(ann.get("/review/judge/random").text)
    assert shown(bo.get("/review/judge/random").text) == first
    say(ann, "/review/judge/random", row=first, verdict="wrong", seen="", instead="power")
    told = say(bo, "/review/judge/random", row=first, verdict="right", seen="")
    assert "somebody else has judged this row" in told
    say(bo, "/review/judge/random", row=first, verdict="right", seen="wrong")
    rows = [json.loads(line) for line in bench.project.audit_file.read_text("utf-8").splitlines()]
    assert next(r["verdict"] for r in rows if r["name"] == first) == "right"
    assert "is no verdict" in say(bo, "/review/judge/random", row=first, verdict="maybe", seen="right")
    assert "100.0" not in ann.get("/review").text
    assert "0.0" in ann.get("/review").text, "none of one judged row is wrong, with its interval"


def test_usecase_is_checked_and_never_overwritten_unseen(bench: Workbench) -> None:
    ann = visitor(bench)
    seen = re.search(r'name="seen" value="([0-9a-f]+)"', ann.get("/usecase").text)
    assert seen
    text = bench.project.usecase_file.read_text("utf-8")
    wrong = text.replace('metric = "classification"', 'metric = "beauty"')
    assert "beauty" in ann.post("/usecase/check", data={"form": token(ann), "text": wrong}).json()["problem"]
    assert "cannot judge a label output" in say(ann, "/usecase", text=wrong, seen=seen[1])
    assert bench.project.usecase_file.read_text("utf-8") == text
    better = text.replace("at_least = 0.75", "at_least = 0.8")
    say(ann, "/usecase", text=better, seen=seen[1])
    assert bench.project.usecase_file.read_text("utf-8") == better
    assert bench.project.usecase.bar.at_least == 0.8
    assert "changed by somebody else" in say(ann, "/usecase", text=text, seen=seen[1])


def test_the_suite_is_drawn_and_locked(bench: Workbench) -> None:
    ann = visitor(bench)
    say(ann, "/suite/lock")
    assert bench.project.lock_file.exists()
    page = ann.get("/suite").text
    assert "locked" in page
    assert "the suite is locked" in say(ann, "/suite/build", cases="40")
    for wrong in ("", "x", "-3", "0", "1e9", "²", "9" * 30):
        assert "no number of cases" in say(ann, "/suite/build", cases=wrong)


def test_home_leads_on_and_pages_without_a_run_say_what_is_missing(bench: Workbench) -> None:
    ann = visitor(bench)
    assert "/suite" in ann.get("/").text
    assert "not locked" in ann.get("/").text
    for path in ("/verdict", "/blind", "/live", "/run"):
        assert ann.get(path).status_code == 200
    assert ann.get("/compare").status_code == 409
    assert "there is no run yet" in ann.get("/compare").text
    assert "Anwendungsfall" in ann.get("/", headers={"accept-language": "de"}).text


def test_examples_that_are_damaged_are_told_not_crashed_on(bench: Workbench) -> None:
    bench.project.native_examples.write_bytes(b'{"input": {"message": "a"}, "expected": "keys"}\n{"a":\n\xff\xfe\n')
    ann = visitor(bench)
    for path in ("/", "/rows", "/review", "/gates"):
        assert ann.get(path).status_code in (200, 409), path


FIELDS = (
    "row",
    "expected",
    "text",
    "seen",
    "cases",
    "name",
    "rule",
    "reference",
    "candidate",
    "pair",
    "better",
    "alias",
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sampled_from([path for path in [*GET, *POST] if path not in ("/run/start", "/run/events", "/review/check")]),
    st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=60), max_size=5),
    st.text(max_size=20),
)
def test_no_form_or_address_breaks_a_page(bench: Workbench, path: str, fields: dict[str, str], part: str) -> None:
    ann = visitor(bench)
    address = path.replace("{kind}", "x.y").replace("{which}", "random")
    if path in GET:
        assert ann.get(address, params={"q": part, "page": part, "row": part, "reference": part}).status_code < 500
    if path in POST:
        encoded = {name: value.encode("utf-8", "surrogatepass") for name, value in fields.items()}
        assert ann.post(address, data={"form": token(ann), **encoded}).status_code < 500


@pytest.mark.parametrize("where", ["/review/judge/../../etc/passwd", "/review/judge/secrets", "/static/../app.py"])
def test_names_in_addresses_lead_nowhere(bench: Workbench, where: str) -> None:
    answer = visitor(bench).get(where)
    assert answer.status_code in (404, 409)


def test_a_row_that_was_labelled_elsewhere_is_not_asked_again(bench: Workbench) -> None:
    ann = visitor(bench)
    first = shown(ann.get("/label").text)
    other = labelled.Desk(bench.project)
    other.put(labelled.label(first, "ann", expected="keys"))
    assert shown(ann.get("/label").text) != first


def test_what_an_earlier_run_told_is_gone_when_another_starts(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.project.store.mkdir(parents=True, exist_ok=True)
    bench.project.live_file.write_text('{"what": "begin"}\n{"what": "end", "error": "", "decision": "tune"}\n', "utf-8")
    ann = visitor(bench)
    assert 'id="ended"' in ann.get("/run").text
    monkeypatch.setattr("tuneworthy.workbench.running.START_WITHIN", 0.0)
    monkeypatch.setattr("tuneworthy.workbench.running.subprocess.Popen", lambda *_, **__: None)
    assert 'id="ended"' not in say(ann, "/run/start")


def test_a_page_of_an_ended_run_waits_for_nothing_though_its_process_is_still_there(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.project.store.mkdir(parents=True, exist_ok=True)
    bench.project.live_file.write_text('{"what": "end", "error": "", "decision": "tune"}\n', "utf-8")
    monkeypatch.setattr("tuneworthy.workbench.running.Runner.running", True)
    assert "data-events" not in visitor(bench).get("/run").text
