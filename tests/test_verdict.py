"""The verdict rule as a table, and the guards around it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneworthy.evidence import Facts, Wordings, cases_for_bar
from tuneworthy.measure.compare import GainSplit
from tuneworthy.measure.diagnose import Diagnosis, Share
from tuneworthy.measure.probes import Probes
from tuneworthy.measure.slices import Slice
from tuneworthy.measure.statistics import (
    cases_needed,
    mcnemar_exact,
    mcnemar_midp,
    newcombe_paired,
    paired_t_interval,
    sign_flip,
    wilson,
)
from tuneworthy.records import Comparison, Interval, LeverResult
from tuneworthy.usecase import Bar
from tuneworthy.verdict import ArmSummary, Evidence, Retention, Verdict, decide

BAR = Bar(metric="exact", at_least=0.8, smallest_difference=0.05)
N = 200


def arm(lever: str, right: int | None, n: int = N, **more: Any) -> ArmSummary:
    trained = lever in ("lora", "rag_lora", "full")
    interval = None if right is None else wilson(right, n)
    return ArmSummary(
        lever=lever, arm=lever, trained=trained, interval=interval, n=n if right is not None else 0, **more
    )


def contest(reference: str, candidate: str, a: int, b: int, c: int, d: int, **change: Any) -> Comparison:
    n = a + b + c + d
    fields: dict[str, Any] = {
        "difference": newcombe_paired(a, b, c, d),
        "p": mcnemar_midp(b, c),
        "p_exact": mcnemar_exact(b, c),
        "test": "mid-p McNemar",
        "dropped": 0,
        "worst_case": (b - c) / n,
        **change,
    }
    return Comparison(reference=reference, candidate=candidate, n=n, wins=b, losses=c, **fields)


def split(content: float, total: float, candidate: str = "lora", low: float | None = None) -> GainSplit:
    limits = Interval(value=content, low=content - 0.04 if low is None else low, high=content + 0.04)
    return GainSplit(
        reference="few_shot",
        candidate=candidate,
        n=N,
        total=total,
        format=total - content,
        content=content,
        format_interval=None,
        content_interval=limits,
    )


PROMPT, FEW_SHOT = arm("prompt", 100), arm("few_shot", 140)
LORA = arm("lora", 180, seeds=(0.9, 0.88, 0.89))
GAIN = contest("few_shot", "lora", 130, 50, 10, 10)
GOOD: dict[str, Any] = {
    "bar": BAR,
    "n_cases": N,
    "arms": (PROMPT, FEW_SHOT, LORA),
    "comparisons": (GAIN,),
    "splits": (split(0.2, 0.2),),
    "retention": Retention(interval=Interval(value=0.0, low=-0.01, high=0.01, level=0.9), n=400, margin=0.03),
}
NO_CONSTRAINED = (LeverResult(lever="constrained", state="not_applicable"),)
NOT_TRAINED = (LeverResult(lever="lora", state="not_tried", reason="the data gate failed"),)
UNCLEAR_GAIN = contest("few_shot", "lora", 125, 25, 15, 35)
UNCLEAR_LORA = arm("lora", 150)

TABLE: list[tuple[str, dict[str, Any], str, str | None, str]] = [
    # (what, change of GOOD, decision, lever, said)
    ("the gain is large and sure", {}, "tune", "lora", "Fine-tune: lora reaches the bar"),
    ("nothing was measured", {"arms": (), "comparisons": ()}, "undecided", None, "no arm has a score"),
    ("nothing was scored", {"arms": (arm("prompt", None),)}, "undecided", None, "no arm has a score"),
    ("too much is unscored", {"unscored_problem": "lora: 9 of 200"}, "undecided", None, "lora: 9 of 200"),
    ("29 cases", {"n_cases": 29}, "undecided", None, "29 cases, fewer than 30"),
    # --- a lever without training meets the bar
    ("prompt meets it", {"arms": (arm("prompt", 190), FEW_SHOT, LORA)}, "do_not_tune", "prompt", "prompt reaches"),
    ("the dearer one meets it", {"arms": (PROMPT, arm("few_shot", 190), LORA)}, "do_not_tune", "few_shot", "few_shot"),
    (
        "the cheapest of two, by rank",
        {"arms": (arm("few_shot", 190, cost_rank=2), arm("classifier", 185, cost_rank=1))},
        "do_not_tune",
        "classifier",
        "few_shot would do as well",
    ),
    (
        "constrained meets it and the gain is format",
        {"arms": (PROMPT, arm("constrained", 178), LORA), "splits": (split(0.0, 0.2),)},
        "do_not_tune",
        "constrained",
        "constrained reaches the bar",
    ),
    # --- nothing was trained
    (
        "training was not possible",
        {"arms": (PROMPT, FEW_SHOT), "comparisons": (), "not_tried": NOT_TRAINED},
        "undecided",
        None,
        "training did not happen: lora not tried (the data gate failed)",
    ),
    (
        "a gate failed",
        {"arms": (PROMPT, FEW_SHOT), "comparisons": (), "gates": {"data": "failed"}},
        "undecided",
        None,
        "the gate data failed",
    ),
    (
        "an untrained lever is near the bar",
        {"arms": (PROMPT, arm("few_shot", 168)), "comparisons": ()},
        "undecided",
        None,
        "whether few_shot meets the bar",
    ),
    # --- trained, and not worth it
    ("no answer changed", {"identical": ("lora",)}, "undecided", None, "the adapter is not effective"),
    (
        "nothing reaches the bar",
        {"arms": (PROMPT, FEW_SHOT, arm("lora", 144))},
        "do_not_tune",
        None,
        "the closest, lora scores 72.0 %",
    ),
    (
        "a gain that pays is excluded",
        {
            "arms": (PROMPT, arm("few_shot", 164), arm("lora", 164)),
            "comparisons": (contest("few_shot", "lora", 160, 4, 4, 32),),
        },
        "do_not_tune",
        None,
        "lora gains too little over few_shot",
    ),
    # --- open
    (
        "not registered",
        {"comparisons": (GAIN.model_copy(update={"registered": False}),)},
        "undecided",
        None,
        "exploratory",
    ),
    ("not compared", {"comparisons": ()}, "undecided", None, "was not compared"),
    (
        "compared with a trained arm only",
        {"comparisons": (contest("rag_lora", "lora", 130, 50, 10, 10),)},
        "undecided",
        None,
        "was not compared",
    ),
    (
        "the gain is not sure",
        {"arms": (PROMPT, FEW_SHOT, UNCLEAR_LORA), "comparisons": (UNCLEAR_GAIN,)},
        "undecided",
        None,
        "a gain is not told from none",
    ),
    (
        "Holm takes it away",
        {"comparisons": (GAIN.model_copy(update={"p_adjusted": 0.07}),)},
        "undecided",
        None,
        "p = 0.070",
    ),
    ("no interval", {"comparisons": (GAIN.model_copy(update={"difference": None}),)}, "undecided", None, "no spread"),
    (
        "sure but small",
        {"bar": BAR.model_copy(update={"smallest_difference": 0.25})},
        "undecided",
        None,
        "below 25.0 points",
    ),
    ("the bar is unclear", {"arms": (PROMPT, FEW_SHOT, arm("lora", 165))}, "undecided", None, "may or may not meet"),
    (
        "trained misses, untrained unclear",
        {"arms": (PROMPT, arm("few_shot", 152), arm("lora", 140))},
        "undecided",
        None,
        "lora scores 70.0 % (63.3 to 75.9, n = 200) misses the bar",
    ),
    (
        "the worst seed falls behind",
        {"arms": (PROMPT, FEW_SHOT, arm("lora", 180, seeds=(0.9, 0.69)))},
        "undecided",
        None,
        "worst seed scores 69.0 %",
    ),
    (
        "the worst seed falls behind on dev",
        {"arms": (PROMPT, arm("few_shot", 140, dev_score=0.75), arm("lora", 180, seeds=(0.9, 0.74), seeds_on="dev"))},
        "undecided",
        None,
        "development split",
    ),
    (
        "other abilities suffer",
        {"retention": Retention(interval=Interval(value=-0.05, low=-0.08, high=-0.02), n=300, margin=0.03)},
        "undecided",
        None,
        "a loss of 3.0 points is not excluded",
    ),
    (
        "other abilities are told only",
        {"retention": Retention(interval=Interval(value=-0.05, low=-0.08, high=-0.02), n=300)},
        "tune",
        "lora",
        "lora",
    ),
    (
        "a loss that is not excluded is told where it is not demanded",
        {"retention": Retention(interval=Interval(value=-0.12, low=-0.15, high=-0.1), n=420, tested=0.05, p=1.0)},
        "tune",
        "lora",
        "other abilities: -12.0 points (down to -15.0 points, n = 420), told and not demanded",
    ),
    (
        "other abilities are demanded and were not measured",
        {"retention": None, "bar": BAR.model_copy(update={"largest_loss": 0.05})},
        "undecided",
        None,
        "other abilities were not measured",
    ),
    (
        "the user's own probe suffers",
        {
            "probes": Probes(
                files={"law.jsonl": Retention(interval=Interval(value=-0.1, low=-0.15, high=0.0), n=90, margin=0.05)}
            )
        },
        "undecided",
        None,
        "law.jsonl: -10.0 points (down to -15.0 points, n = 90); a loss of 5.0 points is not excluded",
    ),
    (
        "unscored cases could undo it",
        {"comparisons": (contest("few_shot", "lora", 130, 50, 10, 10, dropped=4, worst_case=0.04),)},
        "undecided",
        None,
        "4 unscored cases could undo",
    ),
    (
        "unscored cases change little",
        {"comparisons": (contest("few_shot", "lora", 130, 50, 10, 10, dropped=2, worst_case=0.18),)},
        "tune",
        "lora",
        "lora",
    ),
    ("a gate failed all the same", {"gates": {"data": "failed"}}, "undecided", None, "the gate data failed"),
    (
        "the gate was overridden",
        {"gates": {"data": "failed"}, "overrides": {"data": "we know these rows well"}},
        "tune",
        "lora",
        "we know these rows well",
    ),
    # --- traps
    (
        "the gain is not there on development cases",
        {"arms": (PROMPT, arm("few_shot", 140, dev_score=0.7), arm("lora", 180, seeds=(0.9, 0.9), dev_score=0.72))},
        "undecided",
        None,
        "on the development split lora gains only +2.0 points over few_shot",
    ),
    (
        "the bar is not reached on development cases",
        {"arms": (PROMPT, arm("few_shot", 140, dev_score=0.6), arm("lora", 180, seeds=(0.9, 0.9), dev_score=0.72))},
        "undecided",
        None,
        "on the development split lora scores 72.0 %, below the bar",
    ),
    (
        "half of the smallest difference is there",
        {"arms": (PROMPT, arm("few_shot", 140, dev_score=0.8), arm("lora", 180, seeds=(0.9, 0.9), dev_score=0.83))},
        "tune",
        "lora",
        "lora",
    ),
    (
        "one seed",
        {"arms": (PROMPT, FEW_SHOT, arm("lora", 180, seeds=(0.9,)))},
        "undecided",
        None,
        "luck is not excluded",
    ),
    (
        "few-shot failed, so the reference is a straw man",
        {
            "arms": (PROMPT, LORA),
            "comparisons": (contest("prompt", "lora", 90, 90, 10, 10),),
            "splits": (split(0.4, 0.4),),
            "not_tried": (LeverResult(lever="few_shot", state="failed", reason="timeout"),),
        },
        "undecided",
        None,
        "few_shot was not measured (timeout): the reference may be a straw man",
    ),
    (
        "few-shot does not apply",
        {
            "arms": (PROMPT, LORA),
            "comparisons": (contest("prompt", "lora", 90, 90, 10, 10),),
            "splits": (split(0.4, 0.4),),
            "not_tried": (LeverResult(lever="few_shot", state="not_applicable"),),
        },
        "tune",
        "lora",
        "lora",
    ),
    (
        "a wording moves as much",
        {"wordings": Wordings(scores=(0.4, 0.62, 0.5), n=80)},
        "undecided",
        None,
        "wording alone moves the prompt from 40.0 % to 62.0 %",
    ),
    ("a wording moves less", {"wordings": Wordings(scores=(0.4, 0.59, 0.5), n=80)}, "tune", "lora", "lora"),
    (
        "the extremes of many wordings differ by chance",
        {"wordings": Wordings(scores=(0.4, 0.62, *[0.5] * 8), n=80)},
        "tune",
        "lora",
        "lora",
    ),
    ("wordings differ by chance", {"wordings": Wordings(scores=(0.4, 0.65), n=20)}, "tune", "lora", "lora"),
    (
        "wrong labels could be the gain",
        {"wrong_labels": wilson(8, 100)},
        "undecided",
        None,
        "8.0 % of the expected outputs are wrong (4.1 % to 15.0 %)",
    ),
    ("few labels are wrong", {"wrong_labels": wilson(2, 100)}, "tune", "lora", "lora"),
    (
        "no lever can reach the bar",
        {"arms": (arm("prompt", 20), arm("lora", 140)), "wrong_labels": wilson(25, 100)},
        "undecided",
        None,
        "25.0 % of the expected outputs are wrong, so no lever can reach the bar",
    ),
    ("facts in the outputs", {"facts": 0.4}, "undecided", None, "knowledge belongs into retrieval"),
    ("few facts", {"facts": 0.2}, "tune", "lora", "lora"),
    (
        "facts that are none",
        {"facts": 0.4, "overrides": {"data": "the figures are sums of the input"}},
        "tune",
        "lora",
        "lora",
    ),
    (
        "facts with their passages",
        {
            "arms": (PROMPT, arm("rag", 140), arm("rag_lora", 180, seeds=(0.9, 0.88))),
            "comparisons": (contest("rag", "rag_lora", 130, 50, 10, 10),),
            "splits": (split(0.2, 0.2, "rag_lora"),),
            "facts": 0.9,
        },
        "tune",
        "rag_lora",
        "rag_lora",
    ),
    # --- format and content
    ("format alone", {"splits": (split(0.02, 0.2),)}, "undecided", None, "measure constrained decoding"),
    ("content not told from none", {"splits": (split(0.06, 0.2, low=-0.01),)}, "undecided", None, "format alone needs"),
    ("not split", {"splits": ()}, "undecided", None, "was not split"),
    (
        "format alone, nothing to constrain",
        {"splits": (split(0.02, 0.2),), "not_tried": NO_CONSTRAINED},
        "tune",
        "lora",
        "lora",
    ),
    (
        "format alone, constrained as good",
        {"arms": (PROMPT, FEW_SHOT, arm("constrained", 171), LORA), "splits": (split(0.02, 0.2),)},
        "undecided",
        None,
        "gives the same without training",
    ),
    (
        "format alone, constrained far behind",
        {"arms": (PROMPT, FEW_SHOT, arm("constrained", 120), LORA), "splits": (split(0.02, 0.2),)},
        "tune",
        "lora",
        "lora",
    ),
    (
        "a rival that was not the reference",
        {"arms": (PROMPT, FEW_SHOT, arm("rag", 171), LORA)},
        "undecided",
        None,
        "register rag as the reference",
    ),
]


DIAGNOSIS = Diagnosis(
    cases=60,
    failed=40,
    passes_at=1.0,
    shares=(Share(cause="knowledge", cases=25, share=wilson(25, 40), points_to="retrieval"),),
)


def test_no_lever_reaching_the_bar_is_explained_by_measured_shares_alone() -> None:
    none = {**GOOD, "arms": (arm("prompt", 20), arm("lora", 40))}
    without, explained = decide(Evidence(**none)), decide(Evidence(**none, diagnosis=DIAGNOSIS))
    assert without.sentences[0].endswith("Why the base fails was not measured.")
    assert "Why the base fails, of 40 failed development cases: knowledge 62 % (47 to 76)." in explained.sentences[0]
    assert (explained.decision, explained.reasons) == (without.decision, without.reasons)


def said(verdict: Verdict) -> str:
    return " | ".join(verdict.sentences)


@pytest.mark.parametrize(
    ("change", "decision", "lever", "words"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_table(change: dict[str, Any], decision: str, lever: str | None, words: str) -> None:
    verdict = decide(Evidence(**{**GOOD, **change}))
    assert (verdict.decision, verdict.lever) == (decision, lever), said(verdict)
    assert words in said(verdict)
    assert verdict.bar_met == (lever is not None)
    assert all(sentence.strip(". ") for sentence in verdict.sentences)
    assert (decision == "undecided") == bool(verdict.settles)


# --- how many more cases ---


def test_too_few_cases_names_thirty_and_the_number_that_power_needs() -> None:
    verdict = decide(Evidence(bar=BAR, n_cases=20, arms=(arm("prompt", 10, 20),), discordance=0.1))
    needed = cases_needed(0.1, 0.05)
    assert needed == 305
    assert "30 cases open the gate; 305 find a difference of 5.0 points" in verdict.settles
    assert verdict.more_cases == 305 - 20


def test_an_assumed_discordance_says_so() -> None:
    verdict = decide(Evidence(bar=BAR, n_cases=20, arms=(arm("prompt", 10, 20),)))
    assert "differ on 20 % of the cases (an assumption)" in verdict.settles


def test_undecided_counts_the_cases_that_power_needs_at_the_observed_discordance() -> None:
    few = contest("few_shot", "lora", 20, 8, 4, 8)
    arms = (arm("few_shot", 24, 40), arm("lora", 28, 40))
    verdict = decide(Evidence(**{**GOOD, "n_cases": 40, "arms": arms, "comparisons": (few,)}))
    for_power = cases_needed(12 / 40, 0.05) - 40
    bar_at = math.ceil(1.959964**2 * 0.8 * 0.2 / 0.1**2) - 40
    assert verdict.more_cases == max(for_power, bar_at) == for_power


def test_undecided_counts_the_cases_that_the_bar_needs() -> None:
    verdict = decide(Evidence(**{**GOOD, "arms": (PROMPT, FEW_SHOT, arm("lora", 165))}))
    more = verdict.more_cases
    assert more is not None
    cases = N + more
    assert wilson(0.825 * cases, cases).low >= 0.8 > wilson(0.825 * (cases - 1), cases - 1).low
    assert f"{more} more cases" in verdict.sentences[0]


def test_a_rate_on_the_bar_is_not_a_matter_of_cases() -> None:
    verdict = decide(Evidence(**{**GOOD, "arms": (PROMPT, FEW_SHOT, arm("lora", 160))}))
    assert (verdict.decision, verdict.more_cases) == ("undecided", None)
    assert "no number of cases" in verdict.settles


def test_more_cases_than_power_needs_when_the_gain_is_between_the_limits() -> None:
    """Past the planned number the answer comes from the width of this interval."""
    big = contest("few_shot", "lora", 1500, 130, 60, 310)
    arms = (arm("few_shot", 1560, 2000), arm("lora", 1660, 2000))
    bar = BAR.model_copy(update={"smallest_difference": 0.04})
    verdict = decide(
        Evidence(**{**GOOD, "bar": bar, "n_cases": 2000, "arms": arms, "comparisons": (big,), "splits": ()})
    )
    assert cases_needed(0.095, 0.04) < 2000
    assert verdict.decision == "undecided"
    assert verdict.more_cases is not None
    assert verdict.more_cases > 0


def test_graded_scores_count_cases_by_their_spread() -> None:
    d = [0.3, -0.2, 0.0, 0.1] * 15
    interval = paired_t_interval(d)
    graded = contest("few_shot", "lora", 30, 15, 15, 0, difference=interval, p=sign_flip(d), p_exact=None)
    middle = Interval(value=0.81, low=0.7, high=0.9, method="t")
    arms = tuple(ArmSummary(lever=x, arm=x, trained=x == "lora", interval=middle, n=60) for x in ("few_shot", "lora"))
    verdict = decide(Evidence(**{**GOOD, "n_cases": 60, "arms": arms, "comparisons": (graded,)}))
    assert verdict.decision == "undecided"
    # the bar: a half width of .11 must shrink to .01
    assert verdict.more_cases == math.ceil(60 * (0.11 / 0.01) ** 2 - 1e-6) - 60


# --- guards ---


@pytest.mark.parametrize(("reference", "decision"), [("few_shot", "undecided"), ("prompt", "tune")])
def test_a_part_of_the_suite_that_loses_in_the_deciding_comparison_forbids_training(
    reference: str, decision: str
) -> None:
    part = Slice(
        tag="german",
        reference=reference,
        candidate="lora",
        n=40,
        reference_score=None,
        candidate_score=None,
        difference=Interval(value=-0.2, low=-0.3, high=-0.1),
        p=0.001,
        p_adjusted=0.004,
        enough=True,
        worse=True,
    )
    verdict = decide(Evidence(**{**GOOD, "slices": (part,)}))
    assert verdict.decision == decision
    assert ("on the cases tagged german (n = 40) training loses" in said(verdict)) == (decision == "undecided")


def test_without_measurements_it_is_always_undecided() -> None:
    for change in ({"arms": ()}, {"arms": (), "comparisons": (), "splits": ()}):
        verdict = decide(Evidence(**{**GOOD, **change}))
        assert (verdict.decision, verdict.lever, verdict.bar_met) == ("undecided", None, False)
        assert verdict.not_measured == ("any lever",)


def test_an_untrained_ladder_says_that_training_was_not_measured() -> None:
    assert "a trained lever" in decide(Evidence(**{**GOOD, "arms": (arm("prompt", 190),)})).not_measured


@pytest.mark.parametrize("missing", ["arms", "comparisons", "splits"])
def test_tune_needs_every_measurement(missing: str) -> None:
    assert decide(Evidence(**GOOD)).decision == "tune"
    assert decide(Evidence(**{**GOOD, missing: ()})).decision == "undecided"


def test_an_effective_adapter_is_preferred_to_one_without_effect() -> None:
    verdict = decide(
        Evidence(**{**GOOD, "arms": (PROMPT, FEW_SHOT, arm("rag_lora", 190), LORA), "identical": ("rag_lora",)})
    )
    assert (verdict.decision, verdict.lever) == ("tune", "lora")
    assert "rag_lora: its adapter was not in effect" in verdict.not_measured


def test_a_registered_arm_decides_before_a_better_unregistered_one() -> None:
    other = contest("few_shot", "rag_lora", 130, 60, 10, 0, registered=False)
    verdict = decide(
        Evidence(**{**GOOD, "arms": (PROMPT, FEW_SHOT, LORA, arm("rag_lora", 190)), "comparisons": (GAIN, other)})
    )
    assert (verdict.decision, verdict.lever) == ("tune", "lora")


def test_what_was_not_measured_is_listed() -> None:
    verdict = decide(
        Evidence(
            **{
                **GOOD,
                "arms": (PROMPT, FEW_SHOT, arm("constrained", 120), arm("lora", 180)),
                "splits": (),
                "retention": None,
                "gates": {"hardware": "not_measured", "data": "passed"},
                "not_tried": (
                    LeverResult(lever="rag", state="not_applicable"),
                    LeverResult(lever="full", state="not_tried", reason="LoRA was enough"),
                ),
            }
        )
    )
    assert verdict.decision == "tune"
    assert verdict.not_measured == (
        "gate hardware",
        "full (LoRA was enough)",
        "spread of lora over training seeds",
        "format and content of the gain",
        "what training did to other abilities",
        "how many expected outputs are wrong",
    )
    assert verdict.sentences[2].startswith("Not measured: gate hardware; full (LoRA was enough)")


def test_the_reason_carries_numbers_with_n_and_interval() -> None:
    why = decide(Evidence(**GOOD)).sentences[1]
    assert "lora scores 90.0 % (85.1 to 93.4, n = 200)" in why
    assert "lora against few_shot, n = 200: +20.0 points (+12.8 to +27.1), p < 0.001" in why
    assert why.startswith("Why (95 % intervals): ")


@pytest.mark.parametrize("field", ["p", "worst_case"])
def test_nan_stops_the_verdict(field: str) -> None:
    broken = GAIN.model_copy(update={field: math.nan})
    with pytest.raises(ValueError, match="not finite"):
        decide(Evidence(**{**GOOD, "comparisons": (broken,)}))


counts = st.integers(0, 60)


@settings(deadline=None, max_examples=150)
@given(
    a=counts,
    b=counts,
    c=counts,
    d=counts,
    smallest=st.sampled_from([0.02, 0.05, 0.2]),
    registered=st.booleans(),
)
def test_tune_only_with_a_registered_sure_and_large_gain(
    a: int, b: int, c: int, d: int, smallest: float, registered: bool
) -> None:
    n = a + b + c + d
    if n < 30:
        return
    bar = Bar(metric="exact", at_least=0.7, smallest_difference=smallest)
    arms = (arm("few_shot", a + c, n), arm("lora", a + b, n))
    compared = contest("few_shot", "lora", a, b, c, d, registered=registered)
    verdict = decide(Evidence(bar=bar, n_cases=n, arms=arms, comparisons=(compared,), not_tried=NO_CONSTRAINED))
    assert compared.difference is not None
    if verdict.decision == "tune":
        assert registered
        assert compared.p < 0.05
        assert compared.difference.low > 0
        assert compared.difference.value >= smallest
        assert wilson(a + b, n).low >= 0.7 > wilson(a + c, n).low
    if verdict.decision == "do_not_tune" and verdict.lever:
        assert wilson(a + c, n).low >= 0.7
    assert verdict == decide(Evidence(bar=bar, n_cases=n, arms=arms, comparisons=(compared,), not_tried=NO_CONSTRAINED))


def test_cases_that_share_clusters_count_for_fewer() -> None:
    bar = Bar(metric="exact", at_least=0.8, smallest_difference=0.05)
    alone = ArmSummary(lever="rag", arm="rag", trained=False, interval=wilson(96, 96), n=96)
    in_eight = ArmSummary(lever="rag", arm="rag", trained=False, interval=wilson(8, 8), n=96)
    assert alone.state(bar) == "met"
    assert in_eight.state(bar) == "unclear"
    facts = Facts(Evidence(bar=bar, n_cases=96, arms=(in_eight,)))
    more = cases_for_bar(facts, in_eight)
    assert more is not None
    assert wilson((96 + more) / 12, (96 + more) / 12).low == pytest.approx(0.8, abs=0.02)  # twelve cases a cluster
