"""The numbers behind a verdict: intervals, paired tests, power. Pure functions, no records but Interval.

Counts of a paired binary table: `a` both right, `b` only the candidate right, `c` only the reference right,
`d` both wrong. Differences are candidate minus reference, in score. `groups` holds one cluster label per
value; None = every case is its own cluster.

scipy and statsmodels have no interval for a paired *difference*, no mid-p and no paired power; those are
written here from the cited papers. Functions that simulations call by the thousand (`mcnemar_p`, `tango_z`)
take arrays; their scalar forms call the same code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import betaln
from scipy.stats import beta, binom, norm
from scipy.stats import t as student

from tuneworthy.records import Interval

Floats = NDArray[np.float64]
Groups = Sequence[str] | NDArray[np.int64] | None

TIE = 1e-12
"""relative tolerance within which two sums of differences are the same sum"""
EXACT_FLIPS = 15
"""up to this many non-zero differences all 2^n sign patterns are counted"""
DRAWS = 9_999
NEVER = 1e-15
"""counts of discordant cases in tails less likely than this are left out of the enumeration"""
ENUMERATED = 20_000
"""beyond this many cases the closed form replaces the enumeration; it agrees within 1 % there"""


# --- one arm -------------------------------------------------------------------------------------


def wilson(k: float, n: float, *, level: float = 0.95) -> Interval:
    """Wilson score interval of the proportion k/n (Wilson, J Am Stat Assoc 22:209, 1927).

    `n` may be an effective number of cases, so neither has to be whole.
    Raises ValueError unless 0 <= k <= n and n > 0.
    """
    if not 0 <= k <= n or n <= 0:
        raise ValueError(f"{k} of {n} is no proportion")
    z2 = _z(level) ** 2
    p = k / n
    centre, half = 2 * k + z2, math.sqrt(z2 * (z2 + 4 * k * (1 - p)))
    low = 0.0 if k == 0 else (centre - half) / (2 * (n + z2))
    high = 1.0 if k == n else (centre + half) / (2 * (n + z2))
    return Interval(value=p, low=low, high=high, level=level, method="Wilson")


def mean_interval(values: ArrayLike, *, groups: Groups = None, level: float = 0.95) -> Interval | None:
    """Interval of the mean of scores in [0, 1]: Wilson where all are 0 or 1, else t (limits cut to [0, 1]).

    Clustered 0/1 scores get Wilson's interval for their effective number.
    None when there is no value, or when graded scores do not vary (a t interval of width 0 would be a lie).
    """
    x = np.asarray(values, dtype=float)
    if x.size == 0:
        return None
    if not np.all((x == 0) | (x == 1)):
        found = t_interval(x, groups=groups, level=level)
        cut = {"low": max(0.0, found.low), "high": min(1.0, found.high)} if found else {}
        return found.model_copy(update=cut) if found else None
    if groups is None:
        return wilson(float(x.sum()), x.size, level=level)
    p, n = float(x.mean()), effective_n(x, groups=groups)
    return wilson(p * n, n, level=level).model_copy(update={"method": "Wilson, effective n"})


def effective_n(values: ArrayLike, *, groups: Groups = None) -> float:
    """How many independent 0/1 scores these are worth: p(1-p)/SE², at most their number; where all agree, the number of
    clusters (Dean and Pagano, J Surv Stat Methodol 3:484, 2015)."""
    x = np.asarray(values, dtype=float)
    if groups is None:
        return float(x.size)
    p, se = float(x.mean()), standard_error(x, groups=groups)
    return min(float(x.size), p * (1 - p) / se**2) if se > 0 else float(len(set(groups)))


def standard_error(values: ArrayLike, *, groups: Groups = None) -> float:
    """Cluster-robust standard error of the mean; s/sqrt(n) when none is shared. NaN for one cluster.

    SE² = G/(G-1) · Σ_g (Σ_{i in g} (x_i - mean))² / n² (Liang and Zeger, Biometrika 73:13, 1986).
    """
    x = np.asarray(values, dtype=float)
    sums = _cluster_sums(x - x.mean(), groups)
    if sums.size < 2:
        return math.nan
    return math.sqrt(sums.size / (sums.size - 1) * float(sums @ sums)) / x.size


def t_interval(values: ArrayLike, *, groups: Groups = None, level: float = 0.95) -> Interval | None:
    """Student's t interval of a mean, G-1 degrees of freedom; None with one cluster or without variance."""
    x = np.asarray(values, dtype=float)
    clusters = x.size if groups is None else len(set(groups))
    se = standard_error(x, groups=groups) if clusters > 1 else 0.0
    if se <= TIE:
        return None
    mean, half = float(x.mean()), float(student.ppf(0.5 + level / 2, clusters - 1)) * se
    method = "t" if groups is None else "t, cluster-robust"
    return Interval(value=mean, low=mean - half, high=mean + half, level=level, method=method)


