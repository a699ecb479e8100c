"""Near-identical inputs of many rows: every pair, found once and used by several checks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuneworthy.data import near
from tuneworthy.data.template import Passages


@dataclass(frozen=True)
class Neighbours:
    """Distinct normal texts and which of them are near each other."""

    texts: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    """numbers of the rows that have each text"""
    pairs: tuple[tuple[int, int, float], ...]
    """(text, later text, similarity) by falling similarity"""
    how: str

    def groups(self) -> list[list[int]]:
        """Numbers of texts that are connected, directly or through others; two and more."""
        left, right = ([pair[side] for pair in self.pairs] for side in (0, 1))
        numbers = near.components(np.asarray(left, np.int64), np.asarray(right, np.int64), len(self.texts))
        found: dict[int, list[int]] = defaultdict(list)
        for text, number in enumerate(numbers):
            found[number].append(text)
        return [group for group in found.values() if len(group) > 1]


def find(inputs: Sequence[str], clusters: Sequence[str] = ()) -> Neighbours:
    """All pairs of near-identical texts, after the template that they share is removed. No news, and so left out: two
    questions about one passage, and the turns of one conversation, or whatever else shares a declared cluster.

    Args:
        inputs: as they are.
        clusters: of each row; empty = none.
    """
    holders: dict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(inputs):
        holders[near.normal(text)].append(number)
    rows = [tuple(numbers) for numbers in holders.values()]
    declared = [{clusters[row] for row in held} if clusters else {""} for held in rows]
    close = near.pairs(list(holders))
    passages = Passages(inputs)
    found = [
        pair
        for pair in close
        if (len(declared[pair[0]] | declared[pair[1]]) > 1 or "" in declared[pair[0]])
        and not passages.other_questions(inputs[rows[pair[0]][0]], inputs[rows[pair[1]][0]])
    ]
    return Neighbours(
        texts=tuple(holders),
        rows=tuple(rows),
        pairs=tuple(sorted(found, key=lambda pair: (-pair[2], pair[0], pair[1]))),
        how=close.how,
    )
