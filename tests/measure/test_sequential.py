"""Tests that stay valid however often one looks: false alarms are counted with a look after every single pair."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from tuneworthy.measure.sequential import ALPHA, BETS, bet, pairs_until_decided, rate_above
from tuneworthy.measure.statistics import cases_needed, e_value


def first_crossings(draws: np.ndarray, above: float) -> float:
    """Share of runs whose capital ever reaches 20, looked at after every pair."""
    stakes = BETS / (1 + above)
    logs = np.log1p(stakes[:, None, None] * (draws - above)).cumsum(axis=2)
    return float((np.exp(logs).mean(axis=0).max(axis=1) >= 1 / ALPHA).mean())


@pytest.mark.parametrize(("discordance", "above"), [(0.1, 0.0), (0.5, 0.0), (1.0, 0.0), (0.2, -0.05), (0.3, 0.05)])
def test_false_alarms_stay_below_alpha_with_a_look_after_every_pair(discordance, above):
    rng = np.random.default_rng(1)
    win, lose = (discordance + above) / 2, (discordance - above) / 2
    draws = rng.choice([1.0, -1.0, 0.0], p=[win, lose, 1 - win - lose], size=(600, 1500))
    assert first_crossings(draws, above) <= ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / 600)


def test_a_fixed_test_looked_at_after_every_pair_does_not():
    """The reason for all this: p < 0.05 at some moment happens far more often than in one run of twenty."""
    rng = np.random.default_rng(1)
    draws = rng.choice([1.0, -1.0], size=(600, 1500))
    z = np.abs(draws.cumsum(axis=1)) / np.sqrt(np.arange(1, 1501))
    assert (z[:, 20:].max(axis=1) > 1.96).mean() > 0.3


def test_rates_below_the_tolerated_one_raise_no_alarm_and_higher_ones_do():
    rng = np.random.default_rng(2)
    for rate, low, high in ((0.02, 0.0, ALPHA), (0.01, 0.0, ALPHA), (0.10, 0.95, 1.0)):
        events = (rng.random((200, 600)) < rate).cumsum(axis=1)
        ever = [any(rate_above(int(run[n]), n + 1, 0.02) >= 1 / ALPHA for n in range(0, 600, 25)) for run in events]
        assert low <= np.mean(ever) <= high


@given(k=st.integers(0, 30), more=st.integers(0, 60), above=st.floats(0.01, 0.9))
def test_the_closed_form_is_the_integral(k, more, above):
    n = k + more
    value = quad(lambda q: (q / above) ** k * ((1 - q) / (1 - above)) ** (n - k) / (1 - above), above, 1, limit=200)[0]
    assert rate_above(k, n, above) == pytest.approx(value, rel=1e-3)


def test_one_half_is_the_known_sign_test():
    for b, c in ((7, 0), (12, 2), (3, 9)):
        assert rate_above(b, b + c, 0.5) == pytest.approx(e_value(b, c, one_sided=True))


@given(st.lists(st.floats(-1, 1), max_size=40), st.floats(-0.9, 0.9))
def test_evidence_is_a_positive_number_and_order_does_not_matter(differences, above):
    found = bet(differences, above)
    assert 0 <= found < math.inf
    assert bet(differences[::-1], above) == pytest.approx(found)
    assert bet([], above) == pytest.approx(1.0)


@pytest.mark.parametrize(("differences", "above"), [([1.5], 0.0), ([0.1], 1.0), ([float("nan")], 0.0)])
def test_what_is_no_difference_is_refused(differences, above):
    with pytest.raises(ValueError, match="lie in"):
        bet(differences, above)


def test_looking_all_the_time_costs_less_than_four_times_the_pairs():
    fixed = cases_needed(0.2, 0.1)
    needed = pairs_until_decided(0.2, 0.1)
    assert fixed < needed < 4 * fixed
    rng = np.random.default_rng(3)
    draws = rng.choice([1.0, -1.0, 0.0], p=[0.15, 0.05, 0.8], size=(300, needed))
    assert first_crossings(draws, 0.0) == pytest.approx(0.8, abs=0.08)
    with pytest.raises(ValueError, match="not above"):
        pairs_until_decided(0.2, 0.0)
