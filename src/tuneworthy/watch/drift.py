"""Are the last days other than the first ones? Each feature by itself, under one budget of false alarms.

**The budget.** A look is one test of one feature on one window on one day. If each of m looks a day alarms with
probability at most a while nothing changed, the expected number of false alarms in T days is at most T·m·a, whatever
the dependence between features, windows and days: expectations add up. So a = 1 / (BUDGET_DAYS·m) keeps it at one
false alarm in BUDGET_DAYS days. It needs tests whose level holds, and days that are alike but for chance: what comes
and goes with the week is held against the same kind of day.

**The tests.** Numbers: two-sample Kolmogorov-Smirnov (ties make it conservative). Classes: chi-squared of the two-row
table; where that is near the level, its p is counted out over random relabellings, as few large cells make the limit
distribution wrong. PSI says how large a change is. Its mean under no change is (k - 1)(1/n + 1/m) for k bins (Yurdakul
and Naranjo, Statistical properties of the population stability index, 2020), which is taken off. An alarm needs both:
a p at the level and a PSI of SMALLEST, as enough answers make any difference significant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp, mannwhitneyu

from tuneworthy.records import Record

BUDGET_DAYS = 90
"""days in which at most one false alarm is expected"""
WINDOWS = (1, 7)
"""days that are held against the reference: one for what breaks, a week for what creeps in"""
REFERENCE_DAYS = 14
"""first days of a release: two weeks, so that each weekday is in them"""
LEAST = 30
"""answers of a window; below it nothing is looked for"""
LEAST_REFERENCE = 200
SMALLEST = 0.05
"""PSI from which a change is worth a person's time; the usual reading is: from 0.1 some, from 0.25 much"""
BINS = 10
MOST_CLASSES = 30
"""classes that are told apart; the rarer ones are one class"""

Value = float | str
Rows = Mapping[str, Sequence[Value | None]]
"""feature → one value for each answer; None = not measured"""
Values = NDArray[np.float64] | Counter[str]
"""numbers, or how often each class came"""


class Shift(Record):
    """One feature, one window, held against the reference."""

    feature: str
    n: int
    reference: int
    p: float
    psi: float
    """with its mean under no change taken off; 0 = none"""
    told: str = ""
    """what changed, in words"""


class Alarm(Record):
    """A change that chance does not explain, or something worse than before."""

    day: str
    what: str
    """the feature, `feedback`, `stale facts`, `suite`"""
    window: int
    """days"""
    p: float | None
    psi: float | None = None
    told: str
    worse: bool = False
    """answers are worse, and not only other"""


@dataclass(frozen=True)
class Days:
    """Values by day."""

    rows: Mapping[date, Rows]
    _of_day: dict[tuple[date, str], Values] = field(default_factory=dict)
    _of_days: dict[tuple[str, tuple[date, ...]], Values] = field(default_factory=dict)

    def values(self, feature: str, days: Iterable[date]) -> Values:
        """All values of a feature on these days, without those that were not measured."""
        key = (feature, tuple(days))
        if key not in self._of_days:
            self._of_days[key] = _joined([self._day(day, feature) for day in key[1] if day in self.rows])
        return self._of_days[key]

    @property
    def features(self) -> list[str]:
        """Every feature that was measured on some day."""
        return sorted({name for rows in self.rows.values() for name in rows})

    def _day(self, day: date, feature: str) -> Values:
        if (day, feature) not in self._of_day:
            self._of_day[day, feature] = values(self.rows[day].get(feature, ()))
        return self._of_day[day, feature]


def values(given: Iterable[Value | None]) -> Values:
    """Numbers as an array; counts where any of them is a text."""
    known = [value for value in given if value is not None]
    if any(isinstance(value, str) for value in known):
        return Counter(map(str, known))
    return np.asarray(known, np.float64)


def size(given: Values) -> int:
    """How many values there are."""
    return given.total() if isinstance(given, Counter) else len(given)


def level(looks: int) -> float:
    """Level of one look, with so many looks a day."""
    return 1.0 / (BUDGET_DAYS * max(looks, 1))


def shift(feature: str, reference: Values, window: Values, *, alpha: float, seed: int = 0) -> Shift:
    """Hold a window against the reference.

    Args:
        alpha: the level that p will be held against: a p of classes near it is counted out.
    """
    if isinstance(reference, Counter) or isinstance(window, Counter):
        table, names = _table(_counted(reference), _counted(window))
        p, moved, told = _classes_p(table, alpha, seed), psi(table[0], table[1]), _moved(table, names)
    else:
        p = float(ks_2samp(reference, window, method="asymp").pvalue)
        moved = psi(*_binned(reference, window))
        told = _centre(reference, window)
    return Shift(feature=feature, n=size(window), reference=size(reference), p=p, psi=round(moved, 4), told=told)


def looks(reference: Days, days: Days, day: date, features: Sequence[str], *, alpha: float) -> list[tuple[int, Shift]]:
    """(window, shift) of every feature and window that ends with this day and holds enough answers."""
    found = []
    for window in WINDOWS:
        within = [day - timedelta(days=n) for n in range(window)]
        held = [d for d in reference.rows if window > 1 or _weekend(d) == _weekend(day)]
        for feature in features:
            one, two = reference.values(feature, held), days.values(feature, within)
            if size(one) >= LEAST_REFERENCE and size(two) >= LEAST:
                found.append((window, shift(feature, one, two, alpha=alpha, seed=day.toordinal())))
    return found


