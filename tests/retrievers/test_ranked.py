"""The best passages, whatever the scores: as a full stable sort would rank them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tuneworthy.records import Passage
from tuneworthy.retrievers.bm25 import ranked


@given(st.lists(st.sampled_from([0.0, -1.0, 0.5, 0.5000001, 3.0, 7.25]), max_size=30), st.integers(0, 35))
def test_the_best_come_first_and_ties_keep_the_order_of_the_documents(scores, top_k):
    passages = tuple(Passage(id=str(n), title="", text="") for n in range(len(scores)))
    found = ranked(passages, np.array(scores), top_k)
    wanted = sorted(range(len(scores)), key=lambda n: -scores[n])[:top_k]
    assert [passage.id for passage in found] == [str(n) for n in wanted]
    assert [passage.score for passage in found] == [scores[n] for n in wanted]
