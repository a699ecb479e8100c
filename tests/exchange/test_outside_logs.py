"""Logs of other tools under our statistics: cases paired, errors left out and counted, nothing called a verdict."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outside import LOGS, fuzzed, lines, write, write_lines

from tuneworthy import cli
from tuneworthy.errors import DataError, NotComparable, TuneworthyError
from tuneworthy.exchange.judge import judge, read
from tuneworthy.measure.statistics import holm, mcnemar_midp

PROMPTFOO = LOGS / "promptfoo" / "results.json"
PROMPT, TUNED = LOGS / "inspect" / "prompt.json", LOGS / "inspect" / "tuned.json"
A, B = (next((LOGS / "lm_eval" / f"model-{m}").glob("samples_triage_choice_*.jsonl")) for m in "ab")


def test_promptfoo_arms_are_compared_without_the_error():
    found = judge([PROMPTFOO], metric="pass")
    (c,) = found.comparisons
    assert (c.reference, c.candidate, c.n, c.dropped) == ("base", "tuned", 11, 1)
    assert (c.wins, c.losses) == (5, 0)
    assert c.p == pytest.approx(mcnemar_midp(5, 0))
    assert not c.registered
    base, tuned = found.arms
    assert (base.n, base.unscored, tuned.n, tuned.unscored) == (12, {}, 11, {"transport": 1})
    assert tuned.interval.value == pytest.approx(9 / 11)  # promptfoo reports 9 of 12
    assert "transport" in found.problems["tuned"]


def test_inspect_logs_are_compared():
    found = judge([PROMPT, TUNED], metric="exact")
    (c,) = found.comparisons
    assert (c.n, c.wins, c.losses, found.paired_by) == (11, 5, 0, "id")
    assert [arm.name for arm in found.arms] == ["mockllm/model #1", "mockllm/model #2"]


def test_lm_eval_models_are_compared():
    found = judge([A, B], metric="acc_norm")
    assert [arm.name for arm in found.arms] == ["model-a", "model-b"]
    assert found.comparisons[0].n == 12
    assert list(found.settings) == ["model"]


def test_the_reference_can_be_chosen():
    found = judge([PROMPTFOO], metric="pass", against="tuned")
    assert (found.reference, found.comparisons[0].wins, found.comparisons[0].losses) == ("tuned", 0, 5)
    with pytest.raises(TuneworthyError, match="no arm is called 'nobody'"):
        judge([PROMPTFOO], metric="pass", against="nobody")


def test_of_several_metrics_the_user_says_which_decides():
    with pytest.raises(TuneworthyError, match="share 2 metrics: acc, acc_norm") as caught:
        judge([A, B])
    assert "--metric NAME" in str(caught.value)
    with pytest.raises(TuneworthyError, match="not every arm has the metric 'f1'"):
        judge([A, B], metric="f1")


def test_right_or_wrong_promptfoo_cases_need_no_choice(tmp_path):
    content = json.loads(PROMPTFOO.read_text("utf-8"))
    for row in content["results"]["results"]:
        row["score"] = int(row["success"])
    assert judge([write(tmp_path / "r.json", content)]).metric == "score"


def test_several_arms_are_adjusted_together(tmp_path):
    third = write_lines(tmp_path / "samples.jsonl", [{**row, "acc": 1.0} for row in lines(A)])
    found = judge([A, B, third], metric="acc")
    assert [c.p_adjusted for c in found.comparisons] == list(holm([c.p for c in found.comparisons]))


def test_shuffled_files_are_paired_by_input(tmp_path):
    rows = [{**row, "doc_id": number} for number, row in enumerate(reversed(lines(B)))]
    shuffled = judge([A, write_lines(tmp_path / "s.jsonl", rows)], metric="acc_norm")
    straight = judge([A, B], metric="acc_norm")
    assert shuffled.paired_by == "input"
    one, two = shuffled.comparisons[0], straight.comparisons[0]
    assert (one.n, one.wins, one.losses, one.p) == (two.n, two.wins, two.losses, two.p)


def test_a_question_is_the_same_in_every_tool(tmp_path):
    content = json.loads(PROMPTFOO.read_text("utf-8"))
    for row in content["results"]["results"]:
        row["vars"] = {"text": row["vars"]["text"]}
        row["namedScores"] = {"right": float(row["success"])}
    inspect = json.loads(TUNED.read_text("utf-8"))
    for sample in inspect["samples"]:
        if sample["scores"]:
            sample["scores"] = {"named: right": sample["scores"]["exact"]}
    found = judge([write(tmp_path / "r.json", content), write(tmp_path / "i.json", inspect)], metric="named: right")
    assert found.paired_by == "input"
    assert [c.n for c in found.comparisons] == [11, 11]


def test_other_questions_under_the_same_ids_are_refused(tmp_path):
    rows = [{**row, "doc": {"text": "other"}, "doc_hash": f"other {row['doc_id']}"} for row in lines(B)]
    with pytest.raises(NotComparable, match="do not ask the same cases"):
        judge([A, write_lines(tmp_path / "s.jsonl", rows)], metric="acc")


def test_cases_that_ask_the_same_are_one_cluster(tmp_path):
    again = lines(A) + [{**row, "doc_id": row["doc_id"] + 100} for row in lines(A)]
    better = [{**row, "acc": 1.0} for row in again]
    found = judge([write_lines(tmp_path / "a.jsonl", again), write_lines(tmp_path / "b.jsonl", better)], metric="acc")
    assert found.comparisons[0].test == "sign-flip permutation"
    assert "clusters" in found.comparisons[0].note


def test_one_arm_alone_is_refused():
    with pytest.raises(TuneworthyError, match="one arm alone"):
        judge([A], metric="acc")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.json", "{}", "no log that can be read"),
        ("x.json", "[1]", "no log that can be read"),
        ("x.json", "{", "is not JSON"),
        ("x.json", "[" * 100_000, "nested too deeply"),
        ("x.json", "[" + "9" * 5000 + "]", "too long"),
        ("x.json", '{"results": {}, "configs": {}, "versions": {}}', "totals of lm-eval"),
        ("x.eval", "PK", "inspect"),
    ],
)
def test_other_files_are_refused(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(TuneworthyError) as caught:
        read(tmp_path / name)
    assert said in str(caught.value)
    assert "Next: " in str(caught.value)


@fuzzed
@given(st.binary(max_size=80))
def test_any_bytes_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.json"
    path.write_bytes(content)
    with pytest.raises(DataError):
        read(path)


# --- the command line -----------------------------------------------------------------------------


@pytest.fixture
def compare(monkeypatch, capsys):
    def compare(*words):
        monkeypatch.setattr(sys, "argv", ["tuneworthy", "compare", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return ended.value.code or 0, told.out, told.err

    return compare


def test_4_errors_forbid_a_conclusion_and_it_is_exploratory(compare):
    code, told, _ = compare(PROMPTFOO, "--metric", "pass")
    assert code == 4
    assert "tuned: unscored, whatever promptfoo 0.121.20 made of them: 1 transport" in told
    assert "No conclusion" in told
    assert "Exploratory: no suite was locked" in told


@pytest.mark.parametrize(("against", "code"), [("base", 0), ("tuned", 3)])
def test_0_better_3_worse(compare, tmp_path, against, code):
    content = json.loads(PROMPTFOO.read_text("utf-8"))
    rows = [row for row in content["results"]["results"] if row["testIdx"] != 0]
    content["results"]["results"] = rows
    path = write(tmp_path / "r.json", content)
    assert compare(path, "--metric", "pass", "--against", against)[0] == code


def test_machines_get_the_record(compare):
    code, told, _ = compare(PROMPTFOO, "--metric", "pass", "--json")
    assert code == 4
    assert json.loads(told)["comparisons"][0]["wins"] == 5


def test_names_in_a_log_cannot_reach_the_terminal(compare, tmp_path):
    content = json.loads(PROMPTFOO.read_text("utf-8"))
    for row in content["results"]["results"]:
        row["provider"]["label"] += "\x1b[31m[bold]\u202e"
    _, told, _ = compare(write(tmp_path / "r.json", content), "--metric", "pass")
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert "[bold]" in told


def test_one_word_is_wrong_usage(compare):
    assert compare("prompt")[0] == 2
    assert compare("prompt", "lora", "--metric", "acc")[0] == 2
