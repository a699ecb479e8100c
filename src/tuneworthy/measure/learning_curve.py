"""The learning curve: would more examples help, and how many would the bar take? Pure functions over scores.

    error(n) = floor + factor · n^-exponent        error = 1 - score, n = examples to learn from

is the form that learning curves of many learners follow (Viering and Loog, arXiv 2103.10948, section 4). It is fitted
by least squares on the means, all three parameters at 0 or above. What the fit cannot know is resampled: cases (whole
clusters) and seeds, so the interval of a prediction is that of refitted curves.

With few examples of each label the error falls faster than any such curve, which predicts too little gain. So half of
the refitted curves may have a floor below 0, which is on the way to a straight line over log n. BANKING77 (77 labels,
classifier on embeddings): on the 30 splits on which this form was chosen, the score at twice the size lay in the 95 %
interval of 28 (with floors at 0 only in 5 of 9 splits of 300 rows); on 12 fresh ones in 8. So the limits are too
narrow, as they were on published curves (81 % of a nominal 90 %, evidence/data-quality, section 7).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tuneworthy.measure.statistics import mean_interval
from tuneworthy.records import Interval, Record

Floats = NDArray[np.float64]

FARTHEST = 4.0
"""Times the largest size up to which anything is predicted. On 15 published curves the mean error of such predictions
grows from 3.2 points at 2× to 4.3 at 4×, 6.1 at 8× and 7.1 beyond (evidence/data-quality, section 7)."""
DRAWS = 1_000
"""resampled curves"""
LEVEL = 0.95
BELOW = -0.3
"""lowest floor of the second half of the refitted curves"""
METHOD = "refitted to resampled cases and seeds"
_EXPONENTS = np.geomspace(0.02, 2.5, 120)
"""The exponents that are tried; the other two parameters follow from each by linear least squares. Neighbours differ by
4 %, far less than any resampling."""

Answer = Literal["helps", "flat", "undecided"]


class PowerLaw(Record):
    """error(n) = floor + factor · n^-exponent."""

    floor: float
    """the error that no number of examples takes away"""
    factor: float
    exponent: float

    def error(self, size: float) -> float:
        """Expected error with this many examples."""
        return self.floor + self.factor * float(size) ** -self.exponent

    def examples(self, error: float) -> float:
        """Examples at which the error has come down to this; infinite where it never does."""
        if error <= self.floor or self.exponent == 0:
            return math.inf
        return float((self.factor / (error - self.floor)) ** (1 / self.exponent)) if self.factor > 0 else 0.0


class CurvePoint(Record):
    """The score with so many examples."""

    size: float
    """examples to learn from, mean over folds and seeds"""
    scores: tuple[float, ...]
    """mean score of each seed"""
    score: Interval
    """over all seeds, resampled over cases and seeds"""


class Forecast(Record):
    """What the curve says about a size that was not measured."""

    size: float
    score: Interval


class ToTheBar(Record):
    """How many examples to learn from the bar takes; None = more than `FARTHEST` times what was measured, or never."""

    at_least: float
    """the bar"""
    met: bool
    """the examples at hand reach it"""
    examples: float | None
    low: float | None
    high: float | None
    """limits of `examples`"""


class LearningCurve(Record):
    """Score against examples, the fitted curve, and the answer."""

    learner: str
    """what learned, in words"""
    lever: str
    metric: str
    data: str
    """version of the examples"""
    when: str
    """ISO 8601"""
    cases: int
    """development cases that every training was judged on"""
    trainings: int
    points: tuple[CurvePoint, ...]
    fit: PowerLaw
    answer: Answer
    """helps: the next doubling gains, and by what matters; flat: it gains less than what matters; else undecided"""
    gain: Interval
    """score gained by twice the examples"""
    smallest_difference: float
    """the gain that matters, of the use case"""
    forecasts: tuple[Forecast, ...]
    """at twice and at `FARTHEST` times the largest size"""
    to_the_bar: ToTheBar
    minutes_per_example: float | None = None
    """a person's time, as the user told; None = not measured"""
    sentences: tuple[str, ...] = ()
    """the answer, for people"""

    @property
    def size(self) -> float:
        """Examples to learn from at the largest size."""
        return self.points[-1].size

    def hours(self, examples: float | None) -> float | None:
        """A person's hours for the examples that are missing from so many; None = not known."""
        if examples is None or self.minutes_per_example is None:
            return None
        return max(0.0, examples - self.size) * self.minutes_per_example / 60


