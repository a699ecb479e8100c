"""Does the answer say only what stands in the passage?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from tuneworthy.records import Case, Score
from tuneworthy.scorers.reading import normal, unfenced
from tuneworthy.usecase import Output

_WORD = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+")
_LONG = 4
"""Letters. Shorter words are mostly grammar, and say nothing of their own."""


@dataclass(frozen=True)
class Groundedness:
    """Share of what the answer says that stands in the case's `evidence` or in its input: numbers, and words of four
    letters or more (all words where it has neither). A final s does not count. An empty answer is no answer: 0.
    Unscored where the case has no evidence.

    A sign, not a proof: a sentence of the right words in the wrong order is grounded. Numbers must be the same.
    Lenient: or the text inside a code fence. Needs no expected output.
    """

    output: Output
    name: ClassVar[str] = "groundedness"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = False

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        if not case.evidence.strip():
            return Score(unscored="missing_expected", explanation="the case has no evidence")
        known = {_stem(word) for text in (case.evidence, *map(str, case.input.values())) for word in _words(text)}
        scores = [_grounded(text, known) for text in ([output, unfenced(output)] if lenient else [output])]
        return max(scores, key=lambda score: score.value or 0.0)


def _grounded(text: str, known: set[str]) -> Score:
    words = _words(text)
    said = [word for word in words if word[0].isdigit() or len(word) >= _LONG] or words
    if not said:
        return Score(value=0.0, explanation="the answer says nothing")
    foreign = [word for word in said if _stem(word) not in known]
    told = f"not in the passage: {', '.join(dict.fromkeys(foreign))}"[:300] if foreign else ""
    return Score(value=1 - len(foreign) / len(said), explanation=told)


def _words(text: str) -> list[str]:
    return [str(word) for word in _WORD.findall(normal(text).casefold())]


def _stem(word: str) -> str:
    return word[:-1] if len(word) >= _LONG and word.endswith("s") else word
