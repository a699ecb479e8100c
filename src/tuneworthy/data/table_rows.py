"""CSV, Excel and Parquet → raw rows."""

from __future__ import annotations

import csv
import io
import json
import re
import threading
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from pathlib import Path

from tuneworthy.data.rows import LONGEST_ROW, RawRow, too_long, whole_text, without_mark
from tuneworthy.errors import DataError, MissingExtra, Problem

_LONGEST_CELL = 2**31 - 1
"""Characters for the csv module, whose own limit would refuse the whole file for one long cell."""

LARGEST_WORKBOOK = 500_000_000
"""Bytes of an Excel file when unpacked: a small file can unpack to any size."""

_cell_limit = threading.Lock()
"""The csv module's limit belongs to the whole process."""


def read_csv(path: Path, raw: bytes) -> Iterator[RawRow]:
    text = whole_text(path, without_mark(path, raw))
    if "\0" in text:
        where = f"{path.name}:{text.count(chr(10), 0, text.index(chr(0))) + 1}"
        raise DataError(
            "the table holds a NUL character", [Problem(where, "", "NUL")], next="export it again", where=str(path)
        )
    header: list[str] | None = None
    for line, cells in _records(path, text):
        if not any(cell.strip() for cell in cells):
            continue
        row = json.dumps(cells, ensure_ascii=False)
        if header is None:
            header = _header(path, line, cells)
        elif len(row) > LONGEST_ROW:
            yield too_long(line, row)
        elif len(cells) != len(header):
            yield RawRow(line, problem=f"has {len(cells)} cells, the header has {len(header)}", text=row)
        else:
            yield RawRow(line, dict(zip(header, cells, strict=True)), text=row)


def _records(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """(line where it begins, cells) of every record; quoted cells may hold line breaks."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(path, text), strict=True)
    begins = 1
    with _cell_limit:
        limit = csv.field_size_limit(_LONGEST_CELL)
        try:
            records = []
            for cells in reader:
                records.append((begins, cells))
                begins = reader.line_num + 1
        except csv.Error as error:
            problem = Problem(f"{path.name}:{begins}", "", f"{error} (the row begins here)")
            raise DataError("the table is broken", [problem], next="check the quotes there", where=str(path)) from None
        finally:
            csv.field_size_limit(limit)
    yield from records


def _header(path: Path, line: int, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    doubled = sorted(name for name, times in Counter(names).items() if name and times > 1)
    reasons = [f"the column {name!r} stands twice" for name in doubled]
    reasons += [f"column {number} has no name" for number, name in enumerate(names, start=1) if not name]
    if reasons:
        problems = [Problem(f"{path.name}:{line}", "", reason) for reason in reasons]
        raise DataError("the header cannot be used", problems, next="name every column once", where=str(path))
    return names


def _delimiter(path: Path, text: str) -> str:
    """Comma, semicolon or tab: whichever the header has most of, outside of quotes."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    first = re.sub(r'"[^"]*"', "", text.lstrip().split("\n", 1)[0])
    counts = sorted(((first.count(sign), sign) for sign in ",;\t"), reverse=True)
    if counts[0][0] == counts[1][0] > 0:
        seen = " and ".join(f"{count} × {sign!r}" for count, sign in counts if count == counts[0][0])
        raise DataError(
            f"what divides the columns is not clear: the header has {seen}",
            [],
            next="put the column names in quotes, or save the table with another delimiter",
            where=str(path),
        )
    return counts[0][1] if counts[0][0] else ","


def read_excel(path: Path, raw: bytes) -> Iterator[RawRow]:
    """The one sheet that holds rows, every cell as the text that CSV would have: dates as 2024-12-31, 7.0 as 7."""
    first, *others = _sheets(path, raw)
    if others:
        names = ", ".join(repr(name) for name, _ in (first, *others))
        raise DataError(
            f"several sheets hold rows: {names}", [], next="save the one you mean as a file of its own", where=str(path)
        )
    header: list[str] | None = None
    for line, cells in first[1]:
        row = json.dumps(cells, ensure_ascii=False)
        if header is None:
            header = _header(path, line, _without_tail(cells))
        elif len(row) > LONGEST_ROW:
            yield too_long(line, row)
        elif any(cells[len(header) :]):
            yield RawRow(line, problem=f"has cells beyond the {len(header)} named columns", text=row)
        else:
            filled = [*cells, *[""] * len(header)][: len(header)]
            yield RawRow(line, dict(zip(header, filled, strict=True)), text=row)


def _without_tail(cells: list[str]) -> list[str]:
    """Without the empty cells at the end."""
    while cells and not cells[-1].strip():
        cells = cells[:-1]
    return cells


Sheet = tuple[str, list[tuple[int, list[str]]]]
"""name, and (row number, cells) of every row that is not empty"""


def _sheets(path: Path, raw: bytes) -> list[Sheet]:
    """Sheets that hold rows. Raises DataError for what is no workbook, or unpacks to more than LARGEST_WORKBOOK."""
    try:
        import openpyxl
    except ImportError:
        raise MissingExtra("openpyxl", "excel") from None
    advice = "save it as .xlsx again, or as CSV"
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as parts:
            unpacked = sum(part.file_size for part in parts.infolist())
        if unpacked > LARGEST_WORKBOOK:
            raise DataError(
                f"unpacks to {unpacked:,} bytes (at most {LARGEST_WORKBOOK:,})", [], next=advice, where=str(path)
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and extensions that hold no values
            book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
            found = [(sheet.title, _filled(sheet.iter_rows(values_only=True))) for sheet in book.worksheets]
    except DataError:
        raise
    except Exception as error:  # openpyxl lets through whatever its XML and zip readers raise
        reason = f"is not a readable Excel file: {str(error)[:200]}"
        raise DataError(reason, [], next=advice, where=str(path)) from None
    return [sheet for sheet in found if sheet[1]] or [("", [])]


def _filled(rows: Iterable[tuple[object, ...]]) -> list[tuple[int, list[str]]]:
    texts = ((line, [_cell(value) for value in values]) for line, values in enumerate(rows, start=1))
    return [(line, cells) for line, cells in texts if any(cell.strip() for cell in cells)]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, date | time) else str(value)


def read_parquet(path: Path, raw: bytes) -> Iterator[RawRow]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(io.BytesIO(raw))
        _header(path, 1, table.schema_arrow.names)
        number = 0
        for batch in table.iter_batches(batch_size=1024):
            for values in batch.to_pylist():
                number += 1
                text = json.dumps(values, ensure_ascii=False, default=str, skipkeys=True)
                yield too_long(number, text) if len(text) > LONGEST_ROW else RawRow(number, values, text=text)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = f"is not a readable Parquet file: {str(error)[:200]}"
        raise DataError(reason, [], next="export it again", where=str(path)) from None
