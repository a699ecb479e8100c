"""An append-only log whose lines are chained by their hashes: a line that was edited or removed is named.

Removing the last lines cannot be seen from the file alone. What a killed process left of a line is passed over; the
line that follows it says so under `torn`.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuneworthy.content import append_line, digest, storage_error
from tuneworthy.errors import LogEdited

_START = "0" * 64


def read(file: Path) -> list[dict[str, Any]]:
    """All whole lines, the chain verified.

    Raises:
        LogEdited: a line was edited or removed.
    """
    return _scan(file)[0]


def append(file: Path, content: dict[str, Any]) -> None:
    """Add a line, linked to the one before.

    Raises:
        LogEdited: the log was edited. StorageError: it cannot be written.
    """
    with _alone(file):
        lines, torn = _scan(file)
        linked = {**content, "previous": lines[-1]["hash"] if lines else _START}
        if torn:
            linked["torn"] = torn
        append_line(file, json.dumps({**linked, "hash": digest(linked)}, ensure_ascii=False))


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One writer at a time: two that follow the same line would break the chain. The lock goes with the process."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise storage_error(error, file) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


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
            raise LogEdited(
                "the append-only log was edited: its chain breaks here",
                why="it says what was done when, and only an honest log can",
                next="restore the file from version control",
                where=f"{file}:{number}",
            )
        lines.append(line)
        previous, torn = line["hash"], []
    return lines, torn


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
