"""JSON answers, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from tuneworthy.records import Case, Score
from tuneworthy.scorers.exact import MISSING
from tuneworthy.scorers.reading import first_json_object, loose, normal, strict_json
from tuneworthy.usecase import Output


@dataclass(frozen=True)
class Fields:
    """Share of the expected leaves that are right; extra leaves count as wrong ones. An answer that is not JSON has no
    field right: 0. Lenient: the first object in the answer, texts compared loosely, "3" equals 3."""

    output: Output
    name: ClassVar[str] = "fields"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = False

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        if case.expected is None:
            return MISSING
        wanted = dict(leaves(case.expected))
        try:
            found = dict(leaves(first_json_object(output) if lenient else strict_json(output)))
        except ValueError as error:
            return Score(value=0.0, explanation=f"not JSON: {error}", parts=dict.fromkeys(wanted, 0.0))
        parts = {path: float(path in found and same(found[path], wanted[path], lenient)) for path in wanted}
        extra = len(set(found) - set(wanted))
        wrong = [path for path, value in parts.items() if not value]
        value = sum(parts.values()) / max(1, len(wanted) + extra) if wanted or extra else 1.0
        return Score(value=value, parts=parts, explanation=f"wrong: {', '.join(wrong)}" if wrong else "")


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


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of every leaf; empty objects and lists are leaves of their own."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from leaves(item, f"{path}[{number}]")
    else:
        yield path or "(whole)", value


def same(found: Any, wanted: Any, lenient: bool) -> bool:
    """Equal leaves. Strict: the same type and, for texts, the same text after normalisation; true is not 1."""
    if lenient:
        return loose(str(found)) == loose(str(wanted))
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, str) and isinstance(wanted, str):
        return normal(found) == normal(wanted)
    if isinstance(found, int | float) and isinstance(wanted, int | float):
        return found == wanted
    return type(found) is type(wanted) and found == wanted
