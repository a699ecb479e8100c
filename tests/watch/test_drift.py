"""The tests behind the alarms, held against formulas and enumeration; and the budget of false alarms."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, ks_2samp

from benchmarks.drift import Change, month
from tuneworthy.watch import drift
from tuneworthy.watch.drift import Days, level, psi, shift, values
from tuneworthy.watch.report import feedback_alarm

DAY = date(2026, 3, 2)  # a Monday


def test_the_level_spends_the_budget_over_all_looks():
    assert 90 * 14 * level(14) == pytest.approx(1.0)


def test_psi_of_hand_is_that_of_its_formula():
    one, two = np.array([500.0, 300.0, 200.0]) - 0.5, np.array([400.0, 300.0, 300.0]) - 0.5
    raw = -0.1 * np.log(0.4 / 0.5) + 0.1 * np.log(0.3 / 0.2)  # 0.06286
    assert psi(one, two) == pytest.approx(raw - 2 * (1 / 998.5 + 1 / 998.5), abs=1e-9)


def test_psi_has_its_stated_mean_when_nothing_changed():
    rng = np.random.default_rng(0)
    shares, n, m = np.full(10, 0.1), 1400, 2800
    raw = []
    for _ in range(2000):
        one, two = rng.multinomial(m, shares) + 0.5, rng.multinomial(n, shares) + 0.5
        p, q = one / one.sum(), two / two.sum()
        raw.append(((p - q) * np.log(p / q)).sum())
    assert np.mean(raw) == pytest.approx(9 * (1 / n + 1 / m), rel=0.05)


def test_numbers_are_compared_by_kolmogorov_smirnov():
    rng = np.random.default_rng(1)
    one, two = rng.normal(size=500), rng.normal(0.3, 1, size=200)
    found = shift("x", one, two, alpha=0.001)
    assert found.p == pytest.approx(ks_2samp(one, two, method="exact").pvalue, rel=0.1)
    assert found.told == f"median {np.median(one):.3g} → {np.median(two):.3g}"


def test_what_moves_away_from_a_value_that_most_have_is_seen():
    """As the share of unknown words, which is 0 for most inputs."""
    one, two = np.zeros(500), np.append(np.zeros(60), np.full(40, 0.5))
    found = shift("unknown_words", one, two, alpha=0.001)
    assert found.p < 1e-6
    assert found.psi > 1


def test_few_classes_are_counted_out_and_agree_with_enumeration():
    """4 of 5 against 1 of 95: the limit distribution says 2e-23, the hypergeometric one 2e-5."""
    one, two = values(["a"] * 94 + ["b"]), values(["a"] + ["b"] * 4)
    found = shift("x", one, two, alpha=0.001)
    exact = 95 / (100 * 99 * 98 * 97 * 96 / 120) * 5  # the 5 drawn hold at least 4 of the 5 b: C(5,4)·C(95,1)/C(100,5)
    assert exact < found.p < 0.0005  # 10,000 draws cannot tell less than 1e-4


def test_the_level_of_classes_holds_where_cells_are_small():
    rng = np.random.default_rng(2)
    shares = [0.9, 0.05, 0.02, 0.01, 0.01, 0.01]
    low = 0
    for seed in range(400):
        one, two = (values(map(str, rng.choice(6, n, p=shares))) for n in (400, 60))
        low += shift("x", one, two, alpha=0.02, seed=seed).p <= 0.02
    assert low <= binom.ppf(0.999, 400, 0.02)


def test_a_class_that_was_never_seen_is_found():
    found = shift("language", values(["en"] * 500), values(["en"] * 80 + ["fr"] * 20), alpha=0.001)
    assert found.p < 0.001
    assert found.psi > 0.1
    assert found.told == "'fr' 0.0 % → 20.0 %"


def test_what_comes_with_the_weekend_is_no_alarm():
    def day(n):
        return {
            "length": (np.full(100, 50.0) if (DAY + timedelta(days=n)).weekday() < 5 else np.full(100, 90.0)).tolist()
        }

    reference = Days({DAY + timedelta(days=n): day(n) for n in range(14)})
    days = Days({DAY + timedelta(days=n): day(n) for n in range(14, 28)})
    assert [a for d in list(days.rows)[6:] for a in drift.alarms(reference, days, d, ["length"])] == []
    odd = Days({DAY + timedelta(days=19): day(14)})  # a Saturday like a Monday
    assert drift.alarms(reference, odd, DAY + timedelta(days=19), ["length"])


def test_too_few_answers_are_not_looked_at():
    rows = {"length": [1.0] * 29}
    reference = Days({DAY: {"length": [5.0] * 500}})
    assert (
        drift.looks(reference, Days({DAY + timedelta(days=14): rows}), DAY + timedelta(days=14), ["length"], alpha=0.1)
        == []
    )


def test_fewer_right_answers_are_found_by_fishers_test():
    said = {DAY: (180, 20), DAY + timedelta(days=20): (30, 20)}
    (alarm, _) = feedback_alarm(said, [DAY], DAY + timedelta(days=20), alpha=0.001)
    assert (alarm.told, alarm.worse) == ("right 90.0 % of 200 → 60.0 % of 50", True)
    assert alarm.p == pytest.approx(2.5e-6, rel=0.5)
    assert feedback_alarm({}, [DAY], DAY + timedelta(days=20), alpha=0.001) == []


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ({"mix": 0.8}, "answer"),
        ({"longer": 0.5}, "input_words"),
        ({"vocabulary": 0.1}, "unknown_words"),
        ({"language": 0.3}, "language"),
        ({"vanished": 1.0}, "answer"),
        ({"accuracy": 0.4}, "feedback"),
    ],
)
def test_what_is_planted_strongly_is_found_within_a_week(parts, what):
    found = month(7, Change(**parts), 200.0)
    days = [day for day, name in found if name == what]
    assert 10 <= min(days) <= 16
    assert [day for day, _ in found if day < 10] == []


@pytest.mark.slow
def test_stable_months_keep_the_budget():
    counts = [len(month(seed, Change(), 200.0)) for seed in range(200)]
    assert np.mean(counts) <= 30 / 90


@pytest.mark.slow
def test_texts_that_are_alike_are_told_apart_as_often_as_the_level_says():
    rng = np.random.default_rng(0)
    words = np.array([f"word{n}" for n in range(200)])
    texts = [" ".join(rng.choice(words, 12)) for _ in range(20_000)]
    low = 0
    for seed in range(100):
        drawn = rng.choice(texts, 300, replace=False).tolist()
        low += drift.texts_apart(drawn[:200], drawn[200:], seed=seed)[1] <= 0.05
    assert low <= binom.ppf(0.999, 100, 0.05)


def test_other_texts_are_told_apart():
    old = [f"where is parcel number {n}" for n in range(60)]
    new = [f"the app crashes on screen {n}" for n in range(40)]
    auc, p = drift.texts_apart(old, new)
    assert auc > 0.95
    assert p < 1e-5


VALUE = st.none() | st.floats(-1e9, 1e9) | st.text(max_size=4)


@given(one=st.lists(VALUE, min_size=1, max_size=40), two=st.lists(VALUE, min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_any_two_rows_of_values_give_a_p_and_a_size(one, two):
    held, now = values(one), values(two)
    if min(drift.size(held), drift.size(now)) >= 3:  # `looks` wants thirty
        found = shift("x", held, now, alpha=0.01)
        assert 0 <= found.p <= 1
        assert found.psi >= 0
