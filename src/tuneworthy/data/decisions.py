"""The decision log: who changed which rows, when, by which rule and why. Append-only, in data/decisions.jsonl.

An entry holds the rows before and after, so it can be undone without any stored version, and a row can be followed
through its names. It is written before the examples: a killed fix leaves an entry that did not come into effect, told
by the content that it starts from and leads to. Undoing is an entry too; nothing is ever removed from the log.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from tuneworthy.content import append_line, digest
from tuneworthy.data.json_rows import is_json
from tuneworthy.data.version import manifest
from tuneworthy.errors import DataError, Problem
from tuneworthy.records import Example, Record

RESTORE = "restore"
"""The rule that takes a redaction back."""


class Change(Record):
    """What became of one row."""

    at: int
    """its place among the rows before, from 0"""
    before: Example
    after: Example | None
    """None = left out"""
    note: str = ""


def mapped(value: JsonValue, change: Callable[[str], str]) -> JsonValue:
    """A JSON value with every text in it changed; keys stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [mapped(item, change) for item in value]
    if isinstance(value, dict):
        return {key: mapped(item, change) for key, item in value.items()}
    return value


class Decision(Record):
    """One entry of the log."""

    when: str
    who: str
    rule: str
    why: str
    version_before: str
    version_after: str
    content_before: str
    """digest over the rows in order: tells apart versions that differ in copies only"""
    content_after: str
    rows: int
    """how many rows it touched"""
    changes: tuple[Change, ...]
    """the rows themselves; empty for a redaction, whose values the log must not keep"""
    undoes: str = ""
    """digest of the entry that this one takes back"""


def apply(examples: Sequence[Example], changes: Sequence[Change]) -> tuple[Example, ...]:
    """The rows after the changes. Raises ValueError where a row is not the one that was changed."""
    rows: list[Example | None] = list(examples)
    for change in changes:
        if not 0 <= change.at < len(rows) or rows[change.at] != change.before:
            raise ValueError(f"row {change.at + 1} is not the row that was changed")
        rows[change.at] = change.after
    return tuple(row for row in rows if row is not None)


def revert(examples: Sequence[Example], changes: Sequence[Change]) -> tuple[Example, ...]:
    """The rows before the changes. Raises ValueError where a row is not what the change made of it."""
    rows = list(examples)
    for change in sorted(changes, key=lambda change: change.at):
        if change.after is None:
            rows.insert(change.at, change.before)
        elif change.at >= len(rows) or rows[change.at] != change.after:
            raise ValueError(f"row {change.at + 1} is not the row that was changed")
        else:
            rows[change.at] = change.before
    return tuple(rows)


def decide(
    before: Sequence[Example],
    after: Sequence[Example],
    changes: Sequence[Change],
    *,
    rule: str,
    why: str,
    who: str,
    undoes: str = "",
    keep: bool = True,
) -> Decision:
    """The entry for a change, not written yet.

    Args:
        keep: hold the rows in the entry.
    """
    return Decision(
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        who=who,
        rule=rule,
        why=why,
        version_before=manifest(before).version,
        version_after=manifest(after).version,
        content_before=content(before),
        content_after=content(after),
        rows=len(changes),
        changes=tuple(changes) if keep else (),
        undoes=undoes,
    )


def content(examples: Sequence[Example]) -> str:
    """Digest over the rows in order."""
    return digest([example.name for example in examples])


def append(path: Path, decision: Decision) -> None:
    """Raises StorageError when the log cannot be written."""
    append_line(path, json.dumps(decision.model_dump(mode="json"), ensure_ascii=False))


def read(path: Path) -> tuple[Decision, ...]:
    """The log, oldest first. A torn last line of a killed process is no entry.

    Raises:
        DataError: another line is not an entry.
    """
    if not path.exists():
        return ()
    lines = path.read_bytes().split(b"\n")
    found: list[Decision] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(Decision.model_validate_json(line))
        except ValueError:
            if not is_json(line):
                continue  # torn: append_line closed it before the next entry
            problem = Problem(f"{path.name}:{number}", "", "is not an entry of the log")
            raise DataError("the decision log was edited", [problem], next="restore it", where=str(path)) from None
    return tuple(found)


def last_in_effect(log: Sequence[Decision], examples: Sequence[Example]) -> Decision | None:
    """The entry that made the rows what they are and was not taken back; None where there is none.

    What came into effect is told from the end: each such entry leads to the content that the next one starts from. A
    fix or an undoing that was killed before the rows were written leads nowhere.
    """
    now = state = content(examples)
    in_effect = []
    for decision in reversed(log):
        if decision.content_after == state:
            in_effect.append(decision)
            state = decision.content_before
    undone = {decision.undoes for decision in in_effect}
    for decision in in_effect:
        taken_back = decision.undoes or decision.digest in undone or decision.rule == RESTORE
        if not taken_back and decision.content_after == now:
            return decision
    return None


def descent(log: Sequence[Decision], name: str) -> list[str]:
    """All names that a row had or has, following the log in both directions."""
    names: dict[str, None] = {name: None}
    pairs: list[tuple[str, Any]] = [
        (change.before.name, change.after.name) for d in log for change in d.changes if change.after is not None
    ]
    grown = -1
    while grown != len(names):
        grown = len(names)
        for before, after in pairs:
            if before in names or after in names:
                names |= {before: None, after: None}
    return list(names)
