"""Two append-only, hash-chained logs: what was registered before the locked cases were looked at, and every look.

Each line holds the hash of the line before. A line that was edited or removed breaks the chain and is named.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from tuneworthy.content import append_line, digest
from tuneworthy.errors import SuiteChanged
from tuneworthy.records import Record

_START = "0" * 64


class Opening(Record):
    """One look at the locked cases."""

    lock: str
    arm: str
    arm_digest: str
    contrast: str
    exploratory: bool
    """this contrast was opened before with another candidate: it cannot support `tune`"""
    at: str


def register(
    file: Path,
    *,
    lock_digest: str,
    reference: str,
    contrasts: Sequence[str],
    n: int,
    settings: dict[str, JsonValue],
) -> None:
    """Write down what will be compared, before any locked score is computed. The same registration is not repeated."""
    content: dict[str, JsonValue] = {
        "lock": lock_digest, "reference": reference, "contrasts": list(contrasts), "n": n, "settings": settings, "looks": 1,
    }  # fmt: skip
    known = [{k: v for k, v in line.items() if k not in ("at", "previous", "hash")} for line in read(file)]
    if content not in known:
        _append(file, {**content, "at": _now()})


def open_cases(file: Path, *, lock_digest: str, arm: str, arm_digest: str, contrast: str) -> Opening:
    """Log a look at the locked cases by one arm. The same arm again is the same look: nothing is logged twice."""
    earlier = [line for line in read(file) if line["lock"] == lock_digest and line["arm"] == arm]
    for line in earlier:
        if line["arm_digest"] == arm_digest:
            return Opening(**{key: line[key] for key in Opening.model_fields})
    opening = Opening(
        lock=lock_digest, arm=arm, arm_digest=arm_digest, contrast=contrast, exploratory=bool(earlier), at=_now()
    )
    _append(file, opening.model_dump(mode="json"))
    return opening


def read(file: Path) -> list[dict[str, Any]]:
    """All lines, the chain verified. The torn line of a killed process is left out.

    Raises:
        SuiteChanged: a line was edited or removed.
    """
    if not file.exists():
        return []
    lines: list[dict[str, Any]] = []
    previous = _START
    for number, text in enumerate(file.read_text("utf-8", errors="replace").split("\n"), start=1):
        if not text.endswith("}"):
            continue  # empty, or the beginning of a line that a killed process did not finish
        line = _parsed(text)
        if line.get("previous") != previous or line.get("hash") != _hash(line):
            raise SuiteChanged(
                "the append-only log was edited: its chain breaks here",
                why="without an honest log nobody can tell how often the locked cases were looked at",
                next="restore the file from version control",
                where=f"{file}:{number}",
            )
        lines.append(line)
        previous = line["hash"]
    return lines


def _append(file: Path, content: dict[str, Any]) -> None:
    lines = read(file)
    linked = {**content, "previous": lines[-1]["hash"] if lines else _START}
    append_line(file, json.dumps({**linked, "hash": digest(linked)}, ensure_ascii=False))


def _hash(line: dict[str, Any]) -> str:
    return digest({key: value for key, value in line.items() if key != "hash"})


def _parsed(text: str) -> dict[str, Any]:
    """The line as an object; an empty one, which no chain accepts, where it is none."""
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
