"""Why does the base fail, and which lever does each failure point to? One thing is changed at a time.

    same output, read leniently ─┐
    constraint while decoding    ├─ format          repeats at temperature 0.7 ── consistency
    shots / shuffled targets     ├─ behaviour       gold passage / distractor  ── knowledge
    a trained lever, if there is ├─ skill           gold passage, room to reason ─ reasoning
                                 └─ classify ←───── retrieved passage ─────────── retrieval

Development cases only; every answer comes through the one path that answers, and is kept like all others. What was
not tried makes its rules "not measured" (evidence/statistics, section 13).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tuneworthy.answering import Answerer, Sources
from tuneworthy.content import digest
from tuneworthy.measure import statistics
from tuneworthy.measure.causes import POINTS_TO, Cause, Outcomes, classify
from tuneworthy.measure.compare import compare
from tuneworthy.measure.evaluate import Yardstick, measure
from tuneworthy.measure.interventions import Given, Reasoning, shaped, shuffled_targets
from tuneworthy.measure.passages import Gold, find_gold
from tuneworthy.project import Project
from tuneworthy.records import Arm, Candidate, Case, CaseResult, Comparison, Interval, Passage, Record, Score

REPEATS = 5
TEMPERATURE = 0.7


class CaseDiagnosis(Record):
    """One failed case."""

    case: str
    cause: Cause
    passed: dict[str, bool | None] = {}
    """intervention → did the case pass; None = not tried, or not scored"""


class Shown(Record):
    """What a measured lever then did with the cases of one cause."""

    lever: str
    passed: int
    share: Interval
    """of the cases that it answered, Wilson"""


class Share(Record):
    """How many of the failed cases have one cause."""

    cause: Cause
    cases: int
    share: Interval
    """of the failed cases, Wilson"""
    points_to: str
    """the lever that would mend it"""
    shown: tuple[Shown, ...] = ()
    """what the measured levers did with these cases, the best first"""


class Diagnosis(Record):
    """Why the base fails on the development split."""

    cases: int
    """development cases looked at"""
    failed: int
    """cases on which the base fails or cannot be scored"""
    passes_at: float
    """a case passes with this score or more"""
    shares: tuple[Share, ...] = ()
    """every cause that occurs, in the order of the rules; they add up to the failed cases"""
    contrasts: tuple[Comparison, ...] = ()
    """interventions against the base over all cases that both answered: mid-p, adjusted after Holm"""
    gold: str = ""
    """where the passages with the facts come from"""
    not_tried: dict[str, str] = {}
    """intervention → why it was not tried"""
    alpha: float = 0.05
    answers: int = 0
    """answers that the interventions took, kept ones included"""
    details: tuple[CaseDiagnosis, ...] = ()

    @property
    def told_from_none(self) -> tuple[Comparison, ...]:
        """The contrasts that differ from none after Holm."""
        return tuple(c for c in self.contrasts if c.p_adjusted is not None and c.p_adjusted < self.alpha)

    def sentence(self) -> str:
        """The measured shares in words: `of 40 failed development cases: knowledge 62 % (47 to 76)`."""
        if not self.failed:
            return f"the base fails on none of {self.cases} development cases"
        told = ", ".join(f"{s.cause.replace('_', ' ')} {_percent(s.share)}" for s in self.shares)
        return f"of {self.failed} failed development cases: {told}"


@dataclass(frozen=True)
class Interventions:
    """What is changed, as candidates. None = not at hand; `why_not` says why."""

    base: Candidate
    constrained: Candidate | None = None
    shots: Candidate | None = None
    """the base with worked examples"""
    retrieved: Candidate | None = None
    """the base with a retriever"""
    levers: Mapping[str, Arm] = field(default_factory=dict)
    """lever → its arm on these cases, trained ones included: shown beside the causes"""
    trained: tuple[str, ...] = ()
    """which of them were trained"""
    disputed: frozenset[str] = frozenset()
    """ids of cases whose expected answer a person judged to be wrong, or another row contradicts"""
    why_not: Mapping[str, str] = field(default_factory=dict)


def diagnose(
    interventions: Interventions,
    cases: Sequence[Case],
    sources: Sources,
    yardstick: Yardstick,
    project: Project,
    *,
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Diagnosis:
    """Diagnose the failures of the base on development cases.

    Costs at most `budget.dev_calls` answers per intervention: repeats are asked for the first dev_calls / 5 cases.
    """
    return _Examination(interventions, tuple(cases), sources, yardstick, project, on_progress).diagnosis()


# --- the examination -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Examination:
    """All interventions on one set of cases."""

    interventions: Interventions
    cases: tuple[Case, ...]
    sources: Sources
    yardstick: Yardstick
    project: Project
    on_progress: Callable[[str, int, int], None]

    def diagnosis(self) -> Diagnosis:
        arms = self._arms()
        details = tuple(self._case(case, arms) for case in self.failed)
        counts = {cause: sum(d.cause == cause for d in details) for cause in POINTS_TO}
        return Diagnosis(
            cases=len(self.cases),
            failed=len(details),
            passes_at=self.passes_at,
            shares=tuple(
                Share(
                    cause=cause,
                    cases=k,
                    share=statistics.wilson(k, len(details)),
                    points_to=POINTS_TO[cause],
                    shown=self._shown({d.case for d in details if d.cause == cause}),
                )
                for cause, k in counts.items()
                if k
            ),
            contrasts=self._contrasts(arms),
            gold=self.gold.origin,
            not_tried=self._not_tried(arms),
            alpha=self.sources.usecase.bar.alpha,
            answers=sum(len(arm.results) for arm in arms.values()),
            details=details,
        )

    @cached_property
    def passes_at(self) -> float:
        """Full marks for scorers that know only right and wrong; else the bar: were every case there, it were met."""
        return self.yardstick.right_from(self.sources.usecase.bar)

    @cached_property
    def budget(self) -> int:
        return self.sources.usecase.budget.dev_calls

    @cached_property
    def base(self) -> Arm:
        return self._ask("prompt", self.interventions.base, self.cases)

    @cached_property
    def failed(self) -> tuple[Case, ...]:
        passed = self._passed(self.base)
        return tuple(case for case in self.cases if not passed[case.id])

    @cached_property
    def gold(self) -> Gold:
        return find_gold(self.cases, self.sources)

    def _arms(self) -> dict[str, Arm]:
        """Every intervention that can be tried. Those that are contrasted with the base over the whole split are asked
        of passed cases too; else chance would look like a gain."""
        i, failed, first = self.interventions, self.failed[: self.budget], self.cases[: self.budget]
        arms: dict[str, Arm] = {}
        for name, candidate, asked in (
            ("constrained", i.constrained, failed),
            ("shots", i.shots, first),
            ("retrieved", i.retrieved, failed),
        ):
            if candidate is not None:
                arms[name] = self._ask(name, candidate, asked)
        if i.shots is not None:
            candidate, sources = shuffled_targets(i.shots, self.sources)
            arms["shuffled"] = self._ask("shuffled", candidate, failed, sources=sources)
        for name, passages, asked in (
            ("gold", self.gold.passages, first),
            ("distractor", self.gold.distractors, failed),
        ):
            having = [case for case in asked if case.id in passages]
            if having:
                arms[name] = self._ask(name, i.base, having, given=passages)
        if failed:
            arms["reasoned"] = self._ask("reasoned", i.base, failed, given=self.gold.passages, reasoning=True)
        for number in range(REPEATS):
            seed = i.base.decoding.seed + number + 1
            warm = i.base.decoding.model_copy(update={"temperature": TEMPERATURE, "seed": seed})
            candidate = i.base.model_copy(update={"decoding": warm})
            asked = self.cases[: max(1, self.budget // REPEATS)]
            arms[f"repeat {number + 1}"] = self._ask(f"repeat {number + 1}", candidate, asked)
        return arms

    def _ask(
        self,
        name: str,
        candidate: Candidate,
        cases: Sequence[Case],
        *,
        sources: Sources | None = None,
        given: Mapping[str, Passage] | None = None,
        reasoning: bool = False,
    ) -> Arm:
        inputs = {digest(case.input): given[case.id] for case in cases if case.id in given} if given else {}
        used = sources or self.sources
        if reasoning:
            answerer: Answerer = Reasoning(candidate, used, inputs)
        else:
            answerer = Answerer(candidate, used) if given is None else Given(candidate, used, inputs)
        return measure(
            name,
            answerer,
            cases,
            self.yardstick,
            cases_digest=f"dev:{self.sources.data_version}",
            store=self.project.answers,
            on_progress=lambda done, total: self.on_progress(f"diagnosis: {name}", done, total),
        )

    def _passes(self, score: Score) -> bool | None:
        return None if score.value is None else score.value >= self.passes_at - 1e-9

    def _passed(self, arm: Arm, *, lenient: bool = False) -> dict[str, bool | None]:
        return {r.case: self._passes(r.lenient if lenient else r.score) for r in arm.results}

    def _case(self, case: Case, arms: Mapping[str, Arm]) -> CaseDiagnosis:
        result = next(r for r in self.base.results if r.case == case.id)
        found = {name: self._passed(arm).get(case.id) for name, arm in arms.items()}
        repeats = [passed for name, passed in found.items() if name.startswith("repeat ") and passed is not None]
        outcomes = Outcomes(
            base=self._passes(result.score),
            lenient=self._passes(result.lenient),
            shaped=shaped(self.sources.usecase.output, result.answer.text),
            **{name: passed for name, passed in found.items() if not name.startswith("repeat ")},
            repeats=tuple(repeats),
            trained=self._trained(case),
            disputed=case.id in self.interventions.disputed,
        )
        passed = {"lenient": outcomes.lenient, **found, "trained": outcomes.trained}
        return CaseDiagnosis(case=case.id, cause=classify(outcomes), passed=passed)

    def _trained(self, case: Case) -> bool | None:
        """Does a trained lever answer it rightly? None where none was measured."""
        i = self.interventions
        passed = [self._passed(i.levers[name]).get(case.id) for name in i.trained if name in i.levers]
        known = [answer for answer in passed if answer is not None]
        return any(known) if known else None

    def _shown(self, cases: set[str]) -> tuple[Shown, ...]:
        """What each measured lever did with these cases, the best first."""
        found = []
        for lever, arm in self.interventions.levers.items():
            passed = [ok for case, ok in self._passed(arm).items() if case in cases and ok is not None]
            if passed:
                share = statistics.wilson(sum(passed), len(passed))
                found.append(Shown(lever=lever, passed=sum(passed), share=share))
        return tuple(sorted(found, key=lambda shown: -shown.share.value))

    def _contrasts(self, arms: Mapping[str, Arm]) -> tuple[Comparison, ...]:
        """Lenient reading, shots, gold passage and the majority of repeats, each against the base."""
        base = self._passed(self.base)
        tried = {"lenient": self._passed(self.base, lenient=True)}
        tried |= {name: self._passed(arms[name]) for name in ("shots", "gold") if name in arms}
        tried["majority of repeats"] = self._majority([arm for name, arm in arms.items() if name.startswith("repeat ")])
        found = []
        for name, passed in tried.items():
            common = [case for case in passed if case in base]
            found.append(
                compare(
                    self._plain("base", {case: base[case] for case in common}),
                    self._plain(name, passed),
                    binary=True,
                    registered=False,
                    alpha=self.sources.usecase.bar.alpha,
                )
            )
        adjusted = statistics.holm([c.p for c in found])
        return tuple(c.model_copy(update={"p_adjusted": p}) for c, p in zip(found, adjusted, strict=True))

    def _majority(self, arms: Sequence[Arm]) -> dict[str, bool | None]:
        votes: dict[str, list[bool]] = {}
        for arm in arms:
            for case, passed in self._passed(arm).items():
                votes.setdefault(case, []).extend([passed] if passed is not None else [])
        return {case: 2 * sum(passed) > len(passed) if passed else None for case, passed in votes.items()}

    def _plain(self, name: str, passed: Mapping[str, bool | None]) -> Arm:
        scores = {
            case: Score(unscored="missing_expected") if ok is None else Score(value=float(ok))
            for case, ok in passed.items()
        }
        answer = self.base.results[0].answer
        return Arm(
            name=name,
            candidate=self.base.candidate,
            cases=self.base.cases,
            results=tuple(CaseResult(case=case, answer=answer, score=s, lenient=s) for case, s in scores.items()),
        )

    def _not_tried(self, arms: Mapping[str, Arm]) -> dict[str, str]:
        reasons = {
            "constrained": "the model cannot enforce the shape of the output",
            "shots": "no worked examples were at hand",
            "shuffled": "no worked examples were at hand",
            "retrieved": "no retrieval was at hand",
            "gold": self.gold.problem,
            "distractor": self.gold.problem or "no other passage was at hand",
        } | dict(self.interventions.why_not)
        reasons["a trained lever"] = "none was trained here: tuneworthy run"
        measured = set(arms) | ({"a trained lever"} if self.interventions.trained else set())
        absent = {name: reason for name, reason in reasons.items() if name not in measured and self.failed}
        if not self.interventions.disputed:
            absent["a second opinion on the expected answer"] = (
                "no row was judged wrong: tuneworthy data check --review"
            )
        return absent | {"a stronger model": "not part of this diagnosis"}


def _percent(share: Interval) -> str:
    return f"{100 * share.value:.0f} % ({100 * share.low:.0f} to {100 * share.high:.0f})"