class Sampled(NamedTuple):
    """Errors of every size, and those of resampled data."""

    sizes: Floats
    means: Floats
    """shape (sizes,)"""
    draws: Floats
    """shape (draws, sizes)"""


class Fits(NamedTuple):
    """Many power laws, each field of shape (curves,)."""

    floor: Floats
    factor: Floats
    exponent: Floats

    def error(self, size: float) -> Floats:
        """Expected errors with this many examples."""
        return np.clip(self.floor + self.factor * float(size) ** -self.exponent, 0.0, 1.0)

    def examples(self, error: float) -> Floats:
        """Examples at which the error has come down to this; infinite where it never does."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            found = (self.factor / (error - self.floor)) ** (1 / self.exponent)
        return np.where(error > self.floor, found, np.inf)


class Reading(NamedTuple):
    """What a curve says: the fields of a LearningCurve that follow from the scores."""

    points: tuple[CurvePoint, ...]
    fit: PowerLaw
    answer: Answer
    gain: Interval
    forecasts: tuple[Forecast, ...]
    to_the_bar: ToTheBar


def read(
    sizes: Sequence[float],
    scores: ArrayLike,
    *,
    at_least: float,
    smallest_difference: float,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    level: float = LEVEL,
) -> Reading:
    """Fit the curve and answer whether more examples help.

    Args:
        sizes: examples to learn from, rising; three different ones at least.
        scores: shape (sizes, seeds, cases), in [0, 1].
        at_least: the bar.
        smallest_difference: the gain of a doubling that matters.
        groups: cluster of each case; None = each is its own.

    Raises ValueError for fewer than three different sizes.
    """
    s = np.asarray(scores, dtype=float)
    sampled = resample(sizes, s, groups=groups, seed=seed)
    best = fit(sampled.sizes, sampled.means)
    half = len(sampled.draws) // 2
    above = fits(sampled.sizes, sampled.draws[:half])
    below = fits(sampled.sizes, sampled.draws[half:], lowest=BELOW)
    curves = Fits(*(np.concatenate(pair) for pair in zip(above, below, strict=True)))
    size = float(sampled.sizes[-1])

    def limits(value: float, draws: Floats) -> Interval:
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
        return Interval(value=value, low=min(low, value), high=max(high, value), level=level, method=METHOD)

    points = tuple(
        CurvePoint(
            size=n,
            scores=tuple(s[i].mean(axis=1).tolist()),
            score=_wider(
                limits(float(s[i].mean()), 1 - sampled.draws[:, i]),
                mean_interval(s[i].mean(axis=0), groups=groups, level=level),
            ),
        )
        for i, n in enumerate(sampled.sizes.tolist())
    )
    gain = limits(best.error(size) - best.error(2 * size), curves.error(size) - curves.error(2 * size))
    return Reading(
        points=points,
        fit=best,
        answer=_answer(gain, smallest_difference),
        gain=gain,
        forecasts=tuple(
            Forecast(size=times * size, score=limits(1 - best.error(times * size), 1 - curves.error(times * size)))
            for times in (2.0, FARTHEST)
        ),
        to_the_bar=_to_the_bar(best, curves, points[-1], at_least, level),
    )


def fit(sizes: ArrayLike, errors: ArrayLike) -> PowerLaw:
    """The power law nearest to the errors, by least squares.

    Raises ValueError for fewer than three different sizes, or a size below 1.
    """
    found = fits(sizes, np.asarray(errors, dtype=float)[None, :])
    return PowerLaw(floor=float(found.floor[0]), factor=float(found.factor[0]), exponent=float(found.exponent[0]))


def fits(sizes: ArrayLike, errors: ArrayLike, *, lowest: float = 0.0) -> Fits:
    """A power law for each row of `errors`, shape (curves, sizes); no floor lies below `lowest`."""
    n, e = np.asarray(sizes, dtype=float), np.asarray(errors, dtype=float)
    if len(set(n.tolist())) < 3 or n.min() < 1:
        raise ValueError("three different sizes of at least 1 are needed")
    scale = n.max()  # so that n^-c stays near 1 for every exponent
    best = np.full(len(e), np.inf)
    floor, factor, exponent = np.zeros(len(e)), np.zeros(len(e)), np.zeros(len(e))
    for c in _EXPONENTS:
        x = (n / scale) ** -c
        a, b = _line(x, e, lowest)
        missed = ((a[:, None] + b[:, None] * x - e) ** 2).sum(axis=1)
        better = missed < best - 1e-15
        best[better] = missed[better]
        floor[better], factor[better], exponent[better] = a[better], (b * scale**c)[better], c
    return Fits(floor, factor, exponent)


def resample(
    sizes: Sequence[float], scores: ArrayLike, *, groups: Sequence[str] | None = None, seed: int = 0, draws: int = DRAWS
) -> Sampled:
    """Resample clusters of cases and, crossed with them, seeds.

    Args:
        scores: shape (sizes, seeds, cases), in [0, 1].
        groups: cluster of each case; None = each is its own.

    Few seeds resampled with replacement vary too little, by (seeds - 1)/seeds; their weights are spread to make up.
    """
    s = np.asarray(scores, dtype=float)
    count, seeds, cases = s.shape
    index = np.arange(cases) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    clusters = int(index.max()) + 1
    sums = np.zeros((clusters, count * seeds))
    np.add.at(sums, index, (1 - s).reshape(count * seeds, cases).T)
    held = np.bincount(index, minlength=clusters).astype(float)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=draws).astype(float)
    errors = ((weights @ sums) / (weights @ held)[:, None]).reshape(draws, count, seeds)
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds
    if seeds > 1:
        of_seeds = 1 / seeds + math.sqrt(seeds / (seeds - 1)) * (of_seeds - 1 / seeds)
    means = np.einsum("dns,ds->dn", errors, of_seeds).clip(0.0, 1.0)
    return Sampled(np.asarray(sizes, dtype=float), (1 - s).mean(axis=(1, 2)), means)


def _wider(one: Interval, two: Interval | None) -> Interval:
    """Limits of both: resampled scores that are all 1 would look certain, and an interval over cases knows no seeds."""
    if two is None:
        return one
    return one.model_copy(update={"low": min(one.low, two.low), "high": max(one.high, two.high)})


def _answer(gain: Interval, matters: float) -> Answer:
    if gain.high < matters:
        return "flat"
    return "helps" if gain.low > 0 and gain.value >= matters else "undecided"


def _to_the_bar(best: PowerLaw, curves: Fits, last: CurvePoint, at_least: float, level: float) -> ToTheBar:
    def within(examples: float) -> float | None:
        return float(examples) if examples <= FARTHEST * last.size else None

    draws = np.sort(curves.examples(1 - at_least))
    low, high = draws[int((1 - level) / 2 * len(draws))], draws[math.ceil((1 + level) / 2 * len(draws)) - 1]
    value = best.examples(1 - at_least)
    return ToTheBar(
        at_least=at_least,
        met=last.score.value >= at_least,
        examples=within(value),
        low=within(min(low, value)),
        high=within(max(high, value)),
    )


def _line(x: Floats, e: Floats, lowest: float) -> tuple[Floats, Floats]:
    """Least squares of e = a + b·x for each row of e, with a at `lowest` or above and b at 0 or above."""
    centred = x - x.mean()
    spread = float(centred @ centred)
    b = (e @ centred) / spread if spread > 0 else np.zeros(len(e))
    a = e.mean(axis=1) - b * x.mean()
    low = a < lowest
    a = np.where(low, lowest, a)
    b = np.where(low, ((e - lowest) @ x) / float(x @ x), b)
    rising = b < 0
    return np.where(rising, e.mean(axis=1), a), np.where(rising, 0.0, b)
