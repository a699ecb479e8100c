"""The sections of the report that take an arm apart, and the one that says why the base fails."""

from __future__ import annotations

import json

from sample import LABELS, sample
from test_html import _Page

from tuneworthy.measure.diagnose import Diagnosis, Share
from tuneworthy.measure.memorisation import Memorisation
from tuneworthy.measure.retention import compare
from tuneworthy.measure.statistics import wilson
from tuneworthy.report.html import render
from tuneworthy.runs import RunRecord


def test_label_tasks_show_labels_and_what_they_are_taken_for() -> None:
    page = _Page(render(sample()))
    assert "Label by label" in page.text
    assert "fewer than 100 cases: no interval" in page.text
    assert all(label in page.text for label in LABELS)
    assert "none of them" in page.text


def test_extraction_tasks_show_fields() -> None:
    plain = sample().model_dump(mode="json")
    plain["usecase"]["output"] = {"kind": "json", "schema": {"type": "object"}}
    for row in plain["cases"]:
        row["expected"] = {"team": "billing", "urgent": True}
        for name, output in row["outputs"].items():
            output["text"] = "not JSON" if name == "rag" else json.dumps({"team": "billing", "urgent": False})
    page = _Page(render(RunRecord.model_validate(plain)))
    assert "Field by field" in page.text
    assert "40 answers are not JSON" in page.text
    assert "urgent" in page.text


def test_other_abilities_and_memories_of_training_are_shown() -> None:
    kept = compare([True] * 420, [number % 10 > 0 for number in range(420)])
    memory = Memorisation(n=40, trained=wilson(10, 40), base=wilson(0, 40), p=0.002, held_out=None)
    changed = {"retention": {"lora": kept.model_dump(mode="json")}, "memorisation": {"lora": memory}}
    page = _Page(render(sample().model_copy(update=changed)))
    assert "−10.0" in page.text
    assert "no" in page.text
    assert "of 5 points or more" in page.text
    assert "told, not demanded" in page.text
    assert "arithmetic" in page.text
    assert "14.2 – 40.2" in page.text
    assert "Training inputs given away" in page.text


def test_texts_have_no_parts() -> None:
    plain = sample().model_dump(mode="json")
    plain["usecase"]["output"] = {"kind": "text"}
    assert 'id="parts"' not in render(RunRecord.model_validate(plain))


def test_the_diagnosis_shows_shares_with_intervals_and_what_was_not_tried() -> None:
    diagnosis = Diagnosis(
        cases=60,
        failed=40,
        passes_at=1.0,
        shares=(Share(cause="out_of_reach", cases=10, share=wilson(10, 40), points_to="drop the <b>case</b>"),),
        not_tried={"gold": "the examples carry no evidence"},
    )
    page = _Page(render(sample().model_copy(update={"diagnosis": diagnosis})))
    assert "The prompt alone fails 40 of 60 development cases." in page.text
    assert "out of reach" in page.text
    assert "14.2 – 40.2" in page.text
    assert "drop the <b>case</b>" in page.text  # text, not markup
    assert "gold (the examples carry no evidence)." in page.text