def alarms(reference: Days, days: Days, day: date, features: Sequence[str], *, more_looks: int = 0) -> list[Alarm]:
    """What is other on this day. `more_looks`: further looks a day that share the budget."""
    alpha = level(len(features) * len(WINDOWS) + more_looks)
    return [
        Alarm(day=day.isoformat(), what=s.feature, window=window, p=s.p, psi=s.psi, told=s.told)
        for window, s in looks(reference, days, day, features, alpha=alpha)
        if s.p <= alpha and s.psi >= SMALLEST
    ]


def fewer_right(before: tuple[int, int], now: tuple[int, int]) -> float:
    """One-sided p that a share of right answers did not fall; (right, wrong) then and now. Fisher's exact test."""
    return float(fisher_exact([list(now), list(before)], alternative="less").pvalue)


def texts_apart(reference: Sequence[str], window: Sequence[str], *, seed: int = 0) -> tuple[float, float]:
    """(AUC, p): can a classifier tell new texts from old ones? 0.5 = no better than chance.

    It learns on one half of both and is judged on the other, so that p is that of Mann and Whitney's test on scores
    that the judged half had no part in (Lopez-Paz and Oquab, Revisiting classifier two-sample tests, 2017).
    """
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rng = np.random.default_rng(seed)
    texts = [*reference, *window]
    y = np.repeat([0, 1], [len(reference), len(window)])
    learn = np.zeros(len(texts), bool)
    for value in (0, 1):
        rows = rng.permutation(np.flatnonzero(y == value))
        learn[rows[: len(rows) // 2]] = True
    grams = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=2**18, alternate_sign=False)
    model = make_pipeline(grams, TfidfTransformer(), LogisticRegression(C=10.0, class_weight="balanced"))
    model.fit([t for t, chosen in zip(texts, learn, strict=True) if chosen], y[learn])
    scores = model.decision_function([t for t, chosen in zip(texts, learn, strict=True) if not chosen])
    new, old = scores[y[~learn] == 1], scores[y[~learn] == 0]
    found = mannwhitneyu(new, old, alternative="greater")
    return float(found.statistic / (len(new) * len(old))), float(found.pvalue)


def psi(one: np.ndarray, two: np.ndarray) -> float:
    """Population stability index of two rows of counts, its mean under no change taken off; half a count is added to
    each cell, so that an empty one stays finite. Cells that are empty in both are none."""
    some = one + two > 0
    one, two = one[some], two[some]
    a, b = one + 0.5, two + 0.5
    p, q = a / a.sum(), b / b.sum()
    raw = float(((p - q) * np.log(p / q)).sum())
    return max(0.0, raw - float((len(one) - 1) * (1 / max(one.sum(), 1) + 1 / max(two.sum(), 1))))


def _binned(one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts between the deciles of the reference. A value that is several deciles at once, as 0 often is, gets a bin
    of its own, so that what moves away from it is seen."""
    deciles = np.quantile(one, np.linspace(0, 1, BINS + 1)[1:-1])
    edges, times = np.unique(deciles, return_counts=True)
    edges = np.sort(np.append(edges, np.nextafter(edges[times > 1], np.inf)))
    counted = [np.bincount(np.searchsorted(edges, v, side="right"), minlength=len(edges) + 1) for v in (one, two)]
    return counted[0], counted[1]


def _joined(parts: Sequence[Values]) -> Values:
    if any(isinstance(part, Counter) for part in parts):
        return sum((_counted(part) for part in parts), Counter())
    return np.concatenate([part for part in parts if not isinstance(part, Counter)] or [np.empty(0)])


def _counted(given: Values) -> Counter[str]:
    return given if isinstance(given, Counter) else Counter(f"{value:g}" for value in given.tolist())


def _table(*counts: Counter[str]) -> tuple[np.ndarray, list[str]]:
    """Two rows of counts, and what their columns are."""
    common = [name for name, _ in (counts[0] + counts[1]).most_common()]
    names, rest = common[:MOST_CLASSES], common[MOST_CLASSES:]
    rows = [[c[name] for name in names] + ([sum(c[name] for name in rest)] if rest else []) for c in counts]
    return np.asarray(rows), names + ["others"] * bool(rest)


def _classes_p(table: np.ndarray, alpha: float, seed: int) -> float:
    if table.shape[1] < 2:
        return 1.0
    statistic, p, _, expected = chi2_contingency(table, correction=False)
    if p > 30 * alpha or (expected.min() >= 10 and p < alpha / 1000):
        return float(p)
    draws = int(10 / alpha)
    rng = np.random.default_rng(seed)
    drawn = rng.multivariate_hypergeometric(table.sum(axis=0), int(table[1].sum()), size=draws, method="marginals")
    other = table.sum(axis=0) - drawn
    statistics = ((drawn - expected[1]) ** 2 / expected[1]).sum(1) + ((other - expected[0]) ** 2 / expected[0]).sum(1)
    return float((1 + (statistics >= statistic - 1e-9).sum()) / (draws + 1))


def _moved(table: np.ndarray, names: Sequence[str]) -> str:
    """The class whose share changed most; of two, the one that grew."""
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    grown = (shares[1] - shares[0]).round(6).tolist()
    most = max(range(len(names)), key=lambda n: (abs(grown[n]), grown[n]))
    return f"{names[most]!r} {100 * shares[0, most]:.1f} % → {100 * shares[1, most]:.1f} %"


def _centre(one: np.ndarray, two: np.ndarray) -> str:
    """Medians; means where the median did not move."""
    name, of = ("median", np.median) if np.median(one) != np.median(two) else ("mean", np.mean)
    return f"{name} {_number(of(one))} → {_number(of(two))}"


def _number(value: float) -> str:
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _weekend(day: date) -> bool:
    return day.weekday() >= 5
