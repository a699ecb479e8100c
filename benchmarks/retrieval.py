"""Retrieval: index and query, lexical and dense, against rank-bm25, bm25s, Chroma and FAISS at the same ten passages.

    .venv-peers/bin/python -m benchmarks.retrieval [--quick]

About 2 minutes on 2 idle cores.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.race import HEAD, Outcome, about, race
from benchmarks.results import write_part
from tuneworthy.records import Passage
from tuneworthy.retrievers.bm25 import Bm25, words
from tuneworthy.retrievers.dense import Dense

TOP = 10
DIMENSIONS = 256


def texts(n: int, length: int, seed: int) -> list[str]:
    """Made-up texts whose words are as unevenly common as real ones (Zipf)."""
    draw = random.Random(seed)
    vocabulary = ["".join(draw.choice("bdgklmnprt") + draw.choice("aeiou") for _ in range(4)) for _ in range(30_000)]
    common = [1 / (rank + 10) for rank in range(len(vocabulary))]
    chosen = random.Random(seed + n + length).choices(vocabulary, common, k=n * length)
    return [" ".join(chosen[at : at + length]) for at in range(0, n * length, length)]


def passages_of(found: Sequence[str]) -> tuple[Passage, ...]:
    """Texts as passages without titles."""
    return tuple(Passage(id=str(n), title="", text=text) for n, text in enumerate(found))


# --- lexical ---

Ranking = tuple[list[int], list[float]]


def same_ranking(ours: list[Ranking], peer: list[Ranking]) -> str:
    """The same passages in the same order, up to equal scores (single precision)."""
    other = 0
    for (one, scores), (two, _) in zip(ours, peer, strict=True):
        if one != two:
            place = next(n for n, (a, b) in enumerate(zip(one, two, strict=True)) if a != b)
            known = dict(zip(one, scores, strict=True))
            tied = np.isclose(known.get(two[place], scores[-1]), scores[place], rtol=1e-4)
            other += not tied
    return f"{other} of {len(ours)} rankings differ" if other else ""


def our_rankings(index: Any, queries: Sequence[str]) -> list[Ranking]:
    """Ids and scores of the best passages for each query."""
    found = [index.search(query, TOP) for query in queries]
    return [([int(p.id) for p in best], [p.score for p in best]) for best in found]


def rank_bm25(corpus: Sequence[list[str]]) -> Any:
    """rank-bm25 with Lucene's idf: with its own, which has a floor for common words, rankings could not be compared."""
    import math

    from rank_bm25 import BM25Okapi

    class Lucene(BM25Okapi):  # type: ignore[misc]  # it has no types
        def _calc_idf(self, nd: dict[str, int]) -> None:
            size = self.corpus_size
            self.idf = {word: math.log(1 + (size - n + 0.5) / (n + 0.5)) for word, n in nd.items()}

    return Lucene(list(corpus))


def rank_bm25_rankings(index: Any, queries: Sequence[str]) -> list[Ranking]:
    """As its README does it, with the scores at hand."""
    found = []
    for query in queries:
        scores = index.get_scores(words(query))
        best = np.argsort(-scores, kind="stable")[:TOP]
        found.append((best.tolist(), scores[best].tolist()))
    return found


def bm25s_index(corpus: Sequence[list[str]]) -> Any:
    """bm25s alone."""
    import bm25s

    index = bm25s.BM25()
    index.index(list(corpus), show_progress=False)
    return index


def bm25s_rankings(index: Any, queries: Sequence[str]) -> list[Ranking]:
    """All queries in one call, its quickest way."""
    ids, scores = index.retrieve([words(query) for query in queries], k=TOP, show_progress=False, sorted=True)
    return [(row.tolist(), own.tolist()) for row, own in zip(ids, scores, strict=True)]


def lexical(documents: int, queries: int, rounds: int) -> list[Outcome]:
    corpus, asked = texts(documents, 60, 1), texts(queries, 8, 1)
    passages = passages_of(corpus)

    def tokens() -> list[list[str]]:
        return [words(text) for text in corpus]

    ours, okapi, sparse = Bm25(passages), rank_bm25(tokens()), bm25s_index(tokens())
    index = f"BM25, index {documents:,} passages"
    query = f"BM25, {queries} queries one by one over {documents:,} passages"
    few = asked[: max(5, queries // 5)]
    slow = f"BM25, {len(few)} queries one by one over {documents:,} passages"
    return [
        race(index, "rank-bm25", lambda: Bm25(passages), lambda: rank_bm25(tokens()), nothing, rounds=rounds),
        race(index, "bm25s", lambda: Bm25(passages), lambda: bm25s_index(tokens()), nothing, rounds=rounds),
        race(
            slow,
            "rank-bm25",
            lambda: our_rankings(ours, few),
            lambda: rank_bm25_rankings(okapi, few),
            same_ranking,
            rounds=rounds,
        ),
        race(
            query,
            "bm25s",
            lambda: our_rankings(ours, asked),
            lambda: bm25s_rankings(sparse, asked),
            same_ranking,
            rounds=rounds,
            note="all queries in one call",
        ),
    ]


def nothing(ours: Any, peer: Any) -> str:
    """An index has no result of its own: its answers are compared where it is queried."""
    return ""


# --- dense ---


class Known:
    """An embedder that has embedded everything before: the race is about the index."""

    name = digest = "known"

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self._vectors = vectors

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self._vectors[text] for text in texts])


