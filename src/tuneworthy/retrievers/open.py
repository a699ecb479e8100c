"""RetrieverRef → Retriever."""

from __future__ import annotations

from pathlib import Path

from tuneworthy import plugins
from tuneworthy.records import RetrieverRef
from tuneworthy.retrievers.documents import read_passages
from tuneworthy.seams import Embedder, Retriever

LEXICAL = ("bm25",)


def open_retriever(ref: RetrieverRef, docs: Path, embedder: Embedder | None = None) -> Retriever:
    """Index the documents of a folder as the reference says.

    Raises:
        DataError: no readable documents.
        MissingExtra: the retriever needs embeddings and none are at hand.
    """
    passages = read_passages(docs, chunk_words=ref.chunk_words)
    kind = plugins.load("retrievers", ref.name)
    if ref.name in LEXICAL:
        retriever: Retriever = kind(passages)
    else:
        retriever = kind(passages, embedder or plugins.load("embedders", "minilm")())
    return retriever
