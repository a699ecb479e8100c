"""What the checks exchange: rows to look at, and findings. A check is a pure function from a Batch to findings."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pydantic import JsonValue

from tuneworthy.data import near, neighbours
from tuneworthy.errors import Problem
from tuneworthy.records import Case, Example, Interval, Record
from tuneworthy.usecase import UseCase

Severity = Literal["refuse", "review", "note"]
"""refuse: training on it would be wrong; review: a person has to look; note: good to know."""

_ORDER: dict[Severity, int] = {"refuse": 0, "review": 1, "note": 2}


class RowRef(Record):
    """One row of a finding."""

    name: str
    """name of the example (16 digits), id of a case, or empty for a row that cannot be read"""
    where: str
    """`file:line`"""
    note: str = ""
    """what is wrong with this row: its partner, the value found (personal data masked), its rank"""


class Finding(Record):
    """One kind of defect and every row that has it."""

    check: str
    kind: str
    severity: Severity
    what: str
    """what was found, one sentence"""
    why: str
    """why it matters"""
    rows: tuple[RowRef, ...] = ()
    """all of them, those to look at first first"""
    share: float | None = None
    """share of the examples that are touched, where that says something"""
    cost: str = "not measured"
    """what it costs the score of the use case"""
    next: str
    """the command or step that deals with it"""


class NotMeasured(Record):
    """What a check did not look at, and why: never silently nothing."""

    check: str
    what: str
    reason: str


class AuditRow(Record):
    """One row that a person judges: in data/audit.jsonl at random, in data/review.jsonl the most doubtful first."""

    name: str
    where: str
    input: str
    output: JsonValue
    verdict: str = ""
    """filled in by a person: `right`, `wrong`, or left empty"""
    instead: JsonValue = None
    """the right output, where the verdict is `wrong`; data/review.jsonl offers the likeliest"""


class Price(Record):
    """What the rows of a finding cost the score, measured with small arms on development cases."""

    finding: str
    """check.kind"""
    rows: int
    """of the finding, among those that are trained on"""
    tried: str
    """what was done to them: `left out`, or the rule that repaired them"""
    learner: str
    """what learned"""
    effect: Interval | None
    """score after it - score as it is; None where no interval can be given"""
    control: Interval | None
    """the same for as many random rows left out; None for a repair, which keeps all rows"""
    price: Interval | None
    """effect - control: what is due to these rows"""
    score: float
    """mean score with the rows as they are"""
    cases: int
    """development cases that judged"""
    seeds: int
    trainings: int
    """of the whole measurement, all groups together"""


class CheckReport(Record):
    """All findings, worst first."""

    version: str
    """data version of the examples; empty without any"""
    examples: int
    cases: int
    findings: tuple[Finding, ...]
    not_measured: tuple[NotMeasured, ...] = ()
    seconds: dict[str, float] = {}
    """check → wall time"""
    prices: tuple[Price, ...] = ()
    """with --price only"""

    @property
    def refused(self) -> bool:
        """Whether any finding forbids training on these rows."""
        return any(finding.severity == "refuse" for finding in self.findings)


@dataclass(frozen=True)
class Tokens:
    """How the base model counts."""

    count: Callable[[str], int]
    """tokens of a text and its stop token"""
    context: int | None
    """tokens that it takes at once; None = not known"""


@dataclass(frozen=True)
class Batch:
    """What the checks look at."""

    usecase: UseCase
    examples: tuple[Example, ...]
    cases: tuple[Case, ...] = ()
    places: tuple[str, ...] = ()
    """`file:line` of each example; without it the provenance says where"""
    problems: tuple[Problem, ...] = ()
    """rows that could not be read as examples"""
    audit: tuple[AuditRow, ...] = ()
    """random rows that a person has judged, or is to"""
    tokens: Tokens | None = None
    """None where the tokenizer is not here"""

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """All fields of each input as one text."""
        return tuple(near.input_text(example.input) for example in self.examples)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Each expected output as one text."""
        return tuple(output_text(example.expected) for example in self.examples)

    @cached_property
    def normal_inputs(self) -> tuple[str, ...]:
        """Inputs as duplicates are told: NFC, casefolded, white space collapsed."""
        return tuple(near.normal(text) for text in self.inputs)

    @cached_property
    def neighbours(self) -> neighbours.Neighbours:
        """Near-identical inputs, found once for all checks."""
        return neighbours.find(self.inputs, [example.cluster for example in self.examples])

    def ref(self, number: int, note: str = "") -> RowRef:
        """The row with this number."""
        example = self.examples[number]
        return RowRef(name=example.name, where=self.place(number), note=note)

    def place(self, number: int) -> str:
        """`file:line` of an example."""
        if self.places:
            return self.places[number]
        origin = self.examples[number].provenance
        return f"{origin.source or 'examples'}:{origin.line or number + 1}"

    def share(self, numbers: int) -> float | None:
        """So many rows as a share of all."""
        return round(numbers / len(self.examples), 6) if self.examples else None


