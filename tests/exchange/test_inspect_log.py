"""Inspect logs. The files were written by inspect-ai 0.3.285 with its mock model; events and tracebacks taken out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outside import LOGS, fuzzed, json_values, write

from tuneworthy.errors import DataError, MissingExtra
from tuneworthy.exchange.judge import read

TUNED = LOGS / "inspect" / "tuned.json"


@pytest.fixture
def content():
    return json.loads(TUNED.read_text("utf-8"))


def test_the_means_are_those_of_inspect(content):
    (log,) = read(TUNED)
    for score in content["results"]["scores"]:
        values = [s.scores[score["name"]] for s in log.samples if isinstance(s.scores[score["name"]], float)]
        (mean,) = (m["value"] for name, m in score["metrics"].items() if name in ("mean", "accuracy"))
        assert len(values) == score["scored_samples"]
        assert sum(values) / len(values) == pytest.approx(mean)


def test_a_sample_with_an_error_is_unscored(content):
    assert content["samples"][0]["error"]
    (log,) = read(TUNED)
    assert log.samples[0].scores == {"exact": "transport", "polite": "transport"}


def test_also_where_inspect_scored_the_error(content, tmp_path):
    content["samples"][0]["scores"] = {"exact": {"value": "I"}, "polite": {"value": 0.0}}
    (log,) = read(write(tmp_path / "log.json", content))
    assert log.samples[0].scores == {"exact": "transport", "polite": "transport"}


def test_nan_is_unscored_by_that_scorer_alone():
    (log,) = read(TUNED)
    assert log.samples[4].scores == {"exact": 1.0, "polite": "judge_refused"}


def test_a_model_that_broke_the_format_failed(content, tmp_path):
    content["samples"][4]["scores"]["polite"]["reason"] = "invalid_response_format"
    (log,) = read(write(tmp_path / "log.json", content))
    assert log.samples[4].scores["polite"] == 0.0


@pytest.mark.parametrize(
    ("grade", "score"), [("C", 1.0), ("P", 0.5), ("I", 0.0), ("N", 0.0), (True, 1.0), (0.25, 0.25)]
)
def test_grades_read_as_inspect_reads_them(content, tmp_path, grade, score):
    content["samples"][1]["scores"]["exact"]["value"] = grade
    (log,) = read(write(tmp_path / "log.json", content))
    assert log.samples[1].scores["exact"] == score


def test_a_table_of_scores_is_several_metrics(content, tmp_path):
    for sample in content["samples"][1:]:
        sample["scores"]["exact"]["value"] = {"tone": 1, "facts": "I", "length": 312}
    (log,) = read(write(tmp_path / "log.json", content))
    assert log.metrics == ("exact/tone", "exact/facts", "polite")
    assert "exact/length is left out" in log.notes[0]


def test_epochs_are_averaged(tmp_path):
    epochs = json.loads((LOGS / "inspect" / "epochs.json").read_text("utf-8"))
    second = [s for s in epochs["samples"] if s["epoch"] == 2]
    second[0]["scores"]["exact"]["value"] = "I"
    second[1]["scores"]["exact"]["value"] = float("nan")
    (log,) = read(write(tmp_path / "log.json", epochs))
    assert len(log.samples) == 12
    assert [sample.scores["exact"] for sample in log.samples[:3]] == [0.5, 1.0, 1.0]
    assert "each score is the mean of up to 2 epochs" in log.notes


def test_an_unfinished_log_says_so(content, tmp_path):
    content["status"] = "cancelled"
    (log,) = read(write(tmp_path / "log.json", content))
    assert "the evaluation did not finish: cancelled" in log.notes


def test_a_log_without_samples_is_refused(content, tmp_path):
    del content["samples"]
    with pytest.raises(DataError, match="holds no samples"):
        read(write(tmp_path / "log.json", content))


def test_samples_that_are_none_are_named(content, tmp_path):
    del content["samples"][2]["input"]
    with pytest.raises(DataError, match=r"samples\[2\]: has no id and input"):
        read(write(tmp_path / "log.json", content))


def test_an_eval_file_needs_the_library(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "inspect_ai.log", None)
    (tmp_path / "log.eval").write_bytes(b"PK")
    with pytest.raises(MissingExtra, match="inspect-ai") as caught:
        read(tmp_path / "log.eval")
    assert "tuneworthy[inspect]" in str(caught.value)


@fuzzed
@given(
    st.dictionaries(
        st.sampled_from(["id", "epoch", "input", "choices", "target", "output", "scores", "error"]), json_values
    ),
    st.dictionaries(st.sampled_from(["value", "reason"]), json_values),
    st.dictionaries(st.sampled_from(["status", "eval", "invalidated", "samples"]), json_values, max_size=1),
)
def test_any_value_in_any_field_is_read_or_refused(tmp_path_factory, sample, score, whole):
    content = json.loads(TUNED.read_text("utf-8"))
    content["samples"][3]["scores"]["exact"] |= score
    content["samples"][3] |= sample
    content |= whole
    path = write(tmp_path_factory.getbasetemp() / "any-log.json", content)
    try:
        (log,) = read(path)
    except DataError:
        return
    for one in log.samples:
        assert set(one.scores) == set(log.metrics)
        assert all(isinstance(s, str) or 0 <= s <= 1 for s in one.scores.values())
