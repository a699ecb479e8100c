"""Differences that vary with cases and with seeds: the interval covers what it says."""

import numpy as np
import pytest

from tuneworthy.measure.statistics import crossed_interval, paired_t_interval, t_interval


def drawn(rng, seeds, cases, of_seeds, of_cases, left, mean=0.03):
    return (
        mean
        + of_seeds * rng.standard_normal((seeds, 1))
        + of_cases * rng.standard_normal((1, cases))
        + left * rng.standard_normal((seeds, cases))
    )


@pytest.mark.parametrize("spread", [(0.0, 0.3, 0.3), (0.02, 0.3, 0.3), (0.05, 0.1, 0.3)])
@pytest.mark.parametrize("seeds", [3, 6])
def test_it_covers_the_mean_about_as_often_as_it_says(spread, seeds):
    rng = np.random.default_rng(1)
    found = [crossed_interval(drawn(rng, seeds, 150, *spread)) for _ in range(400)]
    hits = np.mean([interval.low <= 0.03 <= interval.high for interval in found])
    assert 0.91 <= hits <= 0.985  # 400 draws: .95 ± .02; with three seeds the degrees of freedom are rough


def test_ignoring_the_seeds_would_cover_too_rarely():
    rng = np.random.default_rng(1)
    rows = [drawn(rng, 3, 150, 0.05, 0.1, 0.3) for _ in range(300)]
    hits = np.mean([(i := t_interval(d.mean(axis=0))).low <= 0.03 <= i.high for d in rows])
    assert hits < 0.75


def test_equal_to_the_t_interval_where_seeds_make_no_difference():
    d = np.random.default_rng(2).standard_normal(80)
    one, two = crossed_interval(np.stack([d, d, d])), t_interval(d)
    assert (one.value, one.low, one.high) == pytest.approx((two.value, two.low, two.high))


def test_one_seed_is_a_paired_interval_and_no_difference_a_bound():
    d = np.array([0.0, 1.0, 0.0, -1.0, 1.0])
    assert crossed_interval(d[None, :]) == paired_t_interval(d)
    assert crossed_interval(np.zeros((3, 50))) == paired_t_interval(np.zeros(50))


def test_differences_that_do_not_vary_have_no_interval():
    assert crossed_interval(np.full((3, 20), 0.1)) is None


def test_cases_of_one_cluster_count_as_one():
    rng = np.random.default_rng(3)
    d = drawn(rng, 3, 60, 0.0, 0.3, 0.1)
    alone = crossed_interval(d)
    groups = [str(n // 2) for n in range(120)]
    twice = crossed_interval(np.repeat(d, 2, axis=1), groups=groups)
    assert (twice.low, twice.high) == pytest.approx((alone.low, alone.high))
    careless = crossed_interval(np.repeat(d, 2, axis=1))
    assert careless.high - careless.low < 0.8 * (alone.high - alone.low)


def test_the_mean_is_over_cases_whatever_the_size_of_their_clusters():
    d = np.random.default_rng(4).standard_normal((3, 30))
    groups = ["big"] * 20 + [str(n) for n in range(10)]
    assert crossed_interval(d, groups=groups).value == pytest.approx(d.mean())
