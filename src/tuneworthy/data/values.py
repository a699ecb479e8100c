"""What a row holds → what the use case declares, in the declared type and within its limits. No guessing."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from pydantic import JsonValue

from tuneworthy.data.json_rows import parse_json
from tuneworthy.usecase import InputField, Output, UseCase

DEEPEST = 60
"""Levels of nesting. Deeper JSON is no example of anything, and exhausts readers."""


def read_input(raw: Mapping[str, Any], usecase: UseCase) -> dict[str, JsonValue]:
    """The input fields, in declared order; absent optional ones are left out.

    Raises:
        ValueError: `input.<field>: why`.
    """
    unknown = sorted(set(raw) - set(usecase.input))
    if unknown:
        near = get_close_matches(unknown[0], list(usecase.input), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"declared: {', '.join(usecase.input)}"
        raise ValueError(f"input.{unknown[0]}: the use case declares no such field; {hint}")
    fields = {name: _field(name, spec, raw.get(name)) for name, spec in usecase.input.items()}
    fields = {name: value for name, value in fields.items() if value is not None}
    if not fields:
        raise ValueError("input: every field is empty")
    return fields


def _field(name: str, spec: InputField, value: Any) -> JsonValue:
    where = f"input.{name}"
    if value is None or (isinstance(value, str) and not value.strip()):
        if spec.required:
            raise ValueError(f"{where}: is missing or empty")
        return None
    if spec.type != "text":
        return _scalar(where, spec.type, value)
    if not isinstance(value, str):
        raise ValueError(f"{where}: is {_kind(value)}, not text")
    text = str(clean(value, where))
    if len(text) > spec.max_chars:
        raise ValueError(f"{where}: has {len(text):,} characters, at most {spec.max_chars:,} (max_chars)")
    return text


def _scalar(where: str, kind: str, value: Any) -> JsonValue:
    shown = repr(value)[:40]
    if isinstance(value, str):  # tables hold text only
        try:
            value = parse_json(value.strip().lower() if kind == "boolean" else value.strip())
        except ValueError:
            raise ValueError(f"{where}: {shown} is not {_article(kind)}") from None
    allowed = {"integer": (int,), "number": (int, float), "boolean": (bool,)}[kind]
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind != "boolean"):
        raise ValueError(f"{where}: {shown} is not {_article(kind)}")
    return clean(value, where)


@dataclass(frozen=True)
class Expected:
    """Reads expected outputs of one use case."""

    output: Output

    def read(self, value: Any) -> JsonValue:
        """The expected output in its declared kind; for text, a list means several acceptable answers.

        Raises:
            ValueError: `expected: why`.
        """
        if value is None or (isinstance(value, str) and not value.strip()):
            raise ValueError("expected: is missing or empty")
        if self.output.kind == "label":
            return self._label(value)
        if self.output.kind == "json":
            return self._json(value)
        if isinstance(value, list):
            if not value:
                raise ValueError("expected: is an empty list")
            return [self._text(text) for text in value]
        return self._text(value)

    @cached_property
    def _labels(self) -> dict[str, str]:
        return {unicodedata.normalize("NFC", label): label for label in self.output.labels}

    def _label(self, value: Any) -> str:
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise ValueError(f"expected: is {_kind(value)}, not a label")
        label = unicodedata.normalize("NFC", str(value).strip())
        if label not in self._labels:
            near = get_close_matches(label, self.output.labels, n=1)
            known = ", ".join(self.output.labels[:10]) + (", …" if len(self.output.labels) > 10 else "")
            hint = f"did you mean {near[0]!r}?" if near else f"known: {known}"
            raise ValueError(f"expected: output.labels lacks {label[:80]!r}; {hint}")
        return self._labels[label]

    def _text(self, value: Any) -> str:
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise ValueError(f"expected: is {_kind(value)}, not text")
        text = str(clean(value, "expected"))
        most = self.output.max_chars
        if not text.strip():
            raise ValueError("expected: is missing or empty")
        if most is not None and len(text) > most:
            raise ValueError(f"expected: has {len(text):,} characters, at most {most:,} (output.max_chars)")
        return text

    @cached_property
    def _validator(self) -> Any:
        from jsonschema import Draft202012Validator
        from referencing.jsonschema import EMPTY_REGISTRY

        # without a registry of its own, jsonschema would fetch a remote $ref from the network
        return Draft202012Validator(self.output.json_schema or {}, registry=EMPTY_REGISTRY)

    def _json(self, value: Any) -> JsonValue:
        from referencing.exceptions import Unresolvable

        if isinstance(value, str):
            try:
                value = parse_json(value)
            except ValueError as error:
                raise ValueError(f"expected: {error}") from None
        content = clean(value, "expected")
        try:
            broken = next(iter(self._validator.iter_errors(content)), None)
        except Unresolvable as unresolved:
            raise ValueError(f"expected: the schema refers to what is not in it: {unresolved}") from None
        if broken is not None:
            where = ".".join(["expected", *map(str, broken.absolute_path)])
            raise ValueError(f"{where}: does not keep the schema: {broken.message}"[:300])
        return content


def clean(value: Any, where: str) -> JsonValue:
    """JSON content with its text in Unicode form NFC, so that equal names mean equal prompts.

    Raises:
        ValueError: half of a surrogate pair, a NUL, NaN or infinity, nesting beyond DEEPEST, or no JSON type.
    """
    return _clean(value, where, DEEPEST)


def _clean(value: Any, where: str, levels: int) -> JsonValue:
    if levels == 0:
        raise ValueError(f"{where}: is nested deeper than {DEEPEST} levels")
    if isinstance(value, str):
        return _clean_text(value, where)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where}: is {value}, not a number")
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_clean(item, where, levels - 1) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {_clean_text(key, where): _clean(item, f"{where}.{key[:40]}", levels - 1) for key, item in value.items()}
    raise ValueError(f"{where}: is {_kind(value)}, which JSON does not have")


def _clean_text(text: str, where: str) -> str:
    if "\0" in text:
        raise ValueError(f"{where}: character {text.index(chr(0)) + 1} is a NUL")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{where}: character {error.start + 1} is half of a surrogate pair") from None
    return unicodedata.normalize("NFC", text)


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return {**kinds, dict: "an object", type(None): "null"}.get(type(value), f"of type {type(value).__name__}")


def _article(kind: str) -> str:
    return {"integer": "a whole number", "number": "a number", "boolean": "true or false"}[kind]
