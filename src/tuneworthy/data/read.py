"""Rows → Examples and Cases in the shape that the use case declares. Every bad row is listed; none is dropped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tuneworthy.content import digest, storage_error, write_whole
from tuneworthy.data import folders
from tuneworthy.data.files import read_rows
from tuneworthy.data.formats import Format, detect
from tuneworthy.data.rows import RawRow
from tuneworthy.data.values import Expected, clean, read_input
from tuneworthy.errors import DataError, Problem
from tuneworthy.project import Project
from tuneworthy.records import Case, Example, Provenance
from tuneworthy.usecase import UseCase


@dataclass(frozen=True)
class Reading:
    """What a file held."""

    source: Path
    format: str
    mapping: dict[str, str]
    """what went where: `input.<field>` and `expected` → column"""
    examples: tuple[Example, ...]
    problems: tuple[Problem, ...]
    rejects: tuple[RawRow, ...]
    """the rows behind `problems`, in the same order"""
    unused: tuple[str, ...] = ()
    """columns that went nowhere"""
    lines: tuple[int, ...] = ()
    """line of `source` where each example begins"""
    replaced: Path | None = None
    """where `import_file` kept the examples that stood there before"""
    written: bool = False
    """whether data/examples.jsonl holds them now"""

    def require_whole(self) -> None:
        """Raises DataError listing every bad line; does nothing when there is none."""
        if self.problems:
            raise DataError(
                f"{_count(len(self.problems), 'row')} cannot be used",
                self.problems,
                next="repair these lines, or: tuneworthy data import FILE --skip-bad (they go to data/rejects.jsonl)",
                where=str(self.source),
            )


def read_examples(path: Path, usecase: UseCase, *, mapping: Mapping[str, str] | None = None) -> Reading:
    """Read examples in whichever format they are, with `evidence` and `cluster` where rows have them; rows that cannot
    be used are in `problems` and `rejects`.

    Args:
        path: a file, or a folder with one file for each example.
        mapping: `input.<field>` and `expected` → column; without it the format is detected.

    Raises:
        DataError: the file cannot be read at all, holds no readable row, or its format is not known or ambiguous.
    """
    rows, found = _open(path, usecase, mapping)
    expected = Expected(usecase.output)
    examples, lines, problems, rejects = [], [], [], []
    for row in rows:
        try:
            examples.append(_example(row, found, usecase, expected, row.file or path.name))
            lines.append(row.line)
        except ValueError as error:
            problems.append(_problem(path, row, error))
            rejects.append(row)
    return Reading(
        source=path,
        format=found.name,
        mapping=found.mapping,
        examples=tuple(examples),
        problems=tuple(problems),
        rejects=tuple(rejects),
        unused=found.unused,
        lines=tuple(lines),
    )


def read_cases(path: Path, usecase: UseCase) -> tuple[Case, ...]:
    """Read cases in whichever format they are, sorted by id; `id`, `evidence`, `tags` and `cluster` are taken where
    rows have them. A case without an id is named by its content.

    Raises:
        DataError: any row cannot be used, or an id stands twice; all problems at once.
    """
    rows, found = _open(path, usecase, None, cases=True)
    expected = Expected(usecase.output)
    cases: dict[str, Case] = {}
    lines: dict[str, int] = {}
    problems = []
    for row in rows:
        try:
            case = _case(row, found, usecase, expected)
            if case.id in cases:
                raise ValueError(
                    f"id: {case.id!r} stands in line {lines[case.id]} too"
                    + ("" if row.values.get("id") else " (cases without an id are named by their content)")
                )
            cases[case.id], lines[case.id] = case, row.line
        except ValueError as error:
            problems.append(_problem(path, row, error))
    if problems:
        raise DataError(
            f"{_count(len(problems), 'case')} cannot be used", problems, next="repair these lines", where=str(path)
        )
    return tuple(cases[name] for name in sorted(cases))


def import_file(
    source: Path,
    project: Project,
    *,
    mapping: Mapping[str, str] | None = None,
    skip_bad: bool = False,
    licence: str = "",
    agreed: Callable[[Reading], bool] = lambda reading: True,
) -> Reading:
    """Write data/examples.jsonl in the native format; with `skip_bad`, bad rows go to data/rejects.jsonl with the
    reason. Examples that stood there before and differ are kept as data/examples.jsonl.old.

    Args:
        licence: of the rows that do not name their own.
        agreed: shown what was read, says whether to write it.

    Raises:
        DataError: there are bad rows and `skip_bad` is not given, or no row is left; nothing is written then.
        StorageError: the folder cannot be written.
    """
    reading = read_examples(source, project.usecase, mapping=mapping)
    if licence:
        reading = replace(reading, examples=tuple(_under(licence, example) for example in reading.examples))
    if not skip_bad:
        reading.require_whole()
    if not reading.examples:
        raise DataError("no row can be used", reading.problems, next="repair these lines", where=str(source))
    present = project.examples_file
    if present is not None and present != project.native_examples:
        raise DataError(
            f"data/{present.name} holds the examples already",
            [],
            next=f"move {present.name} out of the data folder, then import it, or this file, again",
            where=str(project.folder),
        )
    if not agreed(reading):
        return reading
    target = project.native_examples
    rows = _lines(example.model_dump(mode="json") for example in reading.examples)
    reading = replace(reading, replaced=_keep(target, rows), written=True)
    _write_rejects(target.with_name("rejects.jsonl"), reading)
    write_whole(target, rows)
    return reading


def _under(licence: str, example: Example) -> Example:
    origin = example.provenance
    return example.model_copy(update={"provenance": origin.model_copy(update={"licence": origin.licence or licence})})


def _open(
    path: Path, usecase: UseCase, mapping: Mapping[str, str] | None, *, cases: bool = False
) -> tuple[list[RawRow], Format]:
    if path.is_dir() and mapping:
        raise DataError("a folder has no columns to map", [], next="leave --map out", where=str(path))
    rows, found = folders.read(path, usecase) if path.is_dir() else (read_rows(path), None)
    if all(row.problem for row in rows):
        problems = [_problem(path, row, row.problem) for row in rows]
        raise DataError("no row can be read", problems, next="repair these lines", where=str(path))
    found = found or detect(rows, usecase, mapping, str(path), cases=cases)
    return [part for row in rows for part in found.parts(row)], found


def _problem(path: Path, row: RawRow, reason: object) -> Problem:
    return Problem(f"{row.file or path.name}:{row.line}", "", str(reason))


def _example(row: RawRow, found: Format, usecase: UseCase, expected: Expected, source: str) -> Example:
    """Raises ValueError with the reason."""
    raw_input, raw_expected = _turn(row, found)
    if found.name == "native" and isinstance(row.values.get("provenance"), dict):
        provenance = _origin(row.values["provenance"])
    else:
        provenance = _provenance(row, found, source)
    return Example(
        input=read_input(raw_input, usecase),
        expected=expected.read(raw_expected),
        evidence=_evidence(row, usecase),
        cluster="" if "cluster" in usecase.input else _word(row, "cluster"),
        provenance=provenance,
    )


def _provenance(row: RawRow, found: Format, source: str) -> Provenance:
    return Provenance(
        source=source,
        line=row.line,
        format=found.name,
        licence=_word(row, found.licence),
        date=_date(row.values.get(found.date)),
        model=_word(row, "model") if found.name == "gateway trace" else "",
    )


def _date(value: Any) -> str:
    """ISO 8601 of a date or of seconds (or milliseconds) since 1970; another text as it is, other things not at all."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 1e8 < value < 1e13:
        return datetime.fromtimestamp(value / (1000 if value > 1e11 else 1), UTC).isoformat(timespec="seconds")
    if isinstance(value, date):  # a Parquet table holds them
        return value.isoformat()
    return str(clean(value, "date")).strip()[:40] if isinstance(value, str) else ""


