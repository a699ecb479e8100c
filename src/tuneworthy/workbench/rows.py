"""Rows: every example, searched and filtered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tuneworthy.data import near
from tuneworthy.data.findings import output_text
from tuneworthy.data.read import read_examples
from tuneworthy.project import Project
from tuneworthy.records import Example
from tuneworthy.workbench.visit import Visit

A_PAGE = 50
LABELS_MOST = 200
"""labels offered as a filter"""


class Shown(NamedTuple):
    """One page of rows."""

    rows: list[tuple[int, Example]]
    """(line of the file, row)"""
    found: int
    of: int


@dataclass
class RowIndex:
    """The examples as they lie on the disk now; read again when the file changes."""

    project: Project
    _examples: Sequence[Example] = ()
    _lines: Sequence[int] = ()
    _texts: list[str] = field(default_factory=list)
    """input and output of each row, casefolded"""
    _outputs: list[str] = field(default_factory=list)
    _names: dict[str, int] | None = None
    """name → place; only once somebody asks for a row by name"""
    labels: list[tuple[str, int]] = field(default_factory=list)
    """(output, rows), most first; empty where most outputs are different"""
    _seen: tuple[str, int, int] | None = None

    def search(self, words: str, label: str, page: int) -> Shown:
        """Rows that hold all the words, wherever, with this output; a page of them."""
        self.refresh()
        wanted = words.casefold().split()
        if wanted or label:
            found = [
                n
                for n, text in enumerate(self._texts)
                if (not label or self._outputs[n] == label) and all(word in text for word in wanted)
            ]
        else:
            found = list(range(len(self._texts)))
        start = max(0, page) * A_PAGE
        rows = [(self._lines[n], self._examples[n]) for n in found[start : start + A_PAGE]]
        return Shown(rows, len(found), len(self._texts))

    def named(self, name: str) -> Example | None:
        """The row of this name."""
        self.refresh()
        if self._names is None:
            self._names = {example.name: n for n, example in enumerate(self._examples)}
        place = self._names.get(name)
        return None if place is None else self._examples[place]

    def refresh(self) -> None:
        """Read the file if it changed. Raises DataError where it cannot be read."""
        path = self.project.examples_file
        now = None if path is None else (path.name, path.stat().st_size, path.stat().st_mtime_ns)
        if now == self._seen:
            return
        reading = read_examples(path, self.project.usecase) if path else None
        self._examples, self._lines = (reading.examples, reading.lines) if reading else ((), ())
        self._outputs = [output_text(example.expected) for example in self._examples]
        self._texts = [
            f"{near.input_text(example.input)}\n{output}".casefold()
            for example, output in zip(self._examples, self._outputs, strict=True)
        ]
        self._names = None
        counted = Counter(self._outputs)
        self.labels = counted.most_common(LABELS_MOST) if len(counted) <= LABELS_MOST else []
        self._seen = now


async def page(visit: Visit) -> Response:
    """A page of rows."""
    query = visit.request.query_params
    words, label = query.get("q", "")[:200], query.get("label", "")
    number = visit.number("page")
    index = visit.bench.index
    shown = await run_in_threadpool(index.search, words, label, number)
    last = max(0, (shown.found - 1) // A_PAGE)
    return visit.page(
        "rows.html", shown=shown, words=words, label=label, labels=index.labels, number=number, last=last, a_page=A_PAGE
    )
