"""A case answered several times: its score is the mean of its scored repeats, and cases are counted, never answers.

Repeats shrink the noise within a case and nothing else: Var(mean) = (between² + within²/K) / n (Miller, arXiv
2411.00640). Fed in as cases of their own they would make every interval too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuneworthy.errors import NotComparable
from tuneworthy.records import Arm, CaseResult, Record, Score


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
