"""Form: does the whole answer match a pattern?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import regex  # type: ignore[import-untyped]  # Python's own `re` cannot be stopped when a pattern explodes

from tuneworthy.errors import TuneworthyError
from tuneworthy.records import Case, Score
from tuneworthy.scorers.reading import normal, unfenced
from tuneworthy.usecase import Output

SECONDS = 2.0
"""Longest time for one answer; ordinary patterns need microseconds. Beyond it the case is unscored, not wrong."""


@dataclass(frozen=True)
class Regex:
    """1 when the whole answer, white space normalised, matches `pattern`. Lenient: the pattern occurs somewhere. Needs
    no expected output.

    Raises:
        TuneworthyError: no pattern, or one that does not compile.
    """

    output: Output
    pattern: str = ""
    name: ClassVar[str] = "regex"
    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    def __post_init__(self) -> None:
        where = "metric_settings.pattern"
        if not isinstance(self.pattern, str) or not self.pattern:
            raise TuneworthyError(
                "the regex scorer needs a pattern", where=where, next='metric_settings = { pattern = "…" }'
            )
        try:
            regex.compile(self.pattern)
        except regex.error as error:
            raise TuneworthyError(f"the pattern does not compile: {error}", where=where, next="repair it") from None

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        try:
            right = self._fits(normal(output))
            if lenient and not right:
                right = self._fits(normal(unfenced(output)), anywhere=True)
        except TimeoutError:
            return Score(unscored="timeout", explanation=f"the pattern took more than {SECONDS:g} s")
        return Score(value=float(right), explanation="" if right else "does not have the form")

    def _fits(self, text: str, *, anywhere: bool = False) -> bool:
        match = regex.search if anywhere else regex.fullmatch
        return match(self.pattern, text, timeout=SECONDS) is not None