def vectors(n: int, seed: int) -> np.ndarray:
    """Unit vectors in 200 clusters, as texts on some subjects are."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(200, DIMENSIONS))
    draw = np.random.default_rng(seed)
    found = centres[draw.integers(200, size=n)] + 0.9 * draw.normal(size=(n, DIMENSIONS))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def chroma(held: np.ndarray) -> Any:
    """A collection in memory; its search is as wide as recall of .99 asks for."""
    import chromadb

    client = chromadb.EphemeralClient(chromadb.config.Settings(anonymized_telemetry=False))
    name = f"race-{random.randrange(10**9)}"
    settings = {"hnsw": {"space": "cosine", "ef_search": 400, "ef_construction": 200}}
    collection = client.create_collection(name, configuration=settings, embedding_function=None)
    for at in range(0, len(held), 5000):
        part = held[at : at + 5000]
        collection.add(ids=[str(at + n) for n in range(len(part))], embeddings=part)
    return collection


def recall(ours: list[list[int]], peer: list[list[int]]) -> str:
    """At least .99 of the ten best of the one are among the ten best of the other."""
    found = sum(len(set(a) & set(b)) for a, b in zip(ours, peer, strict=True)) / (TOP * len(ours))
    return "" if found >= 0.99 else f"recall@10 of .{found * 1000:.0f}"


def dense(documents: int, queries: int, rounds: int) -> list[Outcome]:
    import faiss

    held, wanted = vectors(documents, 1), vectors(queries, 2)
    passages = passages_of([f"t{n}" for n in range(documents)])
    asked = [f"q{n}" for n in range(queries)]
    known = {f". t{n}": row for n, row in enumerate(held)} | {f"q{n}": row for n, row in enumerate(wanted)}
    ours, collection = Dense(passages, Known(known)), chroma(held)

    def flat() -> Any:
        index = faiss.IndexFlatIP(DIMENSIONS)
        index.add(held)
        return index

    index = flat()

    def one_by_one(search: Callable[[int], list[int]]) -> Callable[[], list[list[int]]]:
        return lambda: [search(n) for n in range(queries)]

    mine = one_by_one(lambda n: [int(p.id) for p in ours.search(asked[n], TOP)])
    chromas = one_by_one(
        lambda n: [int(i) for i in collection.query(query_embeddings=wanted[n : n + 1], n_results=TOP)["ids"][0]]
    )
    flats = one_by_one(lambda n: [int(i) for i in index.search(wanted[n : n + 1], TOP)[1][0]])
    together = f"dense, {queries} queries together over {documents:,} × {DIMENSIONS}"
    queried = f"dense, {queries} queries one by one over {documents:,} × {DIMENSIONS}"
    indexed = f"dense, index {documents:,} × {DIMENSIONS}"
    build = lambda: Dense(passages, Known(known))  # noqa: E731
    return [
        race(indexed, "Chroma", build, lambda: chroma(held), nothing, rounds=min(2, rounds)),
        race(queried, "Chroma", mine, chromas, recall, rounds=rounds, note="in memory, ef_search 400"),
        race(queried, "FAISS flat", mine, flats, recall, rounds=rounds),
        race(
            together,
            "Chroma",
            lambda: [[int(p.id) for p in best] for best in ours.search_all(asked, TOP)],
            lambda: [list(map(int, ids)) for ids in collection.query(query_embeddings=wanted, n_results=TOP)["ids"]],
            recall,
            rounds=rounds,
            note="in memory, ef_search 400",
        ),
        race(
            together,
            "FAISS flat",
            lambda: [[int(p.id) for p in best] for best in ours.search_all(asked, TOP)],
            lambda: index.search(wanted, TOP)[1].tolist(),
            recall,
            rounds=rounds,
        ),
    ]


def main() -> None:
    """Measure and write the part `retrieval` of RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run? Nothing is written")
    quick = parser.parse_args().quick
    documents, queries, rounds = (1000, 20, 3) if quick else (20_000, 250, 5)
    outcomes = [*lexical(documents, queries, rounds), *dense(documents, queries, rounds)]
    table = "\n".join([HEAD, *(outcome.row() for outcome in outcomes)])
    raw = "\n".join(f"- {outcome.raw()}" for outcome in outcomes)
    told = about("tuneworthy", "bm25s", "rank-bm25", "chromadb", "faiss-cpu", "numpy")
    sys.stdout.write(f"{told}\n\n{table}\n\n{raw}\n")
    if not quick:
        write_part("retrieval", f"## Retrieval: index and query\n\n{told}\n\n{table}\n\nAll times (s):\n\n{raw}\n")


if __name__ == "__main__":
    main()
