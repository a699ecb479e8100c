"""What challenger and champion did on the same requests, and what people said: numbers only, no content.

    pair     both answered one request: same answer? failed? how long?
    score    the right answer of such a request became known (feedback), so both were scored
    rated    canary: what a client said of the answer that it got, by whichever side

One file for each challenger and champion, append-only: evidence survives a restart. What it amounts to is read from it
alone, by the gateway after each line and by the terminal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple

from pydantic import ValidationError

from tuneworthy.content import append_line
from tuneworthy.measure.sequential import ALPHA, bet, pairs_until_decided
from tuneworthy.measure.statistics import cases_needed_non_inferiority, wilson
from tuneworthy.records import Interval, Record

LEAST = 30
"""pairs before quality decides anything"""


class Side(Record):
    """One of the two answers."""

    failed: str = ""
    """error, empty, loop, format; empty = none of them"""
    seconds: float = 0.0
    tokens: int = 0
    chars: int = 0


class Line(Record):
    """A line of the file."""

    kind: Literal["pair", "score", "rated"]
    at: str
    """ISO 8601 in UTC"""
    number: str = ""
    """id of the answer"""
    champion: Side | None = None
    challenger: Side | None = None
    same: bool = False
    scores: tuple[float, float] | None = None
    """(champion, challenger)"""
    client: str = ""
    """rated: keyed hash of who said it"""
    canary: bool = False
    """rated: the canary had answered"""
    good: bool = False


class Quality(NamedTuple):
    """What the judged answers say."""

    source: str
    """scores of the same request, or ratings of clients"""
    pairs: int
    wins: int
    losses: int
    worse: float
    """evidence that the challenger is worse; at 20 : 1 it is taken out"""
    no_worse: float
    """evidence that it is not worse by the margin; at 20 : 1 that is shown"""

    @property
    def discordance(self) -> float | None:
        """Share of pairs in which one was better; None without pairs."""
        return (self.wins + self.losses) / self.pairs if self.pairs else None

    @property
    def state(self) -> str:
        """worse, no worse, or not enough evidence: then everything stays as it is."""
        if self.pairs < LEAST:
            return "not enough evidence"
        if self.worse >= 1 / ALPHA:
            return "worse"
        return "no worse" if self.no_worse >= 1 / ALPHA else "not enough evidence"


class Found(NamedTuple):
    """What a file amounts to."""

    pairs: int
    same: int
    agreement: Interval | None
    failed: tuple[dict[str, int], dict[str, int]]
    """(champion, challenger): kind → answers"""
    seconds: tuple[float | None, float | None]
    """median until the answer"""
    chars: tuple[float | None, float | None]
    days: float
    """from the first to the last line"""
    scored: Quality
    rated: Quality

    @property
    def quality(self) -> Quality:
        """The kind of evidence that has more of it."""
        return self.rated if self.rated.pairs > self.scored.pairs else self.scored


class Needed(NamedTuple):
    """Until a decision at this traffic."""

    pairs: int | None
    """with a look after every pair, power 80 %"""
    once: int
    """with one look at the end"""
    a_day: float | None
    """judged pairs; None = none was judged yet"""
    assumed: float | None
    """discordance, where none was observed"""

    @property
    def days(self) -> float | None:
        return self.pairs / self.a_day if self.pairs is not None and self.a_day else None


def note(file: Path, line: Line) -> None:
    """Add a line.

    Raises:
        StorageError: it cannot be written.
    """
    append_line(file, json.dumps(line.model_dump(mode="json", exclude_defaults=True)))


def read(file: Path, *, kind: str = "") -> list[Line]:
    """All whole lines, or those of one kind: the torn last one of a killed gateway is left out."""
    found: list[Line] = []
    if not file.exists():
        return found
    with file.open("rb") as raws:  # one by one: a gateway must not grow with its files
        for raw in raws:
            if kind.encode() not in raw:
                continue
            try:
                found.append(Line.model_validate_json(raw))
            except ValidationError:
                continue
    return found


def amount(lines: Iterable[Line], margin: float) -> Found:
    """What the lines amount to.

    Args:
        margin: the smallest difference that matters, of the use case.
    """
    lines = list(lines)
    pairs = [line for line in lines if line.kind == "pair"]
    both = [(line.champion or Side(), line.challenger or Side()) for line in pairs]
    whole = [(a, b) for a, b in both if not a.failed and not b.failed]
    same = sum(line.same for line in pairs)
    return Found(
        pairs=len(pairs),
        same=same,
        agreement=wilson(same, len(pairs)) if pairs else None,
        failed=(_kinds(a for a, _ in both), _kinds(b for _, b in both)),
        seconds=(_median([a.seconds for a, _ in whole]), _median([b.seconds for _, b in whole])),
        chars=(_median([a.chars for a, _ in whole]), _median([b.chars for _, b in whole])),
        days=_days(lines),
        scored=_quality("scores of the same requests", _scored(lines), margin),
        rated=_quality("ratings of clients, one for each client", _rated(lines), margin),
    )


def needed(found: Found, margin: float) -> Needed:
    """How many judged pairs a decision takes, and how many come in a day.

    A challenger that is exactly as good as the champion has to be shown to be no worse by the margin. Where too few
    pairs were judged, the share of different answers stands for the share of pairs in which one is better: it is at
    least as large, so the number is an upper limit.
    """
    quality = found.quality
    known = quality.discordance if quality.pairs >= LEAST else None
    differ = (found.pairs - found.same) / found.pairs if found.pairs >= LEAST else None
    assumed = None if known is not None else (differ if differ is not None else 0.2)
    discordance = min(1.0, max(margin, known if known is not None else assumed or 0.0))
    return Needed(
        pairs=pairs_until_decided(round(discordance, 2) or margin, 0.0, above=-margin),
        once=cases_needed_non_inferiority(round(discordance, 2) or margin, margin),
        a_day=quality.pairs / found.days if quality.pairs and found.days else None,
        assumed=assumed,
    )


def _scored(lines: Sequence[Line]) -> list[float]:
    """challenger − champion, the last score of each request, in the order of the first."""
    found = {line.number: line.scores for line in lines if line.kind == "score" and line.scores is not None}
    return [challenger - champion for champion, challenger in found.values()]


def _rated(lines: Sequence[Line]) -> list[float]:
    """The k-th client of the canary against the k-th of the champion, each by the first thing that it said: clients are
    divided by chance and speak independently, their further ratings do not."""
    first: dict[tuple[bool, str], bool] = {}
    for line in lines:
        if line.kind == "rated" and line.client:
            first.setdefault((line.canary, line.client), line.good)
    sides = [[good for (canary, _), good in first.items() if canary is side] for side in (True, False)]
    return [float(canary) - float(champion) for canary, champion in zip(*sides, strict=False)]


def _quality(source: str, differences: list[float], margin: float) -> Quality:
    return Quality(
        source=source,
        pairs=len(differences),
        wins=sum(d > 0 for d in differences),
        losses=sum(d < 0 for d in differences),
        worse=bet([-d for d in differences]),
        no_worse=bet(differences, above=-margin),
    )


def _kinds(sides: Iterable[Side]) -> dict[str, int]:
    found: dict[str, int] = {}
    for side in sides:
        if side.failed:
            found[side.failed] = found.get(side.failed, 0) + 1
    return dict(sorted(found.items()))


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _days(lines: Sequence[Line]) -> float:
    """A clock that was set back counts for nothing."""
    moments = [datetime.fromisoformat(line.at).timestamp() for line in lines]
    return max(0.0, max(moments) - min(moments)) / 86_400 if moments else 0.0
