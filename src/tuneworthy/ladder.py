"""The ladder of one run: levers are found on the development split, registered, then measured on the locked cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib.metadata import version
from typing import Protocol

from tuneworthy import plugins
from tuneworthy.answering import Answerer, candidate_digest
from tuneworthy.evidence import ArmSummary, Evidence, Wordings
from tuneworthy.ground import Ground
from tuneworthy.levers.bench import Bench
from tuneworthy.levers.diagnosis import diagnose_base
from tuneworthy.levers.probing import probe
from tuneworthy.measure.compare import (
    GainSplit,
    arm_interval,
    compare,
    format_and_content,
    identical_answers,
    mean_as_people_see,
    unscored_gate,
)
from tuneworthy.measure.diagnose import Diagnosis
from tuneworthy.measure.evaluate import mean_score, measure
from tuneworthy.measure.further import further
from tuneworthy.measure.probes import CHEAP, ProbeName
from tuneworthy.measure.slices import Slice, slices
from tuneworthy.measure.spent import TokenPrice, spent
from tuneworthy.measure.statistics import holm
from tuneworthy.plan import after_run
from tuneworthy.plan.prices import token_price
from tuneworthy.plan.records import BreakEven
from tuneworthy.records import Arm, Candidate, CaseResult, Comparison, Interval, LeverResult
from tuneworthy.runs import ArmReport, CaseOutput, CaseRow, GateResult, RunRecord, SuiteSummary, Timing
from tuneworthy.seams import Lever
from tuneworthy.suite import openings
from tuneworthy.suite.status import in_words, status
from tuneworthy.verdict import Verdict

UNTRAINED = ("prompt", "few_shot", "constrained", "classifier", "rag")
TRAINED = ("lora", "rag_lora", "full")
LADDER = UNTRAINED + TRAINED
"""From cheap to dear: the cheapest lever that meets the bar wins."""

BASE = "prompt"
"""The reference of the untrained levers: the base model with nothing but a good prompt."""


DECIDING_LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "llguidance",
    "numpy",
    "scipy",
    "scikit-learn",
    "bm25s",
)
"""Their versions can change a number, so every record names them."""


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
    diagnosis: Diagnosis | None = None
    price: TokenPrice | None = field(init=False)
    """what the user says that the base model's tokens cost"""

    def __post_init__(self) -> None:
        """Raises DataError when the user's prices.toml is wrong: before anything is measured."""
        self.price = token_price(self.ground.project.folder, self.ground.usecase.model.base, today=date.today())

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

    def probe(self, names: Sequence[str], wanted: Sequence[ProbeName] = CHEAP) -> None:
        """Find out what training did beside the task, for those of these levers that were trained."""
        self.bench.tell = self.listener.step
        for name in names:
            if name in self.bench.found:
                self.bench.probes[name] = probe(self.bench, name, wanted)

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

    def diagnose(self) -> Diagnosis | None:
        """Find out why the base fails on development cases; no locked case is looked at."""
        self.bench.tell = self.listener.step
        self.diagnosis = diagnose_base(self.bench)
        return self.diagnosis

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
        cost = spent([r.answer for r in arm.results], price=self.price, level=1 - self._alpha)
        asked = arm.candidate.model != "none"
        found = [r.evidence_found for r in arm.results if r.evidence_found is not None]
        dev = self.bench.dev_arms.get(name)
        return ArmReport(
            name=name,
            lever=lever,
            trained=lever in TRAINED,
            interval=self._interval(arm),
            n=len(scored),
            unscored=len(arm.unscored),
            too_long=sum(r.answer.too_long for r in arm.results),
            tokens_in=round(cost.tokens_in.mean, 1) if cost.tokens_in and asked else None,
            tokens_out=round(cost.tokens_out.mean, 1) if cost.tokens_out and asked else None,
            seconds=cost.seconds.mean if cost.seconds else None,
            seconds_p95=cost.seconds_p95,
            eur_per_1000=cost.eur_per_1000,
            dev_score=self._mean(dev) if dev else None,
            evidence_recall=sum(found) / len(found) if found else None,
            candidate=candidate_digest(arm.candidate),
            exploratory=arm.exploratory,
            further=further(arm, self.ground.yardstick, clusters=self.ground.clusters, level=1 - self._alpha),
        )

    def evidence(self, gates: Sequence[GateResult]) -> Evidence:
        """All that the verdict may rest on."""
        seeds = {name: [n for n in self.arms if n.startswith(f"{name}/")] for name in TRAINED}
        best = max((n for n in TRAINED if n in self.arms), key=lambda n: mean_score(self.arms[n]) or 0.0, default=None)
        return Evidence(
            bar=self.ground.usecase.bar,
            n_cases=len(self.ground.cases),
            arms=tuple(self._summary(name, seeds.get(name, [])) for name in LADDER if name in self.arms),
            comparisons=self.comparisons(),
            splits=self.splits(),
            gates={gate.gate: "failed" if gate.state == "overridden" else gate.state for gate in gates},
            overrides={gate.gate: gate.override for gate in gates if gate.state == "overridden"},
            not_tried=tuple(result for result in self.results.values() if result.state != "measured"),
            unscored_problem=self._unscored_problem(),
            identical=tuple(name for name in TRAINED if name in self.arms and self._same_as_untrained(name)),
            retention=self.bench.retentions.get(best) if best else None,
            probes=self.bench.probes.get(best) if best else None,
            diagnosis=self.diagnosis,
            unmeasured=after_run.unmeasured(self.worth(), after_run.licence_of(self.ground)),
            discordance=self._discordance(),
            slices=tuple(part for parts in self.slices().values() for part in parts),
            wordings=self._wordings(),
            wrong_labels=self.ground.wrong_labels,
            facts=self.ground.facts,
        )

    def splits(self) -> tuple[GainSplit, ...]:
        """The gain of every trained arm, over the best untrained lever and over the base, as format and content."""
        pairs = [(n, r) for n, r in self.contrasts(TRAINED) if n in TRAINED and {n, r} <= set(self.arms)]
        found = [
            format_and_content(
                self.arms[r],
                self.arms[n],
                clusters=self.ground.clusters,
                level=1 - self._alpha,
                judge=self.ground.yardstick.calibration,
            )
            for n, r in pairs
        ]
        return tuple(split for split in found if split is not None)

    def slices(self) -> dict[str, tuple[Slice, ...]]:
        """Every registered contrast within the cases of each tag."""
        tags = {case.id: case.tags for case in self.ground.cases}
        pairs = [pair for pair in self.contrasts(LADDER) if set(pair) <= set(self.arms)]
        found = {
            f"{candidate} against {reference}": slices(
                self.arms[reference],
                self.arms[candidate],
                tags,
                binary=self.ground.yardstick.primary.binary,
                seed=self.ground.usecase.seed,
                alpha=self._alpha,
                clusters=self.ground.clusters,
                judge=self.ground.yardstick.calibration,
            )
            for candidate, reference in pairs
        }
        return {name: parts for name, parts in found.items() if parts}

    def worth(self) -> BreakEven:
        """When each measured lever pays against the one that it is held against."""
        return after_run.worth(self.ground, self.comparisons())

    def record(self, evidence: Evidence, verdict: Verdict, gates: Sequence[GateResult], started: datetime) -> RunRecord:
        """Everything that this climb found out."""
        ground, finished = self.ground, datetime.now(UTC)
        found = status(ground.project, ground.usecase, ground.cases, ground.lock)
        return RunRecord(
            tuneworthy_version=version("tuneworthy"),
            run_id=started.strftime("%Y-%m-%dT%H-%M-%S.%f")[:-3],
            usecase=ground.usecase.model_dump(mode="json", by_alias=True),
            timing=Timing(
                started=started.isoformat(timespec="seconds"),
                finished=finished.isoformat(timespec="seconds"),
                seconds=(finished - started).total_seconds(),
            ),
            verdict=verdict,
            gates=tuple(gates),
            suite=SuiteSummary(lock=found.lock, cases=found.cases, power=in_words(found)) if ground.lock else None,
            openings=tuple(openings.read(ground.project.openings_file)),
            data=ground.data_summary(),
            levers=tuple(self.results.values()),
            arms=tuple(self.report(name) for name in self.arms),
            candidates={name: arm.candidate for name, arm in self.arms.items()},
            comparisons=evidence.comparisons,
            splits={f"{s.candidate} over {s.reference}": s.model_dump(mode="json") for s in evidence.splits},
            slices=self.slices(),
            memorisation=dict(self.bench.memorisations),
            probes=dict(self.bench.probes),
            retention={name: kept.model_dump(mode="json") for name, kept in self.bench.retentions.items()},
            diagnosis=self.diagnosis,
            money=self.worth().model_dump(mode="json"),
            licence=held.model_dump(mode="json") if (held := after_run.licence_of(ground)) else {},
            cases=tuple(self._rows()),
            versions={name: version(name) for name in DECIDING_LIBRARIES},
            not_measured=tuple(self._not_measured()),
        )

    def _summary(self, name: str, seeds: Sequence[str]) -> ArmSummary:
        report = self.report(name)
        means = [self._mean(self.arms[n]) for n in [name, *seeds]]
        return ArmSummary(
            lever=report.lever,
            arm=name,
            trained=report.trained,
            interval=report.interval,
            n=report.n,
            unscored=report.unscored,
            seeds=tuple(mean for mean in means if mean is not None) if report.trained else (),
            dev_score=self._dev_score([name, *seeds]),
            cost_rank=LADDER.index(report.lever),
        )

    def _interval(self, arm: Arm) -> Interval | None:
        return arm_interval(
            arm,
            binary=self.ground.yardstick.primary.binary,
            clusters=self.ground.clusters,
            level=1 - self._alpha,
            judge=self.ground.yardstick.calibration,
        )

    def _mean(self, arm: Arm) -> float | None:
        """On the scale of the intervals: where a judge scores, the share that people would call right."""
        return mean_as_people_see(arm, self.ground.yardstick.calibration)

    def _dev_score(self, names: Sequence[str]) -> float | None:
        """Mean on the development split over the seeds of one lever; None where nothing was scored."""
        means = [self._mean(self.bench.dev_arms[name]) for name in names if name in self.bench.dev_arms]
        known = [mean for mean in means if mean is not None]
        return sum(known) / len(known) if known else None

    def _wordings(self) -> Wordings | None:
        """What the wording of the prompt alone changed on development cases."""
        trials = self.results[BASE].trials if BASE in self.results else ()
        scored = [(t["score"], t["cases"]) for t in trials if isinstance(t.get("score"), float)]
        scores = tuple(float(str(score)) for score, _ in scored)
        return Wordings(scores=scores, n=int(str(scored[0][1]))) if len(scores) > 1 else None

    def _rows(self) -> Iterator[CaseRow]:
        by_case = {name: {result.case: result for result in arm.results} for name, arm in self.arms.items()}
        for case in self.ground.cases:
            outputs = {name: _output(results[case.id]) for name, results in by_case.items()}
            yield CaseRow(id=case.id, input=case.input, expected=case.expected, tags=case.tags, outputs=outputs)

    def _not_measured(self) -> Iterator[str]:
        for result in self.results.values():
            if result.state != "measured":
                yield f"{result.lever}: {result.state.replace('_', ' ')}" + (f", {result.reason}" * bool(result.reason))

    def _unscored_problem(self) -> str:
        base = self.arms.get(BASE)
        found = [unscored_gate(base or arm, arm) for arm in self.arms.values()]
        return next((problem for problem in found if problem), "")

    def _same_as_untrained(self, name: str) -> bool:
        start = self.arms.get("rag" if name == "rag_lora" else BASE)
        return start is not None and identical_answers(start, self.arms[name])

    def _discordance(self) -> float | None:
        """Share of development cases on which the two best untrained levers differ: what a closer contest looks like
        (the base model's own share says little where it answers nothing rightly)."""
        scores = {name: self.bench.dev_arms[name].scores() for name in UNTRAINED if name in self.bench.dev_arms}
        best = sorted((name for name in scores if scores[name]), key=lambda name: -_mean(scores[name]))[:2]
        if len(best) < 2:
            return None
        one, two = scores[best[0]], scores[best[1]]
        both = one.keys() & two.keys()
        return sum(one[case] != two[case] for case in both) / len(both) if both else None

    @property
    def _alpha(self) -> float:
        return self.ground.usecase.bar.alpha

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
            contrast=self._contrast(name),
        )
        return opening.exploratory

    def _contrast(self, name: str) -> str:
        """The registered contrast that an arm is opened for; the base is what others are held against."""
        lever = name.split("/")[0]
        pairs = self.contrasts(LADDER)
        reference = next((reference for candidate, reference in pairs if candidate == lever), None)
        return f"{name} against {reference}" if reference else f"{name}, the reference"

    def _compare(self, candidate: str, reference: str) -> Comparison:
        return compare(
            self.arms[reference],
            self.arms[candidate],
            binary=self.ground.yardstick.primary.binary,
            registered=not (self.arms[reference].exploratory or self.arms[candidate].exploratory),
            seed=self.ground.usecase.seed,
            alpha=self._alpha,
            clusters=self.ground.clusters,
            judge=self.ground.yardstick.calibration,
        )

    def _digests(self) -> dict[str, str]:
        return {name: candidate_digest(candidate) for name, candidate in sorted(self.bench.found.items())}


def _output(result: CaseResult) -> CaseOutput:
    return CaseOutput(
        text=result.answer.text,
        score=result.score.value,
        unscored=result.score.unscored,
        lenient=result.lenient.value,
        passages=result.answer.passages,
        further={name: score.value for name, score in result.others.items()},
    )


def _mean(scores: dict[str, float]) -> float:
    return sum(scores.values()) / len(scores)
