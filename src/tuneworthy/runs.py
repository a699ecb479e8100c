"""RunRecord: everything one run found out, as `runs/<id>/verdict.json`. A public file format.

    RunRecord ── timing            the only clock times, so that two runs can be compared without them
              ├─ verdict           what to do, why, what was not measured
              ├─ gates             the five prerequisites with evidence
              ├─ suite, openings   what was locked, and who looked when
              ├─ data              version, splits, leaks
              ├─ levers, arms      what was tried on development data, what was measured on the locked cases
              ├─ comparisons       arms paired by case; splits: format against content
              ├─ retention, memorisation, probes   what training did beside the task
              ├─ diagnosis         why the base fails on the development split
              └─ cases             every answer of every arm, side by side

`load` and `save` are the only way in and out of the file; readers outside Python find every field named here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import Field, JsonValue, ValidationError

from tuneworthy.content import write_whole
from tuneworthy.errors import DataError, Problem, TuneworthyError
from tuneworthy.measure.compare import compare
from tuneworthy.measure.diagnose import Diagnosis
from tuneworthy.measure.further import FurtherScore
from tuneworthy.measure.memorisation import Memorisation
from tuneworthy.measure.probes import Probes
from tuneworthy.measure.slices import Slice
from tuneworthy.measure.spent import Amount
from tuneworthy.records import (
    Answer,
    Arm,
    Calibration,
    Candidate,
    CaseResult,
    Comparison,
    Interval,
    LeverResult,
    Record,
    Score,
    UnscoredReason,
)
from tuneworthy.verdict import Verdict

SCHEMA_VERSION: Literal[1] = 1
CHANNEL = ("timeout", "transport", "content_filter", "parse")
"""why an answer may not have come; it is empty then"""

GateState: TypeAlias = Literal["passed", "failed", "not_measured", "overridden"]


class Timing(Record):
    """When it ran and how long it took."""

    started: str = ""
    """ISO 8601 with time zone"""
    finished: str = ""
    seconds: float = 0.0
    """wall time of this run, reused answers not counted again"""


class GateResult(Record):
    """One of the five prerequisites, with its evidence."""

    gate: Literal["use_case", "data", "suite", "hardware", "discipline"]
    state: GateState
    found: str = ""
    """the evidence, in a sentence with numbers"""
    missing: str = ""
    next: str = ""
    """what to do about it"""
    override: str = ""
    """the written reason for passing a gate that failed; printed in the report"""


class SuiteSummary(Record):
    """The locked suite, without its cases."""

    lock: str
    """digest of suite.lock"""
    cases: int
    power: str = ""
    """what this many cases can detect, in a sentence"""


class DataSummary(Record):
    """The version of the examples and how it was divided. Counts are rows."""

    version: str = ""
    """empty where there are no examples"""
    rows: int = 0
    train: int = 0
    dev: int = 0
    exact_duplicates: int = 0
    leaks: tuple[dict[str, JsonValue], ...] = ()
    """examples that also stand among the cases, exactly or nearly; they were kept out of training"""
    wrong_labels: Interval | None = None
    """share of expected outputs that a person found wrong in random rows; None = nobody looked"""
    facts: float | None = None
    """share of the rows to learn from that teach names, figures or dates; None for labels"""


class ArmReport(Record):
    """One arm in numbers. None always means not measured, never zero."""

    name: str
    lever: str
    trained: bool = False
    """True when the lever changed weights"""
    interval: Interval | None
    """mean score over the scored cases; None when none could be scored, or when graded scores do not vary"""
    n: int
    """scored cases"""
    unscored: int = 0
    too_long: int = 0
    """inputs that did not fit the model's context: not asked, and judged as an empty answer"""
    tokens_in: float | None = None
    """mean per answer"""
    tokens_out: float | None = None
    seconds: float | None = None
    """mean per answer"""
    seconds_p95: Interval | None = None
    """time within which 95 % of the answers came; None below 100 answers"""
    eur_per_1000: Amount | None = None
    """euros for 1,000 answers at the price of tokens in the user's prices.toml"""
    dev_score: float | None = None
    evidence_recall: float | None = None
    """share of the cases with evidence whose passage was among the retrieved ones"""
    candidate: str = ""
    """digest of the Candidate that answered"""
    exploratory: bool = False
    further: dict[str, FurtherScore] = Field(default_factory=dict)
    """scorer of [[scorers]] → what it says beside the bar"""


class CaseOutput(Record):
    """What one arm answered to one case."""

    text: str = ""
    score: float | None = None
    """strict; None = unscored"""
    unscored: UnscoredReason | None = None
    lenient: float | None = None
    """the same answer read leniently"""
    passages: tuple[str, ...] = ()
    further: dict[str, float | None] = Field(default_factory=dict)
    """scorer of [[scorers]] → its score; None = unscored"""


class CaseRow(Record):
    """One locked case with the outputs of all arms."""

    id: str
    input: dict[str, JsonValue]
    expected: JsonValue = None
    tags: tuple[str, ...] = ()
    outputs: dict[str, CaseOutput] = Field(default_factory=dict)
    """arm name → what it answered"""


