"""The whole decision on small simulated projects; `python -m benchmarks.statistics` makes the table of the docs."""

from __future__ import annotations

import math
from functools import partial

import pytest

from benchmarks.statistics import Gain, Row, Truth, best_of_eight, left_after_the_guard, simulate

PROJECTS = 150
LORA = {"lora": Gain()}


def seldom_false(row: Row) -> bool:
    """At most 5 % false `tune`, up to three standard errors of so few projects."""
    return row.decisions["tune"] / row.projects <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / row.projects)


@pytest.mark.parametrize("n", [30, 100])
def test_equal_arms_are_seldom_tuned(n: int) -> None:
    row = simulate("equal", Truth(LORA), n, seed=n, projects=PROJECTS)
    assert seldom_false(row)
    assert row.decisions["tune"] <= row.told  # never without a difference that is told


def test_a_true_gain_is_told_as_often_as_planned_and_tuned() -> None:
    row = simulate("gain", Truth({"lora": Gain(0.2, 0.3)}, right=0.5, bar=0.52), 100, seed=1, projects=PROJECTS)
    assert row.plan is not None
    assert row.told / row.projects == pytest.approx(row.plan, abs=3 * math.sqrt(row.plan * (1 - row.plan) / PROJECTS))
    assert row.decisions["tune"] / row.projects > 0.8
    assert row.covered is not None
    assert row.covered > 0.9


def test_format_that_constrained_decoding_gives_is_not_tuned() -> None:
    gains = {"few_shot": Gain(), "constrained": Gain(0.0, 0.02), "lora": Gain(0.0, 0.1)}
    row = simulate("format", Truth(gains, 0.85, 0.7, 0.3), 100, seed=2, projects=PROJECTS)
    assert seldom_false(row)
    assert row.decisions["do_not_tune"] > 0.8 * PROJECTS


def test_choosing_on_development_cases_undoes_the_winners_curse() -> None:
    on_dev, on_cases = (
        simulate("8", Truth({}), 30, seed=3, projects=PROJECTS, one=partial(best_of_eight, on_dev=choice))
        for choice in (True, False)
    )
    assert abs(on_dev.seen) < 0.03
    assert on_cases.seen > 0.07
    assert seldom_false(on_dev)


def test_a_lucky_seed_is_caught_by_the_others() -> None:
    gains = {"few_shot": Gain(0, 0.25), "lora": Gain(0, 0.25)}
    assert seldom_false(simulate("luck", Truth(gains, seeds=(0.1, -0.06, -0.04)), 100, seed=4, projects=PROJECTS))


def test_the_search_for_leaks_finds_copies() -> None:
    assert left_after_the_guard("copied") == 0.0
    assert left_after_the_guard("one word in ten changed") < 0.35
