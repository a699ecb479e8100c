"""The whole chain on data whose truth is known: equal arms stay equal, a planted effect is found.

Every trial draws two arms case by case, then goes the product's own way: compare → decide. Error bars are three
standard errors of the number of trials.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from scipy.stats import binom

from tuneworthy.measure.compare import arm_interval, compare
from tuneworthy.measure.statistics import mcnemar_midp, mcnemar_p, power_mcnemar, sign_flip
from tuneworthy.records import Answer, Arm, Candidate, CaseResult, Comparison, LeverResult, Score
from tuneworthy.usecase import Bar
from tuneworthy.verdict import ArmSummary, Evidence, Verdict, decide

N = 100
CASES = [f"c{i:03}" for i in range(N)]
ROWS = {
    value: [
        CaseResult(case=case, answer=Answer(), score=Score(value=value), lenient=Score(value=value)) for case in CASES
    ]
    for value in (0.0, 1.0)
}
NO_CONSTRAINED = (LeverResult(lever="constrained", state="not_applicable"),)


def arms(discordance: float, difference: float, trials: int, seed: int) -> Iterator[tuple[Arm, Arm]]:
    """Two arms per trial: 60 % of the concordant cases right in both, the discordant ones split by `difference`."""
    rng = np.random.default_rng(seed)
    b, c = (discordance + difference) / 2, (discordance - difference) / 2
    for _ in range(trials):
        kind = rng.choice(4, size=N, p=[b, c, 0.6 * (1 - b - c), 0.4 * (1 - b - c)])
        reference, candidate = np.isin(kind, [1, 2]), np.isin(kind, [0, 2])
        yield _arm("prompt", reference), _arm("lora", candidate)


def _arm(name: str, right: np.ndarray) -> Arm:
    rows = tuple(ROWS[float(ok)][i] for i, ok in enumerate(right))
    return Arm(name=name, candidate=Candidate(lever=name, model="m"), cases="lock", results=rows)


def judge(reference: Arm, candidate: Arm, *, bar: float, smallest: float) -> tuple[Comparison, Verdict]:
    compared = compare(reference, candidate, binary=True)
    summaries = tuple(
        ArmSummary(lever=a.name, arm=a.name, trained=a.name == "lora", interval=arm_interval(a, True), n=N)
        for a in (reference, candidate)
    )
    evidence = Evidence(
        bar=Bar(metric="exact", at_least=bar, smallest_difference=smallest),
        n_cases=N,
        arms=summaries,
        comparisons=(compared,),
        not_tried=NO_CONSTRAINED,
    )
    return compared, decide(evidence)


def three_errors(rate: float, trials: int) -> float:
    return 3 * math.sqrt(rate * (1 - rate) / trials)


def test_equal_arms_are_not_tuned_and_differ_at_the_nominal_rate() -> None:
    """The bar lies low enough for half of the arms to meet it, where a false `tune` is easiest."""
    trials, discordance = 1_500, 0.3
    outcomes = [judge(*pair, bar=0.5, smallest=0.05) for pair in arms(discordance, 0.0, trials, seed=1)]
    tuned = sum(verdict.decision == "tune" for _, verdict in outcomes) / trials
    declared = sum(compared.p < 0.05 for compared, _ in outcomes) / trials
    assert tuned <= 0.025 + three_errors(0.025, trials)
    assert declared == pytest.approx(
        power_mcnemar(N, discordance, 0.0), abs=three_errors(0.05, trials)
    )  # the exact size at this discordance, just under .05
    assert declared > 0.03


def test_equal_arms_swapped_at_random_per_case() -> None:
    """Two runs of one model, their answers swapped case by case: the classical A/A trial."""
    rng, trials = np.random.default_rng(2), 1_000
    first, second = next(arms(0.3, 0.0, 1, seed=7))
    x = np.array([row.score.value for row in first.results], dtype=float)
    y = np.array([row.score.value for row in second.results], dtype=float)
    tuned = declared = 0
    for _ in range(trials):
        swap = rng.random(N) < 0.5
        compared, verdict = judge(
            _arm("prompt", np.where(swap, y, x) > 0.5),
            _arm("lora", np.where(swap, x, y) > 0.5),
            bar=0.5,
            smallest=0.05,
        )
        tuned += verdict.decision == "tune"
        declared += compared.p < 0.05
    m = int((x != y).sum())
    size = float(binom.pmf(np.arange(m + 1), m, 0.5) @ (mcnemar_p(np.arange(m + 1), m - np.arange(m + 1)) < 0.05))
    assert tuned / trials <= 0.025 + three_errors(0.025, trials)
    assert declared / trials == pytest.approx(size, abs=three_errors(size, trials))


@pytest.mark.parametrize(("discordance", "difference"), [(0.2, 0.1), (0.3, 0.2)])
def test_a_planted_effect_is_found_at_the_nominal_power(discordance: float, difference: float) -> None:
    trials = 600
    expected = power_mcnemar(N, discordance, difference)
    found = [compare(*pair, binary=True).p < 0.05 for pair in arms(discordance, difference, trials, seed=3)]
    assert np.mean(found) == pytest.approx(expected, abs=three_errors(expected, trials))


def test_a_planted_effect_is_tuned_when_nothing_else_forbids() -> None:
    """Mid-p and Newcombe's limit must both agree, so the rate of `tune` follows the power of both."""
    trials, discordance, difference, bar = 600, 0.2, 0.15, 0.5
    chain = [judge(*pair, bar=bar, smallest=0.05) for pair in arms(discordance, difference, trials, seed=4)]
    sure = [compared.p < 0.05 and compared.difference.low > 0 for compared, _ in chain if compared.difference]
    tuned = [verdict.decision == "tune" for _, verdict in chain]
    cheaper = [verdict.lever == "prompt" for _, verdict in chain]
    expected = power_mcnemar(N, discordance, difference)
    assert np.mean(sure) == pytest.approx(expected, abs=three_errors(expected, trials) + 0.01)
    assert all(s for s, t in zip(sure, tuned, strict=True) if t)
    reaches = [arm_interval_low(pair) >= bar for pair in arms(discordance, difference, trials, seed=4)]
    allowed = [s and r and not c for s, r, c in zip(sure, reaches, cheaper, strict=True)]
    assert tuned == allowed
    assert np.mean(tuned) > 0.3


