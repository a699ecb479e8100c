"""A challenger beside the champion: it answers a share of the clients (canary), or copies that nobody sees (shadow).

The other side answers a copy of each request that counts, so that both are seen on the same requests. Copies wait
until nobody waits for a real answer, and are left out where they would pile up. Texts stay in memory, for the newest
requests only, until a person says what would have been right; files hold numbers.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from tuneworthy.errors import TuneworthyError
from tuneworthy.records import Answer, Case, Input
from tuneworthy.scorers.judge import Judge
from tuneworthy.scorers.open import open_scorers
from tuneworthy.scorers.reading import normal
from tuneworthy.serving import pairs
from tuneworthy.serving.deployments import Entry
from tuneworthy.serving.guardrails import Guard, failure
from tuneworthy.serving.lane import Lane, LaneDown, LaneFull
from tuneworthy.serving.pairs import Line, Side
from tuneworthy.serving.split import Split

COPIES = 64
"""copies that may wait"""
REMEMBERED = 2000
"""requests whose answers are kept in memory until feedback comes"""
IDLE = 0.005
"""seconds between looks at whether anybody waits"""


@dataclass(frozen=True)
class Told:
    """Called by a challenger; the gateway acts on it."""

    take_out: Callable[[str], None]
    """a reason to take it out at once"""
    enough: Callable[[str], None]
    """it was shown to be no worse"""
    count: Callable[[str], None]
    """what became of a copy: same, different, failed, left out"""


@dataclass
class _Seen:
    """One request that a client was answered."""

    number: str
    client: str
    row: Input
    canary: bool
    shown: Answer
    seconds: float
    other: Answer | None = None

    @property
    def sides(self) -> tuple[Answer, Answer] | None:
        """(champion's, challenger's) answer; None while the copy is not answered."""
        if self.other is None:
            return None
        return (self.other, self.shown) if self.canary else (self.shown, self.other)


@dataclass
class Beside:
    """What runs beside the release that is live under one alias."""

    entry: Entry
    champion: Lane
    challenger: Lane
    split: Split
    file: Path
    told: Told
    offline: float = 0.0
    """share of the challenger's answers on the suite that no client should get"""
    over: bool = False
    """it was taken out; requests under way are still answered"""
    _copies: asyncio.Queue[_Seen] = field(default_factory=lambda: asyncio.Queue(COPIES))
    _seen: OrderedDict[str, _Seen] = field(default_factory=OrderedDict)
    _draw: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self.guard = Guard(offline=self.offline)
        self._usecase = self.challenger.release.usecase
        self._writer = ThreadPoolExecutor(1, "pairs")
        self._judged = pairs.read(self.file, kind="rated") if self.entry.mode == "canary" else []
        self._told_enough = False
        self._work = asyncio.get_running_loop().create_task(self._answer_copies())

    def takes(self, client: str) -> bool:
        """Does the challenger answer this client? `client`: see `split.client_of`."""
        if self.over or self.entry.mode != "canary" or not client:
            return False
        return self.split.place(self.entry.alias, self.entry.release, client) < self.entry.share

    def answered(self, number: str, client: str, row: Input, answer: Answer, seconds: float, *, canary: bool) -> None:
        """A client was answered: count it, and let the other side answer a copy. Takes no time."""
        if self.over:
            return
        who = self.split.alias_of(client) if client else ""
        seen = _Seen(number, who, row, canary, answer, seconds)
        if canary:
            reason = self.guard.canary(failure(answer, self._usecase), seconds)
            if reason:
                self.told.take_out(reason)
                return
        elif answer.error is None:
            self.guard.champion(seconds)
        self._seen[number] = seen
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        if canary if self.entry.mode == "canary" else self._draw.random() < self.entry.share:
            try:
                self._copies.put_nowait(seen)
            except asyncio.QueueFull:
                self.told.count("left out")

    def failed(self, seconds: float) -> None:
        """The canary gave no answer, and the champion stepped in."""
        if not self.over and (reason := self.guard.canary("error", seconds)):
            self.told.take_out(reason)

    def said(self, number: str, right: bool, correction: JsonValue = None) -> None:
        """A person judged an answer."""
        seen = self._seen.get(number)
        if seen is None or self.over:
            return
        if self.entry.mode == "canary" and seen.client:
            line = Line(kind="rated", at=_now(), number=number, client=seen.client, canary=seen.canary, good=right)
            self._judged.append(line)
            self._write(line)
            self._decide()
            if self.over:  # it was taken out for it: nothing more is written
                return
        if seen.sides is not None:
            self._writer.submit(self._score, seen, right, correction)

    def stop(self) -> None:
        """Take no more; what waits is left out."""
        self.over = True
        self._work.cancel()
        self._seen.clear()
        self._writer.shutdown(wait=False)

    # --- copies ---

    async def _answer_copies(self) -> None:
        while True:
            seen = await self._copies.get()
            other = self.champion if seen.canary else self.challenger
            while other.thread is self.champion.thread and (self.champion.busy or self.challenger.busy):
                await asyncio.sleep(IDLE)
            try:
                answer = await other.answer(seen.row)
            except (LaneFull, LaneDown):
                self.told.count("left out")
                continue
            seen.other = answer
            self._pair(seen)

    def _pair(self, seen: _Seen) -> None:
        if seen.sides is None:
            return
        champion, challenger = (self._side(answer, seen) for answer in seen.sides)
        both = not champion.failed and not challenger.failed
        same = both and normal(seen.sides[0].text) == normal(seen.sides[1].text)
        self.told.count("failed" if not both else "same" if same else "different")
        self._write(
            Line(kind="pair", at=_now(), number=seen.number, champion=champion, challenger=challenger, same=same)
        )

    def _side(self, answer: Answer, seen: _Seen) -> Side:
        return Side(
            failed=failure(answer, self._usecase),
            seconds=round(answer.seconds or (seen.seconds if answer is seen.shown else 0.0), 4),
            tokens=answer.tokens_out,
            chars=len(answer.text),
        )

    # --- what people say ---

    def _decide(self) -> None:
        margin = self._usecase.bar.smallest_difference
        quality = pairs.amount(self._judged, margin).rated
        counted = f"{quality.wins} wins, {quality.losses} losses in {quality.pairs} pairs of clients"
        if quality.state == "worse":
            self.told.take_out(f"clients find it worse: {counted} (evidence {quality.worse:.0f} : 1)")
        elif quality.state == "no worse" and not self._told_enough:
            self._told_enough = True
            self.told.enough(f"no worse by {margin:.0%} or more: {counted} (evidence {quality.no_worse:.0f} : 1)")

    def _score(self, seen: _Seen, right: bool, correction: JsonValue) -> None:
        """Score both answers where the right one is known now. In the thread of files."""
        expected = self._expected(seen.shown, right) if correction is None else correction
        primary, _ = open_scorers(self._usecase)
        if seen.sides is None or expected is None or isinstance(primary, Judge):
            return
        case = Case(id=seen.number, input=dict(seen.row), expected=expected)
        found = [None if a.error is not None else primary.score(case, a.text).value for a in seen.sides]
        if found[0] is not None and found[1] is not None:
            self._note(Line(kind="score", at=_now(), number=seen.number, scores=(found[0], found[1])))

    def _expected(self, shown: Answer, right: bool) -> JsonValue:
        """A right label or object is what was expected; a text may be said in many ways, so it is not."""
        if not right or self._usecase.output.kind == "text":
            return None
        if self._usecase.output.kind == "label":
            return shown.text
        with suppress(ValueError, RecursionError):
            found: JsonValue = json.loads(shown.text)
            return found
        return None

    def _write(self, line: Line) -> None:
        """A line, off the loop: nobody waits for the disk."""
        self._writer.submit(self._note, line)

    def _note(self, line: Line) -> None:
        """Where it cannot be written serving goes on; there is less evidence."""
        with suppress(TuneworthyError):
            pairs.note(self.file, line)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
