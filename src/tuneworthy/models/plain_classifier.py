"""A plain classifier: logistic regression on TF-IDF or sentence embeddings. No language model is asked.

It is the arm that most often makes a language model unnecessary (BANKING77, full test set: TF-IDF 89 %,
all-MiniLM-L6-v2 embeddings 93 %).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tuneworthy.errors import TrainingError
from tuneworthy.records import ClassifierRef
from tuneworthy.seams import Embedder


class PlainClassifier:
    """Fitted on (text, label) pairs; deterministic."""

    def __init__(
        self, ref: ClassifierRef, texts: Sequence[str], labels: Sequence[str], embedder: Embedder | None
    ) -> None:
        """Fit at once.

        Raises:
            TrainingError: fewer than two different labels among the examples.
        """
        if len(set(labels)) < 2:
            raise TrainingError("the examples show fewer than two labels", next="add examples of the other labels")
        self._features = _Tfidf() if ref.features == "tfidf" else _Embedded(embedder)
        self._model = _regression(ref.c)
        self._model.fit(self._features.fit(texts), list(labels))

    def predict(self, texts: Sequence[str]) -> list[str]:
        """The most probable label of each text."""
        return [str(label) for label in self._model.predict(self._features.of(texts))] if texts else []

    def doubts(self, texts: Sequence[str]) -> list[Doubt]:
        """How near the second label is to the first, of each text."""
        if not texts:
            return []
        chances = self._model.predict_proba(self._features.of(texts))
        order = np.argsort(-chances, axis=1, kind="stable")[:, :2]
        rows = np.arange(len(texts))
        first, second = (chances[rows, order[:, place]] for place in (0, 1))
        names = [str(label) for label in self._model.classes_]
        return [
            Doubt(float(1 - one + two), names[a], names[b])
            for one, two, (a, b) in zip(first, second, order.tolist(), strict=True)
        ]


class Doubt(NamedTuple):
    """Between which labels a text stands."""

    uncertainty: float
    """1 - (probability of the first - that of the second)"""
    first: str
    second: str


def _regression(c: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, max_iter=1000)


class _Tfidf:
    """Word 1–2-grams and character 2–5-grams."""

    def fit(self, texts: Sequence[str]) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import FeatureUnion

        self._union = FeatureUnion(
            [
                ("words", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)),
                ("characters", TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)),
            ]
        )
        return self._union.fit_transform(list(texts))

    def of(self, texts: Sequence[str]) -> Any:
        return self._union.transform(list(texts))


class _Embedded:
    def __init__(self, embedder: Embedder | None) -> None:
        if embedder is None:
            raise TrainingError(
                "a classifier on embeddings needs an embedding model", next="pip install 'tuneworthy[embed]'"
            )
        self._embedder = embedder

    def fit(self, texts: Sequence[str]) -> np.ndarray:
        return self._embedder.embed(texts)

    def of(self, texts: Sequence[str]) -> np.ndarray:
        return self._embedder.embed(texts)
