"""Label tasks without any language model: the arm that most often makes one unnecessary."""

from __future__ import annotations

from tuneworthy.levers.bench import Bench, not_applicable
from tuneworthy.records import Candidate, ClassifierRef, LeverResult

STRENGTHS = (1.0, 10.0, 30.0)
"""Inverse regularisation strengths that are tried (science page, fact 2: C = 20 on BANKING77)."""


class ClassifierLever:
    """Logistic regression on TF-IDF, and on sentence embeddings where a model is at hand."""

    name = "classifier"
    trains = False

    def propose(self, bench: Bench) -> tuple[Candidate | None, LeverResult]:
        """The best features and regularisation."""
        if bench.usecase.output.kind != "label":
            return not_applicable(self.name, "the output is not a label")
        if len({str(example.expected) for example in bench.train}) < 2:
            return not_applicable(self.name, "the examples show fewer than two labels")
        embedder = bench.sources.embedder
        features = {"tfidf": ""} | ({"embeddings": embedder.name} if embedder else {})
        variants = {
            f"{kind}, C={c:g}": Candidate(
                lever=self.name,
                model="none",
                classifier=ClassifierRef(
                    features="tfidf" if kind == "tfidf" else "embeddings",
                    c=c,
                    data_version=bench.sources.data_version,
                    embedder=name,
                ),
                decoding=bench.decoding,
            )
            for kind, name in features.items()
            for c in STRENGTHS
        }
        reason = "" if embedder else "no embedding model at hand: pip install 'tuneworthy[embed]'"
        return bench.settle(self.name, variants, reason=reason)