def arm_interval_low(pair: tuple[Arm, Arm]) -> float:
    interval = arm_interval(pair[1], True)
    assert interval is not None
    return interval.low


def test_midp_by_the_hundred_thousand() -> None:
    """The fast path is the slow path, and its rate at no difference is the enumerated one."""
    rng, trials = np.random.default_rng(5), 200_000
    m = rng.binomial(N, 0.3, trials)
    b = rng.binomial(m, 0.5)
    p = mcnemar_p(b, m - b)
    size = power_mcnemar(N, 0.3, 0.0)
    assert np.mean(p < 0.05) == pytest.approx(size, abs=three_errors(size, trials))
    assert [mcnemar_midp(int(b[i]), int(m[i] - b[i])) for i in range(20)] == pytest.approx(p[:20])


def test_graded_equal_arms_differ_at_the_nominal_rate() -> None:
    rng, trials = np.random.default_rng(6), 400
    grades = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    declared = [sign_flip(rng.choice(grades, 40) - rng.choice(grades, 40), seed=i) < 0.05 for i in range(trials)]
    assert np.mean(declared) == pytest.approx(0.05, abs=three_errors(0.05, trials))


def test_clusters_keep_the_nominal_rate_where_ignoring_them_does_not() -> None:
    """Four near-copies per document: as many rows, a quarter of the evidence."""
    rng, trials, groups = np.random.default_rng(8), 300, np.repeat(np.arange(25), 4)
    draws = [np.repeat(rng.choice([-1.0, 0.0, 1.0], 25), 4) for _ in range(trials)]
    aware = np.mean([sign_flip(d, groups=groups, seed=i) < 0.05 for i, d in enumerate(draws)])
    blind = np.mean([mcnemar_midp(int((d > 0).sum()), int((d < 0).sum())) < 0.05 for d in draws])
    assert aware <= 0.05 + three_errors(0.05, trials)
    assert blind > 0.2
