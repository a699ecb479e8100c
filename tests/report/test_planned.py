"""The plan in the report: plots, tables with their basis, and what stands against it."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from sample import sample

from small import USECASE, small_usecase
from tuneworthy.ground import prepare
from tuneworthy.plan.plan import make
from tuneworthy.report.html import render


@pytest.fixture
def plan(tmp_path):
    usecase = USECASE.replace('base = "scripted"', 'base = "llama-3.1-8b"')
    ground = prepare(small_usecase(tmp_path, usecase=usecase), strict=False)
    return make(ground, today=dt.date(2026, 11, 25), what_if={"gpu": "l4", "examples": "2000", "method": "full"})


def test_the_plan_has_its_section_with_plots_numbers_and_refusals(plan):
    page = render(sample(), plan)
    assert 'id="plan"' in page
    assert 'download="plan-memory.csv"' in page
    assert 'download="plan-hours.csv"' in page
    assert "does not fit" in page
    assert "estimated" in page
    assert f"{plan.memory.of('lora').need.value:,.1f}" in page


def test_money_and_law_of_the_plan_stand_in_its_section(plan):
    page = render(sample(), plan)
    assert "rows still missing" in page
    assert "not measured" in page  # on premises nothing may be rented, so the GPU has no price
    assert "below the compute criterion" in page
    assert "Information with sources, not legal advice." in page


def test_without_a_plan_there_is_no_section():
    assert 'id="plan"' not in render(sample())
