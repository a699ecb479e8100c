"""The formats that people have, recognised by their columns, and how each maps to input and expected output.

native               input, expected
prompt/completion    prompt, completion
OpenAI messages      messages: role, content; of several exchanges every answer is a row
ShareGPT             conversations: from, value; the same
gateway trace        request: messages, response: choices, feedback (records.Trace)
Alpaca               instruction, (input,) output
Kiln                 input, output
plain columns        one column per input field, and one for the expected output
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from tuneworthy.data import traces
from tuneworthy.data.conversations import by_answer, last_exchange, system_texts
from tuneworthy.data.json_rows import parse_json
from tuneworthy.data.rows import RawRow
from tuneworthy.errors import DataError
from tuneworthy.usecase import UseCase

ANSWERS = ("expected", "output", "label", "category", "target", "answer", "completion", "response")
"""Names of columns that mean the expected output."""

META = ("id", "tags", "evidence", "cluster", "provenance")
"""Columns that belong to a case or to the record of where a row came from."""

LICENCES = ("licence", "license")
DATES = ("date", "when", "created", "created_at", "timestamp")
"""Names of columns that say under which licence a row stands, and from when it is, where they are nothing else."""

Turn = Callable[[Mapping[str, Any]], tuple[dict[str, Any], Any]]


@dataclass(frozen=True)
class Format:
    """How rows of one format become input and expected output."""

    name: str
    mapping: dict[str, str]
    """what goes where: `input.email` → column; shown to the user"""
    turn: Turn
    """row → (raw input fields, raw expected output); raises ValueError with the reason when it cannot"""
    unused: tuple[str, ...] = ()
    """columns, or constant parts of a row, that are left out"""
    parts: Callable[[RawRow], list[RawRow]] = lambda row: [row]
    """the rows that one row of the file holds: a chat log has one per answer"""
    licence: str = ""
    """the column with the licence of a row"""
    date: str = ""
    """the column with the date of a row"""


@dataclass(frozen=True)
class _Seen:
    """What detection looks at."""

    rows: list[dict[str, Any]]
    """readable rows"""
    usual: frozenset[str]
    """columns of at least half of them"""
    usecase: UseCase
    where: str
    cases: bool

    def refuse(self, what: str, next: str = "") -> DataError:
        fields = " ".join(f"--map input.{name}=COLUMN" for name in self.usecase.input)
        advice = next or f"say what goes where: {fields} --map expected=COLUMN"
        return DataError(what, [], next=advice, where=self.where)

    @property
    def columns(self) -> str:
        names = sorted(self.usual)[:20]
        return f"columns: {', '.join(name[:40] for name in names) or 'none in common'}"


def detect(
    rows: Sequence[RawRow], usecase: UseCase, mapping: Mapping[str, str] | None, where: str, *, cases: bool = False
) -> Format:
    """The one format that fits the rows.

    Args:
        mapping: `input.<field>` and `expected` → column, instead of detection.
        cases: rows are cases, so the expected output may be absent.

    Raises:
        DataError: none fits, or several do; what was seen is named.
    """
    readable = [row.values for row in rows if not row.problem]
    counts = Counter(key for row in readable for key in row)
    usual = frozenset(key for key, count in counts.items() if 2 * count >= len(readable))
    seen = _Seen(readable, usual, usecase, where, cases)
    if mapping:
        return _with_origin(_mapped(dict(mapping), frozenset(counts), seen), seen)
    fitting = [make for needed, make in _known(seen) if needed <= usual]
    found = [make(seen) for make in fitting]
    if len(found) > 1:
        raise seen.refuse(f"this could be {' or '.join(one.name for one in found)}; {seen.columns}")
    return _with_origin(found[0] if found else _columns(seen), seen)


def _with_origin(found: Format, seen: _Seen) -> Format:
    """The format, told which columns say where a row comes from."""
    free = set(seen.usual) - set(found.mapping.values()) - set(seen.usecase.input)
    licence, date = (next((name for name in names if name in free), "") for names in (LICENCES, DATES))
    told = {"provenance.licence": licence, "provenance.date": date}
    return replace(
        found,
        mapping={**found.mapping, **{target: column for target, column in told.items() if column}},
        unused=tuple(name for name in found.unused if name not in (licence, date)),
        licence=licence,
        date=found.date or date,
    )


def _known(seen: _Seen) -> list[tuple[set[str], Callable[[_Seen], Format]]]:
    """Columns that a format needs. A format whose text columns are declared fields is a plain table."""
    declared = set(seen.usecase.input)
    nothing_else = seen.cases and not set(ANSWERS) & seen.usual
    objects = any(isinstance(row.get("input"), dict) for row in seen.rows)
    if "input" in seen.usual and ("expected" in seen.usual or nothing_else) and (objects or "input" not in declared):
        return [({"input"}, _native)]
    known: list[tuple[set[str], Callable[[_Seen], Format]]] = [
        ({"messages"}, lambda seen: _conversation(seen, "OpenAI messages", "messages")),
        ({"conversations"}, lambda seen: _conversation(seen, "ShareGPT", "conversations")),
        ({"request", "response"}, _trace),
    ]
    if "prompt" not in declared:
        known.append(({"prompt", "completion"}, _prompt_completion))
    if "instruction" not in declared:
        known.append(({"instruction", "output"}, _alpaca))
        if "instruction" not in seen.usual and "input" not in declared:
            known.append(({"input", "output"}, _kiln))
    return known


# --- formats with names of their own -------------------------------------------------------------


def _native(seen: _Seen) -> Format:
    def turn(row: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        return fill(seen.usecase, row.get("input")), row.get("expected")

    return Format("native", {"input": "input", "expected": "expected"}, turn, _unused(seen, "input", "expected"))


def _prompt_completion(seen: _Seen) -> Format:
    return _pair(seen, "prompt/completion", "prompt", "completion")


def _kiln(seen: _Seen) -> Format:
    return _pair(seen, "Kiln", "input", "output")


def _pair(seen: _Seen, name: str, asked: str, answered: str) -> Format:
    def turn(row: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        return fill(seen.usecase, row.get(asked)), row.get(answered)

    mapping = {asked_field(seen.usecase): asked, "expected": answered}
    return Format(name, mapping, turn, _unused(seen, asked, answered))


def _alpaca(seen: _Seen) -> Format:
    """Where every row has the same instruction, the instruction of the use case takes its place; else it is part of
    the input."""
    instructions = {str(row.get("instruction")).strip() for row in seen.rows}
    with_input = any(str(row.get("input") or "").strip() for row in seen.rows)
    constant = with_input and len(instructions) == 1

    def turn(row: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        parts = [row.get("input")] if constant else [row.get("instruction"), row.get("input")]
        wrong = next((part for part in parts if part is not None and not isinstance(part, str)), None)
        if wrong is not None:
            raise ValueError(f"instruction, input: {str(wrong)[:40]!r} is not text")
        return fill(seen.usecase, "\n\n".join(part for part in parts if part and part.strip())), row.get("output")

    source = "input" if constant else "instruction + input" if with_input else "instruction"
    unused = _unused(seen, "instruction", "input", "output")
    unused += ("instruction (the same in every row: usecase.toml holds the instruction)",) if constant else ()
    return Format("Alpaca", {asked_field(seen.usecase): source, "expected": "output"}, turn, unused)


def _conversation(seen: _Seen, name: str, column: str) -> Format:
    """What was said, and the answer. A system message that all rows share is the use case's instruction."""
    systems = {text for row in seen.rows for text in system_texts(row.get(column))}
    if len(systems) > 1:
        raise seen.refuse(
            f"the rows have {len(systems)} different system messages, but a use case has one instruction",
            "put what differs into the user message, and the instruction into usecase.toml",
        )
    unused = _unused(seen, column)
    unused += (f"{column}[system] (the same in every row: usecase.toml holds the instruction)",) if systems else ()
    return _chat(seen, name, column, unused)


