"""Closeness in meaning, by sentence embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from tuneworthy import plugins
from tuneworthy.records import Case, Score
from tuneworthy.scorers.reading import MISSING, accepted, normal, unfenced
from tuneworthy.usecase import Output


@dataclass(frozen=True)
class Similarity:
    """Cosine of the embeddings of the answer and the nearest accepted text; below 0 counts as 0. Unscored without an
    expected output; an empty answer scores 0.

    Opposites are close to each other ("open", "not open"), so this is no measure of truth. Values depend on the
    embedder, whose digest is the signature.

    Raises:
        MissingExtra: the embedder is not installed.
    """

    output: Output
    embedder: str = "minilm"
    folder: str = ""
    """of the embedding model, for `embedder = "sentence_transformers"`"""
    name: ClassVar[str] = "similarity"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = False

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        wanted = [_whole(text) for text in accepted(case, self.output)]
        if not wanted:
            return MISSING
        answers = [text for text in dict.fromkeys(map(_whole, [output, unfenced(output)][: 1 + lenient])) if text]
        if not answers:
            return Score(value=0.0, explanation="the answer is empty")
        if set(answers) & set(wanted):
            return Score(value=1.0)
        vectors = self._open.embed([*answers, *wanted])
        cosine = (vectors[: len(answers)] @ vectors[len(answers) :].T).max()
        return Score(value=min(1.0, max(0.0, round(float(cosine), 6))))

    @property
    def signature(self) -> str:
        return f"cosine|{self._open.name}|{self._open.digest}"

    @cached_property
    def _open(self) -> Any:
        return plugins.load("embedders", self.embedder)(*([self.folder] if self.folder else []))


def _whole(text: str) -> str:
    """Half surrogate pairs, which no tokenizer takes, are spelled out."""
    return normal(text).encode("utf-8", "backslashreplace").decode("utf-8")
