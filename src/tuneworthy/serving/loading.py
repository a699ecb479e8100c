"""Releases into memory: opened on the engine, looked at by the gate, asked through the gateway's own socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from tuneworthy import plugins
from tuneworthy.errors import ModelError, TuneworthyError
from tuneworthy.project import Project
from tuneworthy.records import Answer, Input
from tuneworthy.release import package
from tuneworthy.release.fingerprint import Check
from tuneworthy.release.package import Release
from tuneworthy.seams import Engine
from tuneworthy.serving import deployments, gate
from tuneworthy.serving.deployments import Entry
from tuneworthy.serving.engines import EngineAway, EngineChoice
from tuneworthy.serving.gateway import GATE_HEADER, Gateway
from tuneworthy.serving.guardrails import failure
from tuneworthy.serving.lane import Lane


@dataclass
class Loading:
    """One engine, and the lanes of a gateway."""

    project: Project
    choice: EngineChoice
    gateway: Gateway
    url: str
    """of the gateway itself"""
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "answers"))

    def __post_init__(self) -> None:
        self.engine: Engine = plugins.load("engines", self.choice.name)(self.choice, self.project)

    def close(self) -> None:
        """Ask nothing more; end the engine where it was started here."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self.engine.close()

    async def injected(self, wish: Entry) -> list[Check]:
        """A drill puts a bad copy past the gate, under the alias that no client can ask."""
        if wish.alias != deployments.DRILL:
            return [Check(what="drill", state="failed", found="only the alias of drills may be put past the gate")]
        try:
            release = package.find(self.project, wish.release)
            await asyncio.get_running_loop().run_in_executor(self._thread, self._open, release)
        except TuneworthyError as error:
            return [Check(what="loading", state="failed", found=str(error).splitlines()[0])]
        return [Check(what="the gate", state="not measured", found="a drill went past it")]

    async def gated(self, name: str) -> list[Check]:
        """Load a release and look at it; what is in memory passed before, so its behaviour is all there is to see."""
        loop = asyncio.get_running_loop()
        checks: list[Check] = []
        try:
            release = package.find(self.project, name)
            if name in self.gateway.lanes:
                return await loop.run_in_executor(self._thread, self._fingerprint, name)
            checks = await loop.run_in_executor(self._thread, self._load, release)
            if not gate.refused(checks):
                async with self._client(name) as ask:
                    texts = await gate.through_endpoint(release, ask)
                checks.append(gate.suite(release, texts))
                failed = sum(bool(failure(Answer(text=text), release.usecase)) for text in texts)
                self.gateway.lanes[name].offline = failed / len(texts) if texts else 0.0
        except EngineAway:
            raise
        except (TuneworthyError, httpx.HTTPError) as error:
            if not await loop.run_in_executor(None, self.engine.alive):
                raise EngineAway("the engine went away", next="start it again; the wish stays") from error
            checks.append(Check(what="loading", state="failed", found=str(error).splitlines()[0]))
        return checks

    async def looked_at(self, name: str) -> list[Check]:
        """The fingerprint of a loaded release. One that does not answer failed; but an engine elsewhere that does not
        is away, which says nothing of the release: it is waited for."""
        lane = self.gateway.lanes.get(name)
        if lane is not None and lane.down:
            return []
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._fingerprint, name)
        except TuneworthyError as error:
            if lane is not None and lane.elsewhere:
                lane.down = str(error).splitlines()[0]
                return []
            return [Check(what="heartbeat", state="failed", found=str(error).splitlines()[0])]

    def again(self, lane: Lane) -> list[Check]:
        """Ask the engine for the release anew: its adapter may have to be put in again. Raises EngineAway."""
        lane.answerer = lane.release.answerer(self.engine.open(lane.release))
        return gate.after_loading(lane.release, lane.answerer)

    def _load(self, release: Release) -> list[Check]:
        """Files, weights, fingerprint; in the thread that answers, since torch work there would wait anyway."""
        checks = gate.before_loading(release, getattr(self.engine.open(release), "folder", None))
        if not gate.refused(checks):
            self._open(release)
            checks += self._fingerprint(release.name)
        return checks

    def _open(self, release: Release) -> None:
        answerer = release.answerer(self.engine.open(release))
        at_once = getattr(answerer.model, "at_once", 1)  # an engine elsewhere; each lane then has threads of its own
        thread = ThreadPoolExecutor(at_once, release.name) if at_once > 1 else self._thread
        self.gateway.lanes[release.name] = Lane(release, answerer, thread, self.gateway.limits.waiting, at_once=at_once)

    def _fingerprint(self, name: str) -> list[Check]:
        lane = self.gateway.lanes.get(name)
        if lane is None:
            raise ModelError(f"{name} is not loaded any more", next="deploy it again")
        return gate.after_loading(lane.release, lane.answerer)

    @asynccontextmanager
    async def _client(self, name: str) -> AsyncIterator[gate.Ask]:
        """Asks this gateway through its socket, as a client does."""
        headers = {GATE_HEADER: self.gateway.gate_secret}
        async with httpx.AsyncClient(timeout=self.gateway.limits.seconds, trust_env=False, headers=headers) as client:

            async def ask(row: Input) -> str:
                body = {"model": name, "messages": [{"role": "user", "content": json.dumps(dict(row))}]}
                reply = await client.post(f"{self.url}/v1/chat/completions", json=body)
                reply.raise_for_status()
                return str(reply.json()["choices"][0]["message"]["content"])

            yield ask
