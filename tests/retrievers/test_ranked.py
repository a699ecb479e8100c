"""The best passages, whatever the scores: as a full stable sort would rank them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneworthy.records import Passage
from tuneworthy.retrievers import dense
from tuneworthy.retrievers.bm25 import ranked
from tuneworthy.retrievers.dense import Dense
from tuneworthy.retrievers.hybrid import Hybrid


@given(st.lists(st.sampled_from([0.0, -1.0, 0.5, 0.5000001, 3.0, 7.25]), max_size=30), st.integers(0, 35))
def test_the_best_come_first_and_ties_keep_the_order_of_the_documents(scores, top_k):
    passages = tuple(Passage(id=str(n), title="", text="") for n in range(len(scores)))
    found = ranked(passages, np.array(scores), top_k)
    wanted = sorted(range(len(scores)), key=lambda n: -scores[n])[:top_k]
    assert [passage.id for passage in found] == [str(n) for n in wanted]
    assert [passage.score for passage in found] == [scores[n] for n in wanted]


class Letters:
    """Counts letters: an embedder without a model. It remembers how many texts each call had."""

    name = digest = "letters"

    def __init__(self):
        self.calls = []

    def embed(self, texts):
        self.calls.append(len(texts))
        rows = np.array([[text.count(letter) + 0.01 for letter in "abcdefgh"] for text in texts], dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("kind", [Dense, Hybrid])
def test_many_queries_find_what_each_finds_alone(kind):
    texts = [letters * 3 for letters in ("ab", "ac", "bd", "ce", "fgh", "gh", "aab", "cad")]
    passages = tuple(Passage(id=str(n), title="", text=text) for n, text in enumerate(texts))
    retriever = kind(passages, Letters())
    queries = ["abba", "gg h", "cab", "de", "ffg"]
    together = [[p.id for p in found] for found in retriever.search_all(queries, 3)]
    assert together == [[p.id for p in retriever.search(query, 3)] for query in queries]


def test_more_queries_than_are_searched_at_once(monkeypatch):
    monkeypatch.setattr(dense, "AT_ONCE", 2)
    embedder = Letters()
    retriever = Dense(tuple(Passage(id=x, title="", text=x) for x in "abc"), embedder)
    assert [found[0].id for found in retriever.search_all(list("cabbc"), 1)] == list("cabbc")
    assert embedder.calls == [3, 2, 2, 1]
