"""Validity: does the answer keep the schema? Says nothing about its content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from tuneworthy.errors import Problem, UseCaseError
from tuneworthy.records import Case, Score
from tuneworthy.scorers.reading import lenient_json, strict_json
from tuneworthy.usecase import Output


@dataclass(frozen=True)
class JsonSchema:
    """1 when the whole answer is JSON that keeps the schema (draft 2020-12; `format` is not checked). Lenient: the
    first object in the answer. Needs no expected output.

    Raises:
        UseCaseError: the schema points to another document, to a place that does not exist, or in a circle (the last
            is found when scoring).
    """

    output: Output
    name: ClassVar[str] = "json_schema"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    def __post_init__(self) -> None:
        from referencing import Registry
        from referencing.exceptions import Unresolvable
        from referencing.jsonschema import DRAFT202012

        schema = self.output.json_schema or {}
        places = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
        for reference in _references(schema):
            if not reference.startswith("#"):
                raise _unusable(f"$ref = {reference!r} points to another document, and nothing is fetched")
            try:
                places.lookup(reference)
            except Unresolvable:
                raise _unusable(f"$ref = {reference!r} leads nowhere") from None

    @cached_property
    def _validator(self) -> Any:
        from jsonschema import Draft202012Validator
        from referencing import Registry

        return Draft202012Validator(self.output.json_schema or {}, registry=Registry())

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        try:
            value = lenient_json(output) if lenient else strict_json(output)
        except ValueError as error:
            return Score(value=0.0, explanation=f"not JSON: {error}")
        try:
            broken = next(iter(self._validator.iter_errors(value)), None)
        except RecursionError:
            raise _unusable("a $ref leads in a circle") from None
        if broken is None:
            return Score(value=1.0)
        where = ".".join(map(str, broken.absolute_path)) or "answer"
        # keys of an answer may hold half a surrogate pair, which no record can carry
        text = f"{where}: {broken.message}"[:300].encode("utf-8", "backslashreplace").decode("utf-8")
        return Score(value=0.0, explanation=text)


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key in ("$ref", "$dynamicRef") and isinstance(value, str):
                yield value
            yield from _references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)


def _unusable(reason: str) -> UseCaseError:
    return UseCaseError(
        "the schema cannot be used", [Problem("output.schema", "", reason)], next="repair it", where="usecase.toml"
    )