# --- two arms, binary ----------------------------------------------------------------------------


def mcnemar_p(b: ArrayLike, c: ArrayLike, *, exact: bool = False) -> Floats:
    """Two-sided p of McNemar's test for arrays of discordant counts: mid-p, or exact conditional.

    exact = min(1, 2·P(Bin(b+c, ½) <= min(b, c))); mid-p = exact - P(Bin = min(b, c)), and 1 - P(Bin = b)/2
    where b = c (Fagerland, Lydersen and Laake, BMC Med Res Methodol 13:91, 2013). No discordant case: p = 1.
    """
    b, c = np.asarray(b, dtype=float), np.asarray(c, dtype=float)
    m, low = b + c, np.minimum(b, c)
    twice = 2 * binom.cdf(low, m, 0.5)
    if exact:
        return np.minimum(1.0, twice)
    point = binom.pmf(low, m, 0.5)
    return np.where(m == 0, 1.0, np.where(b == c, 1 - point / 2, twice - point))


def mcnemar_exact(b: int, c: int) -> float:
    """Exact conditional McNemar test, two-sided p."""
    return float(mcnemar_p(b, c, exact=True))


def mcnemar_midp(b: int, c: int) -> float:
    """Mid-p McNemar test, two-sided p: the test that decides for binary scores."""
    return float(mcnemar_p(b, c))


def smallest_p(discordant: int, *, exact: bool = False) -> float:
    """The smallest p that so many discordant cases can reach: all of them point one way."""
    return float(mcnemar_p(discordant, 0, exact=exact))


def newcombe_paired(a: int, b: int, c: int, d: int, *, level: float = 0.95) -> Interval:
    """Square-and-add interval of a paired difference (Newcombe, Stat Med 17:2635, 1998, method 10)."""
    n = a + b + c + d
    one, two = wilson(a + b, n, level=level), wilson(a + c, n, level=level)
    product = float(a * d - b * c)
    if product > 0:
        product = max(product - n / 2, 0.0)
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    phi = product / math.sqrt(margins) if margins else 0.0
    value = (b - c) / n
    below = _square_and_add(one.value - one.low, two.high - two.value, phi)
    above = _square_and_add(one.high - one.value, two.value - two.low, phi)
    low, high = max(-1.0, value - below), min(1.0, value + above)
    return Interval(value=value, low=low, high=high, level=level, method="Newcombe, paired")


def tango_z(b: ArrayLike, c: ArrayLike, n: ArrayLike, t: ArrayLike) -> Floats:
    """Score statistic of "the true difference is t" for a paired table (Tango, Stat Med 17:891, 1998).

    Falls as t rises. Undefined (0/0) for b = c = 0 at t = 0.
    """
    b, c, n, t = (np.asarray(x, dtype=float) for x in (b, c, n, t))
    linear = -b - c + (2 * n - b + c) * t
    root = np.sqrt(np.maximum(linear**2 + 8 * n * c * t * (1 - t), 0.0))
    q = (root - linear) / (4 * n)
    return np.asarray((b - c - n * t) / np.sqrt(n * (2 * q + t * (1 - t))))


def tango(b: int, c: int, n: int, *, level: float = 0.95) -> Interval:
    """Tango's score interval of a paired difference: the t that the score test does not reject."""
    z, value = _z(level), (b - c) / n
    if b == c == 0:
        bound = z**2 / (n + z**2)
        return Interval(value=0.0, low=-bound, high=bound, level=level, method="Tango")
    first, last = -1 + 1e-9, 1 - 1e-9  # at -1 and 1 the statistic is infinite, or 0/0

    def root(at: float, start: float, end: float) -> float:
        return float(brentq(lambda t: float(tango_z(b, c, n, t)) - at, start, end, xtol=1e-10))

    low = -1.0 if c == n else root(z, first, min(value, last))
    high = 1.0 if b == n else root(-z, max(value, first), last)
    return Interval(value=value, low=low, high=high, level=level, method="Tango")


