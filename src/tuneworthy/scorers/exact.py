"""Right when the answer is the expected text, or names it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from tuneworthy.records import Case, Score
from tuneworthy.scorers.reading import MISSING, accepted, alike, normal
from tuneworthy.usecase import Output


@dataclass(frozen=True)
class Exact:
    """1 when the whole answer equals the expected text after normalisation; lenient: case, quotes and punctuation at
    the ends do not count."""

    output: Output
    name: ClassVar[str] = "exact"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        wanted = accepted(case, self.output)
        if not wanted:
            return MISSING
        right = any(alike(output, text, lenient=lenient) for text in wanted)
        return Score(value=float(right), explanation="" if right else f"expected {wanted[0][:200]!r}")


@dataclass(frozen=True)
class Contains:
    """1 when the expected text stands in the answer as whole words; for answers in prose. Lenient: case does not
    count. An answer longer than the output's max_chars is wrong: naming everything is no answer.

    14 does not stand in 14.5, 1,400 or 140. What surrounds the words is not understood: "not Paris" names Paris.
    """

    output: Output
    name: ClassVar[str] = "contains"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        wanted = [normal(text) for text in accepted(case, self.output)]
        if not wanted:
            return MISSING
        if self.output.max_chars is not None and len(output) > self.output.max_chars:
            return Score(value=0.0, explanation=f"longer than {self.output.max_chars} characters")
        text = normal(output)
        right = any(_stand_in(words, text) for words in wanted)
        if lenient and not right:
            right = any(_stand_in(words.casefold(), text.casefold()) for words in wanted)
        return Score(value=float(right), explanation="" if right else f"does not name {wanted[0][:200]!r}")


def _stand_in(words: str, text: str) -> bool:
    if not words:
        return False
    before = r"(?<!\d[.,])" if words[0].isdigit() else ""
    after = r"(?![.,]\d)" if words[-1].isdigit() else ""
    return re.search(rf"(?<!\w){before}{re.escape(words)}(?!\w){after}", text) is not None
