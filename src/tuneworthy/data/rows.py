"""One row as a file has it, and what the readers of all kinds of files share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuneworthy.errors import DataError, Problem

LONGEST_ROW = 1_000_000
"""Characters. A longer row is a mistake (a whole file in one cell) far more often than an example."""


@dataclass(frozen=True)
class RawRow:
    """One row as the file has it, or why it cannot be read."""

    line: int
    """1-based line where the row begins; row number of a Parquet table"""
    values: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    text: str = ""
    """the row as text, for the rejects file; cut when it is longer than LONGEST_ROW"""
    file: str = ""
    """the file of the row, where a folder was read"""


def too_long(number: int, text: str) -> RawRow:
    """A row beyond LONGEST_ROW."""
    reason = f"is {len(text):,} characters long (at most {LONGEST_ROW:,})"
    return RawRow(number, problem=reason, text=text[:LONGEST_ROW])


def without_mark(path: Path, raw: bytes) -> bytes:
    """The bytes without the UTF-8 mark. UTF-16 and UTF-32 are named rather than read as broken lines."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or raw[:4] == b"\0\0\xfe\xff":
        raise DataError(
            "the file is UTF-16 or UTF-32, not UTF-8",
            [Problem(f"{path.name}:1", "", f"byte 1 is 0x{raw[0]:02x}")],
            next="save it as UTF-8",
            where=str(path),
        )
    return raw.removeprefix(b"\xef\xbb\xbf")


def whole_text(path: Path, raw: bytes) -> str:
    """A file that can only be read whole. Raises DataError that names line and byte when it is not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problem = Problem(f"{path.name}:{line}", "", not_utf8(raw, error.start, "the file"))
        raise DataError("the file is not UTF-8", [problem], next="save it as UTF-8", where=str(path)) from None


def not_utf8(raw: bytes, start: int, what: str) -> str:
    """The reason, for a byte of `what` (the line, the file)."""
    byte = f"byte {start + 1} of {what} is 0x{raw[start]:02x}"
    return f"{byte}: not UTF-8 (Windows-1252 or Latin-1 perhaps); save the file as UTF-8"
