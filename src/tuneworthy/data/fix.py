"""Rules that repair rows. Each is a pure function: a Batch → the changes, for a person to see before they are made."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from pydantic import JsonValue

from tuneworthy.data import near
from tuneworthy.data.checks import consistency
from tuneworthy.data.decisions import Change, mapped
from tuneworthy.data.findings import AuditRow, Batch
from tuneworthy.data.values import Expected
from tuneworthy.usecase import UseCase

Rule = Callable[[Batch], list[Change]]


def exact_duplicates(batch: Batch) -> list[Change]:
    """Leave out rows that repeat an earlier one, input and output, but for case and white space."""
    first: dict[tuple[str, str], int] = {}
    changes = []
    for number, (asked, wanted) in enumerate(zip(batch.normal_inputs, batch.outputs, strict=True)):
        key = asked, near.normal(wanted)
        if key in first:
            changes.append(_drop(batch, number, f"as {batch.place(first[key])}"))
        else:
            first[key] = number
    return changes


def leaks(batch: Batch) -> list[Change]:
    """Leave out examples that also stand in the suite, exactly or nearly."""
    found = {leak.example: leak for leak in near.leaks(batch.examples, batch.cases)}
    return [
        _drop(batch, number, f"case {found[example.name].case}, {found[example.name].kind}")
        for number, example in enumerate(batch.examples)
        if example.name in found
    ]


def trim(batch: Batch) -> list[Change]:
    """Take white space off both ends of every text of the outputs."""
    return _outputs(batch, lambda text: text.strip())


def encoding(batch: Batch) -> list[Change]:
    """Repair damaged encodings, in inputs and outputs, with ftfy."""
    import ftfy

    def mend(text: str) -> str:
        return text if text.isascii() else str(ftfy.fix_encoding(text))

    changes = []
    for number, example in enumerate(batch.examples):
        asked = {field: mend(value) if isinstance(value, str) else value for field, value in example.input.items()}
        after = example.model_copy(update={"input": asked, "expected": mapped(example.expected, mend)})
        if after != example:
            changes.append(Change(at=number, before=example, after=after))
    return changes


def spelling(batch: Batch) -> list[Change]:
    """Write each short value as most rows do, where only case, spaces or a full stop differ."""
    usual: dict[str, dict[str, str]] = {}
    for path, values in consistency.written(batch).items():
        usual[path] = consistency.usual_spellings(values)
    changes = []
    for number, example in enumerate(batch.examples):
        after = _rewritten(example.expected, usual, "")
        if after != example.expected:
            changed = example.model_copy(update={"expected": after})
            changes.append(Change(at=number, before=example, after=changed))
    return changes


def key_order(batch: Batch) -> list[Change]:
    """Put the keys of every JSON output in the order in which most rows have them."""
    places: dict[str, list[float]] = defaultdict(list)
    for example in batch.examples:
        if isinstance(example.expected, dict):
            for place, key in enumerate(example.expected):
                places[key].append(place / max(1, len(example.expected) - 1))
    order = sorted(places, key=lambda key: (sum(places[key]) / len(places[key]), key))
    changes = []
    for number, example in enumerate(batch.examples):
        if isinstance(example.expected, dict) and list(example.expected) != [k for k in order if k in example.expected]:
            ordered = {key: example.expected[key] for key in order if key in example.expected}
            changes.append(Change(at=number, before=example, after=example.model_copy(update={"expected": ordered})))
    return changes


RULES: Mapping[str, Rule] = {
    "exact_duplicates": exact_duplicates,
    "leaks": leaks,
    "trim": trim,
    "encoding": encoding,
    "spelling": spelling,
    "key_order": key_order,
}


def dropped(batch: Batch, names: Sequence[str]) -> list[Change]:
    """Leave out the rows with these names (or the beginning of a name, eight digits and more).

    Raises ValueError for a name that no row has.
    """
    changes: dict[int, Change] = {}
    for name in names:
        rows = [
            n for n, e in enumerate(batch.examples) if e.name == name or (len(name) >= 8 and e.name.startswith(name))
        ]
        if not rows:
            raise ValueError(f"no row is called {name!r}")
        changes |= {number: _drop(batch, number, "by name") for number in rows}
    return [changes[number] for number in sorted(changes)]


def reviewed(batch: Batch, judged: Iterable[AuditRow]) -> list[Change]:
    """Give every row that a person called `wrong` the output that was put under `instead`.

    Raises ValueError where `instead` is missing or is not what the use case declares.
    """
    by_name: dict[str, list[int]] = defaultdict(list)
    for number, example in enumerate(batch.examples):
        by_name[example.name].append(number)
    changes: dict[int, Change] = {}
    for row in judged:
        if row.verdict.strip().casefold() != "wrong" or row.name not in by_name:
            continue
        right = _read(batch.usecase, row)
        for number in by_name[row.name]:
            before = batch.examples[number]
            if right != before.expected:
                after = before.model_copy(update={"expected": right})
                changes[number] = Change(at=number, before=before, after=after, note="judged by a person")
    return [changes[number] for number in sorted(changes)]


def _read(usecase: UseCase, row: AuditRow) -> JsonValue:
    try:
        return Expected(usecase.output).read(row.instead)
    except ValueError as error:
        raise ValueError(f"{row.name}: `instead` of a wrong row: {error}") from None


def _drop(batch: Batch, number: int, note: str) -> Change:
    return Change(at=number, before=batch.examples[number], after=None, note=note)


def _outputs(batch: Batch, change: Callable[[str], str]) -> list[Change]:
    changes = []
    for number, example in enumerate(batch.examples):
        after = example.model_copy(update={"expected": mapped(example.expected, change)})
        if after != example:
            changes.append(Change(at=number, before=example, after=after))
    return changes


def _rewritten(value: JsonValue, usual: Mapping[str, Mapping[str, str]], path: str) -> JsonValue:
    if isinstance(value, str):
        return usual.get(path, {}).get(consistency.folded(value), value) if len(value) <= consistency.SHORT else value
    if isinstance(value, list):
        return [_rewritten(item, usual, f"{path}[]") for item in value]
    if isinstance(value, dict):
        return {key: _rewritten(item, usual, f"{path}.{key}" if path else key) for key, item in value.items()}
    return value


def summary(changes: Sequence[Change]) -> dict[str, int]:
    """How many rows are left out, and how many changed."""
    return dict(Counter("left out" if change.after is None else "changed" for change in changes))
