"""Near-duplicates: rows that say the same in almost the same words, once the text that rows share is removed.

Without that removal a prompt of 200 words that every row carries makes distinct rows look alike. Up to CHARACTERS,
characters are compared (data/grams.py, cosine); beyond that, pairs of words (data/shingles.py, Jaccard): exact too, and
the only one of the two that 100,000 rows of 300 characters allow within a minute. This is the one place of that rule.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tuneworthy.data import grams, shingles
from tuneworthy.data.template import Passages, without_template
from tuneworthy.records import Case, Example, Input, Record

CHARACTERS = 2_000_000
"""of all distinct texts together; 10,003 rows of BANKING77 have 600,000 and take 4 s"""


class Leak(Record):
    """An example that also stands in the suite."""

    case: str
    """id of the nearest case"""
    example: str
    """name of the example"""
    kind: Literal["exact", "near"]
    """exact: the same text but for case and white space"""
    similarity: float


def input_text(row: Input) -> str:
    """All fields of an input as one text, in the order of their names."""
    return "\n".join(str(row[key]) for key in sorted(row) if row[key] is not None)


def normal(text: str) -> str:
    """NFC, casefolded, white space collapsed: equal texts are exact duplicates."""
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).split())


@dataclass(frozen=True)
class Near:
    """Pairs of near-identical texts."""

    left: np.ndarray
    right: np.ndarray
    similarity: np.ndarray
    """between the threshold and 1"""
    how: str
    """the measure, for the report"""

    def __iter__(self) -> Iterator[tuple[int, int, float]]:
        return iter(zip(self.left.tolist(), self.right.tolist(), self.similarity.round(4).tolist(), strict=True))


def pairs(*groups: Sequence[str]) -> Near:
    """All pairs of near-identical texts among normal, distinct texts; of two groups, pairs of one of the first with one
    of the second, numbered through both."""
    if sum(len(text) for group in groups for text in group) <= CHARACTERS:
        return Near(*grams.pairs(*groups), f"cosine of character counts ≥ {grams.THRESHOLD}")
    between = len(groups[0]) if len(groups) > 1 else None
    found = shingles.pairs(without_template(*groups), between=between)
    return Near(*found, f"Jaccard of word pairs ≥ {shingles.THRESHOLD}")


def leaks(examples: Sequence[Example], cases: Sequence[Case]) -> tuple[Leak, ...]:
    """Every example that equals a case, or is its near-duplicate, with the nearest case. Another question about the
    passage of a case is none."""
    mine, theirs = (_distinct(rows) for rows in (examples, cases))
    ids = {text: cases[numbers[0]].id for text, numbers in theirs.items()}
    asked, learned = list(theirs), [text for text in mine if text not in theirs]
    found = {text: (1.0, ids[text]) for text in mine if text in theirs}
    passages = Passages(input_text(fields) for fields in [*(c.input for c in cases), *(e.input for e in examples)])
    for left, right, similarity in pairs(asked, learned):
        case, text = asked[left], learned[right - len(asked)]
        raw = (input_text(cases[theirs[case][0]].input), input_text(examples[mine[text][0]].input))
        if similarity > found.get(text, (0.0, ""))[0] and not passages.other_questions(*raw):
            found[text] = (min(1.0, similarity), ids[case])
    told = [
        Leak(case=case, example=examples[n].name, kind="exact" if text in theirs else "near", similarity=similarity)
        for text, (similarity, case) in found.items()
        for n in mine[text]
    ]
    return tuple(sorted(told, key=lambda leak: (leak.case, leak.example)))


def clusters(examples: Sequence[Example | Case]) -> tuple[int, ...]:
    """A number per row, in order: equal numbers are near-duplicates, ask about one passage or share a declared cluster,
    directly or through others."""
    of_text = _distinct(examples)
    near = pairs(list(of_text))
    place = {n: number for number, numbers in enumerate(of_text.values()) for n in numbers}
    first: dict[str, int] = {}
    same = [(first.setdefault(e.cluster, place[n]), place[n]) for n, e in enumerate(examples) if e.cluster]
    more = np.asarray(same, np.int64).reshape(-1, 2)
    found = components(np.append(near.left, more[:, 0]), np.append(near.right, more[:, 1]), len(of_text))
    return tuple(found[place[n]] for n in range(len(examples)))


def _distinct(rows: Sequence[Example | Case]) -> dict[str, list[int]]:
    """Normal text → numbers of the rows that have it."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        found[normal(input_text(row.input))].append(number)
    return found


def components(left: np.ndarray, right: np.ndarray, rows: int) -> list[int]:
    """A number per row: equal where rows are connected by pairs, directly or through others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if rows == 0:
        return []
    graph = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(rows, rows))
    numbers: list[int] = connected_components(graph, directed=False)[1].tolist()
    return numbers
