"""Parts of the cases, and cases answered more than once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneworthy.errors import NotComparable
from tuneworthy.measure.compare import arm_interval, compare
from tuneworthy.measure.repeats import average, repeated, steadiness
from tuneworthy.measure.slices import slices
from tuneworthy.measure.statistics import wilson
from tuneworthy.records import Answer, Arm, Calibration, Candidate, CaseResult, Interval, Score


def arm(name, values, cases="lock"):
    """Scores by place; None = unscored."""
    scores = [Score(unscored="timeout") if v is None else Score(value=v) for v in values]
    results = tuple(CaseResult(case=f"c{i:03}", answer=Answer(), score=s, lenient=s) for i, s in enumerate(scores))
    return Arm(name=name, candidate=Candidate(lever="prompt", model="m"), cases=cases, results=results)


# --- slices ---

TAGS = {f"c{i:03}": ("german",) if i < 60 else ("french", "short") if i < 120 else ("rare",) for i in range(130)}
PROMPT = arm("prompt", [0.0] * 30 + [1.0] * 100)
LORA = arm("lora", [1.0] * 60 + [0.0] * 30 + [1.0] * 40)


def by_tag(**settings):
    return {part.tag: part for part in slices(PROMPT, LORA, TAGS, binary=True, **settings)}


def test_a_part_that_loses_is_found_where_the_whole_gains_nothing():
    found = by_tag()
    assert list(found) == ["french", "german", "rare", "short"]
    assert (found["french"].worse, found["german"].worse, found["rare"].worse) == (True, False, False)
    assert found["french"].difference.high < 0 < found["german"].difference.low
    assert compare(PROMPT, LORA, binary=True).difference.value == 0


def test_a_small_part_is_not_measured_well_enough_and_never_said_to_be_fine():
    rare = by_tag()["rare"]
    assert (rare.n, rare.enough, rare.worse) == (10, False, False)


def test_parts_are_corrected_together():
    found = by_tag()
    assert all(part.p_adjusted >= part.p for part in found.values())
    assert found["french"].p_adjusted == pytest.approx(found["french"].p * 4)


def test_a_part_has_the_numbers_of_its_cases_alone():
    alone = arm_interval(arm("lora", [1.0] * 60), True)
    assert by_tag()["german"].candidate_score == alone


def test_a_tag_of_one_case_and_no_tags_make_no_part():
    assert slices(PROMPT, LORA, {"c000": ("alone",)}, binary=True) == ()
    assert slices(PROMPT, LORA, {}, binary=True) == ()


def test_no_loss_is_seen_where_there_is_none_in_19_of_20_projects():
    """Ten tags, no true difference: some part is called worse in about 5 % of the projects, or fewer."""
    rng, tags = np.random.default_rng(8), {f"c{i:03}": (f"t{i % 10}",) for i in range(300)}
    found = 0
    for _ in range(60):
        base = rng.random(300) < 0.7
        other = np.where(rng.random(300) < 0.25, rng.random(300) < 0.7, base)
        parts = slices(arm("a", base * 1.0), arm("b", other * 1.0), tags, binary=True)
        found += any(part.worse for part in parts)
    assert found / 60 <= 0.07


# --- repeats ---


def test_a_case_counts_once_with_the_mean_of_its_scored_repeats():
    one, two, three = arm("x", [1, 0, None, None]), arm("x", [0, 0, 1, None]), arm("x", [1, None, None, None])
    found = average([one, two, three])
    assert found.scores() == {"c000": pytest.approx(2 / 3), "c001": 0, "c002": 1}
    assert found.unscored == {"c003": "timeout"}
    assert len(found.results) == 4


def test_repeats_as_cases_of_their_own_would_be_refused():
    single = arm("x", [1, 0])
    doubled = single.model_copy(update={"results": single.results * 2})
    with pytest.raises(NotComparable, match="average the repeats"):
        compare(doubled, doubled, binary=True)


def test_repeats_on_other_cases_are_refused():
    with pytest.raises(NotComparable, match="same cases"):
        average([arm("x", [1, 0]), arm("x", [1])])
    with pytest.raises(NotComparable, match="same cases"):
        average([])


def test_noise_within_and_between_cases_are_told_apart():
    """Known truth: Var(mean over K) = between² + within²/K (Miller, arXiv 2411.00640)."""
    rng = np.random.default_rng(2)
    true = rng.uniform(0.3, 0.7, 4_000)
    runs = [arm("x", np.clip(true + rng.normal(0, 0.1, 4_000), 0, 1)) for _ in range(4)]
    found = steadiness(runs)
    assert found.within == pytest.approx(0.1, rel=0.05)
    assert found.between == pytest.approx(true.std(), rel=0.05)
    spread = np.var(list(average(runs).scores().values()))
    assert spread == pytest.approx(found.between**2 + found.within**2 / 4, rel=0.05)


def test_pass_at_k_and_pass_every_time():
    runs = [arm("x", [1, 0, 0, 1]), arm("x", [1, 1, 0, 1]), arm("x", [1, 0, 0, None])]
    found = steadiness(runs)
    assert (found.cases, found.ever, found.always, found.unsteady) == (4, 0.75, 0.5, ("c001",))
    assert steadiness(runs[:1]) is None


def asked(rng, true, name, repeats):
    """An arm asked several times: each answer right with the probability of its case."""
    return [arm(name, (rng.random(true.size) < true) * 1.0) for _ in range(repeats)]


def told(reference, candidate, **settings):
    measured = compare(reference[0], candidate[0], binary=True)
    return repeated(reference, candidate, measured, binary=True, right=1.0, smallest=0.05, **settings)


def test_the_interval_with_repeats_holds_the_truth_and_answers_counted_as_cases_do_not():
    """400 suites of 40 cases asked 8 times; cases differ in how often they are answered rightly (Beta(.5, .5))."""
    rng, covered, naive = np.random.default_rng(3), 0, 0
    for _ in range(400):
        right = rng.binomial(8, rng.beta(0.5, 0.5, 40))
        mean = arm_interval(arm("x", right / 8), False)
        covered += mean.low <= 0.5 <= mean.high
        pooled = wilson(right.sum(), 320)
        naive += pooled.low <= 0.5 <= pooled.high
    assert covered / 400 == pytest.approx(0.95, abs=0.03)
    assert naive / 400 < 0.75


def test_noise_within_cases_and_the_cases_it_costs_are_those_of_a_known_truth():
    """Differences between cases of .1 ± .2, and binomial noise within each of both arms (Miller's formula)."""
    rng = np.random.default_rng(4)
    true = 0.45 + rng.choice([-0.15, 0.15], 4_000)
    better = true + 0.1 + rng.choice([-0.2, 0.2], 4_000)
    found = told(asked(rng, true, "a", 4), asked(rng, better, "b", 4))
    assert found.comparison.difference.value == pytest.approx(0.1, abs=0.02)
    within = [(p * (1 - p)).mean() for p in (true, better)]
    steady = [found.reference.steadiness.within**2, found.candidate.steadiness.within**2]
    assert steady == pytest.approx(within, rel=0.03)
    between = np.var(better - true)
    assert found.noise == pytest.approx(sum(within) / 4 / (between + sum(within) / 4), rel=0.05)
    for cases, repeats in ((found.cases_once, 1), (found.cases_repeated, 4)):
        wanted = (1.959964 + 0.841621) ** 2 * (between + sum(within) / repeats) / 0.05**2
        assert cases == pytest.approx(wanted, rel=0.05)


def test_repeats_that_never_change_cost_nothing_and_change_nothing():
    one, two = [arm("a", [1, 0, 1, 1] * 10)] * 3, [arm("b", [1, 1, 1, 0] * 10)] * 3
    found = told(one, two)
    assert (found.noise, found.cases_once) == (0.0, found.cases_repeated)
    assert found.reference.mean == found.reference.once
    assert found.reference.flipping.value == 0 < found.reference.flipping.high
    same = told(one, one)
    assert (same.noise, same.cases_once) == (None, None)


def test_the_cases_that_a_judge_takes_are_those_of_the_smaller_difference_that_it_sees():
    """Right about nine of ten right answers and eight of ten wrong ones, it sees .7 of a difference between people."""
    rng = np.random.default_rng(6)
    arms = asked(rng, np.full(200, 0.4), "a", 3), asked(rng, np.full(200, 0.6), "b", 3)
    plain, steady = told(*arms), {"low": 0.0, "high": 1.0}
    judge = Calibration.model_construct(
        n=100, right=50, sensitivity=Interval(value=0.9, **steady), specificity=Interval(value=0.8, **steady)
    )
    found = told(*arms, judge=judge)
    assert found.cases_once == pytest.approx(plain.cases_once / 0.7**2, rel=0.01)
    assert found.cases_repeated == pytest.approx(plain.cases_repeated / 0.7**2, rel=0.01)
    assert found.noise == plain.noise


def test_swapping_the_arms_mirrors_everything():
    rng = np.random.default_rng(5)
    one, two = asked(rng, np.full(50, 0.4), "a", 3), asked(rng, np.full(50, 0.6), "b", 3)
    there, back = told(one, two), told(two, one)
    assert there.comparison.difference.value == pytest.approx(-back.comparison.difference.value)
    assert there.comparison.p == back.comparison.p
    assert there.noise == pytest.approx(back.noise)
    assert (there.reference, there.candidate) == (back.candidate, back.reference)


def test_an_arm_that_was_never_scored_twice_is_not_measured():
    none = [arm("a", [None, 1.0]), arm("a", [None, None])]
    found = told(none, none)
    assert (found.reference.steadiness, found.reference.flipping, found.noise) == (None, None, None)


@given(st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0, None]), min_size=3, max_size=3), min_size=1, max_size=5))
def test_any_repeats_give_scores_between_their_extremes(rows):
    found = average([arm("x", row) for row in rows]).scores()
    for place, case in enumerate(("c000", "c001", "c002")):
        seen = [row[place] for row in rows if row[place] is not None]
        assert (case in found) == bool(seen)
        if seen:
            assert min(seen) <= found[case] <= max(seen)
