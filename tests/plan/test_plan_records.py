"""Figures are honest: no value without a basis, no basis without a source."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tuneworthy.plan.records import Figure, Plan, Scenario, estimate, total, unknown

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@given(
    value=st.none() | NUMBERS,
    low=st.none() | NUMBERS,
    high=st.none() | NUMBERS,
    basis=st.sampled_from(["measured", "estimated", "published", "stated by the user", "not measured"]),
)
def test_a_figure_that_validates_holds_together(value, low, high, basis):
    try:
        figure = Figure(value=value, low=low, high=high, unit="h", basis=basis, source="s", date=date(2026, 11, 1))
    except ValidationError:
        return
    assert (figure.value is None) == (figure.basis == "not measured")
    if figure.low is not None:
        assert figure.low <= figure.value <= figure.high
    assert Figure.model_validate_json(figure.model_dump_json()) == figure


def test_a_missing_part_makes_the_sum_not_measured():
    parts = [estimate(2, "h", "a", low=1, high=4), unknown("h", "no GPU here")]
    assert total(parts, "h", "sum") == unknown("h", "no GPU here")


def test_a_sum_adds_its_ends_and_is_measured_only_if_all_parts_are():
    measured = Figure(value=1, unit="h", basis="measured", source="stopwatch")
    guessed = estimate(2, "h", "a", low=1, high=4)
    both = total([measured, guessed], "h", "sum")
    assert (both.low, both.value, both.high, both.basis) == (2, 3, 5, "estimated")
    assert total([measured, measured], "h", "sum").basis == "measured"


@pytest.mark.parametrize("wrong", [{"low": 1.0}, {"low": 3.0, "high": 4.0}, {"source": ""}, {"basis": "published"}])
def test_a_dishonest_figure_is_refused(wrong):
    with pytest.raises(ValidationError):
        Figure(**{"value": 2.0, "unit": "h", "basis": "estimated", "source": "s", **wrong})


def test_tokens_of_a_scenario_are_examples_times_epochs_times_length():
    scenario = Scenario(
        base="m",
        method="lora",
        gpu="l4",
        gpus=1,
        epochs=3,
        examples=estimate(2000, "examples", "told"),
        tokens_per_example=estimate(700, "tokens", "told", low=350, high=1400),
    )
    assert scenario.tokens.value == 4_200_000
    assert scenario.tokens.low == 2_100_000
    plan = Plan(use_case="u", made=date(2026, 11, 1), scenario=scenario)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    assert plan.refusals == []
