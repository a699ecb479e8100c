"""Near-duplicates among many rows: the prefix filter misses nothing."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneworthy.data import near, neighbours, shingles


def brute(texts, threshold):
    """All pairs by definition."""
    sets = []
    for text in texts:
        words = shingles._WORD.findall(text)
        sets.append({(words[0],)} if len(words) == 1 else set(itertools.pairwise(words)))
    return {
        (i, j): len(a & sets[j]) / len(a | sets[j])
        for i, a in enumerate(sets)
        for j in range(i + 1, len(sets))
        if a and sets[j] and len(a & sets[j]) / len(a | sets[j]) >= threshold - 1e-9
    }


def found(texts, threshold, **how):
    left, right, similarity = shingles.pairs(texts, threshold=threshold, **how)
    return {(a, b): s for a, b, s in zip(left.tolist(), right.tolist(), similarity.tolist(), strict=True)}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("a b c d e f g".split()), max_size=8).map(" ".join), max_size=14),
    st.sampled_from([0.3, 0.5, 0.7, 0.9, 1.0]),
)
def test_the_same_pairs_as_by_comparing_all_with_all(texts, threshold):
    wanted = brute(texts, threshold)
    got = found(texts, threshold)
    assert got.keys() == wanted.keys()
    assert all(abs(got[pair] - wanted[pair]) < 1e-9 for pair in wanted)


def test_between_two_groups_only():
    texts = ["a b c d", "x y z", "a b c d", "x y z", "a b c d"]
    assert set(found(texts, 0.7, between=2)) == {(0, 2), (0, 4), (1, 3)}


def test_blocks_change_nothing(monkeypatch):
    dice = random.Random(1)
    texts = [" ".join(dice.choices("abcd", k=9)) for _ in range(300)]
    whole = found(texts, 0.5)
    monkeypatch.setattr(shingles, "_BLOCK", 7)
    assert found(texts, 0.5) == whole
    assert len(whole) > 100


def test_no_texts():
    assert [part.size for part in shingles.pairs([])] == [0, 0, 0]


@pytest.mark.parametrize("words", [0, 60, 200, 400])
@pytest.mark.parametrize("most", [0, 10**9], ids=["pairs of words", "characters"])
def test_a_shared_prompt_of_any_length_leaves_the_same_duplicates(monkeypatch, words, most):
    monkeypatch.setattr(near, "CHARACTERS", most)
    dice = random.Random(2)
    vocabulary = ["".join(dice.choices("bcdfgaeiou", k=6)) for _ in range(3_000)]
    texts = [" ".join(dice.choices(vocabulary, k=25)) for _ in range(400)]
    texts += [f"{text} please" for text in texts[:20]]
    prompt = " ".join(dice.choices(vocabulary, k=words))
    groups = neighbours.find([f"{prompt} {text}".strip() for text in texts]).groups()
    assert sorted(map(tuple, groups)) == [(n, 400 + n) for n in range(20)]


def test_ten_thousand_rows_take_no_quadratic_memory():
    dice = np.random.default_rng(3)
    texts = [" ".join(map(str, row)) for row in dice.zipf(1.4, (10_000, 30)) % 5_000]
    left, right, _ = shingles.pairs(texts)
    assert (left < right).all()
