"""The ladder of one run: levers are found on the development split, registered, then measured on the locked cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tuneworthy import plugins
from tuneworthy.answering import Answerer, candidate_digest
from tuneworthy.ground import Ground
from tuneworthy.levers.bench import Bench, tokens
from tuneworthy.measure.compare import arm_interval, compare
from tuneworthy.measure.evaluate import mean_score, measure
from tuneworthy.measure.statistics import holm
from tuneworthy.records import Arm, Candidate, Comparison, LeverResult
from tuneworthy.runs import ArmReport
from tuneworthy.seams import Lever
from tuneworthy.suite import openings

UNTRAINED = ("prompt", "few_shot", "constrained", "classifier", "rag")
TRAINED = ("lora", "rag_lora", "full")
LADDER = UNTRAINED + TRAINED
"""From cheap to dear: the cheapest lever that meets the bar wins."""

BASE = "prompt"
"""The reference of the untrained levers: the base model with nothing but a good prompt."""


class Listener(Protocol):
    """Somebody who watches a run."""

    def step(self, what: str, done: int, total: int) -> None:
        """Progress within one lever."""

    def lever(self, name: str, state: str, text: str) -> None:
        """A lever changed its state: trying, measured, not tried, …"""

    def arm(self, report: ArmReport, comparison: Comparison | None) -> None:
        """An arm was measured on the locked cases."""


@dataclass
class Ladder:
    """One climb. `try_levers` and `open_cases` are called for the untrained levers, then for the trained ones."""

    ground: Ground
    bench: Bench
    listener: Listener
    results: dict[str, LeverResult] = field(default_factory=dict)
    arms: dict[str, Arm] = field(default_factory=dict)

    def try_levers(self, names: Sequence[str], *, closed: str = "") -> None:
        """Let levers look for their candidates on the development split. `closed`: why none of them is tried."""
        for name in names:
            self.listener.lever(name, "trying", "")
            lever: Lever = plugins.load("levers", name)()
            if closed and lever.trains:
                result = LeverResult(lever=name, state="not_tried", reason=closed)
            else:
                self.bench.tell = self.listener.step
                _, result = lever.propose(self.bench)
            self.results[name] = result
            self.listener.lever(name, result.state, result.reason)

    def register(self) -> None:
        """Write down what will be compared, before any locked score is computed."""
        if self.ground.lock is not None:
            openings.register(
                self.ground.project.registrations_file,
                lock_digest=self.ground.lock.digest,
                reference=self.reference() or BASE,
                contrasts=[f"{candidate} against {reference}" for candidate, reference in self.contrasts(LADDER)],
                n=len(self.ground.cases),
                settings={"data": self.ground.version, "candidates": dict(self._digests())},
            )

    def open_cases(self, names: Sequence[str]) -> None:
        """Measure the candidates of levers on the locked cases; each opening is logged."""
        for name in names:
            candidate = self.bench.found.get(name)
            if candidate is None:
                continue
            self._measure(name, candidate)
            for number, other in enumerate(self.bench.other_seeds.get(name, ()), start=1):
                self._measure(f"{name}/seed-{number}", other)

    def reference(self) -> str | None:
        """The untrained lever that trained ones must beat: the best on the development split, never chosen on the
        locked cases; ties go to the cheaper one."""
        return self.bench.better_of(*UNTRAINED)

    def contrasts(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """(candidate, reference) in the registered order: the best untrained lever against the base; trained levers
        against the best untrained one and against the base; then the other untrained levers, a family under Holm."""
        best = self.reference() or BASE
        first = [(best, BASE)] if best != BASE else []
        trained = [(name, best) for name in TRAINED if name in names]
        base = [(name, BASE) for name in TRAINED if name in names and best != BASE]
        rest = [(name, BASE) for name in UNTRAINED if name in names and name not in (BASE, best)]
        return first + trained + base + rest

    def comparisons(self) -> tuple[Comparison, ...]:
        """Every registered contrast whose arms were measured, in the registered order."""
        pairs = [pair for pair in self.contrasts(LADDER) if set(pair) <= set(self.arms)]
        found = [self._compare(candidate, reference) for candidate, reference in pairs]
        family = [i for i, (name, _) in enumerate(pairs) if name in UNTRAINED and name != self.reference()]
        adjusted = dict(zip(family, holm([found[i].p for i in family]), strict=True)) if family else {}
        return tuple(
            c.model_copy(update={"p_adjusted": adjusted[i]}) if i in adjusted else c for i, c in enumerate(found)
        )

    def meets_the_bar(self) -> str | None:
        """The cheapest measured lever whose lower limit reaches the bar; None where there is none."""
        for name in LADDER:
            report = self.report(name) if name in self.arms else None
            if report and report.interval and report.interval.low >= self.ground.usecase.bar.at_least:
                return name
        return None

    def report(self, name: str) -> ArmReport:
        """One arm in numbers."""
        arm = self.arms[name]
        lever = name.split("/")[0]
        scored = arm.scores()
        cost = tokens(arm) if arm.candidate.model != "none" else {}
        dev = self.bench.dev_arms.get(name)
        return ArmReport(
            name=name,
            lever=lever,
            trained=lever in TRAINED,
            interval=arm_interval(arm, binary=self.ground.yardstick.primary.binary),
            n=len(scored),
            unscored=len(arm.unscored),
            tokens_in=cost.get("tokens_in"),
            tokens_out=cost.get("tokens_out"),
            seconds=sum(r.answer.seconds for r in arm.results) / max(1, len(arm.results)),
            dev_score=mean_score(dev) if dev else None,
            candidate=candidate_digest(arm.candidate),
            exploratory=arm.exploratory,
        )

    def _measure(self, name: str, candidate: Candidate) -> None:
        exploratory = self._log_opening(name, candidate)
        cases = self.ground.lock.digest if self.ground.lock else "unlocked"
        arm = measure(
            name,
            Answerer(candidate, self.bench.sources),
            self.ground.cases,
            self.ground.yardstick,
            cases_digest=cases,
            store=self.ground.project.answers,
            on_progress=lambda done, total: self.listener.step(f"{name}: locked cases", done, total),
            exploratory=exploratory,
        )
        self.arms[name] = arm
        comparison = self._compare(name, BASE) if BASE in self.arms and name != BASE else None
        self.listener.arm(self.report(name), comparison)

    def _log_opening(self, name: str, candidate: Candidate) -> bool:
        """Log it; True when these cases were opened before for another candidate of the same contrast."""
        if self.ground.lock is None:
            return True
        opening = openings.open_cases(
            self.ground.project.openings_file,
            lock_digest=self.ground.lock.digest,
            arm=name,
            arm_digest=candidate_digest(candidate),
            contrast=f"{name} against {self.reference() or BASE}",
        )
        return opening.exploratory

    def _compare(self, candidate: str, reference: str) -> Comparison:
        clusters = {case.id: case.cluster for case in self.ground.cases if case.cluster}
        return compare(
            self.arms[reference],
            self.arms[candidate],
            binary=self.ground.yardstick.primary.binary,
            registered=not (self.arms[reference].exploratory or self.arms[candidate].exploratory),
            seed=self.ground.usecase.seed,
            alpha=self.ground.usecase.bar.alpha,
            clusters=clusters or None,
        )

    def _digests(self) -> dict[str, str]:
        return {name: candidate_digest(candidate) for name, candidate in sorted(self.bench.found.items())}
