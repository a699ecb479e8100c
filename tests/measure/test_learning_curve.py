"""Curves whose law is known: the fit finds it, the interval covers it, and flat is called flat."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneworthy.measure import learning_curve as curves
from tuneworthy.measure.learning_curve import FARTHEST, fit, fits, read, resample

SIZES = [100.0, 141.0, 200.0, 283.0, 400.0]


def scores_of(error, *, cases=600, seeds=3, spread=0.0, seed=0, sizes=SIZES):
    """0/1 scores with these errors; a case that is right with few examples stays right with more."""
    rng = np.random.default_rng(seed)
    hardness = rng.random((seeds, cases))
    shift = spread * rng.standard_normal((len(sizes), seeds, 1))
    wanted = np.array([error(n) for n in sizes])[:, None, None]
    return (hardness[None] >= wanted + shift).astype(float)


@pytest.mark.parametrize(("floor", "factor", "exponent"), [(0.1, 2.0, 0.5), (0.0, 1.5, 0.3), (0.05, 30.0, 1.0)])
def test_an_exact_curve_is_found_again(floor, factor, exponent):
    found = fit(SIZES, [floor + factor * n**-exponent for n in SIZES])
    assert found.floor == pytest.approx(floor, abs=0.015)
    assert found.exponent == pytest.approx(exponent, rel=0.12)
    for n in (800, 1600):
        assert found.error(n) == pytest.approx(floor + factor * n**-exponent, abs=0.003)
    error = floor + factor * 1000**-exponent
    assert found.examples(error) == pytest.approx(1000, rel=0.05)


def test_a_flat_curve_is_flat():
    found = fit(SIZES, [0.2] * 5)
    assert found.error(10_000) == pytest.approx(0.2)
    assert found.examples(0.1) == math.inf


def test_a_rising_error_is_never_extrapolated_upwards():
    found = fit(SIZES, [0.1, 0.12, 0.14, 0.16, 0.18])
    assert found.factor == 0
    assert found.error(10_000) == pytest.approx(0.14)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=5, max_size=5), st.sampled_from([0.0, -0.3]))
def test_whatever_the_errors_the_fit_falls_and_stays_a_share(errors, lowest):
    found = fits(SIZES, [errors], lowest=lowest)
    predicted = [found.error(n)[0] for n in (400, 800, 1600)]
    assert all(0 <= p <= 1 for p in predicted)
    assert predicted == sorted(predicted, reverse=True)
    assert found.floor[0] >= lowest
    assert found.factor[0] >= 0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_no_other_curve_of_the_family_is_nearer(errors):
    found = fits(SIZES, [errors])
    n, e = np.array(SIZES), np.array(errors)
    best = ((found.floor[0] + found.factor[0] * n ** -found.exponent[0] - e) ** 2).sum()
    rng = np.random.default_rng(0)
    for c in rng.choice(curves._EXPONENTS, 5):
        floor, factor = rng.random(), rng.random() * n[0] ** c
        assert best <= ((floor + factor * n**-c - e) ** 2).sum() + 1e-9


def test_the_interval_covers_the_true_score_at_twice_the_size():
    def error(n):
        return 0.05 + 3.0 * n**-0.6

    hits = []
    for seed in range(30):
        found = read(SIZES, scores_of(error, seed=seed, cases=300), at_least=0.9, smallest_difference=0.02)
        hits.append(found.forecasts[0].score.low <= 1 - error(800) <= found.forecasts[0].score.high)
    assert sum(hits) >= 26  # of 30 at a nominal .95; 25 and fewer happen once in 300


@pytest.mark.parametrize(
    ("error", "answer"),
    [(lambda n: 0.02 + 5 * n**-0.6, "helps"), (lambda n: 0.2, "flat"), (lambda n: 0.15 + 40 * n**-1.5, "flat")],
    ids=["falling", "flat", "fallen"],
)
def test_the_answer_to_whether_more_examples_help(error, answer):
    found = read(SIZES, scores_of(error, cases=1500), at_least=0.9, smallest_difference=0.03)
    assert found.answer == answer


def test_few_cases_and_noise_leave_it_undecided():
    found = read(
        SIZES, scores_of(lambda n: 0.1 + n**-0.4, cases=40, spread=0.05), at_least=0.9, smallest_difference=0.03
    )
    assert found.answer == "undecided"
    assert found.gain.high > 0.03


def test_how_many_examples_the_bar_takes():
    def error(n):
        return 4.0 * n**-0.5

    found = read(SIZES, scores_of(error, cases=3000), at_least=0.86, smallest_difference=0.02).to_the_bar
    wanted = (4.0 / 0.14) ** 2  # 816
    assert not found.met
    assert found.low <= wanted <= (found.high or math.inf)
    assert found.examples == pytest.approx(wanted, rel=0.35)  # a point; the limits are what counts


@pytest.mark.parametrize("at_least", [0.95, 1.0])
def test_nothing_is_said_beyond_four_times_the_examples(at_least):
    found = read(SIZES, scores_of(lambda n: 0.1 + n**-0.5), at_least=at_least, smallest_difference=0.02)
    assert found.to_the_bar.examples is None
    assert found.to_the_bar.high is None
    assert max(forecast.size for forecast in found.forecasts) == FARTHEST * 400


def test_a_bar_that_is_met_is_called_met():
    assert read(SIZES, scores_of(lambda n: 0.1), at_least=0.85, smallest_difference=0.02).to_the_bar.met


def test_copies_of_cases_are_one_cluster():
    scores = scores_of(lambda n: 0.05 + 3.0 * n**-0.6, cases=150)
    alone = read(SIZES, scores, at_least=0.9, smallest_difference=0.02)
    groups = [str(n // 4) for n in range(600)]
    copied = read(SIZES, np.repeat(scores, 4, axis=2), at_least=0.9, smallest_difference=0.02, groups=groups)
    careless = read(SIZES, np.repeat(scores, 4, axis=2), at_least=0.9, smallest_difference=0.02)

    def width(found):
        return found.points[-1].score.high - found.points[-1].score.low

    assert width(copied) == pytest.approx(width(alone), rel=0.1)
    assert width(careless) < 0.75 * width(alone)


def test_seeds_that_differ_widen_the_interval():
    calm, wild = (scores_of(lambda n: 0.3, cases=1000, seeds=8, spread=spread) for spread in (0.0, 0.1))
    found = [np.ptp(np.quantile(resample(SIZES, s).draws[:, -1], [0.025, 0.975])) for s in (calm, wild)]
    assert found[1] > 1.5 * found[0]


def test_the_same_seed_gives_the_same_curve():
    scores = scores_of(lambda n: 0.1 + n**-0.5)
    one, two = (read(SIZES, scores, at_least=0.9, smallest_difference=0.02, seed=5) for _ in range(2))
    assert one == two


@pytest.mark.parametrize("sizes", [[10, 20], [10, 10, 20], [0, 10, 20]])
def test_too_few_sizes_make_no_curve(sizes):
    with pytest.raises(ValueError, match="three different sizes"):
        fit(sizes, [0.1] * len(sizes))
