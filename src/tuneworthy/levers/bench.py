"""The bench that a lever works at: the use case, the examples, the development split, and how to try things out.

Everything here is development data. The locked cases are out of reach of a lever on purpose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tuneworthy.answering import Answerer, Sources
from tuneworthy.measure.compare import mean_as_people_see
from tuneworthy.measure.evaluate import Yardstick, mean_score, measure
from tuneworthy.measure.memorisation import Memorisation
from tuneworthy.measure.overfit import Mark
from tuneworthy.measure.probes import Probes
from tuneworthy.measure.retention import Retention
from tuneworthy.project import Project
from tuneworthy.records import Arm, Candidate, Case, Decoding, Example, LeverResult
from tuneworthy.usecase import UseCase

Tell = Callable[[str, int, int], None]
"""(what is being done, steps done, steps) → progress for a person to see"""


def silent(what: str, done: int, total: int) -> None:
    """Tell nobody."""


class Screening(NamedTuple):
    """Variants that were tried on development cases."""

    best: str | None
    """None: no variant could be scored"""
    trials: list[dict[str, Any]]
    arms: dict[str, Arm]

    def failed(self, lever: str) -> tuple[None, LeverResult]:
        """What became of a lever none of whose answers could be scored."""
        lost = (result.score for arm in self.arms.values() for result in arm.results if result.score.unscored)
        why = next((f": {score.unscored}: {score.explanation}" for score in lost), "")
        reason = f"no answer could be scored{why}"
        return None, LeverResult(lever=lever, state="failed", reason=reason, trials=tuple(self.trials))


@dataclass
class Bench:
    """What levers share during one run."""

    project: Project
    sources: Sources
    train: tuple[Example, ...]
    dev: tuple[Case, ...]
    yardstick: Yardstick
    may_train: str = ""
    """empty = the gates are open; otherwise why training is refused"""
    disputed: frozenset[str] = frozenset()
    """names of rows whose expected output a person judged to be wrong, or another row contradicts"""
    tell: Tell = silent
    found: dict[str, Candidate] = field(default_factory=dict)
    """lever → its candidate, for the levers that build on others"""
    other_seeds: dict[str, tuple[Candidate, ...]] = field(default_factory=dict)
    """trained lever → the same recipe with other seeds, measured beside it"""
    retentions: dict[str, Retention] = field(default_factory=dict)
    """trained lever → what became of abilities that the task does not ask for"""
    memorisations: dict[str, Memorisation] = field(default_factory=dict)
    """trained lever → training inputs that it gives away"""
    histories: dict[str, tuple[tuple[Mark, ...], int]] = field(default_factory=dict)
    """trained lever → the checkpoints of its finalist, and the step of the one that was taken"""
    rates: dict[str, float] = field(default_factory=dict)
    """trained lever → the learning rate of its finalist"""
    probes: dict[str, Probes] = field(default_factory=dict)
    """trained lever → what else training did"""
    dev_arms: dict[str, Arm] = field(default_factory=dict)
    """lever → its candidate's arm on the whole development split"""

    @property
    def usecase(self) -> UseCase:
        return self.sources.usecase

    @property
    def decoding(self) -> Decoding:
        """Greedy, the same for every arm."""
        return Decoding(max_tokens=self.sources.usecase.output.max_tokens, seed=self.sources.usecase.seed)

    def try_out(self, candidate: Candidate, label: str, *, cases: Sequence[Case] | None = None) -> Arm:
        """Measure a candidate on (a part of) the development split."""
        chosen = self.dev if cases is None else tuple(cases)
        return measure(
            label,
            Answerer(candidate, self.sources),
            chosen,
            self.yardstick,
            cases_digest=f"dev:{self.sources.data_version}",
            store=self.project.answers,
            on_progress=lambda done, total: self.tell(label, done, total),
        )

    def screen(self, variants: Mapping[str, Candidate], *, among: int | None = None) -> Screening:
        """Try variants on as many development cases as the budget of calls allows.

        Equal scores go to the earlier variant: list the cheaper one first.

        Args:
            among: how many variants share the budget, where the lever tries them in several steps.
        """
        share = max(20, self.usecase.budget.dev_calls // max(1, among or len(variants)))
        cases = self.dev[:share]
        arms = {name: self.try_out(candidate, name, cases=cases) for name, candidate in variants.items()}
        trials = [
            {"variant": name, "cases": len(cases), "score": _rounded(mean_score(arm)), **tokens(arm)}
            for name, arm in arms.items()
        ]
        means = {name: mean for name, arm in arms.items() if (mean := mean_score(arm)) is not None}
        return Screening(max(means, key=lambda name: means[name], default=None), trials, arms)

    def settle(
        self, lever: str, variants: Mapping[str, Candidate], *, reason: str = ""
    ) -> tuple[Candidate | None, LeverResult]:
        """Screen the variants and measure the best on the whole development split."""
        if not self.dev:
            first, candidate = next(iter(variants.items()))
            unseen = f"{first}, the first of {len(variants)}: no development rows to choose on"
            return self.adopt(lever, candidate, (), reason=unseen)
        found = self.screen(variants)
        if found.best is None:
            return found.failed(lever)
        told = f"{found.best}; {reason}" if reason else found.best
        return self.adopt(lever, variants[found.best], found.trials, reason=told)

    def adopt(
        self, lever: str, candidate: Candidate, trials: Sequence[dict[str, Any]], *, reason: str = "", **cost: float
    ) -> tuple[Candidate, LeverResult]:
        """Make a candidate the lever's own: measured on the whole development split, known to later levers."""
        arm = self.try_out(candidate, lever)
        self.found[lever], self.dev_arms[lever] = candidate, arm
        return candidate, LeverResult(
            lever=lever,
            state="measured",
            reason=reason,
            trials=tuple(trials),
            dev_score=_rounded(mean_as_people_see(arm, self.yardstick.calibration)),
            cost=cost,
        )

    def better_of(self, *levers: str) -> str | None:
        """The lever with the best development score among those that were found; ties go to the first, and so does
        everything where there are no development rows."""
        means = {lever: mean_score(self.dev_arms[lever]) for lever in levers if lever in self.dev_arms}
        scored = {lever: mean for lever, mean in means.items() if mean is not None or not self.dev}
        return max(scored, key=lambda lever: scored[lever] or 0.0, default=None)

    def dev_score(self, candidate: Candidate, label: str) -> tuple[float, float] | None:
        """Mean and standard error on the whole development split; None when nothing could be scored."""
        values = list(self.try_out(candidate, label).scores().values())
        if not values:
            return None
        mean = sum(values) / len(values)
        variance = sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)
        return mean, math.sqrt(variance / len(values))


