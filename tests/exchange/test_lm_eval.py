"""Samples of lm-evaluation-harness. The files were written by lm_eval 0.4.13 with tiny random models."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outside import LOGS, fuzzed, json_values, lines, write_lines

from tuneworthy.errors import DataError
from tuneworthy.exchange.judge import read

CHOICE = next((LOGS / "lm_eval" / "model-a").glob("samples_triage_choice_*.jsonl"))
TEXT = next((LOGS / "lm_eval" / "model-a").glob("samples_triage_text_*.jsonl"))
RESULTS = json.loads(next((LOGS / "lm_eval" / "model-a").glob("results_*.json")).read_text("utf-8"))


@pytest.mark.parametrize("metric", ["acc", "acc_norm"])
def test_the_mean_is_what_lm_eval_reports(metric):
    (log,) = read(CHOICE)
    scores = [sample.scores[metric] for sample in log.samples]
    assert sum(scores) / len(scores) == pytest.approx(RESULTS["results"]["triage_choice"][f"{metric},none"])


def test_the_results_file_beside_names_the_model_and_its_settings():
    (log,) = read(CHOICE)
    assert (log.name, log.version, len(log.samples)) == ("model-a", "0.4.13", 12)
    assert log.settings["shots"] == 0
    assert log.settings["task"] == RESULTS["task_hashes"]["triage_choice"]


def test_without_the_results_file_the_folder_names_the_arm(tmp_path):
    path = tmp_path / "some model" / "samples.jsonl"
    path.parent.mkdir()
    (log,) = read(write_lines(path, lines(CHOICE)))
    assert (log.name, log.version) == ("some model", "")


def test_each_filter_is_its_own_metric():
    (log,) = read(TEXT)
    assert log.metrics == ("exact_match,strict", "exact_match,flexible")
    assert len(log.samples) == 12


def test_an_answer_that_no_filter_matches_is_a_score_of_zero():
    (log,) = read(TEXT)
    rows = [row for row in lines(TEXT) if row["filter"] == "flexible"]
    assert {row["filtered_resps"][0] for row in rows} == {"[invalid]"}
    assert {sample.scores["exact_match,flexible"] for sample in log.samples} == {0.0}


@pytest.mark.parametrize("gone", [None, float("nan"), "absent"])
def test_a_metric_without_a_value_is_unscored(tmp_path, gone):
    rows = lines(CHOICE)
    if gone == "absent":
        del rows[2]["acc"]
    else:
        rows[2]["acc"] = gone
    (log,) = read(write_lines(tmp_path / "s.jsonl", rows))
    assert log.samples[2].scores["acc"] == "parse"
    assert all(isinstance(sample.scores["acc"], float) for sample in log.samples if sample.id != "2")


def test_metrics_that_are_no_score_per_case_are_left_out(tmp_path):
    rows = lines(CHOICE)
    for row in rows:
        row["metrics"] = ["acc", "bleu", "word_perplexity"]
        row["bleu"], row["word_perplexity"] = ["a reference", "an answer"], [-31.2, 7]
    (log,) = read(write_lines(tmp_path / "s.jsonl", rows))
    assert log.metrics == ("acc",)
    assert [note.split(" is ")[0] for note in log.notes] == ["bleu", "word_perplexity"]


def test_a_metric_where_lower_is_better_is_left_out(tmp_path):
    rows, results = lines(CHOICE), copy.deepcopy(RESULTS)
    results["higher_is_better"]["triage_choice"]["acc"] = False
    (tmp_path / "results_2026-01-01T00-00-00.1.json").write_text(json.dumps(results))
    (log,) = read(write_lines(tmp_path / "samples_triage_choice_2026-01-01T00-00-00.1.jsonl", rows))
    assert log.metrics == ("acc_norm",)
    assert log.notes == ("acc is left out: lower is better there",)


def test_a_limited_run_says_so(tmp_path):
    results = copy.deepcopy(RESULTS)
    results["n-samples"]["triage_choice"] = {"original": 500, "effective": 12}
    (tmp_path / "results_2026-01-01T00-00-00.1.json").write_text(json.dumps(results))
    (log,) = read(write_lines(tmp_path / "samples_triage_choice_2026-01-01T00-00-00.1.jsonl", lines(CHOICE)))
    assert log.notes == ("12 of 500 documents were asked",)


def test_bad_lines_are_named(tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_text(CHOICE.read_text() + '{"doc_id": 1\n[]\n')
    with pytest.raises(DataError) as caught:
        read(path)
    assert "s.jsonl:13: is not JSON" in str(caught.value)
    assert "s.jsonl:14: has no doc_id and doc" in str(caught.value)
    assert "--log_samples" in str(caught.value)


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_refused(tmp_path, content):
    path = tmp_path / "s.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match="holds no samples"):
        read(path)


@fuzzed
@given(st.dictionaries(st.sampled_from(list(lines(TEXT)[0])), json_values))
def test_any_value_in_any_field_is_read_or_refused(tmp_path_factory, changes):
    rows = lines(TEXT)
    rows[0] = {**rows[0], **changes}
    path = write_lines(tmp_path_factory.getbasetemp() / "any.jsonl", rows)
    try:
        (log,) = read(path)
    except DataError:
        return
    assert len({sample.id for sample in log.samples}) == len(log.samples)
    for sample in log.samples:
        assert set(sample.scores) == set(log.metrics)
        assert all(isinstance(s, str) or 0 <= s <= 1 for s in sample.scores.values())


@fuzzed
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "text.jsonl"
    path.write_text(text, "utf-8", errors="surrogatepass")
    with pytest.raises(DataError):
        read(path)
