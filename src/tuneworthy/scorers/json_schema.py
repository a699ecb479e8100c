"""Validity: does the answer keep the schema? Says nothing about its content."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from tuneworthy.records import Case, Score
from tuneworthy.scorers.reading import first_json_object, strict_json
from tuneworthy.usecase import Output


@dataclass(frozen=True)
class JsonSchema:
    """1 when the whole answer is JSON that keeps the schema (draft 2020-12). Lenient: the first object in the answer."""

    output: Output
    name: ClassVar[str] = "json_schema"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    @cached_property
    def _validator(self) -> Any:
        from jsonschema import Draft202012Validator

        return Draft202012Validator(self.output.json_schema or {})

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        try:
            value = first_json_object(output) if lenient else strict_json(output)
        except ValueError as error:
            return Score(value=0.0, explanation=f"not JSON: {error}")
        error = next(iter(self._validator.iter_errors(value)), None)
        if error is None:
            return Score(value=1.0)
        where = ".".join(map(str, error.absolute_path))
        return Score(value=0.0, explanation=f"{where or 'answer'}: {error.message}"[:300])
