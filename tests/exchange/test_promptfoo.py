"""promptfoo results: an error is unscored, a failed assertion is a score. promptfoo 0.121.20 wrote the file."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outside import LOGS, fuzzed, json_values, write

from tuneworthy.errors import DataError
from tuneworthy.exchange.judge import read

FILE = LOGS / "promptfoo" / "results.json"


@pytest.fixture
def content():
    return json.loads(FILE.read_text("utf-8"))


def row(content, provider, test):
    rows = content["results"]["results"]
    return next(r for r in rows if r["provider"]["label"] == provider and r["testIdx"] == test)


def test_one_arm_per_provider_with_its_cases():
    base, tuned = read(FILE)
    assert (base.name, tuned.name) == ("base", "tuned")
    assert (base.tool, base.version) == ("promptfoo", "0.121.20")
    assert len(base.samples) == len(tuned.samples) == 12
    assert [s.about for s in base.samples] == [s.about for s in tuned.samples]
    assert base.samples[0].text == "billing"


def test_a_provider_error_is_unscored_though_promptfoo_wrote_zero(content):
    assert row(content, "tuned", 0)["score"] == 0
    assert row(content, "tuned", 0)["success"] is False
    tuned = read(FILE)[1]
    assert tuned.samples[0].scores == {"score": "transport", "pass": "transport"}


def test_a_failed_assertion_is_a_score_though_it_carries_an_error_text(content):
    failed = row(content, "base", 5)
    assert failed["error"]
    assert failed["failureReason"] == 1
    base = read(FILE)[0]
    assert base.samples[5].scores == {"score": 0.5, "pass": 0.0}


def test_files_from_before_failure_reasons_are_read_by_their_grading(content, tmp_path):
    for one in content["results"]["results"]:
        del one["failureReason"]
    base, tuned = read(write(tmp_path / "old.json", content))
    assert tuned.samples[0].scores["pass"] == "transport"
    assert base.samples[5].scores["pass"] == 0.0


def test_the_summary_alone_is_read_too(content, tmp_path):
    (arm, _) = read(write(tmp_path / "summary.json", content["results"]))
    assert len(arm.samples) == 12


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Request timed out after 300000ms", "timeout"),
        ("blocked by content filter", "content_filter"),
        ("ECONNREFUSED", "transport"),
    ],
)
def test_errors_have_reasons(content, tmp_path, message, reason):
    row(content, "tuned", 0)["error"] = message
    tuned = read(write(tmp_path / "r.json", content))[1]
    assert tuned.samples[0].scores["pass"] == reason


def test_a_broken_judge_is_unscored(content, tmp_path):
    judged = row(content, "base", 1)
    judged["gradingResult"]["componentResults"][0]["metadata"] = {"graderError": True}
    judged.update(success=False, score=0, failureReason=1)
    base = read(write(tmp_path / "r.json", content))[0]
    assert base.samples[1].scores["pass"] == "judge_refused"


def test_several_prompts_are_several_arms(content, tmp_path):
    for one in content["results"]["results"]:
        if one["provider"]["label"] == "tuned":
            one["prompt"]["label"] = "another prompt"
    names = [log.name for log in read(write(tmp_path / "r.json", content))]
    assert names == ["base · Which department answers this mail? {{te", "tuned · another prompt"]


def test_scores_beyond_one_are_left_out_and_said(content, tmp_path):
    row(content, "base", 1)["score"] = 7
    base = read(write(tmp_path / "r.json", content))[0]
    assert base.metrics == ("pass",)
    assert base.notes == ("score is left out: '7' is not a value in [0, 1]",)


def test_results_that_are_none_are_named(content, tmp_path):
    content["results"]["results"][3] = "nothing"
    del content["results"]["results"][5]["score"], content["results"]["results"][5]["success"]
    with pytest.raises(DataError) as caught:
        read(write(tmp_path / "r.json", content))
    assert "results[3]: is not an object" in str(caught.value)
    assert "results[5]: has neither score nor success" in str(caught.value)


@fuzzed
@given(st.dictionaries(st.sampled_from(list(json.loads(FILE.read_text())["results"]["results"][0])), json_values))
def test_any_value_in_any_field_is_read_or_refused(tmp_path_factory, changes):
    content = copy.deepcopy(json.loads(FILE.read_text("utf-8")))
    content["results"]["results"][0].update(changes)
    path: Path = write(tmp_path_factory.getbasetemp() / "any.json", content)
    try:
        logs = read(path)
    except DataError:
        return
    for log in logs:
        for sample in log.samples:
            assert set(sample.scores) == set(log.metrics)
            assert all(isinstance(s, str) or 0 <= s <= 1 for s in sample.scores.values())