class ScoreTest(NamedTuple):
    """A score statistic and its one-sided p."""

    z: float
    p: float


def non_inferiority(b: int, c: int, n: int, margin: float) -> ScoreTest:
    """Tango's score test of "the candidate is worse by `margin` or more"; a small p rejects that.

    One-sided. Its size at the boundary is about, not at most, the nominal one (up to .060 at .05).
    """
    if not 0 < margin < 1:
        raise ValueError(f"a margin of {margin} is not between 0 and 1")
    z = float(tango_z(b, c, n, -margin))
    return ScoreTest(z, float(norm.sf(z)))


# --- two arms, graded or clustered ---------------------------------------------------------------


def paired_t_interval(differences: ArrayLike, *, groups: Groups = None, level: float = 0.95) -> Interval | None:
    """t interval of the mean of per-case differences in [-1, 1].

    All differences 0: Tango's limits for a table without discordant cases, a bound rather than an estimate.
    All equal and not 0, or a single case: None, since no spread was seen.
    """
    d = np.asarray(differences, dtype=float)
    if d.size and not np.any(d):
        cases = d.size if groups is None else len(set(groups))
        return tango(0, 0, cases, level=level).model_copy(update={"method": "bound, no case differs"})
    return t_interval(d, groups=groups, level=level)


def crossed_interval(differences: ArrayLike, *, groups: Groups = None, level: float = 0.95) -> Interval | None:
    """t interval of the mean of differences that vary with cases *and* with seeds: `differences` has shape (seeds,
    cases), each case judged once under each seed.

    Two crossed random effects; with the mean squares of seeds S, clusters G and what is left E, the variance of the
    mean is (S + G - E)/(seeds · clusters), a negative component counting as none, with Satterthwaite's degrees of
    freedom (Dorfman, Berbaum and Metz, Invest Radiol 27:723, 1992; Hillis, Stat Med 26:596, 2007). With one seed:
    `paired_t_interval`, whose limits say nothing about other seeds.
    """
    d = np.asarray(differences, dtype=float)
    if len(d) == 1 or not np.any(d):
        return paired_t_interval(d[0], groups=groups, level=level)
    sums = np.stack([_cluster_sums(row, groups) for row in d])
    seeds, clusters = sums.shape
    if clusters < 2:
        return None
    cells = sums * (clusters / d.shape[1])  # their mean is the mean over cases, however large the clusters
    mean, by_seed, by_cluster = cells.mean(), cells.mean(axis=1), cells.mean(axis=0)
    free_s, free_g = seeds - 1, clusters - 1
    of_seeds = clusters * float(((by_seed - mean) ** 2).sum()) / free_s
    of_clusters = seeds * float(((by_cluster - mean) ** 2).sum()) / free_g
    left = float(((cells - by_seed[:, None] - by_cluster + mean) ** 2).sum()) / (free_s * free_g)
    parts = [(of_seeds, free_s), (of_clusters, free_g), (-left, free_s * free_g)]
    if of_seeds <= left:
        parts = [(max(of_clusters, left), free_g)]
    elif of_clusters <= left:
        parts = [(of_seeds, free_s)]
    variance = sum(square for square, _ in parts)
    if variance <= TIE:
        return None
    freedom = variance**2 / sum(square**2 / free for square, free in parts)
    half = float(student.ppf(0.5 + level / 2, freedom)) * math.sqrt(variance / (seeds * clusters))
    value = float(mean)
    return Interval(value=value, low=value - half, high=value + half, level=level, method="t, seeds × cases")


