"""Numeric oracles: published values, or values recomputed with scipy and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import betaln
from scipy.stats import beta, binom
from statsmodels.stats.contingency_tables import mcnemar

from tuneworthy.measure.statistics import (
    Floats,
    cases_needed,
    cases_needed_graded,
    cases_needed_non_inferiority,
    cases_to_clear,
    connor,
    detectable_difference,
    holm,
    mcnemar_exact,
    mcnemar_midp,
    mcnemar_p,
    mean_interval,
    newcombe_paired,
    non_inferiority,
    paired_t_interval,
    power_mcnemar,
    power_non_inferiority,
    sign_flip,
    smallest_p,
    standard_error,
    t_interval,
    tango,
    tango_z,
    wilson,
)
from tuneworthy.records import Interval


def limits(interval: Interval | None) -> tuple[float, float]:
    assert interval is not None
    return interval.low, interval.high


# --- one arm ---


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (0, 30, 0.0, 0.113513),
        (9, 30, 0.1666, 0.4788),
        (27, 30, 0.7438, 0.9654),
    ],
)
def test_wilson_published_values(k: int, n: int, low: float, high: float) -> None:
    assert limits(wilson(k, n)) == pytest.approx((low, high), abs=6e-5)


@given(n=st.integers(1, 400), share=st.floats(0, 1), level=st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_wilson_equals_scipy(n: int, share: float, level: float) -> None:
    k = round(share * n)
    theirs = stats.binomtest(k, n).proportion_ci(level, method="wilson")
    assert limits(wilson(k, n, level=level)) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(("n", "floor"), [(30, 0.9244), (100, 0.9275), (300, 0.9388)])
def test_wilson_coverage_by_enumeration(n: int, floor: float) -> None:
    k = np.arange(n + 1)
    low, high = (np.array(x) for x in zip(*(limits(wilson(int(i), n)) for i in k), strict=True))
    covered = [float(binom.pmf(k, n, p) @ ((low <= p) & (p <= high))) for p in np.linspace(0.02, 0.98, 193)]
    assert min(covered) == pytest.approx(floor, abs=1e-4)


@pytest.mark.parametrize(("k", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_is_no_proportion(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson(k, n)


def test_mean_of_zeros_and_ones_gets_wilson() -> None:
    assert mean_interval([1.0] * 27 + [0.0] * 3) == wilson(27, 30)


def test_mean_of_graded_scores_gets_t_within_the_scale() -> None:
    x = [0.9, 1.0, 1.0, 0.2]
    found = mean_interval(x)
    theirs = stats.ttest_1samp(x, 0).confidence_interval()
    assert limits(found) == pytest.approx((theirs.low, 1.0))
    assert theirs.high > 1


def test_no_interval_without_values_or_variance() -> None:
    assert mean_interval([]) is None
    assert mean_interval([0.5] * 40) is None
    assert mean_interval([0.5]) is None


def test_clustered_rate_is_less_certain() -> None:
    x = [1.0] * 20 + [0.0] * 10
    lonely, grouped = mean_interval(x), mean_interval(x, groups=[str(i // 5) for i in range(30)])
    assert lonely is not None
    assert grouped is not None
    assert grouped.low < lonely.low < lonely.high < grouped.high
    all_right = mean_interval([1.0] * 30, groups=[str(i // 3) for i in range(30)])
    assert limits(all_right) == limits(wilson(10, 10))


# --- McNemar ---


@pytest.mark.parametrize(
    ("b", "c", "exact", "midp"),
    [
        (1, 7, 0.0703125, 0.0390625),
        (6, 16, 0.052479, 0.034690),
        (15, 19, 0.60759136127308, 0.49956),
        (5, 0, 0.0625, 0.03125),
        (6, 0, 0.03125, 0.015625),
        (15, 6, 0.0783541, 0.0525),
        (0, 0, 1.0, 1.0),
        (3, 3, 1.0, 1 - 20 / 64 / 2),
    ],
)
def test_mcnemar_oracles(b: int, c: int, exact: float, midp: float) -> None:
    assert mcnemar_exact(b, c) == pytest.approx(exact, abs=1e-6)
    assert mcnemar_midp(b, c) == pytest.approx(midp, abs=5e-5)


@given(b=st.integers(0, 80), c=st.integers(0, 80))
def test_mcnemar_exact_equals_statsmodels(b: int, c: int) -> None:
    assert mcnemar_exact(b, c) == pytest.approx(mcnemar([[3, b], [c, 5]], exact=True).pvalue, rel=1e-9)


@given(b=st.integers(0, 300), c=st.integers(0, 300))
def test_midp_is_a_probability_between_the_tails(b: int, c: int) -> None:
    assert 0 < mcnemar_midp(b, c) <= 1
    assert mcnemar_midp(b, c) == mcnemar_midp(c, b)
    assert mcnemar_midp(b, c) <= mcnemar_exact(b, c)


def test_nothing_discordant_is_no_evidence() -> None:
    """statsmodels' uncorrected test says p = 0 here."""
    assert mcnemar_midp(0, 0) == mcnemar_exact(0, 0) == 1.0


