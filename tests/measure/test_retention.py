"""The probe of other abilities: its items, its answers, and the loss that it excludes."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

import pytest

from tuneworthy.errors import ModelError
from tuneworthy.measure.retention import EACH, Item, compare, items, probe
from tuneworthy.measure.statistics import non_inferiority, tango
from tuneworthy.models.scripted import Scripted
from tuneworthy.records import Request

ANSWERS = {item.ask: item.right for item in items()}


def knows(request: Request) -> str:
    """Every item answered in a sentence."""
    return f"It is {ANSWERS[request.messages[-1].content]}."


@pytest.fixture(autouse=True)
def _quick_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)


def test_four_kinds_of_different_items_always_the_same() -> None:
    assert Counter(item.kind for item in items()) == dict.fromkeys(
        ("reading", "copying", "arithmetic", "instructions"), EACH
    )
    assert len(ANSWERS) == len(items()) >= 400
    items.cache_clear()
    assert {item.ask: item.right for item in items()} == ANSWERS


def test_every_item_can_be_won_and_is_not_won_by_repeating_the_question() -> None:
    for item in items():
        assert item.judge(item.right)
        assert item.judge(f"It is {item.right}.")
        if item.kind not in ("copying", "reading"):  # what is to be repeated, or read, stands in the question
            assert not item.judge(item.ask), item.ask


def test_answers_in_arithmetic_are_right() -> None:
    for item in items():
        if found := re.fullmatch(r"What is (\d+) ([+-]) (\d+)\?", item.ask):
            a, b = int(found[1]), int(found[3])
            assert item.right == str(a + b if found[2] == "+" else a - b)


@pytest.mark.parametrize(
    ("text", "right"),
    [("12", True), ("It is 12.", True), ("112", False), ("12 or 13", False), ("13", False), ("", False)],
)
def test_whole_words_and_nothing_else_that_counts(text: str, right: bool) -> None:
    assert Item("arithmetic", "?", "12", ("13",)).judge(text) is right


def test_a_model_is_asked_once(tmp_path: Path) -> None:
    assert all(probe(Scripted(knows), tmp_path))
    assert all(probe(Scripted(lambda request: pytest.fail("asked again")), tmp_path))


def test_half_a_probe_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="could not be asked"):
        probe(Scripted(knows, failing={items()[200].ask: "timeout"}), tmp_path)
    assert all(probe(Scripted(knows), tmp_path))


def test_a_loss_is_told_by_kind_with_tangos_interval() -> None:
    base = [True] * len(items())
    tuned = [item.kind != "copying" or number % 5 > 0 for number, item in enumerate(items())]
    lost = tuned.count(False)
    kept = compare(base, tuned)
    assert kept.interval == tango(0, lost, len(base), level=0.9)
    assert {kind.kind: kind.tuned for kind in kept.kinds} == {
        "reading": 1.0,
        "copying": 1 - lost / EACH,
        "arithmetic": 1.0,
        "instructions": 1.0,
    }
    assert (kept.margin, kept.tested, kept.failing) == (None, 0.05, False)  # told, not demanded
    assert kept.p == non_inferiority(0, lost, len(base), 0.05).p
    assert kept.p > 0.05


@pytest.mark.parametrize(("lost", "failing"), [(0, False), (8, False), (40, True)])
def test_a_demanded_margin_fails_where_the_loss_is_not_excluded(lost: int, failing: bool) -> None:
    base = [True] * 420
    kept = compare(base, [number >= lost for number in range(420)], demanded=0.05)
    assert kept.failing is failing
    assert kept.p is not None
    assert (kept.p > 0.05) is failing  # the interval and the test agree


def test_the_probe_costs_no_time_of_its_own(tmp_path: Path) -> None:
    started = time.perf_counter()
    probe(Scripted(knows), tmp_path)
    assert time.perf_counter() - started < 5