def unpaired_difference(one: ArrayLike, two: ArrayLike, *, level: float = 0.95) -> Interval | None:
    """Interval of mean(one) - mean(two) for different cases; None where one is empty, or graded without spread.

    0/1 scores: square-and-add of Wilson limits (Newcombe, Stat Med 17:873, 1998, method 10). Others: Welch's t.
    """
    x, y = np.asarray(one, dtype=float), np.asarray(two, dtype=float)
    if not x.size or not y.size:
        return None
    value = float(x.mean() - y.mean())
    if all(np.all((v == 0) | (v == 1)) for v in (x, y)):
        a, b = wilson(x.sum(), x.size, level=level), wilson(y.sum(), y.size, level=level)
        below = _square_and_add(a.value - a.low, b.high - b.value, 0.0)
        above = _square_and_add(a.high - a.value, b.value - b.low, 0.0)
        return Interval(value=value, low=value - below, high=value + above, level=level, method="Newcombe, unpaired")
    parts = [v.var(ddof=1) / v.size if v.size > 1 else 0.0 for v in (x, y)]
    if sum(parts) <= TIE:
        return None
    freedom = sum(parts) ** 2 / sum(p**2 / (v.size - 1) for p, v in zip(parts, (x, y), strict=True) if v.size > 1)
    half = float(student.ppf(0.5 + level / 2, freedom)) * math.sqrt(sum(parts))
    return Interval(value=value, low=value - half, high=value + half, level=level, method="t, Welch")


