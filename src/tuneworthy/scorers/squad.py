"""SQuAD v1.1 exact match and F1, after the official script (Rajpurkar et al. 2016): articles, punctuation and case do
not count; the best of several accepted answers does. Accents are not folded."""

from __future__ import annotations

import re
import string
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from tuneworthy.records import Case, Score
from tuneworthy.scorers.reading import MISSING, accepted, readings
from tuneworthy.usecase import Output

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class SquadF1:
    """Word overlap with the nearest accepted answer. Lenient: or that of the text inside a code fence."""

    output: Output
    name: ClassVar[str] = "squad_f1"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = False

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        wanted = accepted(case, self.output)
        if not wanted:
            return MISSING
        return Score(value=max(f1(text, answer) for text in readings(output, lenient) for answer in wanted))


@dataclass(frozen=True)
class SquadExactMatch:
    """1 when the words equal those of an accepted answer. Lenient: or those inside a code fence do."""

    output: Output
    name: ClassVar[str] = "squad_em"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        wanted = accepted(case, self.output)
        if not wanted:
            return MISSING
        right = any(words(text) == words(answer) for text in readings(output, lenient) for answer in wanted)
        return Score(value=float(right))


def words(text: str) -> list[str]:
    """Words after the official normalisation."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def f1(answer: str, wanted: str) -> float:
    """Overlap of word counts; 0 when either is empty, as in the official script."""
    found, expected = words(answer), words(wanted)
    common = sum((Counter(found) & Counter(expected)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(found), common / len(expected)
    return 2 * precision * recall / (precision + recall)
