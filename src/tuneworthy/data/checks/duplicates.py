"""Duplicates: the same row twice, or nearly, once the text that all rows share is removed."""

from __future__ import annotations

from collections import defaultdict

from tuneworthy.data.findings import Batch, Finding, Found, many, that
from tuneworthy.data.near import normal

FEW_DISTINCT = 0.3
"""Share of surplus copies from which the number of rows says little about how much there is to learn from."""


def check(batch: Batch) -> Found:
    """Exact and near-duplicates."""
    yield from _exact(batch)
    yield from _near(batch)


def _exact(batch: Batch) -> Found:
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, (asked, wanted) in enumerate(zip(batch.normal_inputs, batch.outputs, strict=True)):
        groups[asked, normal(wanted)].append(number)
    copies = [(number, group[0]) for group in groups.values() for number in group[1:]]
    if not copies:
        return
    share = len(copies) / len(batch.examples)
    yield Finding(
        check="duplicates",
        kind="exact",
        severity="refuse" if share > FEW_DISTINCT else "review",
        what=f"{that(len(copies), 'repeat')} an earlier row, input and output (but for case and white space)",
        why="copies weigh more in training, and there is less to learn from than the number of rows says",
        rows=tuple(batch.ref(number, f"as {batch.place(first)}") for number, first in copies),
        share=batch.share(len(copies)),
        next="keep one of each: tuneworthy data fix --rule exact_duplicates",
    )


def _near(batch: Batch) -> Found:
    found = batch.neighbours
    groups = sorted(found.groups(), key=len, reverse=True)
    rows = [
        batch.ref(found.rows[text][0], f"group {number}: {found.texts[text][:80]}")
        for number, group in enumerate(groups, start=1)
        for text in group
    ]
    if rows:
        yield Finding(
            check="duplicates",
            kind="near",
            severity="note" if batch.usecase.output.kind == "label" else "review",
            what=f"{many(len(rows))} in {many(len(groups), 'group')} say nearly the same as another ({found.how})",
            why="the split keeps each group on one side; beyond that they add weight, not variety",
            rows=tuple(rows),
            share=batch.share(len(rows)),
            next="look at the largest groups; wordings that users really type may stay",
        )
