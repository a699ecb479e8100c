"""How an answer is written: words that must not stand in it, its length, the vocabulary of the field."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from tuneworthy.errors import TuneworthyError
from tuneworthy.records import Case, Score
from tuneworthy.scorers.reading import MISSING, accepted, normal, readings
from tuneworthy.usecase import Output


@dataclass(frozen=True)
class ForbiddenWords:
    """1 when none of `words` stands in the answer, as a whole word in any case. An empty answer is no answer: 0.
    Lenient: the text inside a code fence counts. Needs no expected output, so nothing is unscored.

    Raises:
        TuneworthyError: no words.
    """

    output: Output
    words: tuple[str, ...] = ()
    name: ClassVar[str] = "forbidden_words"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _require_words(self.words, self.name)

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        scores = [self._judged(text) for text in readings(output, lenient)]
        return max(scores, key=lambda score: score.value or 0.0)

    def _judged(self, text: str) -> Score:
        if not normal(text):
            return _EMPTY
        found = _standing(self.words, text)
        return Score(value=float(not found), explanation=f"says {', '.join(found)}"[:300] if found else "")


@dataclass(frozen=True)
class Length:
    """1 when the answer has from `at_least` to `at_most` words. Lenient: or the text inside a code fence has. Needs no
    expected output, so nothing is unscored.

    Raises:
        TuneworthyError: the limits are not whole numbers from 1 on, in order.
    """

    output: Output
    at_least: int = 1
    at_most: int = 1_000_000
    name: ClassVar[str] = "length"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    def __post_init__(self) -> None:
        limits = (self.at_least, self.at_most)
        if not all(isinstance(limit, int) and not isinstance(limit, bool) for limit in limits) or not (
            1 <= self.at_least <= self.at_most
        ):
            raise TuneworthyError(
                f"the length scorer takes whole numbers 1 ≤ at_least ≤ at_most, not {limits}",
                next="settings = { at_least = 5, at_most = 40 }",
            )

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        counts = [len(text.split()) for text in readings(output, lenient)]
        right = any(self.at_least <= count <= self.at_most for count in counts)
        return Score(value=float(right), explanation="" if right else f"{counts[0]} words")


@dataclass(frozen=True)
class Vocabulary:
    """Of the `words` of the field that the expected output uses, the share that the answer uses too; of several
    accepted outputs the best. Whole words, in any case. Lenient: or the text inside a code fence. Unscored where there
    is no expected output, or where it uses none of the words: then there is nothing to cover.

    Raises:
        TuneworthyError: no words.
    """

    output: Output
    words: tuple[str, ...] = ()
    name: ClassVar[str] = "vocabulary"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _require_words(self.words, self.name)

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        called_for = [found for text in accepted(case, self.output) if (found := _standing(self.words, text))]
        if not called_for:
            return MISSING if case.expected is None else _NOTHING_TO_COVER
        used = [set(_standing(self.words, text)) for text in readings(output, lenient)]
        value, missing = max(
            (len(there & set(wanted)) / len(wanted), sorted(set(wanted) - there))
            for wanted in called_for
            for there in used
        )
        return Score(value=value, explanation=f"does not say {', '.join(missing)}"[:300] if value < 1 else "")


_EMPTY = Score(value=0.0, explanation="the answer is empty")
_NOTHING_TO_COVER = Score(
    unscored="missing_expected", explanation="the expected output uses none of the words of the field"
)


def _require_words(words: Any, name: str) -> None:
    if isinstance(words, str) or not words or not all(isinstance(word, str) and normal(word) for word in words):
        raise TuneworthyError(f"the scorer {name} needs words", next='settings = { words = ["…"] }')


def _standing(words: Iterable[str], text: str) -> list[str]:
    plain = normal(text).casefold()
    return [word for word in words if re.search(rf"(?<!\w){re.escape(normal(word).casefold())}(?!\w)", plain)]