Found = Iterable[Finding | NotMeasured]
Check = Callable[[Batch], Found]


class Seen(Record):
    """One row that has a defect."""

    row: RowRef
    values: tuple[str, ...] = ()
    """what of it is counted once over all rows"""


@dataclass(frozen=True)
class RowWise:
    """A check that looks at one row at a time. `look` runs over shards of the rows in any process; `tell` runs once,
    over what they saw, and gives the findings that one look at all rows gives."""

    look: Callable[[Batch], Mapping[str, Sequence[Seen]]]
    """kind → the rows of this batch that have it"""
    tell: Callable[[UseCase, int, str, Sequence[Seen]], Finding]
    """(use case, number of all rows, kind, all rows that have it) → finding"""

    def __call__(self, batch: Batch) -> Iterator[Finding]:
        """Look at all rows here and now."""
        return self.told(batch.usecase, len(batch.examples), [self.look(batch)])

    def told(self, usecase: UseCase, rows: int, shards: Iterable[Mapping[str, Sequence[Seen]]]) -> Iterator[Finding]:
        """The findings from what was seen, shard by shard in the order of the rows."""
        seen: dict[str, list[Seen]] = defaultdict(list)
        for shard in shards:
            for kind, found in shard.items():
                seen[kind] += found
        for kind, found in seen.items():
            yield self.tell(usecase, rows, kind, found)


def output_text(expected: JsonValue) -> str:
    """An expected output as text: texts as they are, of several acceptable ones each on a line, JSON as JSON."""
    if isinstance(expected, str):
        return expected
    if isinstance(expected, list) and all(isinstance(text, str) for text in expected):
        return "\n".join(str(text) for text in expected)
    return json.dumps(expected, ensure_ascii=False)


def leaves(value: JsonValue, path: str = "") -> Iterable[tuple[str, JsonValue]]:
    """(path, value) of everything in a JSON value that is neither an object nor a list; list places are `[]`."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, f"{path}[]")
    else:
        yield path, value


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By severity, then by the number of rows, then by name."""
    return tuple(sorted(findings, key=lambda f: (_ORDER[f.severity], -len(f.rows), f.check, f.kind)))


def excerpt(text: str, longest: int = 60) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text[: 4 * longest].split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def many(number: int, noun: str = "row") -> str:
    """1 row, 2,000 rows."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def that(number: int, verb: str, noun: str = "row") -> str:
    """1 row repeats, 2 rows repeat."""
    ending = "es" if verb.endswith(("ch", "s")) else "s"
    one = {"have": "has", "are": "is", "carry": "carries"}.get(verb, f"{verb}{ending}")
    return f"{many(number, noun)} {one if number == 1 else verb}"


def some(names: Sequence[str], most: int = 5) -> str:
    """The first few names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
