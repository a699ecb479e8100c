"""Rows without an expected output: read from a file, written to be filled in, taken over into the examples."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from tuneworthy.content import write_whole
from tuneworthy.data import near, version
from tuneworthy.data.files import read_rows
from tuneworthy.data.read import read_examples
from tuneworthy.data.values import Expected, read_input
from tuneworthy.errors import DataError, Problem
from tuneworthy.project import Project
from tuneworthy.records import Case, Example, Provenance, Record
from tuneworthy.usecase import UseCase


class ToLabel(Record):
    """One row to be filled in: a line of data/to_label.jsonl."""

    input: dict[str, JsonValue]
    expected: JsonValue = None
    """for a person to fill in"""
    suggested: JsonValue = None
    """what a client says it should be; counts for nothing until it stands under `expected`"""
    why: str = ""
    """why this row"""
    source: str = ""
    """`file:line` where it came from"""


@dataclass(frozen=True)
class Unlabelled:
    """Inputs that nobody has labelled yet."""

    rows: tuple[ToLabel, ...]
    read: int
    """rows of the file"""
    known: int
    """left out: labelled already, or the same as an earlier row"""
    judged: int
    """left out: in the suite, exactly or nearly; whoever learns from them has seen the cases"""


@dataclass(frozen=True)
class Taken:
    """What was taken over into the examples."""

    added: int
    known: int
    """filled in, and there already"""
    left: int
    """still to be filled in"""


def read_inputs(
    path: Path,
    usecase: UseCase,
    *,
    examples: Sequence[Example] = (),
    cases: Sequence[Case] = (),
    mapping: Mapping[str, str] | None = None,
) -> Unlabelled:
    """The rows of a file that are worth a label: not labelled yet, and no cases.

    A row holds the input fields as columns, or as an object under `input`; `mapping` says `input.<field>` → column.
    Whatever else it holds is not looked at.

    Raises:
        DataError: the file cannot be read, or rows of it; every bad line is listed.
    """
    seen = {near.normal(near.input_text(example.input)) for example in examples}
    found, problems, known = [], [], 0
    raw = read_rows(path)
    for row in raw:
        try:
            if row.problem:
                raise ValueError(row.problem)
            fields = read_input(_fields(row.values, usecase, mapping or {}), usecase)
        except ValueError as error:
            problems.append(Problem(f"{path.name}:{row.line}", "", str(error)))
            continue
        text = near.normal(near.input_text(fields))
        known += text in seen
        if text not in seen:
            seen.add(text)
            found.append(ToLabel(input=fields, source=f"{path.name}:{row.line}"))
    if problems:
        what = f"{len(problems)} row{'s' * (len(problems) != 1)} cannot be used"
        raise DataError(what, problems, next="repair these lines, or name the columns: --map", where=str(path))
    judged = {leak.example for leak in near.leaks([_example(row) for row in found], cases)}
    kept = tuple(row for row in found if _example(row).name not in judged)
    return Unlabelled(kept, read=len(raw), known=known, judged=len(found) - len(kept))


def write(rows: Sequence[ToLabel], path: Path) -> None:
    """Write the rows to be filled in.

    Raises:
        DataError: the file holds labels that were not taken over yet.
    """
    if path.exists():
        lines, problems = _lines(path)
        filled = sum(_filled(values.get("expected")) for _, values in lines)
        if filled or problems:
            what = f"it holds {filled} labels that were not taken over" if filled else "it holds lines that are no rows"
            raise DataError(
                what, [], next="run: tuneworthy data label --take, or move the file away first", where=str(path)
            )
    save(rows, path)


def save(rows: Iterable[ToLabel], path: Path) -> None:
    """Write the queue, whole."""
    write_whole(path, "".join(f"{json.dumps(row.model_dump(mode='json'), ensure_ascii=False)}\n" for row in rows))


def take(project: Project) -> Taken:
    """Add the rows that were filled in to the examples, as a new version; those that were not stay in the file.

    Raises:
        DataError: there is no such file, a line cannot be used (all of them are listed; nothing is written then), or
            the examples are in a file that is not ours to write.
    """
    path, target = project.to_label_file, project.native_examples
    before = _examples(project)
    expected = Expected(project.usecase.output)
    lines, problems = _lines(path)
    added: dict[str, Example] = {}
    known, left = 0, []
    names = {example.name for example in before}
    for number, values in lines:
        try:
            row = ToLabel.model_validate(values)
            fields = read_input(row.input, project.usecase)
            if not _filled(row.expected):
                left.append(row)
                continue
            origin = Provenance(source=row.source or path.name, line=0, format="label")
            example = Example(input=fields, expected=expected.read(row.expected), provenance=origin)
        except ValueError as error:  # a ValidationError is one
            problems.append(Problem(f"{path.name}:{number}", "", str(error).splitlines()[0]))
            continue
        known += example.name in names or example.name in added
        if example.name not in names:
            added[example.name] = example
    if problems:
        what = f"{len(problems)} row{'s' * (len(problems) != 1)} cannot be used"
        raise DataError(what, problems, next="repair these lines", where=str(path))
    if added:
        after = [*before, *added.values()]
        if before:
            version.store(before, project.versions)
        version.store(after, project.versions)
        rows = (json.dumps(example.model_dump(mode="json"), ensure_ascii=False) for example in after)
        write_whole(target, "".join(f"{row}\n" for row in rows))
    if len(left) < len(lines):  # after the examples: a kill in between loses nothing
        save(left, path)
    return Taken(added=len(added), known=known, left=len(left))


# --- parts ----------------------------------------------------------------------------------------


def _fields(values: Mapping[str, Any], usecase: UseCase, mapping: Mapping[str, str]) -> Mapping[str, Any]:
    if mapping:
        wanted = {field.removeprefix("input."): column for field, column in mapping.items()}
        missing = [column for column in wanted.values() if column not in values]
        if missing:
            raise ValueError(f"has no column {missing[0]!r}; it has: {', '.join(map(str, values))[:200]}")
        return {field: values[column] for field, column in wanted.items()}
    given = values.get("input")
    if isinstance(given, Mapping):
        return given
    found = {field: values[field] for field in usecase.input if field in values}
    if not found and given is not None and len(usecase.input) == 1:
        return {next(iter(usecase.input)): given}
    if not found:
        columns, fields = (", ".join(map(str, names))[:200] for names in (values, usecase.input))
        raise ValueError(f"has none of the input fields {fields}; it has: {columns}; --map names them")
    return found


def _example(row: ToLabel) -> Example:
    return Example(input=row.input, expected=None)


def _filled(expected: Any) -> bool:
    return expected is not None and (not isinstance(expected, str) or bool(expected.strip()))


def _lines(path: Path) -> tuple[list[tuple[int, dict[str, Any]]], list[Problem]]:
    """(number, row) of the lines that are JSON objects, and those that are not."""
    if not path.exists():
        raise DataError("there is nothing to take over", [], next="run: tuneworthy data label FILE", where=str(path))
    lines, problems = [], []
    for row in read_rows(path) if path.read_bytes().strip() else []:
        if row.problem:
            problems.append(Problem(f"{path.name}:{row.line}", "", row.problem))
        else:
            lines.append((row.line, row.values))
    return lines, problems


def _examples(project: Project) -> tuple[Example, ...]:
    path = project.examples_file
    if path is None:
        return ()
    if path != project.native_examples:
        raise DataError(
            f"data/{path.name} is the source, and sources are never changed",
            [],
            next=f"move {path.name} out of the data folder and import it: tuneworthy data import {path.name}",
            where=str(path),
        )
    reading = read_examples(path, project.usecase)
    reading.require_whole()
    return reading.examples
