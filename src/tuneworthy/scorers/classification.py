"""Label tasks: right when the answer is the expected label."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from tuneworthy.records import Case, Record, Score
from tuneworthy.scorers.reading import MISSING, alike, normal
from tuneworthy.usecase import Output

_JOINTS = re.compile(r"(?<=\w)[\s_-]+(?=\w)")


@dataclass(frozen=True)
class Classification:
    """1 when the whole answer is the expected label. Lenient: the one label that stands in the answer; case does not
    count, and `card_arrival` may be written `card arrival`.

    What surrounds a label is not understood: "not billing" is read as billing; two labels are read as none.
    """

    output: Output
    name: ClassVar[str] = "classification"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        if not isinstance(case.expected, str):
            return MISSING
        label = self.read(output, lenient=lenient)
        if label is None:
            return Score(value=0.0, explanation="the answer is not one of the labels")
        return Score(value=float(normal(label) == normal(case.expected)), explanation=f"read as {label!r}")

    def read(self, output: str, *, lenient: bool = False) -> str | None:
        """The label that an answer gives; None where it gives none, or several."""
        for label in self.output.labels:
            if normal(output) == normal(label):
                return label
        if not lenient:
            return None
        whole = {label for label in self.output.labels if alike(output, label, lenient=True)}
        named = whole or {label for text in self._names.findall(_folded(output)) for label in self._folds[text]}
        return next(iter(named)) if len(named) == 1 else None

    @cached_property
    def _folds(self) -> dict[str, list[str]]:
        folds: dict[str, list[str]] = {}
        for label in self.output.labels:
            folds.setdefault(_folded(label), []).append(label)
        return folds

    @cached_property
    def _names(self) -> re.Pattern[str]:
        """Any label as whole words; of two that begin at the same place the longer one."""
        longest_first = sorted(self._folds, key=len, reverse=True)
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


class ClassificationReport(Record):
    """Counts per pair of labels, and what follows from them."""

    accuracy: float
    macro_f1: float
    """mean of the F1 of the labels that are expected at least once"""
    confusion: dict[str, dict[str, int]]
    """expected label → answered label (empty = none of the labels) → cases"""


def classification_report(pairs: Iterable[tuple[str, str | None]], labels: Iterable[str]) -> ClassificationReport:
    """Report over (expected, answered) pairs, where answered is what `Classification.read` gives.

    Raises:
        ValueError: there is no pair, or a pair holds a label that is not among `labels`.
    """
    pairs, labels = list(pairs), list(labels)
    if not pairs:
        raise ValueError("a report needs at least one case")
    unknown = {label for pair in pairs for label in pair if label is not None} - set(labels)
    if unknown:
        raise ValueError(f"not among the labels: {', '.join(sorted(unknown))}")
    confusion = {label: dict.fromkeys([*labels, ""], 0) for label in labels}
    for expected, answered in pairs:
        confusion[expected][answered or ""] += 1
    f1 = [_f1(confusion, label) for label in labels if sum(confusion[label].values())]
    right = sum(expected == answered for expected, answered in pairs)
    return ClassificationReport(accuracy=right / len(pairs), macro_f1=sum(f1) / len(f1), confusion=confusion)


def _f1(confusion: dict[str, dict[str, int]], label: str) -> float:
    given = sum(row[label] for row in confusion.values())
    there = sum(confusion[label].values())
    return 2 * confusion[label][label] / (given + there)


def _folded(text: str) -> str:
    return _JOINTS.sub(" ", normal(text).casefold())
