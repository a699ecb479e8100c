"""Judges, raters and votes: how far they agree, and what a judge's scores say once its errors are counted.

A judge is a model that scores. Its score is used only after it was held against people; kappa is never shown alone,
since it hangs on the base rate (evidence/statistics, section 10).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom, binomtest, norm

from tuneworthy.measure.statistics import sign_flip, wilson
from tuneworthy.records import Interval, Record


class Agreement(Record):
    """A judge held against people on the same answers, right or wrong."""

    n: int
    agreement: Interval
    kappa: Interval | None
    """None where it cannot be given: a rater used only one value"""
    base_rate: Interval
    """share that people call right"""
    sensitivity: Interval | None
    """of what people call right, the share that the judge calls right; None without any"""
    specificity: Interval | None
    """of what people call wrong, the share that the judge calls wrong"""


class Votes(Record):
    """Blind votes between two answers."""

    wins: int
    losses: int
    ties: int
    """reported, never split"""
    share: Interval | None
    """of the decisive votes, for the candidate; None without any"""
    p: float
    """two-sided"""
    test: str


def agreement(human: Sequence[bool], judge: Sequence[bool], *, level: float = 0.95) -> Agreement:
    """Hold a judge against people.

    Raises:
        ValueError: no pair, or not as many of one as of the other.
    """
    pairs = list(zip(human, judge, strict=True))
    if not pairs:
        raise ValueError("agreement needs at least one answer that both have judged")
    counts = [[sum((h, j) == (x, y) for h, j in pairs) for y in (False, True)] for x in (False, True)]
    (both_no, only_judge), (only_human, both_yes) = counts
    right, wrong = only_human + both_yes, both_no + only_judge
    return Agreement(
        n=len(pairs),
        agreement=wilson(both_no + both_yes, len(pairs), level=level),
        kappa=cohens_kappa(counts, level=level),
        base_rate=wilson(right, len(pairs), level=level),
        sensitivity=wilson(both_yes, right, level=level) if right else None,
        specificity=wilson(both_no, wrong, level=level) if wrong else None,
    )


def cohens_kappa(table: ArrayLike, *, weights: str | None = None, level: float = 0.95) -> Interval | None:
    """Agreement of two raters beyond chance, from a square table of counts (Cohen, Educ Psychol Meas 20:37, 1960; error
    after Fleiss, Cohen and Everitt, Psychol Bull 72:323, 1969). `weights`: None or linear, for ordered values.

    None where a rater used one value only: chance agreement is then certain.
    """
    from statsmodels.stats.inter_rater import cohens_kappa as kappa

    counts = np.asarray(table, dtype=float)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.sum() == 0:
        raise ValueError("a square table of counts is needed")
    if min((counts.sum(axis=side) > 0).sum() for side in (0, 1)) < 2:
        return None
    found = kappa(counts, wt=weights)
    if found.kappa == 1.0:
        return _complete_agreement(counts, level)
    value, half = float(found.kappa), float(norm.ppf(0.5 + level / 2)) * math.sqrt(float(found.var_kappa))
    return Interval(value=value, low=value - half, high=value + half, level=level, method="Cohen's kappa")


def fleiss_kappa(counts: ArrayLike) -> float | None:
    """Agreement of several raters beyond chance; `counts` has shape (items, values), votes for each (Fleiss, Psychol
    Bull 76:378, 1971). None where every vote is for one value."""
    from statsmodels.stats.inter_rater import fleiss_kappa as kappa

    table = np.asarray(counts, dtype=float)
    if (table.sum(axis=0) > 0).sum() < 2:
        return None
    return float(kappa(table))


def corrected_rate(
    rate: float,
    n: float,
    *,
    sensitivity: tuple[float, int],
    specificity: tuple[float, int],
    level: float = 0.95,
) -> Interval:
    """The true share of right answers behind a judge's share (Rogan and Gladen, Am J Epidemiol 107:71, 1978), with the
    judge's own uncertainty in the interval (Lee et al., arXiv 2511.21140); cut to [0, 1].

    Args:
        rate: share that the judge calls right, of `n`; clustered cases give their effective number.
        sensitivity, specificity: (estimate, labels it rests on).

    Raises:
        ValueError: the judge is no better than chance.
    """
    (q1, m1), (q0, m0) = sensitivity, specificity
    power = _power(q1, q0)
    theta = (rate + q0 - 1) / power
    spread = _variance(rate, n) + theta**2 * _variance(q1, m1) + (1 - theta) ** 2 * _variance(q0, m0)
    found = _normal(theta, math.sqrt(spread) / power, level, "Rogan-Gladen")
    cut = {name: min(1.0, max(0.0, getattr(found, name))) for name in ("value", "low", "high")}
    return found.model_copy(update=cut)


def corrected_difference(
    difference: float,
    se: float,
    *,
    sensitivity: tuple[float, int],
    specificity: tuple[float, int],
    level: float = 0.95,
) -> Interval:
    """The true difference of two arms behind a judge's, where the judge errs alike on both (delta method). Where it
    does not, calibrate per arm: the corrected difference can change its sign.

    Raises:
        ValueError: the judge is no better than chance.
    """
    (q1, m1), (q0, m0) = sensitivity, specificity
    power = _power(q1, q0)
    delta = difference / power
    spread = se**2 + delta**2 * (_variance(q1, m1) + _variance(q0, m0))
    return _normal(delta, math.sqrt(spread) / power, level, "Rogan-Gladen, paired")


def prediction_powered_mean(
    human: ArrayLike, judge: ArrayLike, unlabelled: ArrayLike, *, tuned: bool = True, level: float = 0.95
) -> Interval:
    """The mean that people would give to all answers: many judge scores, corrected by few human ones (Angelopoulos et
    al., Science 382:669, 2023). `tuned` weighs the judge by what it is worth (PPI++, arXiv 2311.01453).

    Args:
        human, judge: scores of the same answers.
        unlabelled: the judge's scores of the others.
    """
    y, f, g = (np.asarray(values, dtype=float) for values in (human, judge, unlabelled))
    if y.size != f.size or y.size < 2 or g.size < 2:
        raise ValueError("at least two answers judged by both, and two by the judge alone")
    weight = _weight(y, f, g) if tuned else 1.0
    value = weight * g.mean() + (y - weight * f).mean()
    spread = weight**2 * g.var() / g.size + (y - weight * f).var() / y.size
    return _normal(float(value), math.sqrt(float(spread)), level, "prediction-powered")


def votes(
    wins: int, losses: int, ties: int, *, raters: Sequence[str] | None = None, signs: Sequence[int] = ()
) -> Votes:
    """Blind votes: Wilson on the decisive ones, two-sided binomial test. Ties are reported, not split.

    Args:
        raters: who gave each decisive vote, where people gave several; their votes are then flipped together.
        signs: +1 or -1 of each decisive vote, in the order of `raters`.
    """
    decisive = wins + losses
    share = wilson(wins, decisive) if decisive else None
    if raters is not None and len(set(raters)) < len(raters):
        if len(signs) != len(raters) or (signs.count(1), signs.count(-1)) != (wins, losses):
            raise ValueError("one sign for each vote, as many as there are wins and losses")
        p = sign_flip(np.array(signs, dtype=float), groups=raters)
        return Votes(wins=wins, losses=losses, ties=ties, share=share, p=p, test="sign flip by rater")
    p = float(binomtest(wins, decisive).pvalue) if decisive else 1.0
    return Votes(wins=wins, losses=losses, ties=ties, share=share, p=p, test="binomial")


def votes_needed(share: float, *, power: float = 0.8, alpha: float = 0.05, most: int = 5_000) -> int | None:
    """Decisive votes from which on the binomial test finds a preference of `share` with the given power; the power of a
    fixed number of votes is saw-toothed, so a smaller number may do by chance. None beyond `most`."""
    if not 0.5 < share < 1:
        raise ValueError(f"a share of {share} is no preference between 0.5 and 1")
    n = np.arange(1, most + 1)
    critical = binom.ppf(alpha / 2, n, 0.5) - 1  # the largest count of losses that rejects
    critical += binom.cdf(critical + 1, n, 0.5) <= alpha / 2
    reached = binom.cdf(critical, n, 1 - share) + binom.cdf(critical, n, share) >= power
    if not reached[-1]:
        return None
    missed = np.flatnonzero(~reached)
    return int(n[missed[-1]] + 1) if missed.size else 1


# --- parts ---------------------------------------------------------------------------------------


def _complete_agreement(counts: np.ndarray, level: float) -> Interval:
    """Kappa without a single disagreement: its error would be 0, so its lower limit is that of the agreement."""
    n = float(counts.sum())
    by_chance = float(counts.sum(axis=0) @ counts.sum(axis=1)) / n**2
    low = (wilson(n, n, level=level).low - by_chance) / (1 - by_chance)
    return Interval(value=1.0, low=low, high=1.0, level=level, method="Cohen's kappa, Wilson's agreement")


def _power(sensitivity: float, specificity: float) -> float:
    """Youden's J."""
    power = sensitivity + specificity - 1
    if power <= 0:
        raise ValueError(f"a judge with sensitivity {sensitivity:g} and specificity {specificity:g} is no judge")
    return power


def _variance(share: float, n: float) -> float:
    """Of an observed share. Where it is 0 or 1, that of one more error in two more trials: no error seen in few trials
    is no proof that there is none, and a variance of 0 would say so (Agresti and Coull, Am Stat 52:119, 1998)."""
    if 0 < share < 1:
        return share * (1 - share) / n
    seen = (share * n + 1) / (n + 2)
    return seen * (1 - seen) / (n + 2)


def _weight(y: np.ndarray, f: np.ndarray, g: np.ndarray) -> float:
    """What the judge is worth: cov(human, judge) / ((1 + n/N) · var(judge)), cut to [0, 1]; 0 for a constant judge."""
    spread = float(np.concatenate([f, g]).var(ddof=1))
    if spread == 0:
        return 0.0
    shared = float(((y - y.mean()) * (f - f.mean())).mean())
    return min(1.0, max(0.0, shared / ((1 + y.size / g.size) * spread)))


def _normal(value: float, se: float, level: float, method: str) -> Interval:
    half = float(norm.ppf(0.5 + level / 2)) * se
    return Interval(value=value, low=value - half, high=value + half, level=level, method=method)
