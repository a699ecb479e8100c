"""What can make a gain look real that is not. Each trap speaks against `tune`, and says what would settle it.

    a case in other words among the rows ─→ the gain must be there on the development split, too
    a lucky seed                         ─→ more than one seed
    a straw man as the reference         ─→ every lever without training was measured; wording alone gains less
    wrong labels, learnt and rewarded    ─→ the gain exceeds what they alone would give
    facts in the outputs                 ─→ passages, not weights

How often each of them deceives, with and without its guard: docs/concepts/simulated-projects.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tuneworthy.evidence import ArmSummary, Facts, percent, signed
from tuneworthy.records import Comparison

MOST_FACTS = 0.25
"""Share of rows that teach facts from which training is the wrong lever (evidence: science, section 4, after K7)."""
WITH_PASSAGES = ("rag", "rag_lora")
"""levers that are given the facts"""


class Obstacle(NamedTuple):
    """Something that speaks against training."""

    reason: str
    settles: str = ""
    more_cases: int | None = None


def traps(facts: Facts, trained: ArmSummary, contest: Comparison) -> Iterator[Obstacle]:
    """Every trap that is not excluded for the best trained arm against its reference."""
    yield from _not_repeated(facts, trained, contest)
    yield from _one_seed(trained)
    yield from _straw_man(facts, contest)
    yield from _wrong_labels(facts, contest)
    yield from _taught_facts(facts, trained)


def _not_repeated(facts: Facts, trained: ArmSummary, contest: Comparison) -> Iterator[Obstacle]:
    """Rows of the development split share nothing with the training rows; a locked case in other words may. So half of
    the smallest difference, and the bar, must be reached there as well (by the mean over the seeds)."""
    reference = next((arm for arm in facts.untrained if arm.arm == contest.reference), None)
    if reference is None or reference.dev_score is None or trained.dev_score is None:
        return
    gain, bar = trained.dev_score - reference.dev_score, facts.bar.at_least
    settles = "look for cases that stand among the training rows in other words, or lock cases of a later time"
    if gain < facts.bar.smallest_difference / 2:
        yield Obstacle(
            f"on the development split {trained.lever} gains only {signed(gain)} over {reference.lever}", settles
        )
    elif trained.dev_score < bar:
        yield Obstacle(
            f"on the development split {trained.lever} scores {percent(trained.dev_score)}, below the bar", settles
        )


def _one_seed(trained: ArmSummary) -> Iterator[Obstacle]:
    if len(trained.seeds) == 1:
        yield Obstacle("one training seed was measured, so luck is not excluded", "set budget.seeds = 3, and run again")


def _straw_man(facts: Facts, contest: Comparison) -> Iterator[Obstacle]:
    """A reference that nobody tried hard to make good proves little."""
    trained = {arm.lever for arm in facts.evidence.arms if arm.trained} | {"lora", "rag_lora", "full"}
    for result in facts.evidence.not_tried:
        if result.state in ("not_tried", "failed") and result.lever not in trained:
            why = f" ({result.reason})" if result.reason else ""
            yield Obstacle(
                f"{result.lever} was not measured{why}: the reference may be a straw man", f"measure {result.lever}"
            )
    wordings, gain = facts.evidence.wordings, contest.difference.value if contest.difference else 0.0
    if wordings is not None and wordings.spread > 0 and wordings.spread >= gain:
        low, high = percent(min(wordings.scores)), percent(max(wordings.scores))
        yield Obstacle(
            f"wording alone moves the prompt from {low} to {high} on development cases, as much as training gains",
            "work on the prompt first: another instruction may do as well (usecase.toml: wordings)",
        )


def _wrong_labels(facts: Facts, contest: Comparison) -> Iterator[Obstacle]:
    """A wrong label that is wrong in the same way everywhere is learnt from the rows and rewarded by the cases: on such
    a case the trained arm is counted right and is wrong, its reference the other way round."""
    wrong, d = facts.evidence.wrong_labels, contest.difference
    if wrong is None or d is None or d.value - 2 * wrong.value >= facts.bar.smallest_difference:
        return
    yield Obstacle(
        f"{percent(wrong.value)} of the expected outputs are wrong ({percent(wrong.low)} to {percent(wrong.high)}): "
        f"learning these errors alone could show {signed(2 * wrong.value)} that are none",
        "repair the outputs (tuneworthy data fix --reviewed), and measure again",
    )


def _taught_facts(facts: Facts, trained: ArmSummary) -> Iterator[Obstacle]:
    """Facts learnt by heart are wrong when they change, and unknown ones teach to make facts up."""
    share = facts.evidence.facts
    if share is None or share <= MOST_FACTS or trained.lever in WITH_PASSAGES or "data" in facts.evidence.overrides:
        return
    yield Obstacle(
        f"{percent(share)} of the training outputs hold names, figures or dates that their inputs do not tell: "
        "knowledge belongs into retrieval",
        "put the facts into documents (change.knowledge) and measure rag and rag_lora; "
        'where they are none, say so: [override] data = "…"',
    )
