"""Right when the answer is the expected text, or names it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from tuneworthy.records import Case, Score
from tuneworthy.rendering import render_expected
from tuneworthy.scorers.reading import loose, normal
from tuneworthy.usecase import Output

MISSING = Score(unscored="missing_expected", explanation="the case has no expected output")


def accepted(case: Case, output: Output) -> list[str]:
    """The texts that count as right: the expected one, or each of a list."""
    values = case.expected if isinstance(case.expected, list) and output.kind != "json" else [case.expected]
    return [render_expected(output, value) for value in values]


@dataclass(frozen=True)
class Exact:
    """1 when the whole answer equals the expected text after normalisation; lenient: case, quotes and punctuation at
    the ends do not count."""

    output: Output
    name: ClassVar[str] = "exact"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        if case.expected is None:
            return MISSING
        read = loose if lenient else normal
        wanted = accepted(case, self.output)
        right = read(output) in {read(text) for text in wanted}
        return Score(value=float(right), explanation="" if right else f"expected {wanted[0]!r}")


@dataclass(frozen=True)
class Contains:
    """1 when the expected text stands in the answer as whole words; for answers in prose. Lenient: case does not
    count. An answer longer than the output's max_chars is wrong: naming everything is no answer."""

    output: Output
    name: ClassVar[str] = "contains"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        if case.expected is None:
            return MISSING
        if self.output.max_chars is not None and len(output) > self.output.max_chars:
            return Score(value=0.0, explanation=f"longer than {self.output.max_chars} characters")
        text = normal(output).casefold() if lenient else normal(output)
        wanted = [normal(w).casefold() if lenient else normal(w) for w in accepted(case, self.output)]
        right = any(_stands_in(word, text) for word in wanted)
        return Score(value=float(right), explanation="" if right else f"does not name {wanted[0]!r}")


def _stands_in(words: str, text: str) -> bool:
    return bool(words) and re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text) is not None
