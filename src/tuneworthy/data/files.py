"""Files → raw rows with their line numbers. JSONL, JSON, CSV and Parquet, as people have them.

Nothing is dropped in silence: a line that cannot be read becomes a Problem that names file, line and reason.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneworthy.errors import DataError, Problem

LONGEST_LINE = 1_000_000
"""Characters. A longer row is a mistake (a whole file in one cell) far more often than an example."""

csv.field_size_limit(LONGEST_LINE)


@dataclass(frozen=True)
class RawRow:
    """One row as the file has it, or why it cannot be read."""

    line: int
    """1-based line of a text file, row number of a table"""
    values: dict[str, Any]
    problem: str = ""
    text: str = ""
    """the beginning of the raw line, for the rejects file"""


def read_rows(path: Path) -> list[RawRow]:
    """All rows of a file.

    Raises:
        DataError: the file is missing, empty, of an unknown kind, or not readable at all.
    """
    readers = {".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _json, ".csv": _csv, ".tsv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if path.is_dir():
        raise DataError("this is a folder, not a file", [], next="name a file in it", where=str(path))
    if reader is None:
        raise DataError(
            f"files that end in {path.suffix or 'nothing'!r} are not read",
            [],
            next=f"use {', '.join(readers)}",
            where=str(path),
        )
    try:
        if path.stat().st_size == 0:
            raise DataError("the file is empty", [], next="put at least one row into it", where=str(path))
        rows = list(reader(path))
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror or error}", [], next="check the path", where=str(path)
        ) from None
    if not rows:
        raise DataError("the file holds no rows", [], next="put at least one row into it", where=str(path))
    return rows


def _jsonl(path: Path) -> Iterator[RawRow]:
    for number, raw in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not raw.strip():
            continue
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            yield RawRow(number, {}, f"byte {error.start + 1} is not UTF-8: save the file as UTF-8", repr(raw[:200]))
            continue
        yield _object(number, text)


def _object(number: int, text: str) -> RawRow:
    if len(text) > LONGEST_LINE:
        return RawRow(number, {}, f"is {len(text):,} characters long (at most {LONGEST_LINE:,})", text[:200])
    try:
        value = _parse(text)
    except (ValueError, RecursionError) as error:
        return RawRow(number, {}, f"is not JSON: {error}", text[:200])
    if not isinstance(value, dict):
        return RawRow(number, {}, f"is a JSON {type(value).__name__}, not an object", text[:200])
    return RawRow(number, value, text=text)


def _json(path: Path) -> Iterator[RawRow]:
    """A list of objects, or one object per line in a file that is called .json."""
    raw = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if not raw.lstrip().startswith(b"["):
        yield from _jsonl(path)
        return
    try:
        values = _parse(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(
            f"byte {error.start + 1} is not UTF-8", [], next="save the file as UTF-8", where=str(path)
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"is not JSON: {error}", [], next="repair the file", where=str(path)) from None
    for number, value in enumerate(values, start=1):
        if isinstance(value, dict):
            yield RawRow(number, value, text=json.dumps(value, ensure_ascii=False)[:LONGEST_LINE])
        else:
            yield RawRow(number, {}, f"is a JSON {type(value).__name__}, not an object", str(value)[:200])


def _csv(path: Path) -> Iterator[RawRow]:
    try:
        text = path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        problem = Problem(f"{path.name}:{line}", "", f"byte {error.start + 1} of the file is not UTF-8")
        raise DataError("the table is not UTF-8", [problem], next="save it as CSV UTF-8", where=str(path)) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(
            "the table holds a NUL",
            [Problem(f"{path.name}:{line}", "", "NUL byte")],
            next="export it again",
            where=str(path),
        )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(path, text), strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = _header(path, cells)
            elif len(cells) != len(header):
                yield RawRow(
                    reader.line_num, {}, f"has {len(cells)} cells, the header has {len(header)}", str(cells)[:200]
                )
            else:
                yield RawRow(reader.line_num, dict(zip(header, cells, strict=True)), text=str(cells)[:LONGEST_LINE])
    except csv.Error as error:
        problem = Problem(f"{path.name}:{reader.line_num}", "", str(error))
        raise DataError("the table is broken", [problem], next="check the quotes there", where=str(path)) from None


def _header(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    doubled = sorted({name for name in names if names.count(name) > 1 or not name})
    if doubled:
        reason = "has no name" if doubled == [""] else f"stands twice: {', '.join(map(repr, doubled))}"
        raise DataError("a column " + reason, [], next="name every column once in the first line", where=f"{path}:1")
    return names


def _delimiter(path: Path, text: str) -> str:
    first = text.split("\n", 1)[0]
    return "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=first.count)


def _parquet(path: Path) -> Iterator[RawRow]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(path)
        number = 0
        for batch in table.iter_batches():
            for values in batch.to_pylist():
                number += 1
                yield RawRow(number, values, text=str(values)[:LONGEST_LINE])
    except (pyarrow.ArrowException, ValueError) as error:
        raise DataError(
            f"is not a Parquet file: {str(error)[:200]}", [], next="export it again", where=str(path)
        ) from None


def _parse(text: str) -> Any:
    """JSON that every reader understands alike: doubled keys, NaN and infinity are refused."""
    return json.loads(text, object_pairs_hook=_no_doubles, parse_constant=_no_constant)


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    doubled = next((key for key in keys if keys.count(key) > 1), None)
    if doubled is not None:
        raise ValueError(f"the key {doubled!r} stands twice")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