class RunRecord(Record):
    """Everything one run found out."""

    schema_version: Literal[1] = SCHEMA_VERSION
    tuneworthy_version: str
    run_id: str
    usecase: dict[str, JsonValue]
    """usecase.toml, resolved: every default written out"""
    timing: Timing = Timing()
    verdict: Verdict
    gates: tuple[GateResult, ...] = ()
    suite: SuiteSummary | None = None
    """None when no suite was locked"""
    openings: tuple[dict[str, JsonValue], ...] = ()
    """lines of the append-only log: each time a score on the locked cases was computed"""
    data: DataSummary = DataSummary()
    levers: tuple[LeverResult, ...] = ()
    arms: tuple[ArmReport, ...] = ()
    candidates: dict[str, Candidate] = Field(default_factory=dict)
    """arm name → what answered, by reference: enough to package it and to let it answer again"""
    comparisons: tuple[Comparison, ...] = ()
    """in the registered order"""
    splits: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    """trained arm → its gain split into format and content"""
    slices: dict[str, tuple[Slice, ...]] = Field(default_factory=dict)
    """comparison → the same within the cases of each tag; absent where no two cases share a tag"""
    retention: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    """trained lever → what became of abilities that the task does not ask for"""
    memorisation: dict[str, Memorisation] = Field(default_factory=dict)
    """trained lever → training inputs that it continues word for word; absent where inputs are too short or too few"""
    probes: dict[str, Probes] = Field(default_factory=dict)
    """trained lever → what else training did: overfitting, drift, refusals, robustness, copying, canaries, staleness"""
    diagnosis: Diagnosis | None = None
    """why the base fails on the development split; None where a cheap lever met the bar, or it was not measured"""
    money: dict[str, JsonValue] = Field(default_factory=dict)
    """when each lever pays (BreakEven of plan/records.py); empty in records of older versions"""
    licence: dict[str, JsonValue] = Field(default_factory=dict)
    """the base model's licence (Licence of plan/records.py); empty where its weights are not here"""
    cases: tuple[CaseRow, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    """library → version"""
    not_measured: tuple[str, ...] = ()
    """everything that was not measured, one sentence each"""

    def compare(
        self,
        reference: str,
        candidate: str,
        *,
        binary: bool,
        alpha: float,
        seed: int,
        clusters: Mapping[str, str],
        judge: Calibration | None = None,
    ) -> Comparison:
        """Two arms of this run, case by case: as registered, or else exploratory.

        Raises:
            TuneworthyError: there is no such arm.
        """
        known = next((c for c in self.comparisons if (c.reference, c.candidate) == (reference, candidate)), None)
        return known or compare(
            self.arm(reference),
            self.arm(candidate),
            binary=binary,
            registered=False,
            seed=seed,
            alpha=alpha,
            clusters=clusters,
            judge=judge,
        )

    def arm(self, name: str) -> Arm:
        """One arm with its answers and scores, as far as the record keeps them.

        Raises:
            TuneworthyError: there is no such arm.
        """
        report = next((arm for arm in self.arms if arm.name == name), None)
        if report is None:
            raise TuneworthyError(
                f"the last run has no arm called {name!r}", next=f"known: {', '.join(arm.name for arm in self.arms)}"
            )
        return Arm(
            name=name,
            candidate=Candidate(lever=report.lever, model=report.candidate),
            cases=self.suite.lock if self.suite else "unlocked",
            results=tuple(_result(row.id, row.outputs[name]) for row in self.cases if name in row.outputs),
            exploratory=report.exploratory,
        )

    def without_times(self) -> dict[str, Any]:
        """The record as plain data without clock times, durations and the run's name: equal for equal findings.

        Only parts that the product writes are searched for times; a field called `time` in the user's own cases
        stays as it is.
        """
        plain: dict[str, Any] = self.model_dump(mode="json", exclude={"timing", "run_id"})
        for part in ("arms", "levers", "openings", "probes"):
            plain[part] = _timeless(plain[part])
        for output in (output for row in plain["cases"] for output in row["outputs"].values()):
            output["further"] = _timeless(output["further"])
        return plain


def _result(case: str, output: CaseOutput) -> CaseResult:
    strict = Score(value=output.score, unscored=output.unscored)
    lenient = strict if output.lenient is None else Score(value=output.lenient)
    # The record does not tell who failed. No scorer leaves an empty answer unscored for these reasons: the channel did.
    error = output.unscored if not output.text and output.unscored in CHANNEL else None
    return CaseResult(case=case, answer=Answer(text=output.text, error=error), score=strict, lenient=lenient)


def load(path: Path) -> RunRecord:
    """Read a verdict.json.

    Raises:
        DataError: the file is missing, is not JSON, or is not a run record of this schema version.
    """
    where = str(path)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"the record of the run cannot be read: {error}", [], next="run: tuneworthy run", where=where
        ) from None
    try:
        return RunRecord.model_validate_json(text)
    except ValidationError as error:
        problems = [
            Problem(".".join(map(str, item["loc"])) or "file", "", item["msg"])
            for item in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise DataError(
            f"this is not a run record of schema version {SCHEMA_VERSION}",
            problems,
            next="run again with this version of Tuneworthy: finished arms are reused",
            where=where,
        ) from None


def save(record: RunRecord, path: Path) -> None:
    """Write a verdict.json whole, one value a line, so that two runs can be compared with `diff`.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    plain = record.model_dump(mode="json")
    write_whole(path, json.dumps(plain, ensure_ascii=False, allow_nan=False, indent=1) + "\n")


_TIMES = {"seconds", "time", "at", "started", "finished", "opened_at", "previous", "hash", "peak_memory_gb", "latency"}
"""Names of clock times, durations, the scorer that judges them, the links of a hash chain, which cover clock times, and
memory, which like them depends on what else the machine did."""


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if not _is_time(key)}
    if isinstance(value, list):
        return [_timeless(item) for item in value]
    return value


def _is_time(key: str) -> bool:
    return key in _TIMES or key.endswith(("_seconds", "per_second", "_at")) or key.startswith("seconds_")
