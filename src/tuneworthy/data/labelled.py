"""What people label row by row: a queue, an append-only log, and how far they agree.

    data/to_label.jsonl   the rows of the queue (tuneworthy data label FILE)
    data/labels.jsonl     one line for each thing that somebody did; written before it is confirmed, never rewritten

Every fifth row is shown to two people, without the answer of the other: their agreement says how far a label can be
trusted. Rows on which people differ wait until somebody decides.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import JsonValue

from tuneworthy.content import append_line, canonical_json, digest
from tuneworthy.data import unlabelled
from tuneworthy.data.files import read_rows
from tuneworthy.data.json_rows import is_json
from tuneworthy.data.unlabelled import Taken, ToLabel
from tuneworthy.data.values import Expected
from tuneworthy.errors import DataError, Problem
from tuneworthy.project import Project
from tuneworthy.records import Interval, Record

TWICE = 5
"""one row in so many is labelled by two people"""
RESERVED = 600.0
"""seconds for which a row that somebody looks at is not shown to others"""


class Label(Record):
    """One line of the log."""

    row: str
    """name of the input: 16 hexadecimal digits of its hash"""
    by: str
    at: str
    """ISO 8601, UTC"""
    action: Literal["label", "skip", "undo", "decide"]
    """undo takes back the last thing that the same person did to the row; decide settles a difference"""
    expected: JsonValue = None
    flag: bool = False
    """somebody should look at this row again"""
    note: str = ""


class Difference(Record):
    """A row on which people differ."""

    row: str
    input: dict[str, JsonValue]
    given: tuple[tuple[str, JsonValue], ...]
    """(person, label)"""


class Agreed(Record):
    """How far two people agree on the rows that both labelled, blind to each other."""

    rows: int
    same: Interval | None
    """share of equal labels; None without rows"""
    kappa: Interval | None
    """beyond chance; None where it cannot be given (outputs that are no labels, or only one value used)"""


class Standing(Record):
    """Where the labelling stands."""

    rows: int
    done: int
    """rows with one settled label"""
    skipped: int
    differences: int
    flagged: int
    people: tuple[tuple[str, int], ...]
    """(person, rows labelled), most first"""
    seconds_each: float | None
    """median time between two labels of one person; pauses longer than five minutes do not count"""


@dataclass
class Desk:
    """The queue and the log of one project, kept in step with the files. Not for several threads at once."""

    project: Project
    _rows: dict[str, ToLabel] = field(default_factory=dict)
    _log: list[Label] = field(default_factory=list)
    _held: dict[str, dict[tuple[str, bool], Label]] = field(default_factory=dict)
    """row → (person, is it a decision) → what stands"""
    _reserved: dict[str, tuple[str, float]] = field(default_factory=dict)
    _queue_seen: tuple[int, int] | None = None
    _read_to: int = 0
    """bytes of the log that were taken into account"""

    def next_row(self, by: str) -> tuple[str, ToLabel] | None:
        """The next row for somebody: the first of the queue that needs a label of theirs; None = nothing left."""
        self._look()
        now = time.monotonic()
        for name, row in self._rows.items():
            holder, until = self._reserved.get(name, ("", 0.0))
            if self._needs(name, by) and (holder in ("", by) or until < now):
                self._reserved[name] = (by, now + RESERVED)
                return name, row
        return None

    def row(self, name: str) -> ToLabel:
        """A row of the queue. Raises DataError where there is no such row."""
        self._look()
        if name not in self._rows:
            raise DataError("this row is not in the queue any more", [], next="go on with the next one")
        return self._rows[name]

    def put(self, entry: Label) -> None:
        """Write one line, and only then take it into account.

        Raises:
            DataError: the row is not in the queue, or the label does not fit the use case.
            StorageError: the disk is full; nothing is taken into account.
        """
        self.row(entry.row)
        if entry.action in ("label", "decide"):
            entry = entry.model_copy(update={"expected": self.read(entry.expected)})
        append_line(self.project.labels_file, entry.model_dump_json())
        self._reserved.pop(entry.row, None)
        self._look()

    def read(self, expected: JsonValue) -> JsonValue:
        """An answer as the use case declares it. Raises DataError where it does not fit."""
        try:
            return Expected(self.project.usecase.output).read(expected)
        except ValueError as error:
            raise DataError(str(error), [], next="correct the answer") from None

    def undo(self, by: str) -> Label | None:
        """Take back the last thing that somebody did; returns it, or None where there is nothing."""
        self._look()
        last = next((e for e in reversed(self._log) if e.by == by and e.row in self._rows and self._stands(e)), None)
        if last is not None:
            self.put(Label(row=last.row, by=by, at=_now(), action="undo"))
            self._reserved[last.row] = (by, time.monotonic() + RESERVED)
        return last

    def differences(self) -> list[Difference]:
        """Rows with unequal labels that nobody has decided yet."""
        self._look()
        return [
            Difference(
                row=name,
                input=self._rows[name].input,
                given=tuple((e.by, e.expected) for e in self._given(name)),
            )
            for name in self._rows
            if self._differ(name)
        ]

    def agreement(self) -> Agreed:
        """Of the two people who labelled a row first, before anybody decided; rows taken over since count as well."""
        # imported here: scipy takes a second, and the first page needs none of it
        from tuneworthy.measure.agreement import cohens_kappa
        from tuneworthy.measure.statistics import wilson

        self._look()
        pairs = [(first.expected, second.expected) for first, second, *_ in self._doubles()]
        same = sum(_same(a, b) for a, b in pairs)
        labels = self.project.usecase.output.labels
        kappa = None
        if labels and pairs:
            import numpy as np

            place = {label: number for number, label in enumerate(labels)}
            table = np.zeros((len(labels), len(labels)))
            for a, b in pairs:
                if a in place and b in place:  # labels that the use case had at the time may be gone
                    table[place[str(a)], place[str(b)]] += 1
            kappa = cohens_kappa(table) if table.any() else None
        return Agreed(rows=len(pairs), same=wilson(same, len(pairs)) if pairs else None, kappa=kappa)

    def standing(self) -> Standing:
        """Counts over the queue."""
        self._look()
        by_person: dict[str, int] = defaultdict(int)
        for name in self._rows:
            for entry in self._given(name):
                by_person[entry.by] += 1
        held = [self._held.get(name, {}) for name in self._rows]
        return Standing(
            rows=len(self._rows),
            done=sum(self.settled(name) is not None for name in self._rows),
            skipped=sum(any(e.action == "skip" for e in h.values()) for h in held),
            differences=sum(self._differ(name) for name in self._rows),
            flagged=sum(any(e.flag for e in h.values()) for h in held),
            people=tuple(sorted(by_person.items(), key=lambda item: (-item[1], item[0]))),
            seconds_each=_pace(self._log),
        )

    def settled(self, name: str) -> JsonValue:
        """The label of a row: decided, or given by everybody alike; None while there is none."""
        held = self._held.get(name, {})
        decided = [e for e in held.values() if e.action == "decide"]
        if decided:
            return max(decided, key=lambda e: e.at).expected
        given = self._given(name)
        if not given or self._differ(name):
            return None
        return given[0].expected

    def take_over(self) -> Taken:
        """Put the settled rows into the examples, as a new version, with those that were filled in in the file itself;
        the others stay in the queue.

        Raises:
            DataError: the queue holds lines that cannot be used, or the examples lie in a file that is not ours.
        """
        with self.project.busy("data label"):
            self._look()
            settled = {name: value for name in self._rows if (value := self.settled(name)) is not None}
            if settled:
                rows = [
                    row.model_copy(update={"expected": settled[name]}) if name in settled else row
                    for name, row in self._rows.items()
                ]
                unlabelled.save(rows, self.project.to_label_file)
            return unlabelled.take(self.project)

    def require_taken_over(self) -> None:
        """Raises DataError where rows of the queue are labelled and no examples yet: another queue would lose them."""
        self._look()
        labelled = sum(any(e.action != "skip" for e in self._held.get(name, {}).values()) for name in self._rows)
        if labelled:
            raise DataError(
                f"{labelled} rows of the queue were labelled and not taken over",
                [],
                next="run: tuneworthy data label --take, or decide where people differ",
                where=str(self.project.labels_file),
            )

    # --- parts ---

    def _look(self) -> None:
        """Read again what changed on disk: another process may have refilled the queue."""
        queue, log = (_state(path) for path in (self.project.to_label_file, self.project.labels_file))
        if queue != self._queue_seen:
            self._rows = {row_name(row): row for row in _queue(self.project.to_label_file)}
            self._queue_seen = queue
        if log is None or log[0] < self._read_to:  # replaced by an older copy
            self._log, self._held, self._read_to = [], {}, 0
        if log is not None and log[0] > self._read_to:
            entries, self._read_to = read(self.project.labels_file, self._read_to)
            for entry in entries:
                self._apply(entry)

    def _apply(self, entry: Label) -> None:
        self._log.append(entry)
        held = self._held.setdefault(entry.row, {})
        if entry.action == "undo":
            if held.pop((entry.by, True), None) is None:
                held.pop((entry.by, False), None)
        else:
            held[entry.by, entry.action == "decide"] = entry

    def _stands(self, entry: Label) -> bool:
        return any(entry is kept for kept in self._held.get(entry.row, {}).values())

    def _given(self, name: str) -> list[Label]:
        return sorted((e for e in self._held.get(name, {}).values() if e.action == "label"), key=lambda e: e.at)

    def _differ(self, name: str) -> bool:
        held = self._held.get(name, {}).values()
        if any(e.action == "decide" for e in held):
            return False
        given = self._given(name)
        return any(not _same(given[0].expected, other.expected) for other in given[1:])

    def _doubles(self) -> Iterator[list[Label]]:
        for name in self._held:
            given = self._given(name)
            if len(given) >= 2:
                yield given

    def _needs(self, name: str, by: str) -> bool:
        held = self._held.get(name, {})
        if (by, False) in held or any(e.action == "decide" for e in held.values()):
            return False
        labels = len(self._given(name))
        return labels == 0 or (labels == 1 and int(name, 16) % TWICE == 0)


def row_name(row: ToLabel) -> str:
    """16 hexadecimal digits of the hash of the input."""
    return digest(row.input)[:16]


def read(path: Path, start: int = 0) -> tuple[list[Label], int]:
    """The log from a byte on, oldest first, and the byte after its last whole line. A torn line of a killed process is
    no entry.

    Raises:
        DataError: another line is not an entry.
    """
    if not path.exists():
        return [], 0
    with path.open("rb") as file:
        file.seek(start)
        raw = file.read()
    end = raw.rfind(b"\n") + 1
    found, problems = [], []
    for number, line in enumerate(raw[:end].split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(Label.model_validate_json(line))
        except ValueError as error:
            if is_json(line):  # else torn
                problems.append(Problem(f"{path.name}:{number}", "", str(error).splitlines()[0][:120]))
    if problems:
        raise DataError("the log of labels was edited", problems, next="restore these lines", where=str(path))
    return found, start + end


def label(row: str, by: str, *, expected: JsonValue, flag: bool = False, note: str = "") -> Label:
    """Somebody's answer to a row, now."""
    return Label(row=row, by=by, at=_now(), action="label", expected=expected, flag=flag, note=note)


