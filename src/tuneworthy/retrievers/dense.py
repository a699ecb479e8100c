"""Retrieval by sentence embeddings: cosine similarity of unit vectors."""

from __future__ import annotations

import numpy as np

from tuneworthy.content import digest
from tuneworthy.records import Passage
from tuneworthy.retrievers.bm25 import ranked
from tuneworthy.retrievers.documents import passages_digest
from tuneworthy.seams import Embedder


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
        return ranked(self.passages, self.scores(query), top_k)
