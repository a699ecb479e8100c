"""Did training learn the rows or the task? The score over time, and the rows that it saw against those it did not.

A widening gap of losses alone says little (science page, M4): what counts is a development score that falls after its
best, or rows that are answered better for having been seen.
"""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.measure.statistics import unpaired_difference
from tuneworthy.records import Interval, Record

MOST = 60
"""training rows that are asked"""


class Mark(Record):
    """One checkpoint."""

    step: int
    epoch: float
    loss: float | None
    """mean training loss per token since the checkpoint before, in nats"""
    dev: float | None
    """development score; None = not measured"""
    standard_error: float | None = None


class Fit(Record):
    """How one training went."""

    history: tuple[Mark, ...]
    best: Mark | None
    """the checkpoint with the best development score, the earliest of equals"""
    chosen_step: int
    """the checkpoint that was taken"""
    fell: bool
    """the last development score lies more than one standard error below the best"""
    train: float | None
    """score on rows that were trained on; None = not measured"""
    dev: float | None
    """score on the development split, on which the checkpoint was chosen: it flatters a little"""
    gap: Interval | None
    """train minus development, unpaired"""
    n_train: int = 0
    n_dev: int = 0

    @property
    def overfitted(self) -> bool:
        """Seen rows are answered better: the whole interval of the gap lies above 0."""
        return self.gap is not None and self.gap.low > 0


def fit(history: Sequence[Mark], chosen_step: int, train: Sequence[float], dev: Sequence[float]) -> Fit:
    """Read the training log, and compare scores of seen and unseen rows."""
    scored = [mark for mark in history if mark.dev is not None]
    best = max(scored, key=lambda mark: (mark.dev or 0.0, -mark.step), default=None)
    last = scored[-1] if scored else None
    fell = (
        best is not None and last is not None and (best.dev or 0.0) - (last.dev or 0.0) > (best.standard_error or 0.0)
    )
    return Fit(
        history=tuple(history),
        best=best,
        chosen_step=chosen_step,
        fell=fell,
        train=sum(train) / len(train) if train else None,
        dev=sum(dev) / len(dev) if dev else None,
        gap=unpaired_difference(train, dev),
        n_train=len(train),
        n_dev=len(dev),
    )
