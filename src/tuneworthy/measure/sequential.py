"""Evidence from live traffic, which is looked at after every answer: tests that stay valid however often one looks.

All of them are e-processes: a capital that a fair bet against the hypothesis would have made of 1. If the hypothesis is
true, the capital ever reaches 1/alpha with probability alpha at most (Ville 1939), so one may stop at any moment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln
from scipy.stats import beta

ALPHA = 0.05
BETS = np.geomspace(0.01, 0.9, 12)
"""share of the largest allowed stake; small stakes find small differences late, large ones find large ones early"""


def bet(differences: Sequence[float], above: float = 0.0) -> float:
    """Evidence that the mean of paired differences lies above a value, which may be looked at after every pair.

    The mean over stakes of Π (1 + stake · (d − above)): "Estimating means of bounded random variables by betting",
    Waudby-Smith & Ramdas, J R Stat Soc B 86:1 (2024), section 4. At 1/alpha, "at most `above`" is given up.

    Args:
        differences: score of the one minus score of the other, each in [−1, 1], in the order in which they came.
        above: in (−1, 1).

    Raises:
        ValueError: a difference or `above` is out of range.
    """
    d = np.asarray(differences, dtype=float)
    if not -1 < above < 1 or (d.size and not (np.abs(d) <= 1).all()):
        raise ValueError("paired differences lie in [-1, 1]")
    logs = np.log1p(np.outer(_stakes(above), d - above)).sum(axis=1)
    return _mean_of_exp(logs)


def rate_above(k: int, n: int, above: float) -> float:
    """Evidence that events happen more often than at a tolerated rate, which may be looked at after every trial.

    A uniform mixture over all rates q above it: ∫ (q/p)^k ((1−q)/(1−p))^(n−k) dq / (1−p), p = `above` (Robbins, Ann
    Math Stat 41:1397, 1970). Below p every such bet is expected to lose, so all lower rates are covered.

    Raises:
        ValueError: `above` is not in (0, 1), or the counts are none.
    """
    if not 0 < above < 1 or not 0 <= k <= n:
        raise ValueError(f"{k} of {n} against a rate of {above}")
    log = float(betaln(k + 1, n - k + 1)) + float(beta.logsf(above, k + 1, n - k + 1))
    log -= math.log1p(-above) + k * math.log(above) + (n - k) * math.log1p(-above)
    return math.exp(min(log, 700.0))


@lru_cache(maxsize=256)
def pairs_until_decided(
    discordance: float, difference: float, *, above: float = 0.0, power: float = 0.8, alpha: float = ALPHA
) -> int | None:
    """Pairs after which `bet` has decided with the given probability; None = more than a million.

    By simulation (400 runs, fixed seed). `discordance`: share of pairs in which one is right and the other wrong.

    Raises:
        ValueError: the difference cannot come from so few discordant pairs, or is not above `above`.
    """
    if not 0 < discordance <= 1 or abs(difference) > discordance or difference <= above:
        raise ValueError(f"a difference of {difference} from {discordance} discordant pairs is not above {above}")
    rng = np.random.default_rng(0)
    win, lose = (discordance + difference) / 2, (discordance - difference) / 2
    stakes = _stakes(above)
    gain = np.log1p(np.outer((1.0, -1.0, 0.0), stakes) - above * stakes)  # of a win, a loss, a tie
    block = max(16, int(0.05 / (difference - above) ** 2))
    capital = np.zeros((400, stakes.size))
    done, pairs = np.zeros(400, dtype=bool), 0
    while done.mean() < power:
        if pairs > 1_000_000:
            return None
        counts = rng.multinomial(block, (win, lose, 1 - win - lose), size=400)
        capital += counts @ gain
        top = capital.max(axis=1)
        done |= top + np.log(np.exp(capital - top[:, None]).mean(axis=1)) >= -math.log(alpha)
        pairs += block
    return pairs


def _stakes(above: float) -> NDArray[np.float64]:
    """A stake may lose everything at worst: 1 + stake · (−1 − above) >= 0."""
    return np.asarray(BETS / (1 + above), dtype=np.float64)


def _mean_of_exp(logs: NDArray[np.float64]) -> float:
    top = float(logs.max())
    return math.exp(min(top + math.log(float(np.exp(logs - top).mean())), 700.0))
