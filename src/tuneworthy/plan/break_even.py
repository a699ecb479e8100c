"""When does it pay: value of a right answer × answers a month × measured gain, against what it costs once and monthly.

Every input is drawn from its range, with a seed: the gain so that the ends and the middle of its measured interval are
met, costs and stated numbers from triangles over their ranges. Months to break even are once ÷ (value × volume × gain −
monthly); a draw whose month brings nothing never pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tuneworthy.plan.records import BreakEven, Figure, Months, Payback, Swing, estimate, unknown
from tuneworthy.records import Interval
from tuneworthy.usecase import Value

DRAWS = 20_000
HORIZON = 12
"""Months: a model is out of date before long, so what pays later than a year hardly pays"""
STATED_SPREAD = 0.2
"""± on the value of an answer and the volume, which the use case states as one number (assumption)"""
_LEVEL = 0.8
"""of the intervals that are told"""

Draws = NDArray[np.float64]


@dataclass(frozen=True)
class Alternative:
    """One lever against what it would replace."""

    lever: str
    reference: str
    gain: Interval
    """difference in score, measured"""
    n: int
    """cases behind it"""
    once: Figure
    """EUR"""
    monthly: Figure
    """EUR/month, more than the reference costs"""


def break_even(
    alternatives: Sequence[Alternative],
    stated: Value,
    *,
    seed: int,
    horizon: int = HORIZON,
    planned: tuple[Figure, Figure] | None = None,
) -> BreakEven:
    """The sum for each lever; where it cannot be done, why not and what to measure.

    Args:
        planned: EUR once and per month of what is planned, to tell which gain it would need.
    """
    value, volume = _stated(stated.right_answer_eur, "EUR"), _stated(stated.volume_per_month, "answers/month")
    why_not = _why_not(stated, alternatives)
    needed = _needed(*planned, value, volume, horizon, seed) if planned else None
    held = BreakEven(possible=not why_not, why_not=why_not, value=value, volume=volume, horizon=horizon, needed=needed)
    if why_not:
        return held
    paybacks = [_payback(a, value, volume, horizon, np.random.default_rng([seed, i])) for i, a in _able(alternatives)]
    left = [a.lever for a in alternatives if not _costed(a)]
    warnings = [f"{lever}: no sum, since its cost is not known" for lever in left]
    return held.model_copy(
        update={"paybacks": tuple(paybacks), "draws": DRAWS, "seed": seed, "warnings": tuple(warnings)}
    )


def _needed(once: Figure, monthly: Figure, value: Figure, volume: Figure, horizon: int, seed: int) -> Figure:
    """Gain from which costs are earned within the horizon."""
    for figure in (value, volume, once, monthly):
        if figure.value is None:
            return unknown("score", figure.source)
    if not value.value or not volume.value:
        return unknown("score", "a right answer, or the volume, is worth nothing: no gain pays")
    dice = np.random.default_rng(seed)
    worth = _triangle(value, _strata(dice)) * _triangle(volume, _strata(dice))
    costs = _triangle(once, _strata(dice)) / horizon + _triangle(monthly, _strata(dice))
    return _told(costs / worth, "score", f"(once ÷ {horizon} + monthly) ÷ (value × volume)")


def _why_not(stated: Value, alternatives: Sequence[Alternative]) -> str:
    if stated.right_answer_eur is None:
        return (
            "what a right answer is worth is not said, so the sum in euros cannot be done: measure the minutes that a "
            "wrong answer costs (ask who corrects it, time twenty of them), multiply by the rate of an hour, and write "
            "it as value.right_answer_eur"
        )
    if stated.volume_per_month is None:
        return (
            "how many answers are asked for in a month is not said, so the sum in euros cannot be done: count last "
            "month's and write it as value.volume_per_month"
        )
    if stated.volume_per_month == 0:
        return "no answer is asked for (value.volume_per_month = 0), so nothing can be earned"
    if stated.right_answer_eur == 0:
        return "a right answer is worth nothing more than a wrong one (value.right_answer_eur = 0): nothing can pay"
    if not alternatives:
        return "no difference in score was measured: run: tuneworthy run"
    return "" if any(map(_costed, alternatives)) else "no lever has a known cost"


def _costed(alternative: Alternative) -> bool:
    return alternative.once.value is not None and alternative.monthly.value is not None


def _able(alternatives: Sequence[Alternative]) -> list[tuple[int, Alternative]]:
    return [(i, a) for i, a in enumerate(alternatives) if _costed(a)]


def _stated(number: float | None, unit: str) -> Figure:
    if number is None:
        return unknown(unit, "not said in usecase.toml")
    source = f"usecase.toml, ± {100 * STATED_SPREAD:.0f} % put on it (assumption)"
    low, high = (1 - STATED_SPREAD) * number, (1 + STATED_SPREAD) * number
    return Figure(value=number, low=low, high=high, unit=unit, basis="stated by the user", source=source)


# --- drawing -------------------------------------------------------------------------------------


def _payback(a: Alternative, value: Figure, volume: Figure, horizon: int, dice: np.random.Generator) -> Payback:
    gain = _gains(a.gain, stats.norm.ppf(_strata(dice)))
    worth = _triangle(value, _strata(dice)) * _triangle(volume, _strata(dice))
    once, monthly = _triangle(a.once, _strata(dice)), _triangle(a.monthly, _strata(dice))
    net = worth * gain - monthly
    with np.errstate(divide="ignore"):
        months = np.where(net > 0, once / np.where(net > 0, net, 1.0), np.inf)
    needed = (once / horizon + monthly) / worth
    return Payback(
        lever=a.lever,
        reference=a.reference,
        gain=a.gain,
        n=a.n,
        once=a.once,
        monthly=a.monthly,
        months=_months(months),
        never=float(np.mean(net <= 0)),
        net=_told(net * horizon - once, "EUR", f"{horizon} × (value × volume × gain − monthly) − once"),
        smallest_gain=_told(needed, "score", f"(once ÷ {horizon} + monthly) ÷ (value × volume)"),
        swings=_swings(a, value, volume, horizon),
    )


def _strata(dice: np.random.Generator) -> Draws:
    """Uniform numbers in (0, 1), one in each of DRAWS equal parts, in random order: less noise for the same work."""
    parts: Draws = np.clip((np.arange(DRAWS) + dice.random(DRAWS)) / DRAWS, 1e-12, 1 - 1e-12)
    return dice.permutation(parts)


def _gains(interval: Interval, z: Draws) -> Draws:
    """A normal on each side of the measured value, each with half of the draws, so that the interval's own ends are met
    at its level; no gain is beyond ±1."""
    quantile = float(stats.norm.ppf(0.5 + interval.level / 2))
    down, up = (interval.value - interval.low) / quantile, (interval.high - interval.value) / quantile
    gains: Draws = np.clip(interval.value + z * np.where(z < 0, down, up), -1.0, 1.0)
    return gains


def _triangle(figure: Figure, u: Draws) -> Draws:
    """Values of a figure at the quantiles `u`: a triangle over its range, or the number itself without one."""
    middle, low, high = _ends(figure)
    if low == high:
        return np.full_like(u, middle)
    return np.asarray(stats.triang.ppf(u, (middle - low) / (high - low), loc=low, scale=high - low), dtype=np.float64)


def _ends(figure: Figure) -> tuple[float, float, float]:
    middle = figure.value or 0.0
    return middle, middle if figure.low is None else figure.low, middle if figure.high is None else figure.high


def _months(months: Draws) -> Months:
    tail = (1 - _LEVEL) / 2
    found = np.quantile(months, [0.5, tail, 1 - tail], method="higher")  # no interpolation between a number and never
    median, low, high = (float(month) if np.isfinite(month) else None for month in found)
    return Months(median=median, low=low, high=high)


def _told(draws: Draws, unit: str, source: str) -> Figure:
    tail = (1 - _LEVEL) / 2
    middle, low, high = (float(q) for q in np.quantile(draws, [0.5, tail, 1 - tail]))
    return estimate(
        middle, unit, f"{source}; median and {100 * _LEVEL:.0f} % of {len(draws):,} draws", low=low, high=high
    )


def _swings(a: Alternative, value: Figure, volume: Figure, horizon: int) -> tuple[Swing, ...]:
    """Net after the horizon with one input at its 10 % and 90 % point and all others in the middle."""
    tails = np.array([(1 - _LEVEL) / 2, 0.5, 1 - (1 - _LEVEL) / 2])
    gains = _gains(a.gain, stats.norm.ppf(tails))
    points = {
        "gain in score": ("score", gains),
        "value of a right answer": ("EUR", _triangle(value, tails)),
        "answers a month": ("answers/month", _triangle(volume, tails)),
        "cost once": ("EUR", _triangle(a.once, tails)),
        "cost a month": ("EUR/month", _triangle(a.monthly, tails)),
    }
    middle = {name: float(at[1]) for name, (_, at) in points.items()}
    found = []
    for name, (unit, at) in points.items():
        ends = [_net({**middle, name: float(at[i])}, horizon) for i in (0, 2)]
        found.append(Swing(name=name, low=float(at[0]), high=float(at[2]), at_low=ends[0], at_high=ends[1], unit=unit))
    return tuple(sorted(found, key=lambda swing: -abs(swing.at_high - swing.at_low)))


def _net(inputs: dict[str, float], horizon: int) -> float:
    earned = inputs["value of a right answer"] * inputs["answers a month"] * inputs["gain in score"]
    return horizon * (earned - inputs["cost a month"]) - inputs["cost once"]
