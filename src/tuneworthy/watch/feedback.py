"""What a client says of an answer: right or wrong, and what it should have been. Read, kept, read back.

A correction is a suggestion: `data label --feedback` lays it before a person, and only what that person fills in is
ever learned. A row that stands in the locked suite is not kept at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from tuneworthy.content import append_line
from tuneworthy.data import near
from tuneworthy.data.checks import personal
from tuneworthy.data.decisions import mapped
from tuneworthy.data.json_rows import parse_json
from tuneworthy.data.values import Expected, read_input
from tuneworthy.records import Case, Example, Input, Record
from tuneworthy.usecase import UseCase

NOTE = 2000
"""longest note in characters"""
ID = re.compile(r"chatcmpl-(\d{4})(\d{2})(\d{2})-[0-9a-f]{24}")
"""An answer's id names the day of its trace, so that one file is looked through."""

_KEYS = ("id", "right", "correction", "input", "note")


class Given(Record):
    """Feedback as a client sends it."""

    id: str
    """of the answer: `id` of the chat completion"""
    right: bool | None = None
    correction: JsonValue = None
    """the answer that was wanted"""
    input: JsonValue = None
    """what was asked, where the gateway keeps no content: the text, or an object of the fields"""
    note: str = ""


class Said(Record):
    """Feedback as it is kept: a line of feedback/<day>.jsonl."""

    id: str
    when: str
    client: str = ""
    alias: str = ""
    release: str = ""
    right: bool
    correction: JsonValue = None
    input: dict[str, JsonValue] | None = None
    """redacted; None = not known, so a correction cannot become a row"""
    answer: str = ""
    """what was answered, redacted; empty where content is not kept"""
    note: str = ""
    locked: bool = False
    """the row stands in the locked suite: its content was not kept"""


def read_given(raw: bytes) -> Given:
    """The body of POST /v1/feedback.

    Raises:
        ValueError: `field: why`.
    """
    try:
        body = parse_json(raw.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ValueError(f"body: is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise ValueError("body: is not a JSON object")
    odd = sorted(set(body) - set(_KEYS))
    if odd:
        raise ValueError(f"{odd[0][:80]}: is not known; known: {', '.join(_KEYS)}")
    if not isinstance(body.get("id"), str) or not ID.fullmatch(body["id"]):
        raise ValueError("id: is not the id of an answer (chatcmpl-…)")
    if body.get("right") is not None and not isinstance(body["right"], bool):
        raise ValueError("right: is true or false")
    if not isinstance(body.get("note", ""), str) or len(body.get("note", "")) > NOTE:
        raise ValueError(f"note: is a text of at most {NOTE:,} characters")
    given = Given(**body)
    if given.right is None and given.correction is None:
        raise ValueError("right: say whether the answer is right, or what it should have been (correction)")
    if given.right and given.correction is not None:
        raise ValueError("correction: a right answer needs none")
    return given


def understood(given: Given, usecase: UseCase) -> tuple[JsonValue, Input | None]:
    """(correction, input) as the use case declares them; None where not given.

    Raises:
        ValueError: `field: why`.
    """
    correction, row = given.correction, None
    if correction is not None:
        try:
            correction = Expected(usecase.output).read(correction)
        except ValueError as error:
            raise ValueError(str(error).replace("expected:", "correction:", 1)) from None
    if given.input is not None:
        row = read_input(_fields(given.input, usecase), usecase)
    return correction, row


def in_suite(row: Input, cases: Sequence[Case]) -> bool:
    """It equals a case of the suite or is its near-duplicate, as it stands or with personal data replaced."""
    replaced = [case.model_copy(update={"input": redacted(case.input)}) for case in cases]
    return bool(near.leaks([Example(input=dict(row), expected=None)], [*cases, *replaced]))


def redacted(row: Input) -> dict[str, JsonValue]:
    """An input with personal data and secrets replaced."""
    return {name: mapped(value, personal_out) for name, value in row.items()}


def personal_out(text: str) -> str:
    """Personal data and secrets replaced by what they are: nothing leads back."""
    return personal.redacted(text, lambda hit: f"[{hit.kind.upper().replace('_', '-')}]")


def keep(folder: Path, said: Said) -> None:
    """Add a line to the file of its day, flushed to the disk.

    Raises:
        StorageError: it cannot be written.
    """
    append_line(folder / f"{said.when[:10]}.jsonl", json.dumps(said.model_dump(mode="json"), ensure_ascii=False))


def read(folder: Path) -> tuple[list[Said], int]:
    """(the last word of each client on each answer, in order of time; lines that are none)."""
    found: dict[tuple[str, str], Said] = {}
    bad = 0
    for line in _lines(folder):
        try:
            said = Said.model_validate_json(line)
        except ValueError:
            bad += 1
            continue
        found[(said.id, said.client)] = said
    return sorted(found.values(), key=lambda said: said.when), bad


def _lines(folder: Path) -> Iterable[bytes]:
    for path in sorted(folder.glob("????-??-??.jsonl")):
        yield from (line for line in path.read_bytes().split(b"\n") if line.strip())


def _fields(value: JsonValue, usecase: UseCase) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    if len(usecase.input) == 1:
        return {next(iter(usecase.input)): value}
    raise ValueError(f"input: is an object with the fields {', '.join(usecase.input)}")
