"""Rows → Examples and Cases in the shape that the use case declares. Every bad row is listed; none is dropped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from tuneworthy.content import canonical_json, digest, write_whole
from tuneworthy.data.files import RawRow, read_rows
from tuneworthy.data.formats import Format, detect
from tuneworthy.errors import DataError, Problem
from tuneworthy.project import Project
from tuneworthy.records import Case, Example, Provenance
from tuneworthy.usecase import InputField, Output, UseCase


@dataclass(frozen=True)
class Reading:
    """What a file held."""

    source: Path
    format: str
    mapping: dict[str, str]
    examples: tuple[Example, ...]
    problems: tuple[Problem, ...]
    rejects: tuple[RawRow, ...]

    def require_whole(self) -> None:
        """Raises DataError listing every bad line; does nothing when there is none."""
        if self.problems:
            raise DataError(
                f"{len(self.problems)} rows cannot be used",
                self.problems,
                next="repair these lines, or: tuneworthy data import FILE --skip-bad (they go to data/rejects.jsonl)",
                where=str(self.source),
            )


def read_examples(path: Path, usecase: UseCase, *, mapping: Mapping[str, str] | None = None) -> Reading:
    """Read examples in whichever format they are.

    Raises:
        DataError: the file cannot be read at all, or its format is not known or ambiguous.
    """
    rows = read_rows(path)
    found = detect(rows, usecase, mapping, str(path))
    examples, problems, rejects = [], [], []
    for row in rows:
        try:
            examples.append(_example(row, found, usecase, path.name))
        except ValueError as error:
            problems.append(Problem(f"{path.name}:{row.line}", "", str(error)))
            rejects.append(row)
    return Reading(path, found.name, found.mapping, tuple(examples), tuple(problems), tuple(rejects))


def read_cases(path: Path, usecase: UseCase) -> tuple[Case, ...]:
    """Read cases; `id`, `evidence`, `tags` and `cluster` are taken where rows have them.

    Raises:
        DataError: any row cannot be used, or an id stands twice; all problems at once.
    """
    rows = read_rows(path)
    found = detect(rows, usecase, None, str(path))
    cases: dict[str, Case] = {}
    problems = []
    for row in rows:
        try:
            case = _case(row, found, usecase, path.name)
            if case.id in cases:
                raise ValueError(f"the id {case.id!r} stands twice (rows without an id are named by their content)")
            cases[case.id] = case
        except ValueError as error:
            problems.append(Problem(f"{path.name}:{row.line}", "", str(error)))
    if problems:
        raise DataError(f"{len(problems)} cases cannot be used", problems, next="repair these lines", where=str(path))
    return tuple(cases[name] for name in sorted(cases))


def import_file(source: Path, project: Project, *, mapping: Mapping[str, str] | None, skip_bad: bool) -> Reading:
    """Write data/examples.jsonl in the native format; bad rows to data/rejects.jsonl with `skip_bad`.

    Raises:
        DataError: there are bad rows and `skip_bad` is not given; nothing is written then.
    """
    reading = read_examples(source, project.usecase, mapping=mapping)
    if not skip_bad:
        reading.require_whole()
    present = project.examples_file
    if present is not None and present != project.native_examples:
        raise DataError(
            f"data/{present.name} holds the examples already", [], next="move it away first", where=str(project.folder)
        )
    if reading.rejects:
        reasons = zip(reading.rejects, reading.problems, strict=True)
        lines = [json.dumps({"line": r.line, "why": p.reason, "row": r.text}, ensure_ascii=False) for r, p in reasons]
        write_whole(project.native_examples.with_name("rejects.jsonl"), "".join(f"{line}\n" for line in lines))
    lines = [canonical_json(e.model_dump(mode="json")) for e in reading.examples]
    write_whole(project.native_examples, "".join(f"{line}\n" for line in lines))
    return reading


def _example(row: RawRow, found: Format, usecase: UseCase, source: str) -> Example:
    """Raises ValueError with the reason."""
    fields, expected = _turn(row, found, usecase)
    if expected is None:
        raise ValueError("expected: is missing")
    given = row.values.get("provenance")
    origin = given if found.name.startswith("native") and isinstance(given, dict) else {}
    provenance = Provenance(
        source=str(origin.get("source", source)),
        line=_line(origin, row),
        format=found.name,
        licence=str(origin.get("licence", "")),
    )
    return Example(input=fields, expected=expected, provenance=provenance)


def _line(origin: Mapping[str, Any], row: RawRow) -> int:
    line = origin.get("line")
    return line if isinstance(line, int) else row.line


def _case(row: RawRow, found: Format, usecase: UseCase, source: str) -> Case:
    fields, expected = _turn(row, found, usecase)
    values = row.values
    tags = values.get("tags") or []
    if isinstance(tags, str):
        tags = [tag.strip() for tag in tags.split(",") if tag.strip()]
    return Case(
        id=str(values.get("id") or digest({"input": fields, "expected": expected})[:16]),
        input=fields,
        expected=expected,
        evidence=str(values.get("evidence") or ""),
        tags=tuple(str(tag) for tag in tags) if isinstance(tags, list) else (),
        cluster=str(values.get("cluster") or ""),
    )


def _turn(row: RawRow, found: Format, usecase: UseCase) -> tuple[dict[str, Any], Any]:
    if row.problem:
        raise ValueError(row.problem)
    raw_input, raw_expected = found.turn(row.values)
    unknown = set(raw_input) - set(usecase.input)
    if unknown:
        raise ValueError(f"input.{sorted(unknown)[0]}: the use case has no such field")
    fields = {name: _field(name, spec, raw_input.get(name)) for name, spec in usecase.input.items()}
    fields = {name: value for name, value in fields.items() if value is not None}
    return fields, None if raw_expected is None else _expected(usecase.output, raw_expected)


def _field(name: str, spec: InputField, value: Any) -> Any:
    """One input field, in its declared type; no guessing."""
    if value is None or (isinstance(value, str) and not value.strip()):
        if spec.required:
            raise ValueError(f"input.{name}: is missing or empty")
        return None
    if spec.type == "text":
        if not isinstance(value, str):
            raise ValueError(f"input.{name}: is a {type(value).__name__}, not text")
        _require_encodable(value, f"input.{name}")
        if len(value) > spec.max_chars:
            raise ValueError(f"input.{name}: {len(value):,} characters, at most {spec.max_chars:,} (max_chars)")
        return value
    return _scalar(name, spec, value)


def _scalar(name: str, spec: InputField, value: Any) -> Any:
    if isinstance(value, str):  # tables hold text only
        try:
            value = json.loads(value.strip().lower() if spec.type == "boolean" else value.strip())
        except ValueError:
            raise ValueError(f"input.{name}: {value!r} is not a {spec.type}") from None
    kinds = {"integer": (int,), "number": (int, float), "boolean": (bool,)}[spec.type]
    if not isinstance(value, kinds) or (isinstance(value, bool) and spec.type != "boolean"):
        raise ValueError(f"input.{name}: {value!r} is not a {spec.type}")
    if isinstance(value, float) and value != value:
        raise ValueError(f"input.{name}: is not a number (NaN)")
    return value


def _expected(output: Output, value: Any) -> Any:
    if output.kind == "label":
        return _label(output, value)
    if output.kind == "json":
        return _json_value(output, value)
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str | int | float) and not isinstance(text, bool) for text in texts):
        raise ValueError(f"expected: is a {type(value).__name__}, not text")
    cleaned = [str(text) for text in texts]
    for text in cleaned:
        _require_encodable(text, "expected")
        if not text.strip():
            raise ValueError("expected: is empty")
        if output.max_chars and len(text) > output.max_chars:
            raise ValueError(f"expected: {len(text)} characters, at most {output.max_chars} (output.max_chars)")
    return cleaned if isinstance(value, list) else cleaned[0]


def _label(output: Output, value: Any) -> str:
    label = str(value).strip()
    if label not in output.labels:
        near = get_close_matches(label, output.labels, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(output.labels[:10])}"
        raise ValueError(f"expected: unknown label {label!r}{hint}")
    return label


def _json_value(output: Output, value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError("expected: is not JSON") from None
    schema = json.dumps(output.json_schema)
    error = next(iter(_validator(schema).iter_errors(value)), None)
    if error is not None:
        where = ".".join(["expected", *map(str, error.absolute_path)])
        raise ValueError(f"{where}: does not keep the schema: {error.message}"[:300])
    try:
        canonical_json(value)
    except ValueError:
        raise ValueError("expected: holds NaN or infinity") from None
    return value


@cache
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(schema))


def _require_encodable(text: str, where: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{where}: character {error.start + 1} is half of a surrogate pair") from None
