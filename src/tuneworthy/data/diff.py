"""What differs between two versions of examples: rows that came, went or changed, and in which fields."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from pydantic import JsonValue

from tuneworthy.content import digest
from tuneworthy.data.decisions import Decision
from tuneworthy.data.findings import leaves
from tuneworthy.records import Example, Record


class FieldChange(Record):
    """One field of a changed row; None = the field is not there."""

    field: str
    """`input.email`, `expected`, `expected.order`"""
    before: JsonValue
    after: JsonValue


class RowChange(Record):
    """A row that is the same row in both versions, with another content."""

    before: str
    after: str
    """its names"""
    fields: tuple[FieldChange, ...]
    how: str
    """what makes it the same row: `decision`, `input`, `line`"""


class Difference(Record):
    """From one version to another."""

    before: str
    after: str
    added: tuple[Example, ...]
    removed: tuple[Example, ...]
    changed: tuple[RowChange, ...]
    same: int


def difference(
    before: Sequence[Example], after: Sequence[Example], *, names: tuple[str, str], log: Sequence[Decision] = ()
) -> Difference:
    """Compare two versions by row.

    A row of the one that is not in the other is the same row under another name when the decision log says so, when
    its input is the same, or when it comes from the same line of the same file; each only where that is one row.
    """
    old, new = ({example.name: example for example in side} for side in (before, after))
    gone = {name: example for name, example in old.items() if name not in new}
    came = {name: example for name, example in new.items() if name not in old}
    same = len(old) - len(gone)
    changed = []
    for how, pairs in (
        ("decision", _decided(gone, came, log)),
        ("input", _alike(gone, came, lambda example: digest(example.input))),
        ("line", _alike(gone, came, _line)),
    ):
        for a, b in pairs:
            one, two = gone.pop(a, None), came.pop(b, None)
            if one is None or two is None:
                gone |= {a: one} if one else {}
                came |= {b: two} if two else {}
                continue
            changed.append(RowChange(before=a, after=b, fields=tuple(_fields(one, two)), how=how))
    return Difference(
        before=names[0],
        after=names[1],
        added=tuple(came[name] for name in sorted(came)),
        removed=tuple(gone[name] for name in sorted(gone)),
        changed=tuple(sorted(changed, key=lambda change: (change.before, change.after))),
        same=same,
    )


Pairs = list[tuple[str, str]]


def _decided(gone: Mapping[str, Example], came: Mapping[str, Example], log: Sequence[Decision]) -> Pairs:
    """Follow each row through all entries that changed it."""
    became: dict[str, str] = {}
    for decision in log:
        steps = {c.before.name: c.after.name for c in decision.changes if c.after is not None}
        if decision.undoes:
            steps = {after: before for before, after in steps.items()}
        became = {first: steps.get(last, last) for first, last in became.items()} | {
            name: step for name, step in steps.items() if name not in became
        }
    backwards = {last: first for first, last in became.items()}
    forward = [(name, became[name]) for name in gone if became.get(name) in came]
    return forward + [(name, backwards[name]) for name in gone if name not in became and backwards.get(name) in came]


def _alike(gone: Mapping[str, Example], came: Mapping[str, Example], key: Callable[[Example], str]) -> Pairs:
    sides: list[dict[str, list[str]]] = []
    for side in (gone, came):
        found: dict[str, list[str]] = defaultdict(list)
        for name, example in side.items():
            if key(example):
                found[key(example)].append(name)
        sides.append(found)
    return [(a[0], sides[1][k][0]) for k, a in sides[0].items() if len(a) == len(sides[1].get(k, ())) == 1]


def _line(example: Example) -> str:
    origin = example.provenance
    return f"{origin.source}:{origin.line}" if origin.source and origin.line else ""


def _fields(one: Example, two: Example) -> Iterator[FieldChange]:
    sides = [dict(_flat(example)) for example in (one, two)]
    for field in dict.fromkeys([*sides[0], *sides[1]]):
        if sides[0].get(field) != sides[1].get(field):
            yield FieldChange(field=field, before=sides[0].get(field), after=sides[1].get(field))


def _flat(example: Example) -> Iterator[tuple[str, JsonValue]]:
    for field, value in example.input.items():
        yield f"input.{field}", value
    if not isinstance(example.expected, dict):
        yield "expected", example.expected
        return
    lists: dict[str, list[JsonValue]] = defaultdict(list)
    for path, value in leaves(example.expected):
        lists[path].append(value)
    for path, values in lists.items():
        yield f"expected.{path}", values if "[]" in path else values[0]