def skip(row: str, by: str, *, flag: bool = False, note: str = "") -> Label:
    """Somebody leaves a row to others."""
    return Label(row=row, by=by, at=_now(), action="skip", flag=flag, note=note)


def decide(row: str, by: str, expected: JsonValue, note: str = "") -> Label:
    """Somebody settles a difference."""
    return Label(row=row, by=by, at=_now(), action="decide", expected=expected, note=note)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _same(a: JsonValue, b: JsonValue) -> bool:
    return canonical_json(a) == canonical_json(b)


def _state(path: Path) -> tuple[int, int] | None:
    """(size in bytes, time of change); None where there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def _queue(path: Path) -> list[ToLabel]:
    if not path.exists() or not path.read_bytes().strip():
        return []
    rows, problems = [], []
    for raw in read_rows(path):
        try:
            if raw.problem:
                raise ValueError(raw.problem)
            rows.append(ToLabel.model_validate(raw.values))
        except ValueError as error:
            problems.append(Problem(f"{path.name}:{raw.line}", "", str(error).splitlines()[0][:120]))
    if problems:
        raise DataError("the queue cannot be read", problems, next="repair these lines", where=str(path))
    return rows


def _pace(log: Sequence[Label]) -> float | None:
    last: dict[str, datetime] = {}
    gaps = []
    for entry in log:
        at = datetime.fromisoformat(entry.at)
        if entry.action == "label" and entry.by in last and 0 < (gap := (at - last[entry.by]).total_seconds()) < 300:
            gaps.append(gap)
        last[entry.by] = at
    return median(gaps) if gaps else None
