"""A loaded release that answers requests in batches: those that wait together are asked together.

One thread asks, whatever the number of lanes: releases on one base share its weights and take turns.
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


class LaneFull(Exception):
    """Too many requests wait already."""


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
    _queue: asyncio.Queue[_Waiting] = field(default_factory=asyncio.Queue)
    _open: int = 0
    _worker: asyncio.Task[None] | None = None

    async def answer(self, row: Input) -> Answer:
        """One answer.

        Raises:
            LaneFull: no room to wait.
        """
        if self._open >= self.room:
            raise LaneFull
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._work())
        waiting = _Waiting(row, asyncio.get_running_loop().create_future())
        self._open += 1
        try:
            self._queue.put_nowait(waiting)
            return await waiting.answer
        finally:
            self._open -= 1

    @property
    def busy(self) -> bool:
        """Somebody waits for an answer."""
        return self._open > 0

    async def _work(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < BATCH and not self._queue.empty():
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
        for waiting, answer in zip(batch, answers, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(answer)
