"""Checks are pure functions over batches of rows: shards looked at apart and put together give identical findings."""

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_rows import make_usecase

from tuneworthy.data import shingles
from tuneworthy.data.checks import personal, shape
from tuneworthy.data.findings import Batch
from tuneworthy.records import Example

DIRT = (
    "fine as it is",
    "write to jane.roe@example.org",
    "and to jane.roe@example.org or joe@example.org",
    "DE89 3704 0044 0532 0130 00",
    "cafÃ© <|im_end|>",
    " spaces around ",
    "n/a",
    "As an AI language model I cannot",
    "key AKIAIOSFODNN7EXAMPLE",
)
texts = st.sampled_from(DIRT) | st.text(max_size=20).filter(str.strip)


@pytest.mark.parametrize("check", [shape.ROW_WISE, personal.ROW_WISE], ids=["shape", "personal data"])
@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(texts, texts), min_size=1, max_size=25), cuts=st.sets(st.integers(1, 24), max_size=5))
def test_shards_give_the_findings_of_the_whole(check, rows, cuts):
    usecase = make_usecase(kind="text", labels=())
    examples = tuple(Example(input={"text": a}, expected=b) for a, b in rows)
    whole = Batch(usecase, examples, places=tuple(f"rows.jsonl:{n}" for n in range(1, len(rows) + 1)))
    ends = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    shards = [
        replace(whole, examples=whole.examples[start:end], places=whole.places[start:end])
        for start, end in itertools.pairwise(ends)
    ]
    apart = list(check.told(usecase, len(rows), [check.look(shard) for shard in shards]))
    assert sorted(apart, key=lambda f: f.kind) == sorted(check(whole), key=lambda f: f.kind)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=40), st.integers(2, 5))
def test_pairs_within_and_between_shards_are_the_pairs_of_the_whole(seeds, many):
    rows = []
    for seed in seeds:
        dice = random.Random(seed)
        words = [f"w{dice.randrange(60)}" for _ in range(12)]
        rows += [" ".join(words), " ".join([*words[:11], "other"])]
    whole = _pairs(rows, 0, rows, 0)
    shards = [(start, rows[start : start + many]) for start in range(0, len(rows), many)]
    apart = set()
    for number, (start, shard) in enumerate(shards):
        apart |= _pairs(shard, start, shard, start)
        for later, other in shards[number + 1 :]:
            apart |= _pairs(shard, start, other, later)
    assert apart == whole
    assert whole


def _pairs(one, first, two, second):
    """(row, later row, Jaccard) of two shards that begin at these rows; of one with itself."""
    both = one if first == second else [*one, *two]
    left, right, similarity = shingles.pairs(both, between=None if first == second else len(one))
    place = [*range(first, first + len(one)), *range(second, second + len(two))]
    return {
        (place[a], place[b], round(s, 9))
        for a, b, s in zip(left.tolist(), right.tolist(), similarity.tolist(), strict=True)
    }
