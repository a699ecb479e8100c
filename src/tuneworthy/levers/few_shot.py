"""Worked examples in the prompt: a fixed balanced set, or the nearest ones to each input.

The nearest examples are a mandatory variant: on label tasks they often equal fine-tuning (BANKING77 in the
literature: 25 retrieved examples 92.0 %, fine-tuned on 8,192 examples 91.6 %).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from tuneworthy.answering import Answerer, render
from tuneworthy.levers.bench import Bench, not_applicable, not_tried
from tuneworthy.records import Candidate, Example, Input, LeverResult, Message, Passage, Shots

VARIANTS: tuple[tuple[int, Literal["fixed", "nearest"]], ...] = (
    (2, "nearest"), (4, "fixed"), (4, "nearest"), (8, "fixed"), (8, "nearest"), (16, "nearest"),
)  # fmt: skip
"""From cheap to dear: of equal scores the first one wins. A fixed set is read once by a model that keeps prefixes."""


class FewShotLever:
    """k and selection on the development split, then the other layout for the winner."""

    name = "few_shot"
    trains = False

    def propose(self, bench: Bench) -> tuple[Candidate | None, LeverResult]:
        """The best number, choice and layout of examples that fit the context."""
        prompt = bench.found.get("prompt")
        if prompt is None:
            return not_tried(self.name, "no prompt could be measured")
        if not bench.train:
            return not_applicable(self.name, "there are no examples to show")
        variants = self._fitting(bench, prompt, "turns")
        if not variants:
            return not_applicable(self.name, "not even two examples fit the model's context")
        best, trials = bench.screen(variants)
        if best is None:
            return bench.settle(self.name, variants)
        other = {f"{best}, inline": _with_layout(variants[best], "inline")}
        _, more = bench.screen({best: variants[best], **other})
        winner = max(more, key=lambda trial: trial["score"] or 0.0)["variant"]
        return bench.adopt(self.name, {**variants, **other}[winner], [*trials, more[-1]], reason=str(winner))

    def _fitting(self, bench: Bench, prompt: Candidate, layout: Literal["turns", "inline"]) -> dict[str, Candidate]:
        variants: dict[str, Candidate] = {}
        for k, pick in VARIANTS:
            if k > len(bench.train):
                continue
            shots = Shots(
                pick=pick,
                k=k,
                layout=layout,
                names=_balanced(bench.train, k, seed=bench.usecase.seed) if pick == "fixed" else (),
                data_version=bench.sources.data_version,
            )
            candidate = prompt.model_copy(update={"lever": self.name, "shots": shots})
            if fits(bench, candidate):
                variants[f"{k} {pick}"] = candidate
        return variants


def fits(bench: Bench, candidate: Candidate) -> bool:
    """Do the prompts of all development cases, and an answer, fit the model's context? Unknown counts as yes."""
    context = bench.sources.model.context
    if context is None:
        return True
    answerer = Answerer(candidate, bench.sources)
    room = context - candidate.decoding.max_tokens
    longest = sorted(bench.dev, key=lambda case: len(str(case.input)))[-10:]
    counts = [
        bench.sources.model.count_tokens(_whole(candidate, bench, case.input, answerer.passages(case.input)))
        for case in [*longest, *bench.dev[:10]]
    ]
    # 15 % of room: other inputs may be longer, and nearest examples differ in length
    return all(count is None or count <= room * 0.85 for count in counts)


def _whole(candidate: Candidate, bench: Bench, row: Input, passages: Sequence[Passage]) -> tuple[Message, ...]:
    """The prompt with all of its shots; `Answerer.messages` leaves out those that the context has no room for."""
    sources, shots = bench.sources, candidate.shots
    shown: list[Example] = []
    if shots is not None:
        fixed = shots.pick == "fixed"
        shown = [sources.by_name[name] for name in shots.names] if fixed else sources.nearest.pick(row, shots.k)
    layout = shots.layout if shots else "turns"
    assert candidate.prompt is not None  # few_shot and rag build on a prompt
    return render(candidate.prompt, row, usecase=bench.usecase, shots=shown, layout=layout, passages=passages)


def _balanced(examples: tuple[Example, ...], k: int, *, seed: int) -> tuple[str, ...]:
    """Names of k examples, drawn in turn from the different expected outputs (labels) so that none dominates."""
    groups: dict[str, list[str]] = {}
    for example in sorted(examples, key=lambda e: e.name):
        groups.setdefault(str(example.expected), []).append(example.name)
    draw = random.Random(seed)
    order = sorted(groups.values(), key=lambda names: (-len(names), names[0]))
    for names in order:
        draw.shuffle(names)
    picked = [names[i] for i in range(max(map(len, order))) for names in order if i < len(names)][:k]
    draw.shuffle(picked)
    return tuple(picked)


def _with_layout(candidate: Candidate, layout: Literal["turns", "inline"]) -> Candidate:
    if candidate.shots is None:
        return candidate
    return candidate.model_copy(update={"shots": candidate.shots.model_copy(update={"layout": layout})})
