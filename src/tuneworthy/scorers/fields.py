"""JSON answers, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from tuneworthy.records import Case, Score
from tuneworthy.scorers.reading import MISSING, alike, lenient_json, normal, strict_json
from tuneworthy.usecase import Output

Place = tuple[str | int, ...]
"""Keys and positions on the way to a leaf: a key that holds a dot is not confused with a nested one."""

_EXACT_BELOW = 2**53
"""Whole numbers above are not exact as floats, so texts are not read as numbers there."""


@dataclass(frozen=True)
class Fields:
    """Share of the expected leaves that are right; extra leaves count as wrong ones, list items by position. An answer
    that is not JSON has no field right: 0. Lenient: the first object in the answer, texts compared loosely, "3" = 3."""

    output: Output
    name: ClassVar[str] = "fields"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = False

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        if case.expected is None:
            return MISSING
        wanted = dict(leaves(case.expected))
        try:
            found = dict(leaves(lenient_json(output) if lenient else strict_json(output)))
        except ValueError as error:
            return Score(value=0.0, explanation=f"not JSON: {error}", parts={_shown(place): 0.0 for place in wanted})
        right = {place for place in wanted if place in found and same(found[place], wanted[place], lenient=lenient)}
        extra = len(found.keys() - wanted.keys())
        wrong = [_shown(place) for place in wanted if place not in right]
        wrong += [f"{extra} that nobody asked for"] if extra else []
        return Score(
            value=len(right) / (len(wanted) + extra),
            parts={_shown(place): float(place in right) for place in wanted},
            explanation=f"wrong: {', '.join(wrong)}"[:300] if wrong else "",
        )


@dataclass(frozen=True)
class JsonExact:
    """1 when every field is right and none is extra."""

    output: Output
    name: ClassVar[str] = "json_exact"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        graded = Fields(self.output).score(case, output, lenient=lenient)
        if graded.value is None:
            return graded
        return graded.model_copy(update={"value": float(graded.value == 1.0)})


def leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """(place, value) of every leaf; empty objects and lists are leaves of their own."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*place, key))
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from leaves(item, (*place, number))
    else:
        yield place, value


def same(found: Any, wanted: Any, *, lenient: bool) -> bool:
    """Equal leaves. Strict: the same type and, for texts, the same text after normalisation; true is not 1, while 3
    is 3.0. Lenient: or the same when written as text, or as numbers."""
    if _equal(found, wanted):
        return True
    if not lenient or isinstance(found, dict | list) or isinstance(wanted, dict | list):
        return False
    return alike(_text(found), _text(wanted), lenient=True) or _same_number(found, wanted)


def _equal(found: Any, wanted: Any) -> bool:
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, str) and isinstance(wanted, str):
        return normal(found) == normal(wanted)
    numbers = isinstance(found, int | float) and isinstance(wanted, int | float)
    return (numbers or type(found) is type(wanted)) and bool(found == wanted)


def _same_number(found: Any, wanted: Any) -> bool:
    try:
        first, second = (float(_text(value)) for value in (found, wanted))
    except ValueError:
        return False  # not numbers: "true" and "null" end here too
    return first == second and abs(first) <= _EXACT_BELOW


def _text(value: Any) -> str:
    return "null" if value is None else str(value)


def _shown(place: Place) -> str:
    parts = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in place]
    return "".join(parts).removeprefix(".") or "(whole)"
