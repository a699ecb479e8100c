"""Worked examples in the prompt: a fixed balanced set, or the nearest ones to each input.

The nearest examples are a mandatory variant: on label tasks they often equal fine-tuning (BANKING77 in the
literature: 25 retrieved examples 92.0 %, fine-tuned on 8,192 examples 91.6 %).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from tuneworthy.levers.bench import Bench, fits, not_applicable, not_tried
from tuneworthy.records import Candidate, Example, LeverResult, Shots

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
        variants = with_shots(bench, prompt, VARIANTS, lever=self.name)
        if not variants:
            return not_applicable(self.name, "not even two examples fit the model's context")
        if not bench.dev:
            return bench.settle(self.name, variants)
        among = len(variants) + 1  # the other layout of the winner
        found = bench.screen(variants, among=among)
        if found.best is None:
            return found.failed(self.name)
        other = {f"{found.best}, inline": _with_layout(variants[found.best], "inline")}
        last = bench.screen({found.best: variants[found.best], **other}, among=among)
        winner = last.best or found.best
        trials = [*found.trials, last.trials[-1]]
        return bench.adopt(self.name, {**variants, **other}[winner], trials, reason=winner)


def with_shots(
    bench: Bench, start: Candidate, variants: Sequence[tuple[int, Literal["fixed", "nearest"]]], *, lever: str
) -> dict[str, Candidate]:
    """The candidate with worked examples as earlier turns, by what they are; those that do not fit are left out."""
    found: dict[str, Candidate] = {}
    for k, pick in variants:
        if k > len(bench.train):
            continue
        shots = Shots(
            pick=pick,
            k=k,
            names=_balanced(bench.train, k, seed=bench.usecase.seed) if pick == "fixed" else (),
            data_version=bench.sources.data_version,
        )
        candidate = start.model_copy(update={"lever": lever, "shots": shots})
        if fits(bench, candidate):
            found[f"{k} {pick}"] = candidate
    return found


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
