"""Is an answer written like the examples? By a classifier that learned to tell them from texts in another style."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import JsonValue

from tuneworthy.content import digest
from tuneworthy.errors import GateRefused, UseCaseError
from tuneworthy.records import Case, Score
from tuneworthy.scorers.reading import accepted, normal, readings
from tuneworthy.usecase import Output, UseCase

LEAST_AUC = 0.8
"""Held out. Below, the two styles are hardly told apart, and a score would be mostly noise."""
FEWEST = 30
"""texts of either style"""
FOLDS = 5
CHARACTERS = (2, 4)
"""Lengths of character n-grams: punctuation, endings and short words, which carry style more than topic."""


@dataclass(frozen=True)
class StyleCloseness:
    """How sure a classifier is that the answer is written like the texts of `like` and not like those of `unlike`, from
    0 to 1. An accepted text is 1, an empty answer 0. Lenient: or the text in a code fence. Needs no expected output.

    The classifier (logistic regression on character n-grams) is held to account on texts that it did not learn from:
    its AUC by five folds is part of the signature, and below 0.8 the scorer is refused. It sees whatever sets the two
    collections apart, topic as well, so take texts about the same things, e.g. the same answers before and after an
    editor saw them.

    Raises:
        UseCaseError: a file is missing, or holds no texts.
        GateRefused: fewer than 30 texts of a kind, or the two styles are not told apart.
    """

    output: Output
    like: str = ""
    unlike: str = ""
    texts: tuple[tuple[str, ...], tuple[str, ...]] = field(default=((), ()), metadata={"setting": False}, repr=False)
    """(in the style, in another)"""
    name: ClassVar[str] = "style_closeness"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = False

    @classmethod
    def for_usecase(cls, usecase: UseCase, folder: Path, like: str = "", unlike: str = "") -> StyleCloseness:
        """`like` and `unlike` are files beside usecase.toml: .txt with one text a line, or .jsonl whose rows hold it
        under `text`, `output` or `expected`."""
        return cls(usecase.output, like, unlike, (_texts(folder, "like", like), _texts(folder, "unlike", unlike)))

    def __post_init__(self) -> None:
        fewest = min(len(set(texts)) for texts in self.texts)
        if fewest < FEWEST:
            raise GateRefused(
                f"the scorer style_closeness has {fewest} different texts of one style, at least {FEWEST} are needed",
                next=f"put more texts into {self.like or 'like'} and {self.unlike or 'unlike'}",
            )
        if self.auc < LEAST_AUC:
            raise GateRefused(
                f"the styles of {self.like} and {self.unlike} are not told apart: AUC {self.auc:.2f} on held-out "
                f"texts, n = {sum(map(len, self.texts))}; at least {LEAST_AUC:.2f}",
                why="a score would say little about style",
                next="take more texts, or texts whose style differs more",
            )

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        texts = [text for text in map(normal, readings(output, lenient)) if text]
        if not texts:
            return Score(value=0.0, explanation="the answer is empty")
        if set(texts) & set(map(normal, accepted(case, self.output))):
            return Score(value=1.0)
        return Score(value=round(float(self._model.of(texts).max()), 6))

    @property
    def signature(self) -> dict[str, JsonValue]:
        like, unlike = self.texts
        return {"texts": digest([like, unlike]), "n": len(like) + len(unlike), "auc": round(self.auc, 4)}

    @cached_property
    def auc(self) -> float:
        """Area under the ROC curve over texts that were held out, each fold by the other four."""
        from sklearn.metrics import roc_auc_score

        texts = np.array([*self.texts[0], *self.texts[1]], dtype=object)
        truth = np.repeat([1, 0], [len(part) for part in self.texts])
        folds = np.concatenate([_folds(part) for part in self.texts])
        sure = np.empty(len(texts))
        for fold in range(FOLDS):
            held = folds == fold
            sure[held] = _Stylist(texts[~held], truth[~held]).of(texts[held])
        return float(roc_auc_score(truth, sure))

    @cached_property
    def _model(self) -> _Stylist:
        return _Stylist([*self.texts[0], *self.texts[1]], np.repeat([1, 0], [len(part) for part in self.texts]))


class _Stylist:
    def __init__(self, texts: Sequence[str] | np.ndarray, truth: np.ndarray) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        self._features: Any = TfidfVectorizer(
            analyzer="char_wb", ngram_range=CHARACTERS, sublinear_tf=True, min_df=2, lowercase=False
        )
        self._model: Any = LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000)
        self._model.fit(self._features.fit_transform(texts), truth)

    def of(self, texts: Sequence[str] | np.ndarray) -> np.ndarray:
        """Probability of the style for each text."""
        return np.asarray(self._model.predict_proba(self._features.transform(texts))[:, 1])


def _folds(texts: Sequence[str]) -> np.ndarray:
    """A fold for each text: by its content, so that equal texts are held out together, and filled evenly."""
    place = {text: number % FOLDS for number, text in enumerate(sorted(set(texts), key=digest))}
    return np.array([place[text] for text in texts])


def _texts(folder: Path, key: str, name: str) -> tuple[str, ...]:
    path = folder / name
    if not name or not path.is_file():
        raise _wrong(
            f"the setting {key} names no file: {name!r}",
            'settings = { like = "style/like.txt", unlike = "style/unlike.txt" }',
        )
    try:
        lines = [line for line in path.read_text("utf-8-sig").split("\n") if line.strip()]
        found = [_text(json.loads(line)) if path.suffix == ".jsonl" else line for line in lines]
    except (OSError, ValueError, RecursionError) as error:
        raise _wrong(f"{name} cannot be read: {error}", "one text a line, UTF-8") from None
    return tuple(text for text in map(normal, found) if text)


def _text(row: Any) -> str:
    for key in ("text", "output", "expected"):
        if isinstance(row, dict) and isinstance(row.get(key), str):
            return str(row[key])
    raise ValueError("a row holds no text under `text`, `output` or `expected`")


def _wrong(what: str, next_step: str) -> UseCaseError:
    return UseCaseError(f"the scorer style_closeness: {what}", [], next=next_step, where="usecase.toml")
