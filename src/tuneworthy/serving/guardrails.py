"""When a canary is taken out at once: answers that no client should get, whatever the quality.

Two kinds of rule, fixed before the first answer. Failures in a row: at a failure rate of 5 %, four in a row begin by
chance once in 170,000 requests (evidence: operations, 3.3). And rates, by a test that may be looked at after every
request. A release that fails more often by nature is held against what it did on the suite through the endpoint.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from statistics import quantiles

from tuneworthy.measure.sequential import rate_above
from tuneworthy.records import Answer, Case
from tuneworthy.scorers.json_schema import JsonSchema
from tuneworthy.scorers.reading import normal
from tuneworthy.usecase import Output, UseCase

FALSE_ALARM = 0.001
"""probability that a canary is ever taken out for a rate that is tolerated"""
RARE = 1e-5
"""so seldom may failures in a row happen by chance, for each request; at 5 % that is four"""
TOLERATED = 0.05
"""failed answers, of all, at least"""
SLOWER = 2.0
"""an answer is slow when it takes this many times the champion's 95th percentile; by that, 5 % or fewer are"""
SLOW_TOLERATED = 0.10
"""slow answers, of all"""
KNOWN = 40
"""champion's answers until its 95th percentile is taken as known"""
_LOOP = re.compile(r"(.{4,80}?)\1{3,}\s*\Z", re.DOTALL)
"""the same 4 to 80 characters, four times or more, at the end"""


def failure(answer: Answer, usecase: UseCase) -> str:
    """Why no client should get this answer; empty when it may."""
    if answer.error is not None:
        return "error"
    if not answer.text.strip():
        return "empty"
    if _LOOP.search(answer.text[-400:]):
        return "loop"
    return "" if _keeps_form(answer.text, usecase.output) else "format"


@dataclass
class Guard:
    """Counts of one canary, since it began."""

    offline: float = 0.0
    """share of failed answers on the suite"""
    asked: int = 0
    failed: int = 0
    slow: int = 0
    timed: int = 0
    """answers that a known pace of the champion could be held against"""
    kinds: dict[str, int] = field(default_factory=dict)
    _row: int = 0
    _pace: deque[float] = field(default_factory=lambda: deque(maxlen=500))

    def champion(self, seconds: float) -> None:
        """The champion took this long."""
        self._pace.append(seconds)

    def canary(self, why: str, seconds: float) -> str:
        """Count an answer of the canary; the reason to take it out, empty when there is none. `why`: see `failure`."""
        self.asked += 1
        if why:
            self.failed += 1
            self.kinds[why] = self.kinds.get(why, 0) + 1
        self._row = self._row + 1 if why else 0
        if not why and (limit := self.limit) is not None:
            self.timed += 1
            self.slow += seconds > limit
        return self._reason(why)

    @property
    def limit(self) -> float | None:
        """Seconds from which on an answer is slow; None while the champion's pace is not known."""
        return SLOWER * quantiles(self._pace, n=20)[-1] if len(self._pace) >= KNOWN else None

    @property
    def tolerated(self) -> float:
        """Share of failed answers that is not held against the canary."""
        return min(0.95, max(TOLERATED, 2 * self.offline))

    @property
    def in_a_row(self) -> int:
        """Failed answers in a row that are too many."""
        return math.ceil(math.log(RARE) / math.log(self.tolerated))

    def _reason(self, why: str) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        if self._row >= self.in_a_row:
            return f"{self._row} failed answers in a row, the last one: {why} ({kinds} of {self.asked})"
        if why and (found := rate_above(self.failed, self.asked, self.tolerated)) >= 1 / FALSE_ALARM:
            return (
                f"{self.failed} of {self.asked} answers failed ({kinds}), more than the {self.tolerated:.0%} that are "
                f"tolerated (evidence {found:.0f} : 1)"
            )
        if self.timed and (found := rate_above(self.slow, self.timed, SLOW_TOLERATED)) >= 1 / FALSE_ALARM:
            limit = self.limit or 0.0
            return f"{self.slow} of {self.timed} answers took longer than {limit:.2f} s (evidence {found:.0f} : 1)"
        return ""


def _keeps_form(text: str, output: Output) -> bool:
    if output.kind == "label":
        return normal(text) in {normal(label) for label in output.labels}
    if output.kind == "json":
        return _schema(json.dumps(output.json_schema)).score(Case(id="live", input={}), text).value == 1.0
    return output.max_chars is None or len(text) <= output.max_chars


@cache
def _schema(schema: str) -> JsonSchema:
    return JsonSchema(Output(kind="json", schema=json.loads(schema)))
