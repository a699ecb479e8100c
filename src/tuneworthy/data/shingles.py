"""Exact near-duplicate pairs among many rows: Jaccard of pairs of neighbouring words, without comparing all with all.

Two rows whose Jaccard is at least t share one of the rarest (1 - t) of their pairs (prefix filter, Chaudhuri et al.,
ICDE 2006; Bayardo et al., WWW 2007), so only rows that share a rare pair are compared. Nothing is missed and nothing
is estimated; memory grows with the candidates, not with the square of the rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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
    found = [_compare(matrix, sizes, rare, block, between or block[0], threshold) for block in blocks]
    left, right, similarity = (np.concatenate(part) for part in zip(*found, strict=True)) if found else _nothing()
    return left.astype(np.int64), right.astype(np.int64), similarity


def shingled(texts: Sequence[str]) -> Any:
    """Row × pair of words, 1 where the row holds the pair; a row of one word holds that word. Columns by rising
    number of rows: the rarest first."""
    from scipy.sparse import csr_array

    vocabulary: dict[str, int] = {}
    lengths = np.zeros(len(texts), dtype=np.int64)
    words: list[int] = []
    for number, text in enumerate(texts):
        row = [vocabulary.setdefault(word, len(vocabulary)) for word in _WORD.findall(text)]
        lengths[number] = len(row)
        words += row
    ids = np.asarray(words, dtype=np.int64)
    rows = np.repeat(np.arange(len(texts), dtype=np.int64), lengths)
    size = len(vocabulary) + 1
    last = np.append(rows[1:] != rows[:-1], True)[: len(rows)]
    following = np.append(ids[1:], -1)[: len(ids)]
    keep = ~last | (lengths[rows] == 1)
    shingles = ids[keep] * size + np.where(last[keep], size - 1, following[keep])
    values, columns = np.unique(shingles, return_inverse=True)
    holds = np.unique(rows[keep] * (len(values) or 1) + columns)  # each pair once per row
    rows, columns = np.divmod(holds, len(values) or 1)
    by_rarity = np.empty(len(values), dtype=np.int64)
    by_rarity[np.argsort(np.bincount(columns, minlength=len(values)), kind="stable")] = np.arange(len(values))
    ones = np.ones(len(rows), dtype=np.float32)
    matrix = csr_array((ones, (rows, by_rarity[columns])), shape=(len(texts), max(1, len(values))))
    matrix.sort_indices()
    return matrix


def _prefixes(matrix: Any, sizes: Ints, threshold: float) -> Any:
    """The rarest columns of each row that decide whether it can be like another."""
    from scipy.sparse import csr_array

    kept = sizes - np.ceil(threshold * sizes - 1e-9).astype(np.int64) + 1
    place = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], sizes)
    chosen = place < np.repeat(np.minimum(kept, sizes), sizes)
    starts = np.concatenate([[0], np.cumsum(np.minimum(kept, sizes))])
    return csr_array((matrix.data[chosen], matrix.indices[chosen], starts), shape=matrix.shape)


def _compare(
    matrix: Any, sizes: Ints, rare: Any, block: tuple[int, int], others: int, threshold: float
) -> tuple[Any, Any, Any]:
    """The rows of a block against those from `others` on."""
    candidates = (rare[block[0] : block[1]] @ rare[others:].T).tocoo()
    left, right = candidates.row + block[0], candidates.col + others
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
