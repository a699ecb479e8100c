"""Facts: prices, hardware, licences and law as dated, sourced rows in TOML; never as numbers in Python.

A file holds tables of one kind, `[[gpu]]` for instance. Every row has `id`, `source` (an address) and `date` (when it
was read there); `verified = false` says that nobody has confirmed it at the vendor's own page.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from tuneworthy.errors import DataError, Problem
from tuneworthy.records import Record

STALE_AFTER = dt.timedelta(days=90)


class Fact(Record):
    """One row of a table of facts."""

    id: str = Field(min_length=1)
    source: str = Field(pattern=r"^https?://\S+$")
    """where it was read"""
    date: dt.date
    """when it was read there; where the source itself is undated, the date of its snapshot"""
    verified: bool = True
    """False: from a third party, or not confirmed"""
    note: str = ""

    def age(self, today: dt.date) -> dt.timedelta:
        """Time since it was read."""
        return today - self.date

    def stale(self, today: dt.date) -> bool:
        """Older than 90 days: to be looked up again before money depends on it."""
        return self.age(today) > STALE_AFTER


Row = TypeVar("Row", bound=Fact)


def shipped(name: str) -> Path:
    """The file `name`.toml that comes with this package."""
    return Path(str(files("tuneworthy") / "plan" / "facts" / f"{name}.toml"))


def read(
    path: Path, table: str, kind: type[Row], *, today: dt.date, fill: Mapping[str, Any] | None = None
) -> tuple[Row, ...]:
    """The rows `[[table]]` of a file, in their order.

    Args:
        fill: values of keys that a row leaves out.

    Raises:
        DataError: the file is missing or not TOML; a row has a wrong, missing or unknown field, a date in the future,
            or the id of another one. Every mistake is listed with the id or number of its row.
    """
    where = str(path)
    try:
        held = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"facts cannot be read: {error}", [], next="repair the file", where=where) from None
    rows = held.get(table)
    if not isinstance(rows, list):
        raise DataError(f"holds no [[{table}]]", [], next=f"write each row below its own [[{table}]]", where=where)
    filled = [{**(fill or {}), **row} if isinstance(row, dict) else row for row in rows]
    good, problems = _validated(filled, table, kind, today)
    if problems:
        raise DataError(
            f"{len(problems)} mistake{'s' * (len(problems) > 1)} in the table of facts",
            problems,
            next="correct them; nothing was taken from this file",
            where=where,
        )
    return tuple(good)


def stale_warning(facts: Sequence[Fact], today: dt.date, what: str) -> tuple[str, ...]:
    """A sentence about those that are older than 90 days; nothing when all are fresh."""
    old = [fact for fact in facts if fact.stale(today)]
    if not old:
        return ()
    oldest = min(old, key=lambda fact: fact.date)
    return (
        f"{what}: {len(old)} of {len(facts)} are older than {STALE_AFTER.days} days "
        f"(the oldest, {oldest.id}, was read on {oldest.date}); look them up again before money depends on them",
    )


def _validated(rows: list[Any], table: str, kind: type[Row], today: dt.date) -> tuple[list[Row], list[Problem]]:
    good: list[Row] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        name = row.get("id") if isinstance(row, dict) else None
        place = f"{table}[{name or number}]"
        try:
            fact = kind.model_validate(row)
        except ValidationError as error:
            problems += [problem(place, item) for item in error.errors(include_url=False, include_context=False)]
            continue
        if fact.date > today:
            problems.append(Problem(f"{place}.date", str(fact.date), "lies in the future"))
        if fact.id in seen:
            problems.append(Problem(f"{place}.id", "", f"is also the id of row {seen[fact.id]}"))
        seen[fact.id] = number
        good.append(fact)
    return good, problems


def problem(place: str, item: Any) -> Problem:
    """A mistake that pydantic found, in the row at `place`."""
    key = ".".join(map(str, item["loc"]))
    value = "" if isinstance(item["input"], dict | list) or item["type"] == "missing" else repr(item["input"])
    return Problem(f"{place}.{key}" if key else place, value, str(item["msg"]).removeprefix("Value error, "))
