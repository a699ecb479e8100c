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
        "lock": lock_digest,
        "reference": reference,
        "contrasts": list(contrasts),
        "n": n,
        "settings": settings,
        "looks": 1,
    }
    known = [{k: v for k, v in line.items() if k not in ("at", "previous", "hash", "torn")} for line in read(file)]
    if content not in known:
        _append(file, {**content, "at": _now()})


def open_cases(file: Path, *, lock_digest: str, arm: str, arm_digest: str, contrast: str) -> Opening:
    """Log a look at the locked cases by one arm. The same candidate again in this arm is the same look: nothing is
    logged twice. Another candidate in an arm or a contrast that was opened before is exploratory."""
    looks = [Opening(**{key: line[key] for key in Opening.model_fields}) for line in read(file)]
    earlier = [look for look in looks if look.lock == lock_digest and (look.arm == arm or look.contrast == contrast)]
    for look in earlier:
        if (look.arm, look.arm_digest) == (arm, arm_digest):
            return look
    exploratory = any(look.arm_digest != arm_digest for look in earlier)
    opening = Opening(
        lock=lock_digest, arm=arm, arm_digest=arm_digest, contrast=contrast, exploratory=exploratory, at=_now()
    )
    _append(file, opening.model_dump(mode="json"))
    return opening


def read(file: Path) -> list[dict[str, Any]]:
    """All lines, the chain verified. What a killed process left of a line is passed over; the line that follows it
    says so under `torn`.

    Raises:
        SuiteChanged: a line was edited or removed. Removing the last lines cannot be seen from the file alone.
    """
    return _scan(file)[0]


def _scan(file: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """(whole lines, numbers of the torn ones after the last whole line)."""
    lines: list[dict[str, Any]] = []
    torn: list[int] = []
    previous = _START
    for number, text in enumerate(_texts(file), start=1):
        line = _parsed(text)
        if line is None:
            torn += [number] if text else []
            continue
        if line.get("previous") != previous or line.get("hash") != _hash(line):
            raise SuiteChanged(
                "the append-only log was edited: its chain breaks here",
                why="without an honest log nobody can tell how often the locked cases were looked at",
                next="restore the file from version control",
                where=f"{file}:{number}",
            )
        lines.append(line)
        previous, torn = line["hash"], []
    return lines, torn


def _append(file: Path, content: dict[str, Any]) -> None:
    lines, torn = _scan(file)
    linked = {**content, "previous": lines[-1]["hash"] if lines else _START}
    if torn:
        linked["torn"] = torn
    append_line(file, json.dumps({**linked, "hash": digest(linked)}, ensure_ascii=False))


def _hash(line: dict[str, Any]) -> str:
    return digest({key: value for key, value in line.items() if key != "hash"})


def _texts(file: Path) -> list[str]:
    return file.read_text("utf-8", errors="replace").split("\n") if file.exists() else []


def _parsed(text: str) -> dict[str, Any] | None:
    """The line as an object; None where it is torn. Half a line never parses, as its brace is not closed; a line that
    was made unreadable on purpose breaks the chain of the next one."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else {}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
