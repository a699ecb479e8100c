"""JSON Lines and JSON lists → raw rows. What one JSON reader takes and another refuses is refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from tuneworthy.data.rows import LONGEST_ROW, RawRow, not_utf8, too_long, whole_text, without_mark
from tuneworthy.errors import DataError, Problem

_LONGEST_NUMBER = 300
"""Digits. Beyond it neither a float nor another JSON reader holds the number."""


def is_json(line: bytes) -> bool:
    """Whether a line of a log is JSON at all; one that is not was torn by a kill."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def parse_json(text: str) -> Any:
    """JSON that every reader understands alike: doubled keys, NaN, infinity and overlong numbers are refused.

    Raises:
        ValueError: the reason, with the column where there is one.
    """
    decoder, flaws = _decoder()
    try:
        value = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at column {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if flaws:
        raise ValueError(flaws[0])
    return value


def _decoder() -> tuple[json.JSONDecoder, list[str]]:
    """A decoder and the list in which it notes what it refuses, so that reading can go on with the next row."""
    flaws: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in items:
            if key in seen:
                flaws.append(f"the key {key[:40]!r} stands twice")
            seen[key] = value
        return seen

    def constant(name: str) -> None:
        flaws.append(f"{name} is not JSON")

    def real(digits: str) -> float:
        value = float(digits)
        if math.isinf(value):
            flaws.append(f"the number {digits[:20]} is too large")
        return value

    def integer(digits: str) -> int:
        if len(digits) <= _LONGEST_NUMBER:
            return int(digits)
        flaws.append(f"a number has {len(digits):,} digits")
        return 0

    decoder = json.JSONDecoder(object_pairs_hook=pairs, parse_constant=constant, parse_float=real, parse_int=integer)
    return decoder, flaws


def read_jsonl(path: Path, raw: bytes) -> Iterator[RawRow]:
    """One object per line; a file that is one JSON list is read as such."""
    raw = without_mark(path, raw)
    if raw.lstrip().startswith(b"["):
        yield from _listed(path, whole_text(path, raw))
        return
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if line.strip():
            yield _line(number, line)


def read_json(path: Path, raw: bytes) -> Iterator[RawRow]:
    """A list of objects; one object per line under this name too."""
    raw = without_mark(path, raw)
    rows = list(read_jsonl(path, raw))
    if rows and all(row.problem for row in rows) and raw.lstrip().startswith(b"{"):
        try:
            keys = list(parse_json(whole_text(path, raw)))
        except ValueError:
            keys = []
        if keys:
            raise DataError(
                f"the file is one object ({', '.join(map(repr, keys[:5]))}), not a list of rows",
                [],
                next="save the list in it as a file of its own, or one row per line as .jsonl",
                where=str(path),
            )
    yield from rows


def _line(number: int, line: bytes) -> RawRow:
    try:
        text = line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError as error:
        return RawRow(number, problem=not_utf8(line, error.start, "the line"), text=repr(line[:LONGEST_ROW])[2:-1])
    if len(text) > LONGEST_ROW:
        return too_long(number, text)
    try:
        return _object(number, parse_json(text), text)
    except ValueError as error:
        return RawRow(number, problem=str(error), text=text)


def _object(number: int, value: Any, text: str) -> RawRow:
    if isinstance(value, dict):
        return RawRow(number, value, text=text)
    kind = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}.get(type(value), "a number")
    return RawRow(number, problem=f"is {kind}, not an object with named fields", text=text)


def _listed(path: Path, text: str) -> Iterator[RawRow]:
    """The elements of a JSON list, each with the line where it begins."""
    decoder, flaws = _decoder()
    blank = re.compile(r"[ \t\r\n]*")

    def skip(position: int) -> int:
        return blank.match(text, position).end()  # type: ignore[union-attr]  # matches the empty text too

    def broken(reason: str, position: int) -> NoReturn:
        where = f"{path.name}:{text.count(chr(10), 0, position) + 1}"
        raise DataError(
            "the list is broken", [Problem(where, "", reason)], next="repair the file there", where=str(path)
        )

    at, line, counted = skip(skip(0) + 1), 1, 0
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        flaws.clear()
        try:
            value, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            broken(f"is not JSON: {error.msg} at column {error.colno}", error.pos)
        except RecursionError:
            broken("is nested too deeply", at)
        piece = text[at:end]
        if len(piece) > LONGEST_ROW:
            yield too_long(line, piece)
        elif flaws:
            yield RawRow(line, problem=flaws[0], text=piece)
        else:
            yield _object(line, value, piece)
        at = skip(end)
        if text[at : at + 1] == "," and text[skip(at + 1) : skip(at + 1) + 1] != "]":
            at = skip(at + 1)
        elif text[at : at + 1] != "]":
            broken("a comma with another row, or the end of the list, is missing", at)
    if skip(at + 1) != len(text):
        broken("something follows after the end of the list", skip(at + 1))
