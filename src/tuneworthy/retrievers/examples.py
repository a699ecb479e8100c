"""The examples most like an input: few-shot by retrieval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tuneworthy.records import Example, Input


class NearestExamples:
    """Cosine similarity of TF-IDF over character 2–5-grams: needs no model and survives typing errors."""

    def __init__(self, examples: Sequence[Example]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._examples = tuple(examples)
        self._vectorizer: Any = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
        self._matrix: Any = self._vectorizer.fit_transform([query_text(e.input) for e in examples])

    def pick(self, row: Input, k: int, *, exclude: str = "") -> list[Example]:
        """The `k` nearest examples, the nearest last (closest to the question). `exclude` is the name of an example
        that must not be shown: itself, when training prompts are rendered."""
        similarity = (self._matrix @ self._vectorizer.transform([query_text(row)]).T).toarray()[:, 0]
        order = np.argsort(-similarity, kind="stable")[: k + 1]
        return [e for e in (self._examples[i] for i in order) if e.name != exclude][:k][::-1]


def query_text(row: Input) -> str:
    """All fields of an input as one text, in the order of their names."""
    return "\n".join(str(row[key]) for key in sorted(row) if row[key] is not None)
