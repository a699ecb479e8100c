"""Which method the data and the task speak for, and what is refused before it was earned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from tuneworthy.plan.records import Figure, Method, MethodChoice, Refusal
from tuneworthy.usecase import UseCase

ENOUGH_EXAMPLES = {"label": 200, "json": 200, "text": 100}
"""Clean, de-duplicated examples below which training is not tried (evidence: science, section 4, after P5–P7)."""
LORA_EXAMPLES = (500, 5_000)
"""that LoRA usually wants (design, section 1)"""
FULL_EXAMPLES = 10_000
"""examples below which full fine-tuning is not tried: it takes 10,000 to 100,000"""


def choose(usecase: UseCase, planned: Method, examples: Figure, *, lora_measured: bool) -> MethodChoice:
    """What is advised, and whether the planned method may be used.

    Args:
        examples: rows to learn from.
        lora_measured: whether the last run measured LoRA.
    """
    advised, why = _advised(usecase, examples, lora_measured)
    return MethodChoice(
        planned=planned,
        advised=advised,
        why=why,
        examples=examples,
        lora_measured=lora_measured,
        refusals=tuple(_refused(usecase, planned, examples, lora_measured)),
        warnings=tuple(_warned(usecase, planned, examples)),
    )


def _advised(usecase: UseCase, examples: Figure, lora_measured: bool) -> tuple[Literal["none", "lora", "full"], str]:
    enough, have = ENOUGH_EXAMPLES[usecase.output.kind], examples.value
    if have is None:
        return "none", f"how many examples there are is not known: {examples.source}"
    if have < enough:
        return (
            "none",
            f"{have:,.0f} examples are too few to train on (at least {enough}); the levers without training first",
        )
    low, high = LORA_EXAMPLES
    place = "below" if have < low else "within" if have <= high else "above"
    told = f"{have:,.0f} examples are {place} the {low:,}–{high:,} that LoRA usually wants"
    if have < FULL_EXAMPLES:
        return "lora", f"{told}; full fine-tuning takes {FULL_EXAMPLES:,} or more"
    if not lora_measured:
        return "lora", f"{told}; full fine-tuning only where LoRA was measured and fell short"
    return "full", f"{told}, and LoRA was measured: full fine-tuning may be tried if it fell short of the bar"


def _refused(usecase: UseCase, planned: Method, examples: Figure, lora_measured: bool) -> Iterator[Refusal]:
    enough, have = ENOUGH_EXAMPLES[usecase.output.kind], examples.value
    if planned == "inference" or have is None:
        return
    if have < enough:
        yield Refusal(
            gate="method",
            what=f"{have:,.0f} examples are too few to train on",
            why=f"below {enough} training mostly learns the examples by heart",
            next=f"collect {enough - have:,.0f} more; until then: tuneworthy eval",
        )
    if planned == "full" and not lora_measured:
        yield Refusal(
            gate="method",
            what="full fine-tuning is refused: LoRA was not measured",
            why="LoRA costs a fraction, and nobody knows yet that it falls short",
            next="measure LoRA first: tuneworthy run",
        )
    if planned == "full" and have < FULL_EXAMPLES:
        yield Refusal(
            gate="method",
            what=f"full fine-tuning takes {FULL_EXAMPLES:,} examples or more; there are {have:,.0f}",
            why="with fewer it forgets more than it learns",
            next="plan LoRA: tuneworthy plan --what-if method=lora",
        )


def _warned(usecase: UseCase, planned: Method, examples: Figure) -> Iterator[str]:
    if usecase.docs_folder is not None and not usecase.change.behaviour:
        yield "only knowledge is missing, no behaviour: that is for retrieval, not for weights; measure rag first"
    if planned in ("lora", "qlora") and (examples.value or 0) > FULL_EXAMPLES:
        yield f"{examples.value:,.0f} examples: should LoRA fall short of the bar, full fine-tuning is the next lever"
