"""How hard a text is to read: LIX."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from tuneworthy.errors import TuneworthyError
from tuneworthy.records import Case, Score
from tuneworthy.scorers.reading import readings
from tuneworthy.usecase import Output

LONG = 7
"""letters from which a word is long: more than six"""
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_END = re.compile(r"[.:!?…]+(?=\s|$)|\n\s*\n")


@dataclass(frozen=True)
class ReadingLevel:
    """1 when the LIX of the answer lies from `at_least` to `at_most`: words per sentence + 100 × long words per word
    (Björnsson, Läsbarhet, 1968). Below 30 very easy, to 40 easy, to 50 medium, to 60 difficult, above very difficult.

    It counts no syllables, so it holds for languages that set words apart by spaces: found useful for Swedish, Danish,
    German, English, French, Finnish and others (Anderson, J Reading 26:490, 1983); limits differ by language, so set
    them from texts that you find right. An answer without such words is 0. Short answers jump: below some 50 words one
    long word moves LIX by 2 or more. Lenient: or the text inside a code fence. Needs no expected output.

    Raises:
        TuneworthyError: the limits are not numbers from 0 on, in order.
    """

    output: Output
    at_least: float = 0.0
    at_most: float = 50.0
    name: ClassVar[str] = "reading_level"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (_number(self.at_least) and _number(self.at_most) and 0 <= self.at_least <= self.at_most):
            raise TuneworthyError(
                f"reading_level takes numbers 0 ≤ at_least ≤ at_most, not {(self.at_least, self.at_most)}",
                next="settings = { at_most = 40 }",
            )

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        levels = [lix(text) for text in readings(output, lenient)]
        right = any(level is not None and self.at_least <= level <= self.at_most for level in levels)
        told = "no words" if levels[0] is None else f"LIX {levels[0]:.1f}"
        return Score(value=float(right), explanation="" if right else told)


def lix(text: str) -> float | None:
    """LIX of a text; None without a word of letters."""
    words = _WORD.findall(text)
    if not words:
        return None
    sentences = sum(1 for part in _END.split(text) if _WORD.search(part))
    long = sum(len(word.replace("-", "").replace("'", "").replace("’", "")) >= LONG for word in words)
    return len(words) / max(1, sentences) + 100 * long / len(words)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