def test_smallest_reachable_p() -> None:
    assert smallest_p(5, exact=True) == pytest.approx(0.0625)
    assert smallest_p(5) == pytest.approx(0.03125)
    assert smallest_p(4) > 0.05
    assert smallest_p(0) == 1.0


@pytest.mark.parametrize("n", [30, 50, 100, 200])
@pytest.mark.parametrize("discordance", [0.1, 0.2, 0.3, 0.5])
def test_size_of_midp_by_enumeration(n: int, discordance: float) -> None:
    size = power_mcnemar(n, discordance, 0.0)
    assert 0.0085 <= size <= 0.0500
    assert power_mcnemar(n, discordance, 0.0, exact=True) < size


# --- paired difference, binary ---


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        ((59, 6, 16, 80), -0.118621, -0.004625),
        ((1, 1, 7, 12), -0.50692, -0.02556),
        ((80, 12, 2, 6), 0.0263, 0.17999),
        ((25, 0, 0, 5), -0.09752, 0.09752),
    ],
)
def test_newcombe_oracles(table: tuple[int, int, int, int], low: float, high: float) -> None:
    """Digits tight enough that leaving out the correction of phi fails (-.1174, -.0059 on the first)."""
    assert limits(newcombe_paired(*table)) == pytest.approx((low, high), abs=1e-5)


@pytest.mark.parametrize(
    ("b", "c", "n", "low", "high"),
    [
        (6, 16, 161, -0.12402, -0.00543),
        (1, 7, 21, -0.51723, -0.02600),
        (40, 20, 160, 0.03086, 0.21806),
        (6, 0, 100, 0.02079, 0.12477),
        (12, 2, 100, 0.0310, 0.18188),
        (0, 0, 30, -0.113513, 0.113513),
        (0, 0, 100, -0.036993, 0.036993),
        (30, 0, 30, 0.77297, 1.0),
        (0, 30, 30, -1.0, -0.77297),
    ],
)
def test_tango_oracles(b: int, c: int, n: int, low: float, high: float) -> None:
    assert limits(tango(b, c, n)) == pytest.approx((low, high), abs=1e-5)


def test_tango_ninety_percent() -> None:
    assert limits(tango(0, 1, 44, level=0.9)) == pytest.approx((-0.09566, 0.03652), abs=1e-5)


@settings(deadline=None)
@given(a=st.integers(0, 60), b=st.integers(0, 60), c=st.integers(0, 60), d=st.integers(0, 60))
def test_paired_intervals_mirror_and_hold_their_value(a: int, b: int, c: int, d: int) -> None:
    n = a + b + c + d
    if n == 0:
        return
    for there, back in (
        (newcombe_paired(a, b, c, d), newcombe_paired(a, c, b, d)),
        (tango(b, c, n), tango(c, b, n)),
    ):
        mirrored = (-back.high, -back.value, -back.low)
        assert (there.low, there.value, there.high) == pytest.approx(mirrored, abs=1e-7)
        assert -1 - 1e-9 <= there.low <= there.value <= there.high <= 1 + 1e-9


@pytest.mark.parametrize(
    ("b", "c", "n", "z", "p"),
    [(15, 17, 300, 2.16658, 0.015133), (4, 6, 100, 0.90599, 0.18247), (0, 0, 100, 2.29416, 0.010891)],
)
def test_non_inferiority_oracles(b: int, c: int, n: int, z: float, p: float) -> None:
    assert non_inferiority(b, c, n, 0.05) == pytest.approx((z, p), abs=1e-5)


def test_non_inferiority_needs_a_margin() -> None:
    with pytest.raises(ValueError, match="margin"):
        non_inferiority(1, 2, 30, 0.0)