def fits(bench: Bench, candidate: Candidate) -> bool:
    """Do the prompts of all development cases, and an answer, fit the model's context? Unknown counts as yes."""
    context = bench.sources.model.context
    if context is None:
        return True
    answerer = Answerer(candidate, bench.sources)
    room = context - candidate.decoding.max_tokens
    longest = sorted(bench.dev, key=lambda case: len(str(case.input)))[-10:]
    counts = [
        bench.sources.model.count_tokens(answerer.messages(case.input, answerer.passages(case.input), whole=True))
        for case in [*longest, *bench.dev[:10]]
    ]
    # 15 % of room: other inputs may be longer, and nearest examples differ in length
    return all(count is None or count <= room * 0.85 for count in counts)


def not_applicable(lever: str, reason: str) -> tuple[None, LeverResult]:
    """This lever does not fit the task."""
    return None, LeverResult(lever=lever, state="not_applicable", reason=reason)


def not_tried(lever: str, reason: str) -> tuple[None, LeverResult]:
    """This lever could fit, but was not tried."""
    return None, LeverResult(lever=lever, state="not_tried", reason=reason)


def tokens(arm: Arm) -> dict[str, float]:
    """Mean tokens per answer; nothing where nothing was answered. A request that failed is no answer of 0 tokens."""
    answers = [r.answer for r in arm.results if r.answer.error is None]
    if not answers:
        return {}
    return {
        "tokens_in": round(sum(answer.tokens_in for answer in answers) / len(answers), 1),
        "tokens_out": round(sum(answer.tokens_out for answer in answers) / len(answers), 1),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
