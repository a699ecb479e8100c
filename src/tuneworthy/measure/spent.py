"""What answers cost: seconds, tokens, euros. The same numbers for an arm and for live answers, from the answers alone.

An answer that failed on its way spent nothing that could be counted, so it is left out and counted apart. Tokens that
nobody told are not measured, and neither are euros without a price.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from tuneworthy.measure.statistics import t_interval
from tuneworthy.records import Answer, Interval, Record

FEWEST_FOR_TAIL = 100
"""answers: below, the slowest one in twenty rests on fewer than five"""
TAIL = 0.95


class TokenPrice(Record):
    """Euros per million tokens."""

    eur_in: float
    eur_out: float
    source: str = ""


class Amount(Record):
    """A mean per answer."""

    mean: float
    interval: Interval | None
    """t interval of the mean; None where it does not vary, or with a single answer"""


class Spent(Record):
    """What answers cost, per answer. None = not measured; `not_measured` says why."""

    n: int
    failed: int
    """answers that did not come"""
    seconds: Amount | None
    seconds_p95: Interval | None
    """time within which 95 % of the answers came; None below 100 answers"""
    tokens_in: Amount | None
    tokens_out: Amount | None
    eur_per_1000: Amount | None
    """euros per 1,000 answers, at the price of tokens that the user gave"""
    not_measured: dict[str, str] = {}


def spent(answers: Sequence[Answer], *, price: TokenPrice | None = None, level: float = 0.95) -> Spent:
    """Sum up what answers cost.

    Args:
        price: what the tokens cost; None = nobody said.
    """
    came = [answer for answer in answers if answer.error is None]
    seconds = _column(came, lambda a: a.seconds)
    tokens_in, tokens_out = _column(came, lambda a: a.tokens_in), _column(came, lambda a: a.tokens_out)
    told = bool(tokens_in.any())
    cost = None if price is None else (tokens_in * price.eur_in + tokens_out * price.eur_out) / 1_000
    return Spent(
        n=len(came),
        failed=len(answers) - len(came),
        seconds=_amount(seconds, level) if seconds.any() else None,
        seconds_p95=_tail(seconds, level) if seconds.any() and len(came) >= FEWEST_FOR_TAIL else None,
        tokens_in=_amount(tokens_in, level) if told else None,
        tokens_out=_amount(tokens_out, level) if told else None,
        eur_per_1000=_amount(cost, level) if cost is not None and told else None,
        not_measured=dict(_missing(came, seconds, told, price)),
    )


# --- parts ---------------------------------------------------------------------------------------


def _column(answers: Sequence[Answer], of: Callable[[Answer], float]) -> NDArray[np.float64]:
    return np.array([of(answer) for answer in answers], dtype=np.float64)


def _amount(values: NDArray[np.float64], level: float) -> Amount:
    return Amount(mean=float(values.mean()), interval=t_interval(values, level=level))


def _tail(seconds: NDArray[np.float64], level: float) -> Interval:
    """The 95th percentile between the order statistics whose ranks a binomial count covers (Hahn and Meeker,
    Statistical Intervals, 1991, section 5.2): no assumption about the distribution, and nothing drawn."""
    ordered, n = np.sort(seconds), seconds.size
    below, above = binom.ppf([0.5 - level / 2, 0.5 + level / 2], n, TAIL).astype(int)
    return Interval(
        value=float(np.quantile(ordered, TAIL)),
        low=float(ordered[max(0, below - 1)]),
        high=float(ordered[min(n - 1, above)]),
        level=level,
        method="order statistics",
    )


def _missing(
    came: Sequence[Answer], seconds: NDArray[np.float64], told: bool, price: TokenPrice | None
) -> Sequence[tuple[str, str]]:
    if not came:
        return [("answers", "none came")]
    found = [] if seconds.any() else [("seconds", "no time was told")]
    if len(came) < FEWEST_FOR_TAIL:
        found.append(("seconds_p95", f"{len(came)} answers, at least {FEWEST_FOR_TAIL} are needed"))
    found += [] if told else [("tokens", "no tokens were told")]
    if price is None:
        found.append(("eur_per_1000", "no price of tokens: add [[api]] for this model to prices.toml"))
    elif not told:
        found.append(("eur_per_1000", "no tokens were told"))
    return found
