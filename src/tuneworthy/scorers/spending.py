"""What an answer takes, as further scorers: time, tokens, euros. They judge no text, so they carry no bar.

Each is 1 within its limit and 0 beyond, so that its mean is a share of answers that a service level can name. What the
channel did not tell is unscored (`not_told`), never 0: a scripted model takes no time, a classifier reads no tokens,
and some endpoints count none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from tuneworthy.errors import TuneworthyError
from tuneworthy.records import Answer, Case, Score
from tuneworthy.usecase import Output

_TEXT_ALONE = Score(unscored="not_told", explanation="a text does not say what it took")


class _Spent:
    """What the three share: right or wrong, and nothing to say of a text alone."""

    version: ClassVar[int] = 1
    binary: ClassVar[bool] = True

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        return _TEXT_ALONE


@dataclass(frozen=True)
class Latency(_Spent):
    """1 when the answer came within `at_most` seconds, on the machine that gave it. Within a batch an answer's time is
    its share of the batch. Unscored where no time was told.

    Raises:
        TuneworthyError: the limit is not a number above 0.
    """

    output: Output
    at_most: float
    name: ClassVar[str] = "latency"

    def __post_init__(self) -> None:
        _require(self.name, at_most=self.at_most)

    def score_answer(self, case: Case, answer: Answer) -> Score:
        return _within(answer.seconds, self.at_most, "s")


@dataclass(frozen=True)
class Tokens(_Spent):
    """1 when prompt and answer together have at most `at_most` tokens. Unscored where none were told.

    Raises:
        TuneworthyError: the limit is not a number above 0.
    """

    output: Output
    at_most: float
    name: ClassVar[str] = "tokens"

    def __post_init__(self) -> None:
        _require(self.name, at_most=self.at_most)

    def score_answer(self, case: Case, answer: Answer) -> Score:
        return _within(float(answer.tokens_in + answer.tokens_out), self.at_most, "tokens")


@dataclass(frozen=True)
class Cost(_Spent):
    """1 when 1,000 such answers cost at most `at_most` euros, at `eur_in` and `eur_out` euros per million tokens. The
    price is part of the lock: at another price it is another measure. Unscored where no tokens were told.

    Raises:
        TuneworthyError: a setting is not a number above 0.
    """

    output: Output
    at_most: float
    eur_in: float
    eur_out: float
    name: ClassVar[str] = "cost"

    def __post_init__(self) -> None:
        _require(self.name, at_most=self.at_most, eur_in=self.eur_in, eur_out=self.eur_out)

    def score_answer(self, case: Case, answer: Answer) -> Score:
        thousand = (answer.tokens_in * self.eur_in + answer.tokens_out * self.eur_out) / 1_000
        return _within(thousand, self.at_most, "EUR for 1,000")


def _within(spent: float, most: float, unit: str) -> Score:
    if spent <= 0:
        return Score(unscored="not_told", explanation="nothing was told")
    return Score(value=float(spent <= most), explanation="" if spent <= most else f"{spent:g} {unit}")


def _require(name: str, **settings: Any) -> None:
    for key, value in settings.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
            raise TuneworthyError(
                f"{name} takes {key} as a number above 0, not {value!r}", next=f"settings = {{ {key} = 2 }}"
            )