def _evidence(row: RawRow, usecase: UseCase) -> str:
    """The column of that name, where it holds a text and is no field of the input."""
    value = row.values.get("evidence")
    return str(clean(value, "evidence")).strip() if isinstance(value, str) and "evidence" not in usecase.input else ""


def _origin(given: dict[str, Any]) -> Provenance:
    """Where a native row says that it came from."""
    try:
        return Provenance.model_validate(clean(given, "provenance"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"provenance.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _case(row: RawRow, found: Format, usecase: UseCase, expected: Expected) -> Case:
    """Raises ValueError with the reason."""
    raw_input, raw_expected = _turn(row, found)
    fields = read_input(raw_input, usecase)
    wanted = None if raw_expected is None else expected.read(raw_expected)
    return Case(
        id=_word(row, "id") or digest({"input": fields, "expected": wanted})[:16],
        input=fields,
        expected=wanted,
        evidence=_word(row, "evidence"),
        tags=_tags(row),
        cluster=_word(row, "cluster"),
    )


def _turn(row: RawRow, found: Format) -> tuple[dict[str, Any], Any]:
    if row.problem:
        raise ValueError(row.problem)
    return found.turn(row.values)


def _word(row: RawRow, key: str) -> str:
    value = row.values.get(key)
    if value is None or not key:
        return ""
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise ValueError(f"{key}: {str(value)[:40]!r} is not text")
    return str(clean(value, key)).strip()


def _tags(row: RawRow) -> tuple[str, ...]:
    """A list of texts, or one text with commas, as a table has it."""
    tags = row.values.get("tags")
    if tags is None:
        return ()
    parts = tags.split(",") if isinstance(tags, str) else tags
    if not isinstance(parts, list) or not all(isinstance(tag, str) for tag in parts):
        raise ValueError(f"tags: {str(tags)[:40]!r} is not a list of texts")
    return tuple(str(clean(tag, "tags")).strip() for tag in parts if tag.strip())


def _keep(target: Path, rows: str) -> Path | None:
    """Copy what stands at the target, unless it is the same: labelled rows are dear."""
    try:
        before = target.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(error, target) from error
    if not before.strip() or before == rows.encode("utf-8"):
        return None
    kept = target.with_name(f"{target.name}.old")
    write_whole(kept, before)
    return kept


def _write_rejects(path: Path, reading: Reading) -> None:
    """The rejects of this import; those of an earlier one would be misread as its own."""
    if reading.rejects:
        pairs = zip(reading.rejects, reading.problems, strict=True)
        write_whole(
            path,
            _lines({"file": reading.source.name, "line": r.line, "why": p.reason, "row": r.text} for r, p in pairs),
        )
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(error, path) from error


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
