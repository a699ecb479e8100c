"""Lexical retrieval with bm25s (Lù 2024, arXiv 2407.03618), the retriever that needs no model."""

from __future__ import annotations

import re

import numpy as np

from tuneworthy.content import digest
from tuneworthy.records import Passage
from tuneworthy.retrievers.documents import passages_digest

_WORD = re.compile(r"\w+")


class Bm25:
    """BM25 over title and text; words are casefolded, a final plural s is dropped."""

    name = "bm25"

    def __init__(self, passages: tuple[Passage, ...]) -> None:
        import bm25s

        self.passages = passages
        self.digest = digest(["bm25", passages_digest(passages)])
        self._index = bm25s.BM25()
        self._index.index([words(f"{p.title} {p.text}") or [""] for p in passages], show_progress=False)

    def scores(self, query: str) -> np.ndarray:
        """BM25 score of every passage, shape (passages,)."""
        known = [word for word in words(query) if word in self._index.vocab_dict]
        if not known:
            return np.zeros(len(self.passages))
        return np.asarray(self._index.get_scores(known), dtype=float)

    def search(self, query: str, top_k: int) -> list[Passage]:
        """The best passages, best first; ties by passage order."""
        return ranked(self.passages, self.scores(query), top_k)


def ranked(passages: tuple[Passage, ...], scores: np.ndarray, top_k: int) -> list[Passage]:
    """The `top_k` passages with the highest scores; equal scores keep the order of the documents."""
    if 0 < top_k < len(scores):  # sorting all of them would take longer than scoring them
        near = np.flatnonzero(scores >= np.partition(scores, -top_k)[-top_k])
        order = near[np.argsort(-scores[near], kind="stable")][:top_k]
    else:
        order = np.argsort(-scores, kind="stable")[:top_k]
    return [passages[i].model_copy(update={"score": float(scores[i])}) for i in order]


def words(text: str) -> list[str]:
    """Casefolded words, without the plural s of words longer than three letters."""
    found = _WORD.findall(text.casefold())
    return [word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in found]
