"""Two arms, case by case: is the candidate better than the reference, and could the data say so?

Only cases scored in both arms count; what was dropped, and the worst that it could hide, is part of the
result. Binary scores: mid-p McNemar decides, Newcombe's interval with Tango's beside it. Graded scores, and
cases that share clusters: sign-flip permutation decides, t interval (cluster-robust).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from tuneworthy.errors import NotComparable
from tuneworthy.measure import statistics
from tuneworthy.measure.agreement import corrected_difference, corrected_rate
from tuneworthy.records import Arm, Calibration, Comparison, Interval, Record

SAME = 1e-9
"""scores closer than this are equal: sums of decimals differ in the last digit"""
MOST_UNSCORED = 0.02
"""share of unscored cases in an arm beyond which nothing is decided"""
FEW_CLUSTERS = 20
"""below so many clusters a cluster-robust interval is rough and the test alone is relied on"""

Clusters = Mapping[str, str]
"""case id → cluster; a case that is missing or has an empty cluster is its own"""


class GainSplit(Record):
    """What a candidate gained, taken apart: `content` under lenient reading, `format` = total - content."""

    reference: str
    candidate: str
    n: int
    """cases with a strict and a lenient score in both arms"""
    total: float
    format: float
    content: float
    format_interval: Interval | None
    """None when the spread cannot be known (all differences equal and not 0)"""
    content_interval: Interval | None


class JudgeErrors(TypedDict):
    """How often a judge is right, as the corrections take it: (estimate, labels it rests on)."""

    sensitivity: tuple[float, int]
    specificity: tuple[float, int]


class _Pairs(NamedTuple):
    ids: list[str]
    reference: NDArray[np.float64]
    candidate: NDArray[np.float64]

    @property
    def differences(self) -> NDArray[np.float64]:
        d = self.candidate - self.reference
        d[np.abs(d) < SAME] = 0.0
        return d


def compare(
    reference: Arm,
    candidate: Arm,
    *,
    binary: bool,
    registered: bool = True,
    seed: int = 0,
    alpha: float = 0.05,
    clusters: Clusters | None = None,
    judge: Calibration | None = None,
) -> Comparison:
    """Compare two arms over the cases scored in both; differences are candidate minus reference.

    Args:
        binary: scores are only 0 and 1.
        registered: written down before any locked score was computed; an exploratory arm undoes it.
        seed: of the permutation draws.
        alpha: two-sided level of the test; intervals have level 1 - alpha.
        clusters: case id → cluster, used where at least two of the cases share one.
        judge: where a judge gave the scores, how far it agrees with people: the difference is then the one that people
            would see, and its interval holds the judge's error.

    Raises:
        NotComparable: other cases, another decoding policy, a case twice, or a binary score beside 0 and 1.
    """
    _require_comparable(reference, candidate)
    pairs = _pairs(reference, candidate)
    if binary:
        _require_binary(pairs, candidate.name)
    d = pairs.differences
    groups = groups_of(pairs.ids, clusters)
    known = {result.case for arm in (reference, candidate) for result in arm.results}
    dropped = len(known) - len(pairs.ids)
    wins, losses = int((d > 0).sum()), int((d < 0).sum())
    measured = _binary(pairs, wins, losses, alpha) if binary and groups is None else _graded(d, groups, seed, alpha)
    if judge is not None and d.size > 1:
        measured = _as_people_see(measured, d, groups, judge, 1 - alpha)
    return Comparison(
        reference=reference.name,
        candidate=candidate.name,
        n=len(pairs.ids),
        wins=wins,
        losses=losses,
        dropped=dropped,
        worst_case=_worst_case(reference, candidate, known),
        sd=float(d.std(ddof=1)) if d.size > 1 else 0.0,
        registered=registered and not (reference.exploratory or candidate.exploratory),
        difference=measured.difference,
        p=measured.p,
        test=measured.test,
        p_exact=measured.p_exact,
        tango=measured.tango,
        note=measured.note,
    )


def arm_interval(
    arm: Arm,
    binary: bool,
    *,
    clusters: Clusters | None = None,
    level: float = 0.95,
    judge: Calibration | None = None,
) -> Interval | None:
    """Mean score of an arm with its interval: Wilson for binary scores, t for graded ones. Where a `judge` gave the
    scores, the share that people would call right, with the judge's error in the interval (Rogan-Gladen).

    None when nothing was scored, or when graded scores do not vary.

    Raises:
        NotComparable: a binary score that is not 0 or 1.
    """
    scores = arm.scores()
    values = np.fromiter(scores.values(), dtype=float, count=len(scores))
    if binary:
        _require_binary(_Pairs(list(scores), values, values), arm.name)
        values = values.round()
    groups = groups_of(list(scores), clusters)
    if judge is None or not values.size:
        return statistics.mean_interval(values, groups=groups, level=level)
    n = statistics.effective_n(values, groups=groups)
    return corrected_rate(float(values.mean()), n, **errors_of(judge), level=level)


def corrected_by_judge(
    differences: NDArray[np.float64], groups: list[str] | None, judge: Calibration, level: float
) -> Interval:
    """The mean difference that people would see behind per-case differences in a judge's eyes.

    Raises:
        NotComparable: people called all labelled answers right, or all wrong. ValueError: it is no better than chance.
    """
    d = differences
    # where no case differs, the spread of one that might have (Tango's bound) stands in for a spread of 0
    se = statistics.standard_error(d, groups=groups) or statistics.tango(0, 0, d.size).high / 2
    return corrected_difference(float(d.mean()), se, **errors_of(judge), level=level)


def mean_as_people_see(arm: Arm, judge: Calibration | None) -> float | None:
    """Mean over scored cases; where a judge gave the scores, the share that people would call right. None when nothing
    was scored."""
    values = list(arm.scores().values())
    if not values:
        return None
    mean = sum(values) / len(values)
    return mean if judge is None else corrected_rate(mean, len(values), **errors_of(judge)).value


def format_and_content(
    reference: Arm,
    candidate: Arm,
    *,
    clusters: Clusters | None = None,
    level: float = 0.95,
    judge: Calibration | None = None,
) -> GainSplit | None:
    """Split the gain of `candidate` into what lenient reading also sees (content) and the rest (format).

    None when no case has all four scores. The parts are per-case differences, so both get paired t intervals; where a
    judge gave the scores, which reads past format, all is content, as people would see it.

    Raises:
        NotComparable: as `compare`.
    """
    _require_comparable(reference, candidate)
    strict, lenient = _pairs(reference, candidate), _pairs(reference, candidate, lenient=True)
    total = dict(zip(strict.ids, strict.differences, strict=True))
    content = dict(zip(lenient.ids, lenient.differences, strict=True))
    ids = [case for case in strict.ids if case in content]
    if not ids:
        return None
    d_total, d_content = np.array([total[i] for i in ids]), np.array([content[i] for i in ids])
    d_format = d_total - d_content
    d_format[np.abs(d_format) < SAME] = 0.0
    groups = groups_of(ids, clusters)
    intervals = [statistics.paired_t_interval(d, groups=groups, level=level) for d in (d_format, d_content)]
    gain, inside = float(d_total.mean()), float(d_content.mean())
    if judge is not None and d_content.size > 1:
        seen = corrected_by_judge(d_content, groups, judge, level)
        intervals[1], gain, inside = seen, seen.value, seen.value
    return GainSplit(
        reference=reference.name,
        candidate=candidate.name,
        n=len(ids),
        total=gain,
        format=float(d_format.mean()),
        content=inside,
        format_interval=intervals[0],
        content_interval=intervals[1],
    )


def unscored_gate(reference: Arm, candidate: Arm) -> str:
    """Why unscored cases forbid a decision; empty when they do not.

    More than 2 % unscored in an arm (a case that the arm lacks counts as unscored), or rates that differ
    between the arms (mid-p McNemar on the flags < .05): cases then did not drop out by chance.
    """
    known = {result.case for arm in (reference, candidate) for result in arm.results}
    missing = {arm.name: known - arm.scores().keys() for arm in (reference, candidate)}
    for arm in (reference, candidate):
        lost, n = missing[arm.name], len(known)
        if len(lost) > MOST_UNSCORED * n:
            why = ", ".join(sorted({arm.unscored.get(case, "not answered") for case in lost}))
            return f"{arm.name}: {len(lost)} of {n} cases could not be scored ({why}); at most 2 % may"
    theirs, ours = missing[reference.name], missing[candidate.name]
    p = statistics.mcnemar_midp(len(ours - theirs), len(theirs - ours))
    if p < 0.05:
        return (
            f"unscored cases differ between the arms: {len(theirs)} in {reference.name}, "
            f"{len(ours)} in {candidate.name} (mid-p {p:.3f})"
        )
    return ""


def identical_answers(reference: Arm, candidate: Arm) -> bool:
    """Did both arms answer every common case with the same text? Then a trained adapter was not in effect."""
    theirs = {result.case: result.answer for result in reference.results if result.answer.error is None}
    common = [
        (theirs[result.case].text, result.answer.text)
        for result in candidate.results
        if result.case in theirs and result.answer.error is None
    ]
    return bool(common) and all(one == two for one, two in common)


def groups_of(ids: list[str], clusters: Clusters | None) -> list[str] | None:
    """One label per case, or None where no two cases share a cluster."""
    named = [(clusters or {}).get(case) or f"\0{case}" for case in ids]
    return named if len(set(named)) < len(named) else None


def errors_of(judge: Calibration) -> JudgeErrors:
    """(estimate, labels it rests on), as the corrections take them.

    Raises:
        NotComparable: people called all labelled answers right, or all wrong.
    """
    if judge.sensitivity is None or judge.specificity is None:
        raise NotComparable("the judge's errors are not known", next="label right and wrong answers")
    return {
        "sensitivity": (judge.sensitivity.value, judge.right),
        "specificity": (judge.specificity.value, judge.n - judge.right),
    }


# --- parts ---------------------------------------------------------------------------------------


class _Measured(NamedTuple):
    difference: Interval | None
    p: float
    test: str
    note: str
    p_exact: float | None = None
    tango: Interval | None = None


def _binary(pairs: _Pairs, wins: int, losses: int, alpha: float) -> _Measured:
    test, n, level = "mid-p McNemar", len(pairs.ids), 1 - alpha
    if n == 0:
        return _Measured(None, 1.0, test, "no case was scored in both arms")
    both = int(((pairs.reference > 0.5) & (pairs.candidate > 0.5)).sum())
    return _Measured(
        difference=statistics.newcombe_paired(both, wins, losses, n - both - wins - losses, level=level),
        p=statistics.mcnemar_midp(wins, losses),
        test=test,
        note=_too_few_differ(wins + losses, n, statistics.smallest_p(wins + losses), alpha),
        p_exact=statistics.mcnemar_exact(wins, losses),
        tango=statistics.tango(wins, losses, n, level=level),
    )


def _graded(d: NDArray[np.float64], groups: list[str] | None, seed: int, alpha: float) -> _Measured:
    test, n = "sign-flip permutation", d.size
    if n == 0:
        return _Measured(None, 1.0, test, "no case was scored in both arms")
    differing = int(np.count_nonzero(d)) if groups is None else len({g for g, x in zip(groups, d, strict=True) if x})
    note = _too_few_differ(differing, n, min(1.0, 2.0 ** (1 - differing)), alpha, groups is not None)
    if groups is not None and not note:
        count = len(set(groups))
        rough = "; so few make the interval rough, the test decides" if count < FEW_CLUSTERS else ""
        note = f"{n} cases in {count} clusters, treated as wholes{rough}"
    interval = statistics.paired_t_interval(d, groups=groups, level=1 - alpha)
    return _Measured(interval, statistics.sign_flip(d, groups=groups, seed=seed), test, note)


def _as_people_see(
    measured: _Measured, d: NDArray[np.float64], groups: list[str] | None, judge: Calibration, level: float
) -> _Measured:
    """The difference that people would see, where the judge errs alike on both arms. The test stays: a difference of 0
    in the judge's eyes is one of 0 in theirs."""
    told = f"by the judge alone {100 * float(d.mean()):+.1f} points"
    note = f"{measured.note}; {told}" if measured.note else told
    return measured._replace(difference=corrected_by_judge(d, groups, judge, level), tango=None, note=note)


