"""Label: one row at a time, by keyboard. The answer is on the disk before the next row is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from tuneworthy.data import labelled
from tuneworthy.data.json_rows import parse_json
from tuneworthy.data.unlabelled import Taken
from tuneworthy.errors import DataError
from tuneworthy.workbench.visit import Visit

NOTE_MOST = 2000
KEYS = "123456789abcdefghijklmnopqrtvwxyz"
"""one key for each label; s and u are taken (skip, undo)"""


async def page(visit: Visit) -> Response:
    """The next row."""
    return _next(visit)


async def put(visit: Visit) -> Response:
    """An answer, or a skip; then the next row."""
    form = await visit.form()
    row, note, flag = form.get("row", ""), form.get("note", "")[:NOTE_MOST], form.get("flag") == "1"
    desk = visit.bench.desk
    if form.get("do") == "skip":
        desk.put(labelled.skip(row, visit.who, flag=flag, note=note))
        return _next(visit)
    given = form.get("expected", "")
    try:
        desk.put(labelled.label(row, visit.who, expected=_read(visit, given), flag=flag, note=note))
    except DataError as error:
        return _row(visit, row, given, error.what)
    return _next(visit)


async def undo(visit: Visit) -> Response:
    """Take back the last answer, and show its row again."""
    await visit.form()
    last = visit.bench.desk.undo(visit.who)
    return _row(visit, last.row, _written(last.expected)) if last else _next(visit)


async def check(visit: Visit) -> Response:
    """Whether an answer fits, while it is typed."""
    form = await visit.form()
    try:
        visit.bench.desk.read(_read(visit, form.get("expected", "")))
    except DataError as error:
        return JSONResponse({"problem": error.what})
    return JSONResponse({"problem": ""})


async def differences(visit: Visit) -> Response:
    """Rows on which people differ, to be decided."""
    desk = visit.bench.desk
    return visit.page("differences.html", differences=desk.differences(), agreed=desk.agreement(), written=_written)


async def decide(visit: Visit) -> Response:
    """Settle one difference."""
    form = await visit.form()
    expected = _read(visit, form.get("expected", ""))
    visit.bench.desk.put(labelled.decide(form.get("row", ""), visit.who, expected, form.get("note", "")[:NOTE_MOST]))
    return visit.go("/label/differences")


async def take(visit: Visit) -> Response:
    """Put the settled rows into the examples."""
    await visit.form()
    project = visit.bench.project
    async with visit.bench.writing:  # a desk of its own in a thread: others go on labelling
        taken = await run_in_threadpool(_take, project.folder)
    told = visit.say("{n} rows are examples now; {left} stay in the queue.", n=taken.added, left=taken.left)
    return visit.go("/label", told)


def _take(folder: Path) -> Taken:
    from tuneworthy import worth  # needs torch, which takes seconds

    return worth.take_labels(folder)


def _next(visit: Visit) -> Response:
    found = visit.bench.desk.next_row(visit.who)
    return _row(visit, found[0]) if found else _card(visit, None)


def _row(visit: Visit, name: str, given: str = "", problem: str = "") -> Response:
    return _card(visit, (name, visit.bench.desk.row(name)), given, problem)


def _card(visit: Visit, found: Any, given: str = "", problem: str = "") -> Response:
    desk, labels = visit.bench.desk, visit.bench.project.usecase.output.labels
    keys = [KEYS[n] if n < len(KEYS) else "" for n in range(len(labels))]
    return visit.page(
        "label.html",
        found=found,
        given=given,
        problem=problem,
        standing=desk.standing(),
        written=_written,
        choices=list(zip(keys, labels, strict=True)),
    )


def _read(visit: Visit, given: str) -> JsonValue:
    """What was typed as a value: JSON where the use case asks for it."""
    given = given.replace("\r\n", "\n")  # as forms send it
    if visit.bench.project.usecase.output.kind != "json" or not given.strip():
        return given
    try:
        value: JsonValue = parse_json(given)
    except ValueError as error:
        raise DataError(f"this is no JSON: {error}", [], next="correct it") from None
    return value


def _written(value: JsonValue) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False, indent=1)
