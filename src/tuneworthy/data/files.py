"""Files → raw rows with their line numbers. JSONL, JSON, CSV, Excel and Parquet, as people have them.

Nothing is dropped in silence: a line that cannot be read becomes a row with the reason. Only what makes the whole
file unreadable (a wrong ending, an open quote, no rows) is an error.
"""

from __future__ import annotations

from pathlib import Path

from tuneworthy.data.json_rows import read_json, read_jsonl
from tuneworthy.data.rows import RawRow
from tuneworthy.data.table_rows import read_csv, read_excel, read_parquet
from tuneworthy.errors import DataError

_READERS = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".xlsx": read_excel,
    ".parquet": read_parquet,
}


def read_rows(path: Path) -> list[RawRow]:
    """All rows of a file, in its order.

    Raises:
        DataError: the file is missing, a folder, empty, of an unknown kind, or not readable as a whole.
    """
    if path.is_dir():
        raise DataError("this is a folder, not a file", [], next="name a file in it", where=str(path))
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        ending = f"files that end in {path.suffix!r}" if path.suffix else "files without an ending"
        raise DataError(f"{ending} are not read", [], next=f"use {', '.join(_READERS)}", where=str(path))
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror or error}", [], next="check the path and its permissions", where=str(path)
        ) from None
    if not raw.strip():
        raise DataError("the file is empty", [], next="put at least one row into it", where=str(path))
    rows = list(reader(path, raw))
    if not rows:
        raise DataError("the file holds no rows", [], next="put at least one row into it", where=str(path))
    return rows
