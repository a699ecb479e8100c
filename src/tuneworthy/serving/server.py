"""The running gateway: follows the deployment log, loads releases, passes them through the gate, answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette

from tuneworthy.errors import GateRefused, ModelError, TuneworthyError
from tuneworthy.models.open import open_model
from tuneworthy.project import Project
from tuneworthy.records import Input
from tuneworthy.release import package
from tuneworthy.release.fingerprint import Check
from tuneworthy.release.package import Release
from tuneworthy.seams import Model
from tuneworthy.serving import deployments, gate, keys
from tuneworthy.serving.gateway import GATE_HEADER, Gateway, Limits
from tuneworthy.serving.lane import Lane
from tuneworthy.watch.traces import Keeping, Traces

LOOK_EVERY = 0.25
"""seconds between looks at the deployment log"""
KEPT = 2
"""releases of an alias that stay loaded: the live one, and the one to roll back to"""

Tell = Callable[[str], None]


@dataclass
class Server:
    """One gateway for one use case."""

    project: Project
    host: str
    port: int
    tell: Tell
    limits: Limits
    heartbeat: float = 60.0
    """seconds between looks at whether what is live still behaves as recorded"""
    keeping: Keeping = field(default_factory=Keeping)
    """what is kept of answers"""
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "answers"))
    _models: dict[str, Model] = field(default_factory=dict)
    """digest → base model: releases on one base share it"""
    _seen: tuple[int, int] = (-1, -1)
    _uvicorn: uvicorn.Server | None = None

    def __post_init__(self) -> None:
        self.traces = Traces(self.project, self.keeping, self.tell)
        self.gateway = Gateway(keys.KeyFile(self.project.keys_file).current, self.limits, traces=self.traces)

    def run(self) -> None:
        """Serve until stopped; requests that are open are answered first.

        Raises:
            GateRefused: reachable from elsewhere without keys. ProjectBusy: another gateway serves this folder.
        """
        _require_keys(self.host, keys.read(self.project.keys_file))
        with self.project.serving():
            settings = uvicorn.Config(
                self.gateway.app(self._lifespan),
                host=self.host,
                port=self.port,
                log_level="warning",
                access_log=False,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=30,
                server_header=False,
            )
            self._uvicorn = uvicorn.Server(settings)
            self._uvicorn.run()

    def stop(self) -> None:
        """Take no more requests, answer the open ones, and end."""
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self.traces.start()
        watching = [asyncio.create_task(work) for work in (self._follow(), self._beat())]
        try:
            yield
        finally:
            for task in watching:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            self._thread.shutdown(wait=False, cancel_futures=True)
            await asyncio.to_thread(self.traces.stop)

    async def _follow(self) -> None:
        """Work off wishes in the deployment log, now and whenever it grows."""
        await asyncio.sleep(0)  # the socket is bound when startup is done; the gate asks through it
        while True:
            try:
                if (now := _state(self.project.deployments_file)) != self._seen:
                    self._seen = now
                    await self._catch_up()
            except TuneworthyError as error:  # serving goes on with what is live
                self.tell(str(error))
            await asyncio.sleep(LOOK_EVERY)

    async def _beat(self) -> None:
        """What is live has to go on behaving as recorded; otherwise the release before takes over at once."""
        while True:
            await asyncio.sleep(self.heartbeat)
            for alias, name in list(self.gateway.routes.items()):
                try:
                    checks = await asyncio.get_running_loop().run_in_executor(self._thread, self._fingerprint, name)
                except TuneworthyError as error:
                    checks = [Check(what="heartbeat", state="failed", found=str(error).splitlines()[0])]
                if (reason := gate.refused(checks)) and self.gateway.routes.get(alias) == name:
                    self._take_out(alias, name, f"heartbeat: {reason}", checks)

    def _take_out(self, alias: str, name: str, why: str, checks: Sequence[Check]) -> None:
        before = deployments.live([e for e in deployments.read(self.project) if e.release != name]).get(alias)
        deployments.write(self.project, alias, "refused", name, why=why, checks=checks)
        if before in self.gateway.lanes:
            self.gateway.route(alias, str(before))
            deployments.write(self.project, alias, "live", str(before), why=f"{name} was taken out: {why}")
        else:
            self.gateway.close(alias)
        self.tell(f"{alias}: {name} is taken out: {why}")

    async def _catch_up(self) -> None:
        entries = deployments.read(self.project)
        for alias, wish in deployments.wanted(entries).items():
            if self.gateway.routes.get(alias) != wish.release:
                await self._deploy(alias, wish.release, wish.why, known=wish.action == "live")
        self._forget(entries)

    async def _deploy(self, alias: str, name: str, why: str, *, known: bool) -> None:
        """Load, gate, flip; or refuse and stay. `known`: it was live when the gateway stopped."""
        loop = asyncio.get_running_loop()
        checks: list[Check] = []
        try:
            release = package.find(self.project, name)
            if name in self.gateway.lanes:  # passed before, and still in memory: the flip is all there is to do
                checks = list(await loop.run_in_executor(self._thread, self._fingerprint, name))
            else:
                checks = await loop.run_in_executor(self._thread, self._load, release)
                if not gate.refused(checks):
                    async with self._client(name) as ask:
                        checks.append(await gate.through_endpoint(release, ask))
            reason = gate.refused(checks)
        except (TuneworthyError, httpx.HTTPError) as error:
            reason = str(error).splitlines()[0]
            checks.append(Check(what="loading", state="failed", found=reason))
        if reason:
            if name not in self.gateway.routes.values():
                self.gateway.lanes.pop(name, None)
            deployments.write(self.project, alias, "refused", name, why=reason, checks=checks)
            self.tell(f"{alias}: {name} is refused: {reason}")
            return
        self.gateway.route(alias, name)
        if not known:
            deployments.write(self.project, alias, "live", name, why=why, checks=checks)
        self.tell(f"{alias}: {name} is live")

    def _load(self, release: Release) -> list[Check]:
        """Files, weights, fingerprint; in the thread that answers, since torch work there would wait anyway."""
        model = self._model(release)
        checks = gate.before_loading(release, getattr(model, "folder", None))
        if gate.refused(checks):
            return checks
        answerer = release.answerer(model)
        checks += gate.after_loading(release, answerer)
        self.gateway.lanes[release.name] = Lane(release, answerer, self._thread, self.limits.waiting)
        return checks

    def _fingerprint(self, name: str) -> list[Check]:
        lane = self.gateway.lanes[name]
        return gate.after_loading(lane.release, lane.answerer)

    def _model(self, release: Release) -> Model:
        wanted = release.manifest.base.identity
        if wanted not in self._models:
            model = open_model(release.usecase, self.project.folder)
            if model.digest != wanted:
                raise ModelError(
                    f"the base model here is another one than {release.name} was measured with",
                    next="put the base model of the manifest in its place",
                )
            self._models[wanted] = model
        return self._models[wanted]

    @asynccontextmanager
    async def _client(self, name: str) -> AsyncIterator[gate.Ask]:
        """Asks this gateway through its socket, as a client does."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "localhost") else self.host
        url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}/v1/chat/completions"

        headers = {GATE_HEADER: self.gateway.gate_secret}
        async with httpx.AsyncClient(timeout=self.limits.seconds, trust_env=False, headers=headers) as client:

            async def ask(row: Input) -> str:
                body = {"model": name, "messages": [{"role": "user", "content": json.dumps(dict(row))}]}
                reply = await client.post(url, json=body)
                reply.raise_for_status()
                return str(reply.json()["choices"][0]["message"]["content"])

            yield ask

    def _forget(self, entries: tuple[deployments.Entry, ...]) -> None:
        """Unload what is neither live nor the release to roll back to."""
        lived = deployments.lived(entries)
        kept = set(self.gateway.routes.values())
        kept.update(name for alias in self.gateway.routes for name in lived.get(alias, [])[-KEPT:])
        for name in set(self.gateway.lanes) - kept:
            del self.gateway.lanes[name]


def is_loopback(host: str) -> bool:
    """Only this machine can reach it."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _require_keys(host: str, known: keys.Keys) -> None:
    if not is_loopback(host) and not known.keys:
        raise GateRefused(
            f"{host} can be reached from other machines, and the gateway has no keys",
            why="anybody could ask it",
            next="run: tuneworthy serve --new-key NAME",
        )


def _state(file: Path) -> tuple[int, int]:
    """Changes when the log grows."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return (0, 0)
    return (found.st_size, found.st_mtime_ns)
