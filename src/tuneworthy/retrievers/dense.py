"""Retrieval by sentence embeddings: cosine similarity of unit vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuneworthy.content import digest
from tuneworthy.records import Passage
from tuneworthy.retrievers.bm25 import ranked
from tuneworthy.retrievers.documents import passages_digest
from tuneworthy.seams import Embedder

AT_ONCE = 256
"""queries: bounds memory"""


class Dense:
    """Exact nearest neighbours over the embedded passages."""

    name = "dense"

    def __init__(self, passages: tuple[Passage, ...], embedder: Embedder) -> None:
        self.passages = passages
        self.digest = digest(["dense", passages_digest(passages), embedder.digest])
        self._embedder = embedder
        self._vectors = embedder.embed([f"{p.title}. {p.text}" for p in passages])

    def scores(self, query: str) -> np.ndarray:
        """Cosine similarity to every passage, shape (passages,)."""
        return self._vectors @ self._embedder.embed([query])[0]

    def search(self, query: str, top_k: int) -> list[Passage]:
        """The best passages, best first; ties by passage order."""
        return self.search_all([query], top_k)[0]

    def search_all(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """The same for many queries: one product reads the passages once for all of them."""
        found = []
        for at in range(0, len(queries), AT_ONCE):
            scores_QP = self._embedder.embed(queries[at : at + AT_ONCE]) @ self._vectors.T
            found += [ranked(self.passages, scores_P, top_k) for scores_P in scores_QP]
        return found
