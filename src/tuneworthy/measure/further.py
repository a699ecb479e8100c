"""What further scorers say of an arm: beside the bar, never instead of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from tuneworthy.measure.agreement import corrected_rate
from tuneworthy.measure.compare import Clusters, errors_of, groups_of
from tuneworthy.measure.evaluate import Yardstick
from tuneworthy.measure.statistics import effective_n, mean_interval
from tuneworthy.records import Arm, Calibration, Interval, Record, UnscoredReason
from tuneworthy.scorers.judge import Judge
from tuneworthy.seams import Scorer


class FurtherScore(Record):
    """One further scorer on one arm."""

    interval: Interval | None
    """mean over the scored cases; of a judge the share that people would call right, its errors inside; None when none
    was scored, when graded scores do not vary, or when it may not be believed"""
    n: int
    """scored cases"""
    unscored: dict[UnscoredReason, int] = {}
    """reason → cases"""
    note: str = ""
    """why it may not be believed, in words"""


def further(
    arm: Arm, yardstick: Yardstick, *, clusters: Clusters | None = None, level: float = 0.95
) -> dict[str, FurtherScore]:
    """Every scorer of [[scorers]] on an arm, by name."""
    return {scorer.name: _one(arm, scorer, clusters, level) for scorer in yardstick.others}


def _one(arm: Arm, scorer: Scorer, clusters: Clusters | None, level: float) -> FurtherScore:
    scores = {r.case: r.others.get(scorer.name) for r in arm.results}
    values = {case: s.value for case, s in scores.items() if s is not None and s.value is not None}
    lost = Counter(_reasons(arm, scorer.name))
    held = scorer.calibration if isinstance(scorer, Judge) else None
    cases, x = list(values), np.array(list(values.values()), dtype=float)
    groups = groups_of(cases, clusters)
    note = "; ".join(held.problems) if held else ""
    if not isinstance(scorer, Judge):
        interval = mean_interval(x, groups=groups, level=level)
    else:
        interval = _as_people_see(x, groups, held, level)
    return FurtherScore(interval=interval, n=x.size, unscored=dict(lost), note=note)


def _as_people_see(x: np.ndarray, groups: list[str] | None, held: Calibration | None, level: float) -> Interval | None:
    """None where the judge is no better than chance: there is nothing behind its scores."""
    if held is None or not x.size or held.sensitivity is None or held.specificity is None:
        return None
    if held.sensitivity.value + held.specificity.value <= 1:
        return None
    return corrected_rate(float(x.mean()), effective_n(x, groups=groups), **errors_of(held), level=level)


def _reasons(arm: Arm, name: str) -> Iterator[UnscoredReason]:
    """Of the cases without a value; an answer that never came has the reason of its channel."""
    for result in arm.results:
        score = result.others.get(name)
        if score is None and result.answer.error is not None:
            yield result.answer.error
        elif score is not None and score.unscored is not None:
            yield score.unscored
