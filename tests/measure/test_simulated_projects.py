"""The whole decision on small simulated projects; `python -m benchmarks.statistics` makes the table of the docs."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import pytest

from benchmarks.statistics import (
    Gain,
    Row,
    Truth,
    best_of_eight,
    leaked_project,
    left_after_the_guard,
    poor_wordings,
    project,
    simulate,
)
from tuneworthy.records import LeverResult

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
    assert row.covered > 0.9 * PROJECTS


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


LUCKY = {"few_shot": Gain(0, 0.25), "lora": Gain(0, 0.25)}
TRAPS = {
    "a lucky seed among three": (Truth(LUCKY, seeds=(0.1, -0.06, -0.04)), project),
    "a lucky seed alone": (Truth(LUCKY, seeds=(0.1,)), project),
    "leaked in other words": (
        Truth({"few_shot": Gain(), "lora": Gain()}),
        partial(leaked_project, kind="in other words", share=0.2),
    ),
    "few-shot failed": (
        Truth({"lora": Gain(0.2, 0.3)}, 0.5, 0.52, missing=(LeverResult(lever="few_shot", state="failed"),)),
        project,
    ),
    "wrong labels, audited": (
        Truth({"few_shot": Gain(), "lora": Gain()}, bar=0.6, wrong=0.12, audited=100),
        project,
    ),
    "facts learnt by heart": (
        Truth({"few_shot": Gain(), "lora": Gain(0.5, 0.5)}, 0.35, 0.7, facts=0.9),
        project,
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_every_trap_is_caught(trap: str) -> None:
    truth, one = TRAPS[trap]
    assert seldom_false(simulate(trap, truth, 100, seed=4, projects=PROJECTS, one=one))


@pytest.mark.parametrize("trap", ["few-shot failed", "wrong labels, audited", "facts learnt by heart"])
def test_a_trap_without_its_guard_deceives(trap: str) -> None:
    truth, one = TRAPS[trap]
    bare = replace(truth, missing=(), audited=0, facts=None)
    row = simulate(trap, bare, 100, seed=4, projects=PROJECTS, one=one)
    assert row.decisions["tune"] > 0.25 * PROJECTS


def test_a_poor_wording_is_seen_where_wordings_differ() -> None:
    caught, fooled = (
        simulate(
            "wording", Truth({}, bar=0.62), 100, seed=5, projects=PROJECTS, one=partial(poor_wordings, guarded=guarded)
        ).decisions["tune"]
        for guarded in (True, False)
    )
    assert caught < 0.7 * fooled


def test_ten_wordings_leave_few_straw_men() -> None:
    one = partial(poor_wordings, guarded=True, tried_ones=10)
    assert seldom_false(simulate("ten", Truth({}, bar=0.62), 100, seed=5, projects=PROJECTS, one=one))


def test_the_search_for_leaks_finds_copies() -> None:
    assert left_after_the_guard("copied") == 0.0
    assert left_after_the_guard("one word in ten changed") < 0.35
