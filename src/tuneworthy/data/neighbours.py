"""Near-identical inputs of many rows: every pair, found once and used by several checks.

Up to CHARACTERS, characters are compared (data/near.py, cosine): it survives swapped letters in short rows. Beyond
that, pairs of words (data/shingles.py, Jaccard): exact too, and the only one of the two that 100,000 rows of 300
characters allow within a minute. Which one it was is part of the answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tuneworthy.data import near, shingles

CHARACTERS = 2_000_000
"""of all distinct inputs together; 10,003 rows of BANKING77 have 600,000 and take 4 s"""


@dataclass(frozen=True)
class Neighbours:
    """Distinct normal texts and which of them are near each other."""

    texts: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    """numbers of the rows that have each text"""
    pairs: tuple[tuple[int, int, float], ...]
    """(text, later text, similarity) by falling similarity"""
    how: str

    def between(self, clusters: Sequence[str]) -> Neighbours:
        """Without the pairs whose rows all share one declared cluster.

        Args:
            clusters: of each row; empty = none.
        """
        if not any(clusters):
            return self
        of_text = [{clusters[row] for row in rows} for rows in self.rows]
        kept = [p for p in self.pairs if len(both := of_text[p[0]] | of_text[p[1]]) > 1 or "" in both]
        return replace(self, pairs=tuple(kept))

    def groups(self) -> list[list[int]]:
        """Numbers of texts that are connected, directly or through others; two and more."""
        left, right = ([pair[side] for pair in self.pairs] for side in (0, 1))
        numbers = near.components(np.asarray(left, np.int64), np.asarray(right, np.int64), len(self.texts))
        found: dict[int, list[int]] = defaultdict(list)
        for text, number in enumerate(numbers):
            found[number].append(text)
        return [group for group in found.values() if len(group) > 1]


def find(normal_texts: Sequence[str]) -> Neighbours:
    """All pairs of near-identical texts, after the template that they share is removed."""
    holders: dict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(normal_texts):
        holders[text].append(number)
    texts = list(holders)
    if sum(map(len, texts)) <= CHARACTERS:
        left, right, similarity = near.pairs(texts)
        how = f"cosine of character counts ≥ {near.THRESHOLD}"
    else:
        left, right, similarity = shingles.pairs(near.without_template(texts))
        how = f"Jaccard of word pairs ≥ {shingles.THRESHOLD}"
    found = zip(left.tolist(), right.tolist(), similarity.round(4).tolist(), strict=True)
    return Neighbours(
        texts=tuple(texts),
        rows=tuple(tuple(rows) for rows in holders.values()),
        pairs=tuple(sorted(((a, b, s) for a, b, s in found), key=lambda pair: (-pair[2], pair[0], pair[1]))),
        how=how,
    )