def _non_inferiority_rate(n: int, flips: float, margin: float, true: float) -> float:
    b, c = (x.ravel() for x in np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij"))
    keep = b + c <= n
    b, c = b[keep], c[keep]
    m, win = b + c, (flips + true) / (2 * flips)
    likely = binom.pmf(m, n, flips) * binom.pmf(b, m, win)
    return float(likely[tango_z(b, c, n, -margin) >= stats.norm.ppf(0.95)].sum())


def test_size_of_non_inferiority_is_about_five_percent() -> None:
    sizes = {
        (n, flips, margin): _non_inferiority_rate(n, flips, margin, -margin)
        for n in (30, 50, 100, 200, 300)
        for flips in (0.1, 0.2, 0.3, 0.5)
        for margin in (0.03, 0.05, 0.10)
    }
    worst = max(sizes, key=lambda key: sizes[key])
    assert worst == (30, 0.2, 0.03)
    assert sizes[worst] == pytest.approx(0.0601, abs=1e-4)


@pytest.mark.parametrize(("flips", "n", "power"), [(0.05, 100, 0.58), (0.1, 200, 0.69), (0.2, 300, 0.61)])
def test_power_of_non_inferiority(flips: float, n: int, power: float) -> None:
    assert _non_inferiority_rate(n, flips, 0.05, 0.0) == pytest.approx(power, abs=0.006)


# --- graded and clustered ---


def test_sign_flip_on_bentur_is_exact_mcnemar() -> None:
    assert sign_flip([1] + [-1] * 7 + [0] * 13) == 0.0703125


def test_sign_flip_counts_every_pattern_and_ignores_zeros() -> None:
    d = [0, 1, -2, 0, 0, 0, 3, 1, 0, 1, 4, 3]
    assert sign_flip(d) == 16 / 128
    assert sign_flip([x for x in d if x]) == 16 / 128
    assert sign_flip([0.0] * 40) == 1.0


def test_sign_flip_sees_ties_of_decimal_scores() -> None:
    """0.1 + 0.2 is not 0.3 in floating point; the sums still tie."""
    assert sign_flip([0.1, 0.2, -0.3]) == 1.0
    assert sign_flip([0.1, 0.2, 0.3]) == 0.25


def test_sign_flip_agrees_with_scipy_and_is_seeded() -> None:
    rng = np.random.default_rng(3)
    few, many = rng.normal(0.3, 1, 12), rng.normal(0.2, 1, 60)
    theirs = stats.permutation_test(
        (few,), lambda x, axis: np.abs(np.mean(x, axis)), permutation_type="samples", vectorized=True,
        alternative="greater", n_resamples=10_000,
    )  # fmt: skip
    assert sign_flip(few) == pytest.approx(theirs.pvalue)
    assert sign_flip(many, seed=1) == sign_flip(many, seed=1)
    assert sign_flip(many) == pytest.approx(stats.ttest_1samp(many, 0).pvalue, abs=0.02)
    assert sign_flip(np.ones(40)) == 1 / 10_000


def test_sign_flip_of_whole_clusters() -> None:
    d, groups = np.ones(12), np.repeat(np.arange(4), 3)
    assert sign_flip(d, groups=groups) == 2 / 2**4


def test_paired_t_interval_oracle() -> None:
    x = np.array([0.8, 0.9, 0.7, 1, 0.6, 0.9, 0.8, 0.7, 0.9, 1])
    y = np.array([0.8, 0.85, 0.75, 1, 0.6, 0.9, 0.8, 0.65, 0.9, 0.95])
    assert limits(paired_t_interval(x - y)) == pytest.approx((-0.012622, 0.032622), abs=1e-6)


def test_zero_variance_gives_a_bound_or_nothing_never_width_zero() -> None:
    bound = paired_t_interval([0.0] * 30)
    assert limits(bound) == pytest.approx((-0.113513, 0.113513), abs=1e-6)
    assert bound is not None
    assert bound.method.startswith("bound")
    assert paired_t_interval([0.2] * 30) is None
    assert paired_t_interval([0.1]) is None
    assert paired_t_interval([]) is None


def test_cluster_standard_error_equals_statsmodels() -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(5)
    groups = rng.integers(0, 12, 80)
    d = rng.normal(size=80) + rng.normal(size=12)[groups]
    ours, model = standard_error(d, groups=groups), sm.OLS(d, np.ones(80))
    default = model.fit(cov_type="cluster", cov_kwds={"groups": groups})
    plain = model.fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False})
    assert ours == pytest.approx(float(default.bse[0]), rel=1e-12)
    assert ours == pytest.approx(float(plain.bse[0]) * math.sqrt(12 / 11), rel=1e-12)


def test_one_case_per_cluster_is_the_ordinary_t() -> None:
    d = np.random.default_rng(1).normal(size=20)
    theirs = stats.ttest_1samp(d, 0).confidence_interval()
    assert limits(t_interval(d, groups=np.arange(20))) == pytest.approx((theirs.low, theirs.high))
    assert limits(t_interval(d)) == pytest.approx((theirs.low, theirs.high))


