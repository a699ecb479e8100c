"""Near-duplicates: rows that say the same in almost the same characters, once the text shared by all rows is removed.

Without that removal a prompt of 200 words that every row carries makes distinct rows look alike. What is left is
compared by the cosine of TF-IDF over character 3–5-grams within words.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from tuneworthy.records import Case, Example, Input, Record

THRESHOLD = 0.9
"""Cosine from which two rows count as near-duplicates. On BANKING77 (10,003 train, 3,080 test rows) pairs from .90 up
are the same question with a word moved or added, and 942 of 993 carry the same label; from .80 on questions that only
share their topic begin to appear (2,278 of 2,472). 619 test rows (20 %) have such a twin in train; 7 rows are exact."""

SHARED = 0.8
"""A word belongs to the template when it stands in more than this share of the rows, and more than twenty rows."""

_BLOCK = 1024
"""Rows compared at a time: bounds memory to block × rows similarities."""

_WORD = re.compile(r"\w+|[^\w\s]")


class Leak(Record):
    """An example that also stands in the suite."""

    case: str
    example: str
    kind: Literal["exact", "near"]
    similarity: float


def input_text(row: Input) -> str:
    """All fields of an input as one text, in the order of their names."""
    return "\n".join(str(row[key]) for key in sorted(row) if row[key] is not None)


def leaks(examples: Sequence[Example], cases: Sequence[Case], *, threshold: float = THRESHOLD) -> tuple[Leak, ...]:
    """Every example that equals a case, or is its near-duplicate, with the nearest case."""
    example_texts = [input_text(example.input) for example in examples]
    case_texts = [input_text(case.input) for case in cases]
    exact = {normal(text): case.id for text, case in zip(case_texts, cases, strict=True)}
    found = []
    best, nearest = _nearest(example_texts, case_texts)
    for number, example in enumerate(examples):
        same = exact.get(normal(example_texts[number]))
        if same is not None:
            found.append(Leak(case=same, example=example.name, kind="exact", similarity=1.0))
        elif best[number] >= threshold:
            case = cases[nearest[number]].id
            found.append(Leak(case=case, example=example.name, kind="near", similarity=round(float(best[number]), 4)))
    return tuple(sorted(found, key=lambda leak: (leak.case, leak.example)))


def clusters(examples: Sequence[Example], *, threshold: float = THRESHOLD) -> tuple[int, ...]:
    """A number per example: equal numbers are near-duplicates of each other, directly or through others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    texts = [input_text(example.input) for example in examples]
    if not texts:
        return ()
    matrix = _vectors(texts)
    left: list[np.ndarray] = []
    right: list[np.ndarray] = []
    for start in range(0, len(texts), _BLOCK):
        similar = (matrix[start : start + _BLOCK] @ matrix.T).tocoo()
        close = similar.data >= threshold
        left.append(similar.row[close] + start)
        right.append(similar.col[close])
    rows, columns = np.concatenate(left), np.concatenate(right)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(texts), len(texts)))
    numbers = connected_components(graph, directed=False)[1]
    first: dict[str, int] = {}  # equal texts belong together even when no feature is left of them
    return tuple(first.setdefault(normal(text), int(number)) for text, number in zip(texts, numbers, strict=True))


def normal(text: str) -> str:
    """NFC, casefolded, white space collapsed."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def without_template(texts: Sequence[str]) -> list[str]:
    """The texts without the words that nearly all of them share. A text of nothing but shared words stays whole."""
    words = [_WORD.findall(normal(text)) for text in texts]
    counts = Counter(word for row in words for word in set(row))
    shared = {word for word, count in counts.items() if count > SHARED * len(texts) and count > 20}
    return [" ".join(w for w in row if w not in shared) or " ".join(row) for row in words]


def _vectors(texts: Sequence[str]) -> Any:
    """Unit rows, shape (texts, features), sparse."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, dtype=np.float32)
    return vectorizer.fit_transform(without_template(texts))


def _nearest(texts: Sequence[str], others: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(similarity, index) of the nearest other text of each text."""
    if not texts or not others:
        return np.zeros(len(texts)), np.zeros(len(texts), dtype=int)
    matrix = _vectors([*texts, *others])
    mine, theirs = matrix[: len(texts)], matrix[len(texts) :].T.tocsr()
    best, index = [], []
    for start in range(0, len(texts), _BLOCK):
        similar = (mine[start : start + _BLOCK] @ theirs).toarray()
        best.append(similar.max(axis=1))
        index.append(similar.argmax(axis=1))
    return np.concatenate(best), np.concatenate(index)
