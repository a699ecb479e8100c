"""Validity: does the answer keep the schema? Says nothing about its content."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from tuneworthy.errors import Problem, UseCaseError
from tuneworthy.records import Case, Score
from tuneworthy.scorers.reading import lenient_json, strict_json
from tuneworthy.usecase import Output


@dataclass(frozen=True)
class JsonSchema:
    """1 when the whole answer is JSON that keeps the schema: draft 2020-12, or the older draft that `$schema` names;
    `format` is not checked. Lenient: the first object in the answer. Needs no expected output.

    Raises:
        UseCaseError: a `$ref` leads to a document that is not among `documents` (nothing is fetched), to a place that
            does not exist, or in a circle (found when scoring); a dialect of somebody's own; a pattern that Python does
            not know.
    """

    output: Output
    documents: dict[str, Any] = field(default_factory=dict)
    """URI → JSON Schema: other documents that the schema points to"""
    name: ClassVar[str] = "json_schema"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _require_documents(self.documents)
        for pattern in _patterns([self._schema, *self.documents.values()]):
            _require_python(pattern)
        seen: set[int] = set()
        _follow(self._registry.resolver_with_root(_resource(self._schema)), _resource(self._schema), seen)

    @property
    def _schema(self) -> Any:
        return self.output.json_schema or {}

    @cached_property
    def _registry(self) -> Any:
        """The documents, and the metaschemas that come with the library; no way to the network."""
        from jsonschema_specifications import REGISTRY
        from referencing import Registry

        known: Any = REGISTRY
        here = [(uri, _resource(document)) for uri, document in self.documents.items()]
        return known.combine(Registry().with_resources(here)).crawl()

    @cached_property
    def _validator(self) -> Any:
        from jsonschema import Draft202012Validator
        from jsonschema.validators import validator_for

        draft: Any = validator_for(self._schema, default=Draft202012Validator)
        return draft(self._schema, registry=self._registry)

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


def _resource(schema: Any) -> Any:
    from referencing.jsonschema import DRAFT202012, UnknownDialect, specification_with

    dialect = schema.get("$schema") if isinstance(schema, dict) else None
    if dialect is None:
        return DRAFT202012.create_resource(schema)
    try:
        return specification_with(str(dialect)).create_resource(schema)
    except UnknownDialect:
        raise _unusable(f"$schema = {dialect!r} names a dialect that is not known") from None


def _follow(resolver: Any, resource: Any, seen: set[int]) -> None:
    """Every reference that a validator could meet must lead somewhere; those of documents where one leads there."""
    from referencing.exceptions import Unresolvable

    if id(resource.contents) in seen or not isinstance(resource.contents, dict):
        return
    seen.add(id(resource.contents))
    for key in ("$ref", "$dynamicRef"):
        reference = resource.contents.get(key)
        if isinstance(reference, str):
            try:
                found = resolver.lookup(reference)
            except Unresolvable:
                raise _unusable(f"{key} = {reference!r} leads nowhere, and nothing is fetched") from None
            _follow(found.resolver, _resource(found.contents), seen)
    for inner in resource.subresources():
        _follow(resolver.in_subresource(inner), inner, seen)


def _patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "pattern" and isinstance(value, str):
                yield value
            if key == "patternProperties" and isinstance(value, dict):
                yield from value
            yield from _patterns(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _patterns(item)


def _require_documents(documents: Any) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    if not isinstance(documents, dict) or not all(isinstance(schema, dict) for schema in documents.values()):
        raise _unusable('`documents` is a table of schemas by URI: documents = { "https://…" = { type = "string" } }')
    for uri, document in documents.items():
        try:
            validator_for(document, default=Draft202012Validator).check_schema(document)
        except SchemaError as error:
            raise _unusable(f"the document {uri} is no schema: {error.message}") from None


def _require_python(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise _unusable(f"the pattern {pattern!r} is none that Python knows: {error}") from None


def _unusable(reason: str) -> UseCaseError:
    return UseCaseError(
        "the schema cannot be used", [Problem("output.schema", "", reason)], next="repair it", where="usecase.toml"
    )