def test_one_cluster_says_nothing() -> None:
    assert paired_t_interval([0.1, 0.2, 0.3], groups=["x"] * 3) is None


def test_holm_oracles() -> None:
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx((0.05, 0.08, 0.09, 0.09, 0.09))
    assert holm([0.011, 0.02, 0.03]) == pytest.approx((0.033, 0.04, 0.04))
    assert holm([0.03, 0.011, 0.02]) == pytest.approx((0.04, 0.033, 0.04))
    assert holm([]) == ()


@settings(max_examples=15, deadline=None)  # statsmodels collects garbage on every call
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_equals_statsmodels(p_values: list[float]) -> None:
    from statsmodels.stats.multitest import multipletests

    theirs = multipletests(p_values, method="holm")[1] if p_values else []
    assert holm(p_values) == pytest.approx(list(theirs))


# --- power ---


@pytest.mark.parametrize(
    ("n", "discordance", "difference", "exact", "midp"),
    [
        (30, 0.2, 0.1, 0.099252, 0.174193),
        (100, 0.2, 0.1, 0.544445, 0.617711),
        (50, 0.3, 0.2, 0.699306, 0.774273),
    ],
)
def test_power_oracles(n: int, discordance: float, difference: float, exact: float, midp: float) -> None:
    assert power_mcnemar(n, discordance, difference, exact=True) == pytest.approx(exact, abs=1e-6)
    assert power_mcnemar(n, discordance, difference) == pytest.approx(midp, abs=1e-6)
    assert power_mcnemar(n, discordance, -difference) == pytest.approx(midp, abs=1e-6)


@pytest.mark.parametrize("exact", [True, False])
def test_power_equals_brute_force(exact: bool) -> None:
    n, psi, difference = 25, 0.35, 0.2
    b, c = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    likely = binom.pmf(b + c, n, psi) * binom.pmf(b, b + c, (psi + difference) / (2 * psi))
    rejects = mcnemar_p(b, c, exact=exact) < 0.05
    found = power_mcnemar(n, psi, difference, exact=exact)
    assert found == pytest.approx(float(likely[rejects].sum()), abs=1e-12)


@pytest.mark.parametrize(
    ("difference", "discordance", "exact", "midp"),
    [
        (0.05, 0.10, 337, 305),
        (0.10, 0.15, 122, 107),
        (0.10, 0.20, 168, 152),
        (0.10, 0.30, 249, 230),
        (0.15, 0.20, 72, 62),
        (0.15, 0.30, 112, 102),
        (0.20, 0.30, 61, 53),
        (0.20, 0.40, 84, 76),
    ],
)
def test_cases_needed_oracles(difference: float, discordance: float, exact: int, midp: int) -> None:
    assert cases_needed(discordance, difference, exact=True) == exact
    assert cases_needed(discordance, difference) == midp


def test_cases_needed_for_tiny_differences_ends() -> None:
    assert cases_needed(0.2, 0.002) == math.ceil(connor(0.2, 0.002))
    assert cases_needed(0.2, 0.02) == pytest.approx(connor(0.2, 0.02), rel=0.01)


@pytest.mark.parametrize(
    ("n", "discordance", "exact", "midp"),
    [
        (30, 0.1, None, None),
        (75, 0.1, None, 9.4),
        (100, 0.1, 8.8, 8.2),
        (30, 0.2, None, None),
        (50, 0.2, 17.6, 16.4),
        (30, 0.3, 27.4, 25.6),
        (100, 0.3, 15.9, 15.1),
        (200, 0.4, 12.9, 12.4),
        (500, 0.4, 8.1, 7.9),
    ],
)
def test_detectable_difference_oracles(n: int, discordance: float, exact: float | None, midp: float | None) -> None:
    for wanted, use_exact in ((exact, True), (midp, False)):
        found = detectable_difference(n, discordance, exact=use_exact)
        assert (found is None) == (wanted is None)
        if found is not None and wanted is not None:
            assert 100 * found == pytest.approx(wanted, abs=0.051)


def test_connor_and_miller_oracles() -> None:
    assert connor(0.5, 0.4) == pytest.approx(22.01, abs=0.005)
    assert connor(0.2, 0.1) == pytest.approx(154.6, abs=0.05)
    assert cases_needed_graded(1 / 3, 0.03) == 969
    assert cases_needed_graded(1 / 3, 0.03, within=(0.2, 0.2), repeats=1) > cases_needed_graded(
        1 / 3, 0.03, within=(0.2, 0.2), repeats=5
    )


