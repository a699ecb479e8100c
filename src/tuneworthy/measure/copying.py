"""Do answers repeat the expected outputs of training rows? Each answer against the training row that is nearest to it.

Only where outputs are long enough to be somebody's text: labels and short fields are the same for many rows, so that a
right answer always stands in the training data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tuneworthy.measure.statistics import mcnemar_midp, wilson
from tuneworthy.records import Interval, Record

WORDS = 8
"""words in a row that a training output and an answer share by copying"""
FEWEST = 10


class Copied(NamedTuple):
    """One answer against its nearest training row."""

    verbatim: bool
    """eight words in a row of it stand in a training output, and neither in its own input nor its expected output"""
    overlap: float
    """share of its runs of three words that stand in the nearest training output"""


class Copying(Record):
    """Answers to development inputs that repeat training outputs, in the trained model and in its base."""

    n: int
    trained: Interval
    """share of answers with eight words in a row from one training output"""
    base: Interval
    p: float
    """two-sided mid-p of trained against base"""
    nearest: float
    """mean overlap of the trained model's answers with the nearest training output"""
    nearest_base: float


class TrainingOutputs:
    """The expected outputs of the training rows, to be searched."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._long = {gram for text in texts for gram in _grams(text, WORDS)}
        self._rows: dict[tuple[str, ...], set[int]] = {}
        for number, text in enumerate(texts):
            for gram in _grams(text, 3):
                self._rows.setdefault(gram, set()).add(number)

    def nearest(self, answer: str, *known: str) -> Copied:
        """`known`: texts that the answer may repeat, its input and its expected output."""
        allowed = {gram for text in known for gram in _grams(text, WORDS)}
        long = set(_grams(answer, WORDS)) & self._long
        short = set(_grams(answer, 3))
        hits = Counter(row for gram in short for row in self._rows.get(gram, ()))
        share = max(hits.values(), default=0) / len(short) if short else 0.0
        return Copied(verbatim=bool(long - allowed), overlap=share)


def compare(base: Sequence[Copied], trained: Sequence[Copied]) -> Copying | None:
    """None with fewer than ten answers."""
    n = len(trained)
    if n < FEWEST:
        return None
    pairs = [(t.verbatim, b.verbatim) for t, b in zip(trained, base, strict=True)]
    return Copying(
        n=n,
        trained=wilson(sum(t for t, _ in pairs), n),
        base=wilson(sum(b for _, b in pairs), n),
        p=mcnemar_midp(pairs.count((True, False)), pairs.count((False, True))),
        nearest=sum(t.overlap for t in trained) / n,
        nearest_base=sum(b.overlap for b in base) / n,
    )


def _grams(text: str, size: int) -> Iterator[tuple[str, ...]]:
    words = text.casefold().split()
    return zip(*(words[start:] for start in range(size)), strict=False)
