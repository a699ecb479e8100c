"""A loaded release that answers requests. In this process those that wait together are asked together, as one batch,
by one thread for all lanes: releases on one base share its weights and take turns. An engine elsewhere is asked many
single requests at a time, as it batches them itself and one that hangs must not hold up the others.

A lane that fails several times in a row is down: it refuses at once, until whoever looks after it has seen it answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tuneworthy.answering import Answerer
from tuneworthy.records import Answer, Input
from tuneworthy.release.package import Release

BATCH = 32
AWAY = ("timeout", "transport")
DOWN_AFTER = 3
"""failures in a row"""


class LaneFull(Exception):
    """Too many requests wait already."""


class LaneDown(Exception):
    """What answers is away."""


@dataclass
class _Waiting:
    row: Input
    answer: asyncio.Future[Answer]


@dataclass
class Lane:
    """One release, loaded."""

    release: Release
    answerer: Answerer
    thread: ThreadPoolExecutor
    room: int
    """requests that may wait or be answered at once; further ones are refused, so that nobody waits for ever"""
    offline: float = 0.0
    """share of its answers on the suite that no client should get (guardrails.failure)"""
    at_once: int = 1
    """requests that are asked at a time, one by one; 1 = a batch of those that wait"""
    down: str = ""
    """why nothing is asked any more"""
    _failures: int = 0
    _queue: asyncio.Queue[_Waiting] = field(default_factory=asyncio.Queue)
    _open: int = 0
    _workers: list[asyncio.Task[None]] = field(default_factory=list)

    async def answer(self, row: Input) -> Answer:
        """One answer.

        Raises:
            LaneFull: no room to wait. LaneDown: nobody would answer.
        """
        if self.down:
            raise LaneDown(self.down)
        if self._open >= self.room:
            raise LaneFull
        if not self._workers:
            self._workers = [asyncio.create_task(self._work()) for _ in range(self.at_once)]
        waiting = _Waiting(row, asyncio.get_running_loop().create_future())
        self._open += 1
        try:
            self._queue.put_nowait(waiting)
            return await waiting.answer
        finally:
            self._open -= 1

    @property
    def elsewhere(self) -> bool:
        """It runs on an engine elsewhere, which can be away without the release being at fault."""
        return self.at_once > 1

    @property
    def busy(self) -> bool:
        """Somebody waits for an answer."""
        return self._open > 0

    def up(self) -> None:
        """It answers again."""
        self.down, self._failures = "", 0

    async def _work(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while not self.elsewhere and len(batch) < BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            batch = [waiting for waiting in batch if not waiting.answer.done()]  # whoever gave up is not asked for
            if batch:
                await self._ask(batch)

    async def _ask(self, batch: Sequence[_Waiting]) -> None:
        loop = asyncio.get_running_loop()
        rows = [waiting.row for waiting in batch]
        try:
            answers = await loop.run_in_executor(self.thread, self.answerer.answer, rows)
        except Exception as error:  # one bad batch must not end the lane; each of its askers is told
            answers = [Answer(finish="error", error="transport", detail=f"{type(error).__name__}: {error}")] * len(rows)
        for answer in answers:
            self._failures = self._failures + 1 if answer.error in AWAY else 0
            if self._failures >= DOWN_AFTER and self.elsewhere:
                self.down = f"{self._failures} failures in a row, the last one: {answer.error}"
        for waiting, answer in zip(batch, answers, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(answer)
