"""Exact near-duplicate pairs among many rows: Jaccard of pairs of neighbouring words, without comparing all with all.

Two rows whose Jaccard is at least t share one of the rarest (1 - t) of their pairs (prefix filter, Chaudhuri et al.,
ICDE 2006; Bayardo et al., WWW 2007), so only rows that share a rare pair are compared. Nothing is missed and nothing
is estimated; memory grows with the candidates, not with the square of the rows.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.7
"""Jaccard from which two rows count as near-duplicates."""

_BLOCK = 2_000
"""rows whose candidates are held at a time"""
_WORD = re.compile(r"\w+")

Ints = NDArray[np.int64]


def pairs(
    texts: Sequence[str], *, threshold: float = THRESHOLD, between: int | None = None
) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """(row, later row, Jaccard) of all pairs at or above the threshold. Rows without a word have no pairs.

    Args:
        between: only pairs of one of the first `between` texts with one of the others.
    """
    matrix = shingled(texts)
    sizes = np.diff(matrix.indptr)
    rare = _prefixes(matrix, sizes, threshold)
    blocks = [(start, min(start + _BLOCK, between or len(texts))) for start in range(0, between or len(texts), _BLOCK)]
    holders = rare[between or 0 :].T.tocsr()
    found = [_compare(matrix, sizes, rare, block, (holders, between or 0), threshold) for block in blocks]
    left, right, similarity = (np.concatenate(part) for part in zip(*found, strict=True)) if found else _nothing()
    return left.astype(np.int64), right.astype(np.int64), similarity


def shingled(texts: Sequence[str]) -> Any:
    """Row × pair of words, 1 where the row holds the pair; a row of one word holds that word. Columns by rising
    number of rows: the rarest first."""
    from scipy.sparse import csr_array

    vocabulary: defaultdict[str, int] = defaultdict(count().__next__)
    lengths = np.zeros(len(texts), dtype=np.int64)
    words: list[int] = []
    for number, text in enumerate(texts):
        row = _WORD.findall(text)
        lengths[number] = len(row)
        words += map(vocabulary.__getitem__, row)
    ids = np.asarray(words, dtype=np.int64)
    rows = np.repeat(np.arange(len(texts), dtype=np.int64), lengths)
    size = len(vocabulary) + 1
    last = np.append(rows[1:] != rows[:-1], True)[: len(rows)]
    following = np.append(ids[1:], -1)[: len(ids)]
    keep = ~last | (lengths[rows] == 1)
    rarity, columns = _by_rarity(ids[keep] * size + np.where(last[keep], size - 1, following[keep]))
    holds = np.sort(rows[keep] * max(1, columns) + rarity)
    holds = holds[np.append(True, holds[1:] != holds[:-1])[: len(holds)]]  # each pair once per row
    rows, places = np.divmod(holds, max(1, columns))
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(texts)))])
    small = np.int32 if max(len(places), columns) < 2**31 else np.int64
    ones = np.ones(len(places), dtype=np.float32)
    return csr_array((ones, places.astype(small), starts.astype(small)), shape=(len(texts), max(1, columns)))


def _by_rarity(values: Ints) -> tuple[Ints, int]:
    """A column per value, equal for equal ones, the rarest first; and how many there are."""
    order = np.argsort(values)
    ordered = values[order]
    first = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
    number = np.cumsum(first) - 1
    counts = np.bincount(number)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    columns = np.empty(len(values), dtype=np.int64)
    columns[order] = rank[number]
    return columns, len(counts)


def _prefixes(matrix: Any, sizes: Ints, threshold: float) -> Any:
    """The rarest columns of each row that decide whether it can be like another."""
    from scipy.sparse import csr_array

    kept = sizes - np.ceil(threshold * sizes - 1e-9).astype(np.int64) + 1
    place = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], sizes)
    chosen = place < np.repeat(np.minimum(kept, sizes), sizes)
    starts = np.concatenate([[0], np.cumsum(np.minimum(kept, sizes))])
    return csr_array((matrix.data[chosen], matrix.indices[chosen], starts), shape=matrix.shape)


def _compare(
    matrix: Any, sizes: Ints, rare: Any, block: tuple[int, int], others: tuple[Any, int], threshold: float
) -> tuple[Any, Any, Any]:
    """The rows of a block against the others: who holds which rare pair, and the number of the first of them."""
    holders, first = others
    candidates = (rare[block[0] : block[1]] @ holders).tocoo()
    left, right = candidates.row + block[0], candidates.col + first
    small, large = np.minimum(sizes[left], sizes[right]), np.maximum(sizes[left], sizes[right])
    possible = (left < right) & (small >= threshold * large - 1e-9)
    left, right = left[possible], right[possible]
    shared = np.concatenate(
        [
            np.asarray(matrix[left[at : at + 50_000]].multiply(matrix[right[at : at + 50_000]]).sum(axis=1)).ravel()
            for at in range(0, len(left), 50_000)
        ]
        or [np.zeros(0)]
    ).astype(np.float64)
    similarity = shared / np.maximum(sizes[left] + sizes[right] - shared, 1)
    close = similarity >= threshold - 1e-9
    return left[close], right[close], similarity[close]


def _nothing() -> tuple[Any, Any, Any]:
    return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
