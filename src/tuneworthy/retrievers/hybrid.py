"""BM25 and embeddings together by reciprocal rank fusion (Cormack, Clarke & Büttcher, SIGIR 2009; k = 60)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuneworthy.content import digest
from tuneworthy.records import Passage
from tuneworthy.retrievers.bm25 import Bm25, ranked
from tuneworthy.retrievers.dense import Dense
from tuneworthy.seams import Embedder

_K = 60


class Hybrid:
    """Each passage scores 1 / (60 + rank) in both rankings, summed."""

    name = "hybrid"

    def __init__(self, passages: tuple[Passage, ...], embedder: Embedder) -> None:
        self.passages = passages
        self._embedder = embedder
        self._parts = (Bm25(passages), Dense(passages, embedder))
        self.digest = digest(["hybrid", *(part.digest for part in self._parts)])

    def search(self, query: str, top_k: int) -> list[Passage]:
        """The best passages, best first; ties by passage order."""
        fused = np.zeros(len(self.passages))
        for part in self._parts:
            order = np.argsort(-part.scores(query), kind="stable")
            fused[order] += 1.0 / (_K + 1 + np.arange(len(order)))
        return ranked(self.passages, fused, top_k)

    def search_all(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """The same for many queries, which are embedded together first."""
        self._embedder.embed(queries)  # the embedder keeps them
        return [self.search(query, top_k) for query in queries]
