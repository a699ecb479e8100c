"""The formats that people have, recognised by their keys, and how each maps to input and expected output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuneworthy.data.files import RawRow
from tuneworthy.errors import DataError
from tuneworthy.usecase import UseCase

ROLES = {"system": "system", "user": "user", "assistant": "assistant", "human": "user", "gpt": "assistant"}
"""Role names of OpenAI messages and ShareGPT."""

ANSWER_COLUMNS = ("expected", "output", "label", "category", "target", "answer", "completion", "response")
"""Column names that mean the expected output, in the order they are looked for."""


@dataclass(frozen=True)
class Format:
    """How rows of one format become (input, expected). `turn` raises ValueError with the reason when it cannot."""

    name: str
    mapping: dict[str, str]
    """what goes where: `input.email` → column; shown to the user"""
    turn: Callable[[Mapping[str, Any]], tuple[dict[str, Any], Any]]


def detect(rows: Sequence[RawRow], usecase: UseCase, mapping: Mapping[str, str] | None, where: str) -> Format:
    """The one format that fits the rows.

    Raises:
        DataError: none fits, or several do; what was seen is named.
    """
    keys = _keys(rows)
    if mapping:
        return _mapped(dict(mapping), keys, usecase, where)
    fitting = [f for f in (_native, _messages, _sharegpt, _alpaca, _prompt_completion) if (found := f(keys, usecase))]
    if len(fitting) > 1:
        names = " and ".join(found.name for f in fitting if (found := f(keys, usecase)))
        raise DataError(
            f"this could be {names}: columns {', '.join(sorted(keys))}",
            [],
            next="say what goes where: --map " + " --map ".join(f"input.{name}=COLUMN" for name in usecase.input),
            where=where,
        )
    for f in fitting:
        found = f(keys, usecase)
        if found:
            return found
    return _columns(keys, usecase, where)


def _keys(rows: Sequence[RawRow]) -> set[str]:
    """Columns that stand in at least half of the readable rows."""
    readable = [row for row in rows if not row.problem]
    counts: dict[str, int] = {}
    for row in readable:
        for key in row.values:
            counts[key] = counts.get(key, 0) + 1
    return {key for key, count in counts.items() if 2 * count >= len(readable)}


def _native(keys: set[str], usecase: UseCase) -> Format | None:
    if "input" not in keys or "expected" not in keys or "output" in keys:
        return None

    def turn(row: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        value = row.get("input")
        return (dict(value) if isinstance(value, dict) else _single(usecase, value)), row.get("expected")

    return Format("native rows (input, expected)", {"input": "input", "expected": "expected"}, turn)


def _prompt_completion(keys: set[str], usecase: UseCase) -> Format | None:
    if not {"prompt", "completion"} <= keys:
        return None
    return Format(
        "prompt/completion",
        {_only_field(usecase): "prompt", "expected": "completion"},
        lambda row: (_single(usecase, row.get("prompt")), row.get("completion")),
    )


def _messages(keys: set[str], usecase: UseCase) -> Format | None:
    if "messages" not in keys:
        return None
    return Format(
        "OpenAI messages",
        {_only_field(usecase): "messages[user]", "expected": "messages[assistant]"},
        lambda row: _one_turn(row.get("messages"), "role", "content", usecase),
    )


def _sharegpt(keys: set[str], usecase: UseCase) -> Format | None:
    if "conversations" not in keys:
        return None
    return Format(
        "ShareGPT conversations",
        {_only_field(usecase): "conversations[human]", "expected": "conversations[gpt]"},
        lambda row: _one_turn(row.get("conversations"), "from", "value", usecase),
    )


def _alpaca(keys: set[str], usecase: UseCase) -> Format | None:
    if not {"instruction", "output"} <= keys:
        return None

    def turn(row: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        # the instruction of the use case takes the place of a row's instruction where the row has an input
        return _single(usecase, row.get("input") or row.get("instruction")), row.get("output")

    return Format(
        "Alpaca", {_only_field(usecase): "input, or instruction where it is empty", "expected": "output"}, turn
    )


def _columns(keys: set[str], usecase: UseCase, where: str) -> Format:
    """Plain columns that are called like the fields; a single field may be called anything."""
    answers = [column for column in ANSWER_COLUMNS if column in keys]
    inputs = {name: name for name in usecase.input if name in keys}
    rest = sorted(keys - set(answers[:1]) - {"id", "tags", "evidence", "cluster"})
    if not inputs and len(usecase.input) == 1 and len(rest) == 1:
        inputs = {next(iter(usecase.input)): rest[0]}
    missing = [name for name, field in usecase.input.items() if field.required and name not in inputs]
    if not answers or missing:
        lacking = ", ".join([f"input.{name}" for name in missing] + ([] if answers else ["expected"]))
        raise DataError(
            f"no known format: columns {', '.join(sorted(keys)) or 'none'}; nothing stands for {lacking}",
            [],
            next="say what goes where: --map " + " --map ".join(f"{name}=COLUMN" for name in lacking.split(", ")),
            where=where,
        )
    mapping = {**{f"input.{name}": column for name, column in inputs.items()}, "expected": answers[0]}
    return _mapped(mapping, keys, usecase, where)


def _mapped(mapping: dict[str, str], keys: set[str], usecase: UseCase, where: str) -> Format:
    inputs = {
        target.removeprefix("input."): column for target, column in mapping.items() if target.startswith("input.")
    }
    unknown = [t for t in mapping if t != "expected" and t.removeprefix("input.") not in usecase.input]
    absent = sorted({column for column in mapping.values() if column not in keys})
    if unknown or absent or not inputs or "expected" not in mapping:
        reason = (
            f"the use case has no field {unknown[0]!r}" if unknown
            else f"there is no column {absent[0]!r}; columns: {', '.join(sorted(keys))}" if absent
            else "the mapping needs input.FIELD and expected"
        )  # fmt: skip
        fields = " ".join(f"--map input.{name}=COLUMN" for name in usecase.input)
        raise DataError(f"the mapping does not fit: {reason}", [], next=f"{fields} --map expected=COLUMN", where=where)

    def turn(row: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        return {name: row.get(column) for name, column in inputs.items()}, row.get(mapping["expected"])

    return Format("plain columns", mapping, turn)


def _one_turn(turns: Any, role_key: str, text_key: str, usecase: UseCase) -> tuple[dict[str, Any], Any]:
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise ValueError("the conversation is not a list of turns")
    said: dict[str, list[Any]] = {"system": [], "user": [], "assistant": []}
    for turn in turns:
        role = ROLES.get(str(turn.get(role_key)))
        if role is None:
            raise ValueError(f"unknown role {turn.get(role_key)!r}; known: {', '.join(ROLES)}")
        said[role].append(turn.get(text_key))
    if len(said["user"]) != 1 or len(said["assistant"]) != 1:
        raise ValueError(
            f"has {len(said['user'])} user and {len(said['assistant'])} assistant turns; "
            "one input and one output make a row: write one row per answer"
        )
    return _single(usecase, said["user"][0]), said["assistant"][0]


def _single(usecase: UseCase, value: Any) -> dict[str, Any]:
    return {_field_name(usecase): value}


def _only_field(usecase: UseCase) -> str:
    return f"input.{_field_name(usecase)}"


def _field_name(usecase: UseCase) -> str:
    required = [name for name, field in usecase.input.items() if field.required] or list(usecase.input)
    if len(required) > 1:
        raise DataError(
            f"this format holds one text per row, but the input has {len(required)} fields: {', '.join(required)}",
            [],
            next='use columns or native rows: {"input": {…}, "expected": …}',
        )
    return required[0]
