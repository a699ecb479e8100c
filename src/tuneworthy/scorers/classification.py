"""Label tasks: right when the answer is the expected label."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from tuneworthy.records import Case, Record, Score
from tuneworthy.scorers.exact import MISSING
from tuneworthy.scorers.reading import loose, normal
from tuneworthy.usecase import Output


@dataclass(frozen=True)
class Classification:
    """1 when the whole answer is the expected label. Lenient: the one label that stands in the answer, case ignored."""

    output: Output
    name: ClassVar[str] = "classification"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        if case.expected is None:
            return MISSING
        label = self.read(output, lenient=lenient)
        if label is None:
            return Score(value=0.0, explanation="the answer is not one of the labels")
        return Score(value=float(label == case.expected), explanation=f"read as {label!r}")

    def read(self, output: str, *, lenient: bool = False) -> str | None:
        """The label that an answer gives; None where it gives none, or several."""
        if not lenient:
            return next((label for label in self.output.labels if normal(output) == normal(label)), None)
        whole = [label for label in self.output.labels if loose(output) == loose(label)]
        named = whole or [label for label in self.output.labels if _names(label, output)]
        longest = [label for label in named if not any(label in other and label != other for other in named)]
        return longest[0] if len(longest) == 1 else None


class ClassificationReport(Record):
    """Counts per pair of labels, and what follows from them."""

    accuracy: float
    macro_f1: float
    """mean of the labels' F1 over labels that occur; a label without any case is left out"""
    confusion: dict[str, dict[str, int]]
    """expected label → answered label (empty = none of the labels) → cases"""


def classification_report(pairs: Iterable[tuple[str, str | None]], labels: Iterable[str]) -> ClassificationReport:
    """Report over (expected, answered) pairs. Raises ValueError without pairs."""
    pairs = list(pairs)
    if not pairs:
        raise ValueError("a report needs at least one case")
    confusion = {label: {answer: 0 for answer in [*labels, ""]} for label in labels}
    for expected, answered in pairs:
        confusion[expected][answered or ""] += 1
    f1 = [_f1(confusion, label) for label in confusion if sum(confusion[label].values())]
    right = sum(expected == answered for expected, answered in pairs)
    return ClassificationReport(accuracy=right / len(pairs), macro_f1=sum(f1) / len(f1), confusion=confusion)


def _f1(confusion: dict[str, dict[str, int]], label: str) -> float:
    hits = confusion[label][label]
    given = sum(row[label] for row in confusion.values())
    there = sum(confusion[label].values())
    return 2 * hits / (given + there)


def _names(label: str, output: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(label.casefold())}(?!\w)", normal(output).casefold()) is not None
