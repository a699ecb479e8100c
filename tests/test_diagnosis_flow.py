"""The diagnosis within the method: development cases only, in the record where levers fall short, and in every view."""

import json

import pytest
from typer.testing import CliRunner

from small import USECASE, knowing, right, small_usecase
from tuneworthy import flow, runs
from tuneworthy.cli import app
from tuneworthy.models.scripted import Scripted
from tuneworthy.printing import levers
from tuneworthy.report import html


class Silent:
    """A listener that hears nothing."""

    def step(self, what, done, total):
        assert 0 <= done <= total

    def lever(self, name, state, text):
        pass

    def arm(self, report, comparison):
        pass


@pytest.fixture
def asked(monkeypatch):
    """Set the reply of the base model; every text that it was asked is remembered."""
    texts = []

    def reply_with(reply):
        def listening(request):
            texts.append(request.messages[-1].content)
            return reply(request)

        monkeypatch.setattr(flow, "open_model", lambda usecase, folder: Scripted(listening))
        return texts

    monkeypatch.setattr(flow, "minilm_at_hand", lambda: False)
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)
    return reply_with


def cases(folder):
    return [json.loads(line) for line in (folder / "suite" / "cases.jsonl").read_text("utf-8").splitlines()]


def test_eval_diagnoses_on_development_cases_alone(tmp_path, asked):
    texts = asked(knowing(0.4, with_shots=0.9))
    small_usecase(tmp_path / "small")
    results, found = flow.diagnose(tmp_path / "small", Silent())
    assert [r.lever for r in results] == ["prompt", "few_shot", "constrained", "classifier", "rag"]
    assert found.failed > 0
    assert sum(share.cases for share in found.shares) == found.failed
    assert not any(case["input"]["message"] in text for case in cases(tmp_path / "small") for text in texts)
    assert not (tmp_path / "small" / "suite" / "openings.jsonl").exists()


def test_without_development_rows_there_is_no_diagnosis(tmp_path, asked, capsys):
    asked(right)
    small_usecase(tmp_path / "small", examples=0)
    results, found = flow.diagnose(tmp_path / "small", Silent())
    assert found is None
    levers.diagnosis(results, found, tmp_path / "small", as_json=True)
    out = capsys.readouterr()
    assert json.loads(out.out)["diagnosis"] is None
    assert "No diagnosis" in out.err


def test_a_run_that_falls_short_records_why(tmp_path, asked):
    asked(knowing(0.4))
    folder = tmp_path / "small"
    project = small_usecase(folder, usecase=USECASE.replace("at_least = 0.75", "at_least = 0.99"))
    flow.lock_suite(folder, again=False)
    record = flow.run(folder, Silent())
    assert record.diagnosis is not None
    assert record.diagnosis.failed > 0
    assert runs.load(project.run(record.run_id) / "verdict.json").diagnosis == record.diagnosis
    page = html.render(record)
    assert "Why the base fails" in page
    assert all(share.points_to.split(";")[0] in page for share in record.diagnosis.shares)


def test_a_run_whose_bar_is_met_cheaply_asks_nothing_more(tmp_path, asked):
    asked(right)
    folder = tmp_path / "small"
    small_usecase(folder)
    flow.lock_suite(folder, again=False)
    record = flow.run(folder, Silent())
    assert record.diagnosis is None
    assert "eval --diagnose" in html.render(record)


def test_what_a_person_sees(tmp_path, asked, capsys):
    asked(knowing(0.4, with_shots=0.9))
    small_usecase(tmp_path / "small")
    results, found = flow.diagnose(tmp_path / "small", Silent())
    levers.diagnosis(results, found, tmp_path / "small", as_json=True)
    seen = capsys.readouterr()
    assert f"fails {found.failed} of {found.cases} development cases" in seen.err
    assert "points to" in seen.err
    assert "told from none" in seen.err
    assert "not tried: gold: the examples carry no evidence" in seen.err
    assert json.loads(seen.out)["diagnosis"]["failed"] == found.failed


def test_a_diagnosis_of_one_lever_is_wrong_usage(tmp_path):
    told = CliRunner().invoke(app, ["eval", str(tmp_path), "--diagnose", "--lever", "prompt"])
    assert told.exit_code == 2
    assert "a diagnosis needs all levers" in told.output