def _trace(seen: _Seen) -> Format:
    """Answers of an OpenAI-compatible gateway: the prompts around them belong to the deployment, not to the rows."""
    unused = (*_unused(seen, *traces.USED), "request.messages[system]")
    found = _chat(seen, "gateway trace", "messages", unused)
    where = {"input": "request.messages", "expected": "feedback.correction, else response.choices[0]"}
    return replace(
        found,
        mapping={target: where[target.split(".")[0].split(" ")[0]] for target in found.mapping},
        parts=lambda row: [traces.as_chat(row)],
        date="date",
    )


def _chat(seen: _Seen, name: str, column: str, unused: tuple[str, ...]) -> Format:
    def turn(row: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        asked, answered = last_exchange(row.get(column), column)
        return fill(seen.usecase, asked), answered

    several = any(len(by_answer(RawRow(0, row), column)) > 1 for row in seen.rows)
    asked, answered = ("what was said before", "each assistant turn") if several else ("user", "assistant")
    mapping = {asked_field(seen.usecase): f"{column}[{asked}]", "expected": f"{column}[{answered}]"}
    return Format(name, mapping, turn, unused, parts=lambda row: by_answer(row, column))


# --- plain columns -------------------------------------------------------------------------------


def _columns(seen: _Seen) -> Format:
    """Columns that are called like the fields; where one field and one column are left, they belong together."""
    by_name = {column.casefold(): column for column in sorted(seen.usual, reverse=True)}
    fields = seen.usecase.input
    inputs = {name: name if name in seen.usual else by_name.get(name.casefold(), "") for name in fields}
    inputs = {name: column for name, column in inputs.items() if column}
    answers = [by_name[name] for name in ANSWERS if name in by_name and by_name[name] not in inputs.values()]
    if len(answers) > 1 and answers[0].casefold() != "expected":
        raise seen.refuse(f"the expected output could be {' or '.join(answers)}; {seen.columns}")
    rest = sorted(seen.usual - {*answers, *META, *LICENCES, *DATES, *inputs.values()})
    if not inputs and len(fields) == 1 and len(rest) == 1:
        inputs = {next(iter(fields)): rest[0]}
    lacking = [f"input.{name}" for name, field in fields.items() if field.required and name not in inputs]
    lacking += ["expected"] if not answers and not seen.cases else []
    if lacking or not inputs:
        raise seen.refuse(
            f"no known format; {seen.columns}; nothing stands for {', '.join(lacking) or 'the input'}",
            "say what goes where: " + " ".join(f"--map {name}=COLUMN" for name in lacking) if lacking else "",
        )
    mapping = {f"input.{name}": column for name, column in inputs.items()}
    return _mapped({**mapping, **({"expected": answers[0]} if answers else {})}, seen.usual, seen)


def _mapped(mapping: dict[str, str], columns: frozenset[str], seen: _Seen) -> Format:
    fields = seen.usecase.input
    targets = [f"input.{name}" for name in fields] + ["expected"]
    required = [f"input.{name}" for name, field in fields.items() if field.required]
    required += [] if seen.cases else ["expected"]
    reasons = [
        _unlike(f"{target!r} is not a field of the use case", target, targets)
        for target in mapping
        if target not in targets
    ]
    reasons += [
        _unlike(f"there is no column {name!r}", name, sorted(columns))
        for name in mapping.values()
        if name not in columns
    ]
    reasons += [f"nothing stands for {target}" for target in required if target not in mapping]
    if reasons:
        raise seen.refuse(f"the mapping does not fit: {'; '.join(reasons)}")
    inputs = {target.removeprefix("input."): column for target, column in mapping.items() if target != "expected"}
    answer = mapping.get("expected")

    def turn(row: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        return {name: row.get(column) for name, column in inputs.items()}, row.get(answer) if answer else None

    return Format("plain columns", mapping, turn, _unused(seen, *mapping.values()))


def _unlike(what: str, name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known[:1_000], n=1)  # a comparison with each: a million of them takes minutes
    listed = ", ".join(column[:40] for column in known[:20]) + (", …" if len(known) > 20 else "")
    return f"{what}; did you mean {near[0]!r}?" if near else f"{what}; known: {listed}"


# --- shared --------------------------------------------------------------------------------------


def fill(usecase: UseCase, value: Any) -> dict[str, Any]:
    """Raw input fields from one value: an object as it is; a text is the one field, or a JSON object of several."""
    if isinstance(value, dict):
        return dict(value)
    name = _single(usecase)
    if name is not None:
        return {name: value}
    fields = ", ".join(usecase.input)
    try:
        parsed = parse_json(value) if isinstance(value, str) else None
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise ValueError(
            f"input: is one text, but the use case has the fields {fields}: write them as a JSON object, or use columns"
        )
    return parsed


def _single(usecase: UseCase) -> str | None:
    """The field that one text fills: the only one, or the only required one."""
    required = [name for name, field in usecase.input.items() if field.required]
    names = list(usecase.input) if len(usecase.input) == 1 else required
    return names[0] if len(names) == 1 else None


def asked_field(usecase: UseCase) -> str:
    name = _single(usecase)
    return "input (a JSON object)" if name is None else f"input.{name}"


def _unused(seen: _Seen, *used: str) -> tuple[str, ...]:
    """Columns of any row that go nowhere."""
    return tuple(sorted({key for row in seen.rows for key in row} - {*used, *META}))
