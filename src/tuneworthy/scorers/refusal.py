"""Does the answer refuse exactly where it should?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tuneworthy.errors import TuneworthyError
from tuneworthy.records import Case, Score
from tuneworthy.scorers.reading import MISSING, accepted, normal, refuses, unfenced
from tuneworthy.usecase import Output


@dataclass(frozen=True)
class Refusal:
    """1 when the answer refuses where the expected output refuses, and answers where it answers: too many refusals and
    too few both count. An empty answer is neither: 0. Unscored without an expected output.

    Refusals are known by their beginning, in the languages of PHRASES; `phrases` adds plain texts, e.g. the sentence
    with which your own system declines. Lenient: or the text inside a code fence.

    Raises:
        TuneworthyError: `phrases` is not a list of texts.
    """

    output: Output
    phrases: tuple[str, ...] = ()
    name: ClassVar[str] = "refusal"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.phrases, str) or not all(isinstance(p, str) and normal(p) for p in self.phrases):
            raise TuneworthyError("phrases is not a list of texts", next='settings = { phrases = ["I must decline"] }')

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        wanted = {self.refuses(text) for text in accepted(case, self.output)}
        if not wanted:
            return MISSING
        texts = [text for text in ([output, unfenced(output)] if lenient else [output]) if normal(text)]
        right = any(self.refuses(text) in wanted for text in texts)
        if right:
            return Score(value=1.0)
        told = "is empty" if not texts else "refuses" if self.refuses(texts[0]) else "does not refuse"
        return Score(value=0.0, explanation=f"the answer {told}")

    def refuses(self, text: str) -> bool:
        """Is this text a refusal?"""
        return refuses(text, self.phrases)
