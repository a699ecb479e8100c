"""Which checkpoint is taken: the development score of the task decides, with the one-standard-error rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tuneworthy.records import Record


class DevScore(NamedTuple):
    """The task's score on the development split: higher is better."""

    mean: float
    standard_error: float


class Point(Record):
    """One checkpoint in the history of a training."""

    step: int
    epoch: float
    loss: float | None
    """mean training loss per token over the steps since the checkpoint before; None at step 0"""
    dev: float | None = None
    """mean development score; None = not measured"""
    standard_error: float | None = None


def contenders(points: Sequence[Point]) -> list[Point]:
    """Checkpoints that may still be chosen: within one standard error of the best mean, earliest first.

    Applied after each new point, so that a checkpoint which has once fallen behind stays out (its weights are gone).
    """
    kept: list[Point] = []
    for point in points:
        if point.dev is None:
            continue
        kept.append(point)
        best = max(kept, key=lambda candidate: candidate.dev or 0.0)
        floor = (best.dev or 0.0) - (best.standard_error or 0.0)
        kept = [candidate for candidate in kept if (candidate.dev or 0.0) >= floor]
    return kept


def choose(points: Sequence[Point]) -> tuple[Point, str]:
    """The checkpoint to take and why: the earliest contender (Breiman et al. 1984, the one-standard-error rule, with
    fewer steps as the simpler model); the last one where no score was measured."""
    scored = contenders(points)
    if not scored:
        return points[-1], "the last checkpoint: no development score was measured"
    best = max(point.dev or 0.0 for point in scored)
    chosen = scored[0]
    return chosen, f"earliest checkpoint within one standard error of the best development score ({best:.3f})"


def out_of_patience(points: Sequence[Point], patience: int) -> bool:
    """True when the last `patience` scores brought no better mean. Scores of 0 do not count: nothing learned yet."""
    scores = [point.dev for point in points if point.dev is not None]
    if not scores or max(scores) <= 0:
        return False
    return len(scores) - 1 - scores.index(max(scores)) >= patience
