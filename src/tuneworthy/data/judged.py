"""What people say of answers: one JSON object a line. suite/judged.jsonl, and the votes on blind pairs.

    {"input": {…}, "output": "the answer", "right": true, "by": "ann", "why": "…"}           for a judge by rubric
    {"input": {…}, "one": "…", "two": "…", "better": "one", "by": "ann", "why": "…"}         for a pairwise judge

`right` is true or false, `better` one, two or tie; null = not judged yet. A case of the suite may lend `expected` and
`evidence`. All mistakes are listed at once.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from tuneworthy.content import digest, write_whole
from tuneworthy.data.files import read_rows
from tuneworthy.data.values import read_input
from tuneworthy.errors import DataError, Problem, TuneworthyError
from tuneworthy.measure.side_by_side import BlindKey, BlindPair
from tuneworthy.project import Project
from tuneworthy.records import Case, JudgedAnswer, Vote
from tuneworthy.usecase import UseCase

Row = TypeVar("Row", JudgedAnswer, Vote)


def read_judged(path: Path, usecase: UseCase) -> tuple[JudgedAnswer, ...]:
    """Answers that people judged; rows that nobody judged yet are left out.

    Raises:
        DataError: the file cannot be read; every bad line is listed.
    """
    return _read(path, usecase, JudgedAnswer, "right")


def read_votes(path: Path, usecase: UseCase) -> tuple[Vote, ...]:
    """Votes on pairs; pairs that nobody voted on yet are left out.

    Raises:
        DataError: the file cannot be read; every bad line is listed.
    """
    return _read(path, usecase, Vote, "better")


def read(project: Project) -> tuple[JudgedAnswer, ...] | tuple[Vote, ...]:
    """What the judge of a project is held against.

    Raises:
        DataError: there is no file, or it cannot be read.
    """
    path = project.judged_file
    if not path.exists():
        raise DataError(
            "there are no labels of people",
            [],
            next="judge answers in this file, one a line (docs/concepts/judges.md); or: suite judge --labels FILE",
            where=str(path),
        )
    return _labels(path, project.usecase)


def take(source: Path, project: Project) -> None:
    """Take labels from a file as the project's own.

    Raises:
        DataError: the file cannot be read, or other labels lie there already.
    """
    if source.suffix != ".jsonl":
        raise DataError("labels are JSON Lines", [], next="save them as .jsonl, one object a line", where=str(source))
    _labels(source, project.usecase)
    content = source.read_bytes()
    if project.judged_file.exists() and project.judged_file.read_bytes() != content:
        raise DataError(
            "other labels lie there already",
            [],
            next=f"add the rows of {source.name} to it, and leave --labels out",
            where=str(project.judged_file),
        )
    write_whole(project.judged_file, content)


def write_draft(path: Path, answers: Mapping[str, Sequence[tuple[Case, str]]], *, seed: int, most: int = 100) -> int:
    """Write answers of arms for people to judge, in a drawn order and under code names; how many were written. The same
    answer to the same case is written once.

    Args:
        answers: arm → its answers by case.

    Raises:
        DataError: the file is there already, or there is no answer.
    """
    _require_new(path)
    draw = random.Random(seed)
    arms = draw.sample(sorted(answers), len(answers))
    rows = {
        digest([case.id, text]): {
            "input": dict(case.input),
            "output": text,
            "expected": case.expected,
            "evidence": case.evidence,
            "arm": f"arm {number}",
        }
        for number, arm in enumerate(arms, start=1)
        for case, text in answers[arm]
        if text.strip()
    }
    if not rows:
        raise DataError("the last run holds no answer to judge", [], next="run: tuneworthy run")
    chosen = draw.sample(sorted(rows), min(most, len(rows)))
    _write(path, ({**rows[name], "right": None, "why": "", "by": ""} for name in chosen))
    return len(chosen)


def write_pairs(path: Path, pairs: Iterable[BlindPair]) -> None:
    """Write blind pairs for people to vote on: `better`, `why` and `by` are theirs.

    Raises:
        DataError: the file is there already; votes may stand in it.
        StorageError: the folder cannot be written.
    """
    _require_new(path)
    _write(path, ({**pair.model_dump(mode="json"), "better": None, "why": "", "by": ""} for pair in pairs))


def key_to(votes: Sequence[Vote], project: Project, reference: str, candidate: str) -> BlindKey:
    """The key to the pairs that were voted on.

    Raises:
        TuneworthyError: it is not here, cannot be read, or is about other arms.
    """
    path = project.blind_key(votes[0].pair if votes else "")
    try:
        key = BlindKey.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise TuneworthyError(
            f"there is no key to these votes: {type(error).__name__}",
            next=f"vote on the file that this writes: tuneworthy compare {reference} {candidate} --blind FILE",
            where=str(path),
        ) from None
    if (key.reference, key.candidate) != (reference, candidate):
        raise TuneworthyError(
            f"these votes are about {key.candidate} against {key.reference}",
            next=f"run: tuneworthy compare {key.reference} {key.candidate} --votes FILE",
        )
    return key


def _require_new(path: Path) -> None:
    if path.exists():
        raise DataError(
            "this file is there already, perhaps with votes in it", [], next="name another file", where=str(path)
        )


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    write_whole(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))


def _labels(path: Path, usecase: UseCase) -> tuple[JudgedAnswer, ...] | tuple[Vote, ...]:
    pairwise = usecase.judge is not None and usecase.judge.mode == "pairwise"
    return read_votes(path, usecase) if pairwise else read_judged(path, usecase)


def _read(path: Path, usecase: UseCase, kind: type[Row], verdict: str) -> tuple[Row, ...]:
    rows: list[Row] = []
    problems = []
    for raw in read_rows(path):
        try:
            if raw.problem:
                raise ValueError(raw.problem)
            if raw.values.get(verdict, "") is not None:
                rows.append(_row(raw.values, usecase, kind))
        except ValueError as error:  # a ValidationError is one, too
            problems.append(Problem(f"{path.name}:{raw.line}", "", _reason(error)))
    if problems:
        raise DataError(
            f"{len(problems)} rows cannot be read",
            problems,
            next=f"repair these lines; a row that is not judged yet has {verdict!r}: null",
            where=str(path),
        )
    return tuple(rows)


def _row(values: dict[str, Any], usecase: UseCase, kind: type[Row]) -> Row:
    if not isinstance(values.get("input"), dict):
        raise ValueError("input: an object with the fields of the input is needed")
    validate: Callable[..., Row] = kind.model_validate
    # strict: "no" and 0 are no verdicts, and numbers are no texts
    return validate({**values, "input": read_input(values["input"], usecase)}, strict=True)


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
