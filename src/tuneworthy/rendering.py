"""How inputs and expected outputs are written as text: one place for prompts, training targets and scorers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from tuneworthy.records import Input
from tuneworthy.usecase import InputField, Output


def input_block(fields: Mapping[str, InputField], row: Input) -> str:
    """One line per field in the declared order: `Email: …`. Absent optional fields are left out."""
    lines = [f"{field_title(name)}: {_plain(row[name])}" for name in fields if row.get(name) is not None]
    return "\n".join(lines)


def field_title(name: str) -> str:
    """order_number → Order number."""
    words = name.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:]


def render_expected(output: Output, expected: JsonValue) -> str:
    """The text that a right answer is: labels and text as they are, JSON with the schema's order of keys.

    The JSON form is that of `json.dumps` with its default separators, which constrained decoding also writes.
    """
    if output.kind != "json":
        return str(expected[0]) if isinstance(expected, list) and expected else _plain(expected)
    return json.dumps(_ordered(expected, output.json_schema or {}), ensure_ascii=False)


def _ordered(value: JsonValue, schema: Mapping[str, Any]) -> JsonValue:
    if isinstance(value, dict):
        properties = schema.get("properties")
        known: Mapping[str, Any] = properties if isinstance(properties, dict) else {}
        keys = [key for key in known if key in value] + [key for key in value if key not in known]
        return {key: _ordered(value[key], _schema(known.get(key))) for key in keys}
    if isinstance(value, list):
        return [_ordered(item, _schema(schema.get("items"))) for item in value]
    return value


def _schema(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _plain(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