def sign_flip(differences: ArrayLike, *, groups: Groups = None, seed: int = 0) -> float:
    """Two-sided p of the sign-flip permutation test on |mean|; whole clusters are flipped.

    Exact (all 2^n patterns) up to 15 non-zero sums, else 9,999 seeded draws with p = (1 + hits)/(1 + draws)
    (Phipson and Smyth, Stat Appl Genet Mol Biol 9:39, 2010). Own code because scipy.stats.permutation_test
    counts ties at 2e-14, which sums of decimal scores miss, and took 26 times as long for 60 differences.
    """
    sums = _cluster_sums(np.asarray(differences, dtype=float), groups)
    scale = float(np.abs(sums).sum())
    sums = sums[np.abs(sums) > TIE * scale]
    if sums.size == 0:
        return 1.0
    bound = abs(float(sums.sum())) - TIE * scale
    if sums.size <= EXACT_FLIPS:
        patterns = np.arange(2**sums.size)[:, None] >> np.arange(sums.size) & 1
        return float(np.mean(np.abs((1 - 2 * patterns) @ sums) >= bound))
    rng = np.random.default_rng(seed)
    hits = 0
    total, across = float(sums.sum()), -(-sums.size // 8)
    for start in range(0, DRAWS, 1_000):  # in blocks: 9,999 x many cases would fill the memory
        rows = min(1_000, DRAWS - start)
        drawn = np.frombuffer(rng.bytes(rows * across), dtype=np.uint8).reshape(rows, across)
        kept = np.unpackbits(drawn, axis=1, count=sums.size).astype(np.float64) @ sums  # the sums that keep their sign
        hits += int(np.count_nonzero(np.abs(2 * kept - total) >= bound))
    return (1 + hits) / (1 + DRAWS)


def equivalence(differences: ArrayLike, margin: float) -> float | None:
    """p of two one-sided t tests (TOST): small when the mean difference is shown to lie within ±margin (Schuirmann,
    J Pharmacokinet Biopharm 15:657, 1987).

    None with fewer than two values or without variance: a t test would give p = 0 for identical arms.
    """
    if margin <= 0:
        raise ValueError(f"a margin of {margin} is not above 0")
    x = np.asarray(differences, dtype=float)
    se = standard_error(x) if x.size > 1 else 0.0
    if se <= TIE:
        return None
    mean, freedom = float(x.mean()), x.size - 1
    return float(max(student.sf((mean + margin) / se, freedom), student.cdf((mean - margin) / se, freedom)))


class Omnibus(NamedTuple):
    """A test statistic over several arms, its degrees of freedom, and p."""

    statistic: float
    freedom: int
    p: float


def cochran_q(scores: ArrayLike) -> Omnibus:
    """Do several arms with 0/1 scores on the same cases differ at all? `scores` has shape (cases, arms) (Cochran,
    Biometrika 37:256, 1950). Where every case agrees over all arms, p = 1."""
    x = np.asarray(scores, dtype=float)
    if x.ndim != 2 or x.shape[1] < 2 or not np.all((x == 0) | (x == 1)):
        raise ValueError("scores of 0 and 1 are needed, one row a case and one column for each of at least two arms")
    freedom = x.shape[1] - 1
    if np.all(x == x[:, :1]):
        return Omnibus(0.0, freedom, 1.0)
    from statsmodels.stats.contingency_tables import cochrans_q

    found = cochrans_q(x)
    return Omnibus(float(found.statistic), freedom, float(found.pvalue))


def e_value(b: int, c: int, *, one_sided: bool = False) -> float:
    """Evidence that may be looked at after every case: stop at 1/alpha, e.g. 20. A mixture over all win rates against
    "wins and losses are equally likely" (Robbins, Ann Math Stat 41:1397, 1970).

    Two-sided 2^m · B(b+1, c+1), m = b + c; one-sided (the candidate is better) twice that times P(Beta(b+1, c+1) > ½).
    """
    log = (b + c) * math.log(2) + float(betaln(b + 1, c + 1))
    if one_sided:
        log += math.log(2) + float(beta.logsf(0.5, b + 1, c + 1))
    return math.exp(min(log, 700.0))  # beyond, a float has no more room, and nothing is left to doubt


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """p-values adjusted for a family of contrasts (Holm, Scand J Stat 6:65, 1979), in the given order. Own code because
    statsmodels' `multipletests` collects garbage on every call: a quarter of a second."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, stepped)
    return tuple(float(x) for x in adjusted)


# --- how many cases ------------------------------------------------------------------------------


def power_mcnemar(n: int, discordance: float, difference: float, *, alpha: float = 0.05, exact: bool = False) -> float:
    """Probability that McNemar's test rejects, by enumeration over the number m of discordant cases.

    Σ_m P(m | Bin(n, discordance)) · P(p < alpha | b ~ Bin(m, (discordance + difference)/(2·discordance))),
    the construction of SAS PROC POWER. Raises ValueError unless |difference| <= discordance in (0, 1].
    """
    if not 0 < discordance <= 1 or abs(difference) > discordance:
        raise ValueError(f"a difference of {difference} cannot come from {discordance} discordant cases")
    least, most = (int(x) for x in binom.ppf([NEVER, 1 - NEVER], n, discordance))
    m = np.arange(max(0, least), most + 1)
    k = _critical(1 << n.bit_length(), alpha, exact)[m]
    win = min(1.0, (discordance + abs(difference)) / (2 * discordance))
    rejects = binom.cdf(k, m, win) + binom.sf(m - k - 1, m, win)
    return float(binom.pmf(m, n, discordance) @ rejects)


@lru_cache(maxsize=1024)
def cases_needed(
    discordance: float, difference: float, *, power: float = 0.8, alpha: float = 0.05, exact: bool = False
) -> int:
    """Smallest number of cases at which McNemar's test finds `difference` with the given power.

    Beyond 20,000 cases the closed form of Connor (Biometrics 43:207, 1987) is given instead.
    """
    guess = connor(discordance, difference, power=power, alpha=alpha)
    if guess > ENUMERATED:
        return math.ceil(guess)

    def reached(n: int) -> bool:
        return power_mcnemar(n, discordance, difference, alpha=alpha, exact=exact) >= power

    low, high = 0, max(8, math.ceil(guess))
    while not reached(high):
        low, high = high, high + max(1, high // 4)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def power_non_inferiority(
    n: int, discordance: float, margin: float, *, difference: float = 0.0, alpha: float = 0.05
) -> float:
    """Probability that "worse by `margin` or more" is rejected, by enumeration over both counts of discordant cases.

    Raises ValueError unless |difference| <= discordance in (0, 1] and the margin is in (0, 1).
    """
    if not 0 < discordance <= 1 or abs(difference) > discordance or not 0 < margin < 1:
        raise ValueError(f"a difference of {difference} cannot come from {discordance} discordant cases")
    least, most = (int(x) for x in binom.ppf([NEVER, 1 - NEVER], n, discordance))
    win = (discordance + difference) / (2 * discordance)
    total = 0.0
    for m in range(max(0, least), most + 1):
        b = np.arange(m + 1)
        rejects = tango_z(b, m - b, n, -margin) >= _z(1 - 2 * alpha)
        total += float(binom.pmf(m, n, discordance)) * float(binom.pmf(b, m, win)[rejects].sum())
    return total


@lru_cache(maxsize=256)
def cases_needed_non_inferiority(
    discordance: float, margin: float, *, difference: float = 0.0, power: float = 0.8, alpha: float = 0.05
) -> int:
    """Number of cases from which on "not worse by `margin`" is shown with the given power; the power is saw-toothed, so
    a smaller number may do by chance. Beyond 20,000 cases the closed form."""
    spread = math.sqrt(discordance - difference**2)
    guess = ((float(norm.ppf(1 - alpha)) + float(norm.ppf(power))) * spread / (margin + difference)) ** 2

    def reached(n: int) -> bool:
        return power_non_inferiority(n, discordance, margin, difference=difference, alpha=alpha) >= power

    if guess > ENUMERATED:
        return math.ceil(guess)
    n = math.ceil(guess + 3 * math.sqrt(guess)) + 8  # beyond the teeth
    while not reached(n):
        n += max(1, n // 10)
    while n > 1 and reached(n - 1):
        n -= 1
    return n


def connor(discordance: float, difference: float, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Closed-form number of cases for McNemar's test (Connor, Biometrics 43:207, 1987); not rounded."""
    root = math.sqrt(max(discordance - difference**2, 0.0))
    return ((_z(1 - alpha) * math.sqrt(discordance) + float(norm.ppf(power)) * root) / difference) ** 2


def detectable_difference(
    n: int, discordance: float, *, power: float = 0.8, alpha: float = 0.05, exact: bool = False
) -> float | None:
    """Smallest difference that `n` cases find with the given power; None if even a one-sided split is missed.

    Raises ValueError unless discordance is in (0, 1].
    """
    if power_mcnemar(n, discordance, discordance, alpha=alpha, exact=exact) < power:
        return None

    def missing(difference: float) -> float:
        return power_mcnemar(n, discordance, difference, alpha=alpha, exact=exact) - power

    return float(brentq(missing, 0.0, discordance, xtol=1e-6))


def cases_needed_graded(
    sd: float,
    difference: float,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    within: tuple[float, float] = (0.0, 0.0),
    repeats: int = 1,
) -> int:
    """Number of cases for graded scores (Miller, arXiv 2411.00640).

    `sd` is the standard deviation between cases of the difference, `within` the standard deviations of the
    two arms over repeats of one case: n = (z_{a/2} + z_b)² · (sd² + sA²/K + sB²/K) / difference².
    """
    variance = sd**2 + (within[0] ** 2 + within[1] ** 2) / repeats
    return max(2, math.ceil((_z(1 - alpha) + float(norm.ppf(power))) ** 2 * variance / difference**2 - 1e-9))


def implied_sd(interval: Interval, n: int) -> float:
    """Standard deviation between cases that the width of a mean's interval implies, clusters included."""
    return (interval.high - interval.low) / (2 * _z(interval.level)) * math.sqrt(n)


def cases_to_clear(value: float, bar: float, *, level: float = 0.95) -> int | None:
    """Cases at which the Wilson interval of a rate that stays at `value` lies on one side of `bar`.

    A limit of Wilson's interval solves (value - bar)² = z² · bar(1 - bar)/n. None: the rate sits on the bar.
    """
    if value == bar:
        return None
    return max(1, math.ceil(_z(level) ** 2 * bar * (1 - bar) / (value - bar) ** 2 - 1e-9))


# --- parts ---------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _critical(n: int, alpha: float, exact: bool) -> NDArray[np.int64]:
    """For m = 0..n discordant cases: the largest min(b, c) that rejects, -1 where none does."""
    m = np.arange(n + 1)
    # smallest k with P(Bin <= k) >= alpha/2: the first that the exact test keeps
    kept: NDArray[np.int64] = np.maximum(binom.ppf(alpha / 2, m, 0.5), 0).astype(np.int64)
    also_rejected = np.zeros_like(kept) if exact else (mcnemar_p(kept, m - kept) < alpha).astype(np.int64)
    return kept - 1 + also_rejected


def _square_and_add(x: float, y: float, phi: float) -> float:
    return math.sqrt(max(x * x - 2 * phi * x * y + y * y, 0.0))


def _cluster_sums(values: Floats, groups: Groups) -> Floats:
    if groups is None:
        return values
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    return np.asarray(np.bincount(index, weights=values), dtype=np.float64)


@lru_cache(maxsize=64)
def _z(level: float) -> float:
    return float(norm.ppf(0.5 + level / 2))