def _too_few_differ(differing: int, n: int, smallest: float, alpha: float, clustered: bool = False) -> str:
    if smallest < alpha:
        return ""
    what = f"in only {differing} clusters of" if clustered else f"on only {differing} of"
    return f"the arms differ {what} {n} cases: even if all pointed one way, p could not fall below {alpha:g}"


def _require_comparable(reference: Arm, candidate: Arm) -> None:
    def refuse(field: str, one: object, two: object) -> NotComparable:
        return NotComparable(
            f"{reference.name} and {candidate.name} differ in {field}: {one!r} and {two!r}",
            why="then a difference in score says nothing about the lever",
            next="measure both arms on the same cases and with the same decoding",
        )

    if reference.cases != candidate.cases:
        raise refuse("cases", reference.cases, candidate.cases)
    for arm in (reference, candidate):
        seen = [result.case for result in arm.results]
        if len(set(seen)) < len(seen):
            twice = next(case for case in seen if seen.count(case) > 1)
            raise NotComparable(
                f"{arm.name} holds case {twice!r} more than once", next="average the repeats of a case first"
            )
    if reference.candidate.classifier or candidate.candidate.classifier:
        return  # a plain classifier decodes no text
    one, two = reference.candidate.decoding, candidate.candidate.decoding
    for field in type(one).model_fields:
        if field != "seed" and getattr(one, field) != getattr(two, field):
            raise refuse(f"decoding.{field}", getattr(one, field), getattr(two, field))


def _require_binary(pairs: _Pairs, name: str) -> None:
    for values in (pairs.reference, pairs.candidate):
        odd = np.flatnonzero(np.minimum(np.abs(values), np.abs(values - 1)) > SAME)
        if odd.size:
            raise NotComparable(
                f"{name}: case {pairs.ids[odd[0]]!r} scores {values[odd[0]]:g}, yet the scorer is binary",
                next="set `binary = False` on the scorer",
            )


def _pairs(reference: Arm, candidate: Arm, *, lenient: bool = False) -> _Pairs:
    """Scores of both arms over the cases scored in both, in the order of the case ids."""
    theirs, ours = reference.scores(lenient=lenient), candidate.scores(lenient=lenient)
    ids = sorted(theirs.keys() & ours.keys())
    return _Pairs(ids, np.array([theirs[i] for i in ids]), np.array([ours[i] for i in ids]))


def _worst_case(reference: Arm, candidate: Arm, known: set[str]) -> float:
    theirs, ours = reference.scores(), candidate.scores()
    if not known:
        return 0.0
    return sum(ours.get(case, 0.0) - theirs.get(case, 1.0) for case in known) / len(known)
