"""A case answered several times: its score is the mean of its scored repeats, and cases are counted, never answers.

Repeats shrink the noise within a case and nothing else: Var(mean) = (between² + within²/K) / n (Miller, arXiv
2411.00640). Fed in as cases of their own they would make every interval too narrow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tuneworthy.errors import NotComparable
from tuneworthy.measure.compare import Clusters, arm_interval, compare, errors_of, groups_of
from tuneworthy.measure.statistics import cases_needed_graded, mean_interval
from tuneworthy.records import Arm, Calibration, CaseResult, Comparison, Interval, Record, Score


class Steadiness(Record):
    """What repeats say about one arm."""

    cases: int
    """scored at least twice"""
    repeats: float
    """mean number of scored repeats of these cases"""
    between: float
    """standard deviation of the true scores of cases, the noise within taken off; 0 where noise alone explains it"""
    within: float
    """standard deviation of the score of one case over its repeats"""
    ever: float
    """share of the cases that are right at least once (pass@K): a score of at least `right`"""
    always: float
    """share right every time (pass^K)"""
    unsteady: tuple[str, ...]
    """cases right at some times and wrong at others"""


class RepeatedArm(Record):
    """One arm asked several times."""

    name: str
    mean: Interval | None
    """mean score over cases, each with the mean of its repeats; clusters are cases, or what cases share"""
    once: Interval | None
    """the same from the first repeat alone"""
    steadiness: Steadiness | None
    """None where no case was scored twice"""
    flipping: Interval | None
    """share of these cases that are right at some times and wrong at others"""


class Repeated(Record):
    """Two arms asked several times on the same cases: what asking once hides, and what repeats buy."""

    repeats: int
    temperature: float
    reference: RepeatedArm
    candidate: RepeatedArm
    measured: Comparison
    """as the run measured it: asked once, with the decoding of the suite"""
    comparison: Comparison
    """with the mean over repeats in every case; exploratory, since these cases were opened before"""
    noise: float | None
    """share of the variance of that mean difference that comes from within cases; None where nothing varies"""
    cases_once: int | None
    """cases that find the smallest difference with the planned power when each is asked once; None as for `noise`. Of a
    judge: the smallest difference of people as it shows in its scores; how well its errors are known does not count"""
    cases_repeated: int | None
    """and when each is asked this often"""


def average(repeats: Sequence[Arm]) -> Arm:
    """One arm from several runs of it: each case with the mean of its scored repeats; a case without any is unscored,
    with its first reason. The text is that of the first run.

    Raises:
        NotComparable: no run, or runs on different cases.
    """
    _require_alike(repeats)
    first = repeats[0]
    by_case = [{r.case: r for r in arm.results} for arm in repeats]
    results = tuple(_mean(r, [runs[r.case] for runs in by_case]) for r in first.results)
    return first.model_copy(update={"results": results, "exploratory": any(arm.exploratory for arm in repeats)})


def steadiness(repeats: Sequence[Arm], *, right: float = 1.0) -> Steadiness | None:
    """How steady an arm is; None where no case was scored twice.

    Raises:
        NotComparable: as `average`.
    """
    _require_alike(repeats)
    scores: dict[str, list[float]] = {}
    for arm in repeats:
        for case, value in arm.scores().items():
            scores.setdefault(case, []).append(value)
    many = {case: np.array(values) for case, values in scores.items() if len(values) > 1}
    if not many:
        return None
    means = np.array([values.mean() for values in many.values()])
    counts = np.array([values.size for values in many.values()])
    within = float(np.average([values.var(ddof=1) for values in many.values()], weights=counts - 1))
    spread = float(means.var(ddof=1)) if means.size > 1 else 0.0
    ever, always = (np.array([how(values >= right) for values in many.values()]) for how in (np.any, np.all))
    return Steadiness(
        cases=len(many),
        repeats=float(counts.mean()),
        between=float(np.sqrt(max(0.0, spread - within * float((1 / counts).mean())))),
        within=float(np.sqrt(within)),
        ever=float(ever.mean()),
        always=float(always.mean()),
        unsteady=tuple(case for case, e, a in zip(many, ever, always, strict=True) if e and not a),
    )


def repeated(
    reference: Sequence[Arm],
    candidate: Sequence[Arm],
    measured: Comparison,
    *,
    binary: bool,
    right: float,
    smallest: float,
    power: float = 0.8,
    alpha: float = 0.05,
    seed: int = 0,
    clusters: Clusters | None = None,
    judge: Calibration | None = None,
) -> Repeated:
    """Two arms, each measured several times on the same cases.

    Args:
        measured: what the run found with one answer a case.
        binary: one answer scores 0 or 1.
        right: score from which an answer counts as right.
        smallest: the difference that matters, for the number of cases.
        judge: as in `compare`.

    Raises:
        NotComparable: as `average` and `compare`.
    """
    both = average(reference), average(candidate)
    level = 1 - alpha
    told = [
        RepeatedArm(
            name=arm.name,
            mean=arm_interval(arm, False, clusters=clusters, level=level, judge=judge),
            once=arm_interval(runs[0], binary, clusters=clusters, level=level, judge=judge),
            steadiness=(steady := steadiness(runs, right=right)),
            flipping=_flipping(steady, runs, clusters, level) if steady else None,
        )
        for arm, runs in zip(both, (reference, candidate), strict=True)
    ]
    found = compare(*both, binary=False, registered=False, seed=seed, alpha=alpha, clusters=clusters, judge=judge)
    seen = smallest if judge is None else _seen_by(judge, smallest)
    noise, once, often = _price(found, told[0].steadiness, told[1].steadiness, seen, power, alpha)
    return Repeated(
        repeats=len(reference),
        temperature=reference[0].candidate.decoding.temperature,
        reference=told[0],
        candidate=told[1],
        measured=measured,
        comparison=found,
        noise=noise,
        cases_once=once,
        cases_repeated=often,
    )


def _flipping(steady: Steadiness, runs: Sequence[Arm], clusters: Clusters | None, level: float) -> Interval | None:
    """Of the cases scored at least twice."""
    scored, unsteady = Counter(case for arm in runs for case in arm.scores()), set(steady.unsteady)
    often = [case for case, times in scored.items() if times > 1]
    flips = [float(case in unsteady) for case in often]
    return mean_interval(flips, groups=groups_of(often, clusters), level=level)


def _price(
    found: Comparison, one: Steadiness | None, two: Steadiness | None, smallest: float, power: float, alpha: float
) -> tuple[float | None, int | None, int | None]:
    """(share of the noise within cases, cases when asked once, cases when asked so often); None where nothing varies.

    Var(mean difference) · n = between² + (within_A² + within_B²)/K (Miller, arXiv 2411.00640).

    Args:
        smallest: in the unit of the scores, as the spread of the differences is.
    """
    if one is None or two is None or found.sd == 0 or smallest <= 0:
        return None, None, None
    repeats = min(one.repeats, two.repeats)
    within = (one.within**2 + two.within**2) / repeats
    noise = min(1.0, within / found.sd**2)
    between = float(np.sqrt(max(0.0, found.sd**2 - within)))
    parts = one.within, two.within
    cases = [
        cases_needed_graded(between, smallest, power=power, alpha=alpha, within=parts, repeats=k)
        for k in (1, max(1, round(repeats)))
    ]
    return noise, cases[0], cases[1]


def _seen_by(judge: Calibration, difference: float) -> float:
    """As large a difference between people shows in the scores of a judge that errs (Rogan and Gladen)."""
    found = errors_of(judge)
    return difference * (found["sensitivity"][0] + found["specificity"][0] - 1)


def _mean(first: CaseResult, repeats: Sequence[CaseResult]) -> CaseResult:
    strict, lenient = ([getattr(r, kind) for r in repeats] for kind in ("score", "lenient"))
    return first.model_copy(update={"score": _pooled(strict), "lenient": _pooled(lenient)})


def _pooled(scores: Sequence[Score]) -> Score:
    values = [score.value for score in scores if score.value is not None]
    return Score(value=sum(values) / len(values), explanation=f"mean of {len(values)}") if values else scores[0]


def _require_alike(repeats: Sequence[Arm]) -> None:
    if not repeats or any(
        arm.cases != repeats[0].cases or {r.case for r in arm.results} != {r.case for r in repeats[0].results}
        for arm in repeats
    ):
        raise NotComparable(
            "repeats of an arm must stand on the same cases", next="measure every repeat on the same suite"
        )
