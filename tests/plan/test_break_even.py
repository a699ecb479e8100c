import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tuneworthy.plan import break_even as sums
from tuneworthy.plan.break_even import Alternative, break_even
from tuneworthy.plan.records import Figure, Payback, estimate, unknown
from tuneworthy.records import Interval
from tuneworthy.usecase import Value

WORTH = Value(right_answer_eur=0.40, volume_per_month=6_000)


def interval(value: float, low: float, high: float) -> Interval:
    return Interval(value=value, low=low, high=high, level=0.95)


def lever(
    gain: tuple[float, float, float] = (0.20, 0.12, 0.28),
    once: float | Figure = 3_000.0,
    monthly: float | Figure = 100.0,
) -> Alternative:
    once = once if isinstance(once, Figure) else estimate(once, "EUR", "x")
    monthly = monthly if isinstance(monthly, Figure) else estimate(monthly, "EUR/month", "x")
    return Alternative("lora", "prompt", interval(*gain), 200, once, monthly)


def paid(alternative: Alternative) -> Payback:
    return break_even([alternative], WORTH, seed=1).paybacks[0]


def test_against_plain_draws() -> None:
    """The same sum with other random numbers, a million of them."""
    dice = np.random.default_rng(7)
    n = 1_000_000
    worth = dice.triangular(0.32, 0.40, 0.48, n) * dice.triangular(4_800, 6_000, 7_200, n)
    gain = dice.normal(0.20, 0.08 / 1.959964, n)
    net = worth * gain - dice.triangular(50, 100, 300, n)
    months = np.where(net > 0, dice.triangular(2_000, 3_000, 8_000, n) / net, np.inf)
    alternative = lever(
        once=estimate(3_000, "EUR", "x", low=2_000, high=8_000),
        monthly=estimate(100, "EUR/month", "x", low=50, high=300),
    )
    found = paid(alternative)
    expected = np.quantile(months, [0.5, 0.1, 0.9])
    assert [found.months.median, found.months.low, found.months.high] == pytest.approx(list(expected), rel=0.02)
    assert found.never == pytest.approx(float(np.mean(net <= 0)), abs=0.003)
    nets = np.quantile(12 * net - dice.triangular(2_000, 3_000, 8_000, n), [0.5, 0.1, 0.9])
    assert found.net.value == pytest.approx(float(nets[0]), abs=60)


def test_without_monthly_cost_never_is_the_chance_of_no_gain() -> None:
    found = paid(lever((0.03, -0.02, 0.08), monthly=0.0))
    assert found.never == pytest.approx(float(stats.norm.cdf(-0.03 / (0.05 / 1.959964))), abs=1e-3)


def test_an_interval_that_is_not_symmetric_keeps_its_ends() -> None:
    draws = sums._gains(interval(0.10, 0.08, 0.30), stats.norm.ppf(np.linspace(5e-5, 1 - 5e-5, 10_000)))
    assert np.quantile(draws, [0.025, 0.5, 0.975]) == pytest.approx([0.08, 0.10, 0.30], abs=2e-3)


def test_a_sure_gain_without_spread_is_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.40 × 6,000 × 0.20 = 480 a month, less 100: 3,000 are back after 7.9 months; 12 × 380 − 3,000 = 1,560."""
    monkeypatch.setattr(sums, "STATED_SPREAD", 0.0)
    found = paid(lever((0.2, 0.2, 0.2)))
    assert found.months.median == pytest.approx(3_000 / 380)
    assert found.never == 0.0
    assert found.net.value == pytest.approx(1_560)
    assert found.smallest_gain.value == pytest.approx((3_000 / 12 + 100) / 2_400)


def test_a_loss_never_pays() -> None:
    found = paid(lever((-0.2, -0.25, -0.15)))
    assert found.never == 1.0
    assert found.months.median is None
    assert found.months.high is None


def test_what_costs_nothing_pays_at_once() -> None:
    assert paid(lever(once=0.0, monthly=0.0)).months.median == 0.0


def test_a_gain_that_may_be_none_has_no_upper_end() -> None:
    found = paid(lever((0.05, -0.05, 0.15), once=100.0))
    assert found.months.low is not None
    assert found.months.high is None


def test_the_largest_swing_comes_first() -> None:
    found = paid(lever((0.2, -0.2, 0.6)))
    assert found.swings[0].name == "gain in score"
    widths = [abs(swing.at_high - swing.at_low) for swing in found.swings]
    assert widths == sorted(widths, reverse=True)
    assert len(widths) == 5


def test_the_same_seed_gives_the_same_sum() -> None:
    assert paid(lever()) == paid(lever())
    assert paid(lever()) != break_even([lever()], WORTH, seed=2).paybacks[0]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Value(), "value.right_answer_eur"),
        (Value(right_answer_eur=1.0), "value.volume_per_month"),
        (Value(right_answer_eur=1.0, volume_per_month=0), "nothing can be earned"),
        (Value(right_answer_eur=0.0, volume_per_month=10), "nothing can pay"),
    ],
)
def test_without_a_value_the_sum_is_not_done(value: Value, told: str) -> None:
    found = break_even([lever()], value, seed=0)
    assert not found.possible
    assert told in found.why_not
    assert found.paybacks == ()


def test_without_a_measured_difference_the_sum_is_not_done() -> None:
    assert "tuneworthy run" in break_even([], WORTH, seed=0).why_not


def test_a_lever_of_unknown_cost_is_named() -> None:
    dark = Alternative("full", "prompt", interval(0.1, 0.0, 0.2), 100, unknown("EUR", "?"), unknown("EUR/month", "?"))
    found = break_even([dark, lever()], WORTH, seed=0)
    assert [payback.lever for payback in found.paybacks] == ["lora"]
    assert "full" in found.warnings[0]
    assert not break_even([dark], WORTH, seed=0).possible


costs = st.floats(0, 1e7, allow_nan=False)


@st.composite
def figures(draw: st.DrawFn, unit: str) -> Figure:
    low, value, high = sorted(draw(st.tuples(costs, costs, costs)))
    return estimate(value, unit, "x", low=low, high=high)


@settings(deadline=None, max_examples=40)
@given(
    gain=st.lists(st.floats(-1, 1), min_size=3, max_size=3).map(sorted),
    once=figures("EUR"),
    monthly=figures("EUR/month"),
    value=st.floats(1e-6, 1e5),
    volume=st.integers(1, 10**9),
)
def test_any_numbers_give_a_sum(gain, once, monthly, value, volume) -> None:
    alternative = Alternative("lora", "prompt", interval(gain[1], gain[0], gain[2]), 100, once, monthly)
    found = break_even([alternative], Value(right_answer_eur=value, volume_per_month=volume), seed=0).paybacks[0]
    months = [found.months.low, found.months.median, found.months.high]
    known = [month for month in months if month is not None]
    assert known == sorted(known)
    assert months == known + [None] * (3 - len(known))
    assert 0 <= found.never <= 1
