"""The ground that a run stands on: the use case with its data read, versioned and split, and its suite verified."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from tuneworthy.data import near, read, split, version
from tuneworthy.data.checks import audit, facts
from tuneworthy.data.findings import AuditRow, Batch
from tuneworthy.errors import DataError, SuiteChanged, SuiteNotLocked, TuneworthyError
from tuneworthy.measure import unknown
from tuneworthy.measure.evaluate import Yardstick
from tuneworthy.project import Project
from tuneworthy.records import Case, Example, Interval
from tuneworthy.runs import DataSummary
from tuneworthy.scorers.open import open_scorers
from tuneworthy.suite import lock as suite_lock
from tuneworthy.suite.lock import SuiteLock
from tuneworthy.usecase import UseCase


@dataclass(frozen=True)
class Ground:
    """What is given before any lever is tried."""

    project: Project
    usecase: UseCase
    examples: tuple[Example, ...]
    """usable ones: no exact duplicates, none that also stands in the suite"""
    exact_duplicates: int
    leaked: tuple[near.Leak, ...]
    version: str
    """data version; empty without examples"""
    split: split.Split
    cases: tuple[Case, ...]
    lock: SuiteLock | None
    suite_problem: TuneworthyError | None = None
    """why there is no lock"""
    data_problem: DataError | None = None
    audit: tuple[AuditRow, ...] = ()
    """random rows that a person has judged"""
    reviewed: tuple[AuditRow, ...] = ()
    """doubtful rows that a person has judged"""
    audit_problem: DataError | None = None
    """why what a person judged cannot be read"""

    @cached_property
    def train(self) -> tuple[Example, ...]:
        """Examples to learn from."""
        names = set(self.split.train)
        return tuple(example for example in self.examples if example.name in names)

    @cached_property
    def dev(self) -> tuple[Case, ...]:
        """The development split as cases: free use."""
        names = set(self.split.dev)
        return tuple(as_case(example) for example in self.examples if example.name in names)

    @cached_property
    def yardstick(self) -> Yardstick:
        """The scorers of the suite."""
        primary, others = open_scorers(self.usecase, self.project.folder)
        return Yardstick(primary, tuple(others))

    @cached_property
    def clusters(self) -> dict[str, str]:
        """case → what it shares with others (a document, a customer); cases that share nothing are left out."""
        return {case.id: case.cluster for case in self.cases if case.cluster}

    @cached_property
    def wrong_labels(self) -> Interval | None:
        """Share of expected outputs that a person found wrong in random rows; None where nobody looked."""
        known = {example.name for example in self.examples}
        return audit.rate([row for row in self.audit if row.name in known])

    @cached_property
    def disputed(self) -> frozenset[str]:
        """Names of rows whose expected output a person judged to be wrong, or another row with the same input
        contradicts."""
        judged = (row.name for row in (*self.audit, *self.reviewed) if row.verdict.strip().casefold() == "wrong")
        same: dict[str, set[str]] = defaultdict(set)
        for example in self.examples:
            same[near.normal(near.input_text(example.input))].add(example.name)
        return frozenset(judged).union(*(names for names in same.values() if len(names) > 1))

    @cached_property
    def facts(self) -> float | None:
        """Share of the rows to learn from that teach facts; None for labels, and without rows."""
        return facts.share(Batch(self.usecase, self.train))

    @cached_property
    def unknown(self) -> unknown.Unknown | None:
        """Training answers that the base can never give; None = not measured for these rows and this base model.

        Raises:
            TuneworthyError: the base model, or the scorer of the bar, cannot be opened.
        """
        if not any(self.project.probes.glob("unknown-*.json")):
            return None  # naming the base model would hash all its weights
        return unknown.kept(unknown.place(self.project, self.usecase, self.version, self.yardstick))

    def keep(self) -> None:
        """Write this version of the examples down, so that the run can be repeated when the file has changed."""
        if self.examples:
            version.store(self.examples, self.project.versions)

    def data_summary(self) -> DataSummary:
        """For the record of a run."""
        return DataSummary(
            version=self.version,
            rows=len(self.examples),
            train=len(self.split.train),
            dev=len(self.split.dev),
            exact_duplicates=self.exact_duplicates,
            leaks=tuple(leak.model_dump(mode="json") for leak in self.leaked),
            wrong_labels=self.wrong_labels,
            facts=self.facts,
        )


def as_case(example: Example) -> Case:
    """An example to be judged on: a development case."""
    return Case(id=example.name, input=example.input, expected=example.expected, evidence=example.evidence)


def prepare(project: Project, *, strict: bool = True) -> Ground:
    """Read, version and split the examples; read the cases and verify their lock. Nothing is written.

    Args:
        strict: raise when rows cannot be read or the suite changed; otherwise keep the error as `data_problem` or
            `suite_problem`, for those who tell how things stand.

    Raises:
        DataError: examples or cases cannot be read; every bad line is listed.
        SuiteChanged: something differs from what was locked.
    """
    usecase = project.usecase
    cases, lock, suite_problem = _suite(project, strict=strict)
    rows, problem = _examples(project, strict=strict)
    judged, doubted, audit_problem = _judged(project)
    unique = tuple({example.name: example for example in rows}.values())
    leaked = near.leaks(unique, cases) if unique and cases else ()
    out = {leak.example for leak in leaked}
    usable = tuple(sorted((e for e in unique if e.name not in out), key=lambda e: e.name))
    return Ground(
        project=project,
        usecase=usecase,
        examples=usable,
        exact_duplicates=len(rows) - len(unique),
        leaked=tuple(leaked),
        version=version.manifest(usable).version if usable else "",
        split=split.split(usable, seed=usecase.seed),
        cases=cases,
        lock=lock,
        suite_problem=suite_problem,
        data_problem=problem,
        audit=judged,
        reviewed=doubted,
        audit_problem=audit_problem,
    )


def _examples(project: Project, *, strict: bool) -> tuple[tuple[Example, ...], DataError | None]:
    path = project.examples_file
    if path is None:
        return (), None
    try:
        reading = read.read_examples(path, project.usecase)
        reading.require_whole()
    except DataError as error:
        if strict:
            raise
        return (), error
    return reading.examples, None


def _judged(project: Project) -> tuple[tuple[AuditRow, ...], tuple[AuditRow, ...], DataError | None]:
    """What a person has judged, at random and in doubt; the gate `data` tells what cannot be read."""
    try:
        return audit.read(project.audit_file), audit.read(project.review_file), None
    except DataError as error:
        return (), (), error


def _suite(project: Project, *, strict: bool) -> tuple[tuple[Case, ...], SuiteLock | None, TuneworthyError | None]:
    usecase = project.usecase
    cases: tuple[Case, ...] = ()
    try:
        cases = read.read_cases(project.cases_file, usecase) if project.cases_file.exists() else ()
        return cases, suite_lock.verify(project, usecase, cases), None
    except SuiteNotLocked as error:
        return cases, None, error
    except (DataError, SuiteChanged) as error:
        if strict:
            raise
        return cases, None, error
