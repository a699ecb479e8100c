"""Judges, raters, votes, and the tests that look at several arms or look early: published values and simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import betaln
from scipy.stats import binom, ttest_1samp

from tuneworthy.measure.agreement import (
    agreement,
    cohens_kappa,
    corrected_difference,
    corrected_rate,
    fleiss_kappa,
    prediction_powered_mean,
    votes,
    votes_needed,
)
from tuneworthy.measure.statistics import cochran_q, e_value, equivalence, wilson
from tuneworthy.records import Interval


def limits(interval: Interval | None) -> tuple[float, float]:
    assert interval is not None
    return interval.low, interval.high


# --- several arms, equivalence, looking early ---

NINE_BY_FOUR = [
    [1, 0, 1, 1], [0, 1, 1, 1], [1, 1, 1, 0], [0, 1, 0, 0], [0, 1, 0, 0],
    [1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0],
]  # fmt: skip


def test_cochran_q_of_the_table_in_statsmodels_and_r() -> None:
    found = cochran_q(NINE_BY_FOUR)
    assert found == (pytest.approx(4.2), 3, pytest.approx(0.240662, abs=1e-6))


def test_cochran_q_of_two_arms_is_mcnemars_chi_square() -> None:
    table = [[1, 0]] * 15 + [[0, 1]] * 6 + [[1, 1]] * 20
    assert cochran_q(table).statistic == pytest.approx((15 - 6) ** 2 / 21)


def test_arms_that_never_differ_give_no_evidence_and_graded_scores_are_refused() -> None:
    assert cochran_q([[1, 1, 1], [0, 0, 0]]) == (0.0, 2, 1.0)
    with pytest.raises(ValueError, match="0 and 1"):
        cochran_q([[0.5, 1.0]])


X = (0.8, 0.9, 0.7, 1, 0.6, 0.9, 0.8, 0.7, 0.9, 1)
Y = (0.8, 0.85, 0.75, 1, 0.6, 0.9, 0.8, 0.65, 0.9, 0.95)


def test_tost_oracle_and_statsmodels() -> None:
    from statsmodels.stats.weightstats import ttost_paired

    d = np.subtract(X, Y)
    assert equivalence(d, 0.05) == pytest.approx(0.00155522, abs=1e-8)
    assert equivalence(d, 0.05) == pytest.approx(float(ttost_paired(np.array(X), np.array(Y), -0.05, 0.05)[0]))
    one_sided = ttest_1samp(d, -0.05, alternative="greater").pvalue, ttest_1samp(d, 0.05, alternative="less").pvalue
    assert equivalence(d, 0.05) == pytest.approx(max(one_sided))


def test_tost_of_identical_arms_is_no_proof() -> None:
    assert equivalence(np.zeros(10), 0.05) is None
    assert equivalence([0.1], 0.05) is None
    with pytest.raises(ValueError, match="margin"):
        equivalence(np.subtract(X, Y), 0.0)


@pytest.mark.parametrize(
    ("b", "c", "one_sided", "value"),
    [
        (8, 0, False, 28.444), (7, 0, False, 16), (12, 2, False, 12.003),
        (7, 0, True, 31.875), (6, 0, True, 18.143), (12, 2, True, 23.917), (0, 7, True, 0.125),
    ],
)  # fmt: skip
def test_e_value_oracles(b: int, c: int, one_sided: bool, value: float) -> None:
    assert e_value(b, c, one_sided=one_sided) == pytest.approx(value, abs=6e-4)


def test_e_values_of_many_wins_stay_finite() -> None:
    assert e_value(5_000, 0) == pytest.approx(math.exp(700))


def test_looking_after_every_case_keeps_the_level() -> None:
    """The price of looking that plain repeated tests do not pay: 13 to 21 % there."""
    rng, trials, most = np.random.default_rng(1), 2_000, 90
    wins = np.cumsum(rng.integers(0, 2, (trials, most)), axis=1)
    m = np.arange(1, most + 1)
    log = m * math.log(2) + betaln(wins + 1, m - wins + 1)
    assert math.exp(log[0, 9]) == pytest.approx(e_value(int(wins[0, 9]), 10 - int(wins[0, 9])))
    assert float(np.mean((log >= math.log(20)).any(axis=1))) <= 0.05


# --- kappa ---


def test_kappa_oracles() -> None:
    found = cohens_kappa([[0, 4, 1], [0, 8, 0], [0, 1, 5]])
    assert found is not None
    assert found.value == pytest.approx(0.4842, abs=5e-5)
    assert (found.high - found.value) / 1.959964 == pytest.approx(0.1380, abs=5e-5)
    assert limits(found) == pytest.approx((0.2137, 0.7547), abs=5e-5)
    linear = cohens_kappa([[0, 4, 1], [0, 8, 0], [0, 1, 5]], weights="linear")
    assert linear is not None
    assert linear.value == pytest.approx(0.4701, abs=5e-5)
    assert limits(cohens_kappa([[20, 5], [10, 15]])) == pytest.approx((0.1511, 0.6489), abs=5e-5)


def test_kappa_with_one_label_alone_is_not_a_number_and_so_not_given() -> None:
    assert cohens_kappa([[10, 0], [0, 0]]) is None
    assert cohens_kappa([[10, 5], [0, 0]]) is None


def test_fleiss_kappa_of_thirty_diagnoses() -> None:
    from statsmodels.stats.inter_rater import aggregate_raters
    from statsmodels.stats.tests.test_inter_rater import diagnoses

    assert fleiss_kappa(aggregate_raters(diagnoses)[0]) == pytest.approx(0.4302445, abs=1e-7)
    assert fleiss_kappa([[5, 0], [5, 0]]) is None


def test_high_agreement_with_low_kappa_shows_its_base_rate() -> None:
    pairs = [(False, False)] * 90 + [(False, True)] * 4 + [(True, False)] * 4 + [(True, True)] * 2
    found = agreement(*zip(*pairs, strict=True))  # type: ignore[arg-type]
    assert found.agreement.value == pytest.approx(0.92)
    assert found.kappa is not None
    assert (found.kappa.value, *limits(found.kappa)) == pytest.approx((0.29, -0.07, 0.65), abs=5e-3)
    assert found.base_rate.value == pytest.approx(0.06)
    assert found.sensitivity is not None
    assert found.specificity is not None
    assert (found.sensitivity.value, found.specificity.value) == pytest.approx((2 / 6, 90 / 94))


def test_agreement_where_people_call_nothing_right_has_no_sensitivity() -> None:
    found = agreement([False, False], [True, False])
    assert (found.sensitivity, found.kappa) == (None, None)
    with pytest.raises(ValueError, match="at least one"):
        agreement([], [])


# --- judges corrected ---


@pytest.mark.parametrize(("m", "low", "high"), [(30, 0.6759, 1.0), (100, 0.7124, 0.9676)])
def test_rogan_gladen_oracles(m: int, low: float, high: float) -> None:
    found = corrected_rate(0.78, 100, sensitivity=(0.9, m), specificity=(0.85, m))
    assert found.value == pytest.approx(0.84)
    assert limits(found) == pytest.approx((low, high), abs=5e-5)  # 1.0041 is cut


def test_paired_judge_oracle() -> None:
    found = corrected_difference(0.10, 0.04, sensitivity=(0.9, 100), specificity=(0.85, 100))
    assert (found.value, *limits(found)) == pytest.approx((0.13333, 0.02755, 0.23912), abs=5e-6)


def test_a_judge_no_better_than_chance_is_refused() -> None:
    with pytest.raises(ValueError, match="is no judge"):
        corrected_rate(0.5, 100, sensitivity=(0.5, 50), specificity=(0.5, 50))


def test_the_corrected_interval_holds_the_truth_where_the_naive_one_does_not() -> None:
    rng, trials, n, m, truth, q1, q0 = np.random.default_rng(2), 800, 300, 100, 0.6, 0.9, 0.75
    held = naive = 0
    for _ in range(trials):
        rate = rng.binomial(n, truth * q1 + (1 - truth) * (1 - q0)) / n
        one, two = rng.binomial(m, q1) / m, rng.binomial(m, q0) / m
        found = corrected_rate(rate, n, sensitivity=(one, m), specificity=(two, m))
        held += found.low <= truth <= found.high
        half = 1.96 * math.sqrt(rate * (1 - rate) / n)
        naive += rate - half <= truth <= rate + half
    assert held / trials == pytest.approx(0.95, abs=0.03)
    assert naive / trials < 0.8


HUMAN = (1, 0, 1, 1, 0, 1, 1, 1, 0, 1)
JUDGE = (1, 0, 1, 1, 1, 1, 1, 0, 0, 1)
REST = (1,) * 70 + (0,) * 30


def test_prediction_powered_oracles_of_ppi_py() -> None:
    plain, tuned = (prediction_powered_mean(HUMAN, JUDGE, REST, tuned=choice) for choice in (False, True))
    assert plain.value == tuned.value == pytest.approx(0.70)
    assert limits(plain) == pytest.approx((0.40863, 0.99137), abs=5e-6)
    assert limits(tuned) == pytest.approx((0.45393, 0.94607), abs=5e-6)


def test_a_judge_that_always_says_the_same_adds_nothing() -> None:
    found = prediction_powered_mean(HUMAN, [1] * 10, [1] * 50)
    assert found.value == pytest.approx(0.7)
    assert found.high - found.value == pytest.approx(1.959964 * math.sqrt(0.21 / 10))
    with pytest.raises(ValueError, match="at least two"):
        prediction_powered_mean([1], [1], REST)


# --- blind votes ---


def test_ties_are_reported_and_not_split() -> None:
    found = votes(15, 5, 30)
    assert found.share is not None
    assert (found.share.value, found.ties) == (0.75, 30)
    assert found.p == pytest.approx(2 * binom.cdf(5, 20, 0.5))
    assert votes(0, 0, 9).share is None
    assert votes(0, 0, 9).p == 1.0


def test_several_votes_of_one_rater_count_as_one_opinion() -> None:
    """Twenty votes of two people are two opinions: nothing can be told from them."""
    found = votes(20, 0, 0, raters=["ann"] * 10 + ["bob"] * 10, signs=[1] * 20)
    assert found.p == 0.5
    assert votes(20, 0, 0).p < 0.001
    with pytest.raises(ValueError, match="one sign for each vote"):
        votes(2, 0, 0, raters=["ann", "ann"], signs=[1])


@pytest.mark.parametrize(("share", "needed"), [(0.60, 210), (0.65, 97), (0.70, 54), (0.75, 35), (0.80, 23)])
def test_votes_from_which_power_stays(share: float, needed: int) -> None:
    assert votes_needed(share) == needed


def test_a_preference_that_is_none_is_refused_and_a_small_one_may_be_out_of_reach() -> None:
    assert votes_needed(0.501) is None
    with pytest.raises(ValueError, match="no preference"):
        votes_needed(0.5)


def test_agreement_without_a_single_error_is_not_certain() -> None:
    kappa = cohens_kappa([[15, 0], [0, 15]])
    assert kappa is not None
    assert kappa.value == kappa.high == 1.0
    assert kappa.low == pytest.approx((wilson(30, 30).low - 0.5) / 0.5)


def test_no_error_seen_in_few_labels_still_widens_the_interval() -> None:
    few, many = (corrected_rate(0.8, 10_000, sensitivity=(1.0, m), specificity=(1.0, m)) for m in (20, 2_000))
    assert few.high - few.low > 5 * (many.high - many.low)
    assert few.value == many.value == pytest.approx(0.8)


def test_the_corrected_interval_holds_the_truth_with_few_labels_and_a_good_judge() -> None:
    """Where 30 labels often show no error at all, a plain variance of 0 would lose the truth."""
    rng, trials, n, m, truth, q1, q0 = np.random.default_rng(5), 1_000, 400, 30, 0.7, 0.96, 0.93
    held = 0
    for _ in range(trials):
        rate = rng.binomial(n, truth * q1 + (1 - truth) * (1 - q0)) / n
        found = corrected_rate(
            rate, n, sensitivity=(rng.binomial(m, q1) / m, m), specificity=(rng.binomial(m, q0) / m, m)
        )
        held += found.low <= truth <= found.high
    assert held / trials >= 0.93
