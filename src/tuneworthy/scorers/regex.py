"""Form: does the whole answer match a pattern?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from tuneworthy.errors import TuneworthyError
from tuneworthy.records import Case, Score
from tuneworthy.scorers.reading import normal, unfenced
from tuneworthy.usecase import Output

LONGEST = 2_000
"""Answers longer than this are not matched but wrong: backtracking time grows with length."""

_NESTED = re.compile(r"\([^()]*[+*][^()]*\)[+*{]")


@dataclass(frozen=True)
class Regex:
    """1 when the whole answer, white space normalised, matches `pattern`. Lenient: the pattern occurs somewhere.

    Raises:
        TuneworthyError: no pattern, one that does not compile, or one with nested repeats such as (a+)+, whose time
            can explode.
    """

    output: Output
    pattern: str = ""
    name: ClassVar[str] = "regex"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    def __post_init__(self) -> None:
        where = "metric_settings.pattern"
        if not self.pattern:
            raise TuneworthyError(
                "the regex scorer needs a pattern", where=where, next='metric_settings = { pattern = "…" }'
            )
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise TuneworthyError(f"the pattern does not compile: {error}", where=where, next="repair it") from None
        if _NESTED.search(self.pattern):
            raise TuneworthyError("nested repeats can take for ever", where=where, next="write it without (…+)+")

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        text = normal(unfenced(output) if lenient else output)
        if len(text) > LONGEST:
            return Score(value=0.0, explanation=f"longer than {LONGEST} characters")
        match = re.search(self.pattern, text) if lenient else re.fullmatch(self.pattern, text)
        return Score(value=float(match is not None), explanation="" if match else "does not have the form")