def test_power_refuses_the_impossible() -> None:
    with pytest.raises(ValueError, match="cannot come from"):
        power_mcnemar(50, 0.1, 0.2)


@pytest.mark.parametrize(("value", "bar"), [(0.9, 0.8), (0.7, 0.8), (0.95, 0.9)])
def test_cases_to_clear_is_where_wilson_clears(value: float, bar: float) -> None:
    n = cases_to_clear(value, bar)
    assert n is not None
    for cases, clears in ((n, True), (n - 1, False)):
        interval = wilson(value * cases, cases)
        assert (interval.low >= bar - 1e-12 or interval.high <= bar + 1e-12) == clears


def test_a_rate_on_the_bar_never_clears() -> None:
    assert cases_to_clear(0.8, 0.8) is None


@pytest.mark.parametrize(("flips", "margin", "needed"), [(0.05, 0.05, 158), (0.1, 0.05, 269), (0.1, 0.1, 77)])
def test_cases_from_which_no_loss_is_shown(flips: float, margin: float, needed: int) -> None:
    assert cases_needed_non_inferiority(flips, margin) == needed


@pytest.mark.parametrize(
    ("flips", "margin", "powers"),
    [
        (0.05, 0.05, (0.09, 0.58, 0.89, 0.97)),
        (0.2, 0.05, (0.12, 0.29, 0.47, 0.61)),
        (0.1, 0.1, (0.39, 0.90, 0.99, 1.0)),
        (0.1, 0.03, (0.12, 0.21, 0.37, 0.48)),
    ],
)
def test_power_to_show_no_loss(flips: float, margin: float, powers: tuple[float, ...]) -> None:
    found = [power_non_inferiority(n, flips, margin) for n in (30, 100, 200, 300)]
    assert found == pytest.approx(powers, abs=0.0051)


def test_power_to_show_no_loss_equals_brute_force() -> None:
    assert power_non_inferiority(60, 0.2, 0.1) == pytest.approx(_non_inferiority_rate(60, 0.2, 0.1, 0.0), abs=1e-12)
    with pytest.raises(ValueError, match="cannot come from"):
        power_non_inferiority(60, 0.1, 0.05, difference=0.2)


@pytest.mark.parametrize(
    ("n", "k", "gain"),
    [(30, 2, 4.7), (30, 4, 8.4), (30, 8, 11.5), (100, 8, 6.4), (300, 8, 3.7)],
)
def test_the_best_of_equal_levers_seems_better_than_it_is(n: int, k: int, gain: float) -> None:
    """The winner's curse in points, by enumeration: E[max of k Bin(n, .7)/n] - .7."""
    below = binom.cdf(np.arange(n + 1), n, 0.7) ** k
    best = float((np.arange(n + 1) * np.diff(np.concatenate([[0.0], below]))).sum()) / n
    assert 100 * (best - 0.7) == pytest.approx(gain, abs=0.051)


def test_looking_after_every_case_costs_power_and_saves_cases() -> None:
    """One-sided, discordance .3, +20 points, at most 100 cases: power .92 against .97 for the fixed test, mean stop 49
    cases. No true difference, up to 300 cases: 2.6 % false alarms two-sided, 2.9 % one-sided (handbook, section 11)."""

    def stops(gain: float, most: int, trials: int, *, one_sided: bool) -> Floats:
        rng = np.random.default_rng(11)
        drawn = rng.random((trials, most))
        win, lose = drawn < 0.15 + gain / 2, drawn > 0.85 + gain / 2
        b, m = np.cumsum(win, axis=1), np.cumsum(win | lose, axis=1)
        log = m * math.log(2) + betaln(b + 1, m - b + 1)
        log += math.log(2) + beta.logsf(0.5, b + 1, m - b + 1) if one_sided else 0.0
        enough = log >= math.log(20)
        return np.where(enough.any(axis=1), enough.argmax(axis=1) + 1.0, np.inf)

    found = stops(0.2, 100, 2_000, one_sided=True)
    assert float(np.isfinite(found).mean()) == pytest.approx(0.92, abs=0.02)
    assert float(np.minimum(found, 100).mean()) == pytest.approx(49, abs=2)
    for one_sided, alarms in ((False, 0.026), (True, 0.029)):
        early = stops(0.0, 300, 1_000, one_sided=one_sided)
        assert float(np.isfinite(early).mean()) == pytest.approx(alarms, abs=0.016)
    assert power_mcnemar(100, 0.3, 0.2) == pytest.approx(0.97, abs=0.015)
