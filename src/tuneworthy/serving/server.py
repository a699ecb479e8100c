"""The running gateway: follows the deployment log, loads releases, passes them through the gate, answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from tuneworthy.errors import GateRefused, TuneworthyError
from tuneworthy.project import Project
from tuneworthy.release.fingerprint import Check
from tuneworthy.serving import deployments, gate, keys, patience
from tuneworthy.serving.beside import Beside, Told
from tuneworthy.serving.deployments import Entry
from tuneworthy.serving.engines import EngineAway, EngineChoice
from tuneworthy.serving.gateway import Gateway, Limits
from tuneworthy.serving.loading import Loading
from tuneworthy.serving.split import open_split
from tuneworthy.watch import otel
from tuneworthy.watch.traces import Keeping, Traces

MEND_EVERY = 1.0
"""seconds between looks at an engine that is away"""
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
    engine: EngineChoice = field(default_factory=EngineChoice)
    admin_port: int = 0
    """metrics and health on this machine only; 0 = on the port of clients, where only this machine reaches it"""
    _seen: tuple[int, int] = (-1, -1)
    _uvicorn: uvicorn.Server | None = None

    def __post_init__(self) -> None:
        spans = otel.from_environment(self.project.usecase.privacy)
        self.traces = Traces(self.project, self.keeping, self.tell, spans=spans)
        self.gateway = Gateway(keys.KeyFile(self.project.keys_file).current, self.limits, traces=self.traces)
        host = "127.0.0.1" if self.host in ("0.0.0.0", "localhost") else self.host
        url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        self.loading = Loading(self.project, self.engine, self.gateway, url)

    def run(self) -> None:
        """Serve until stopped; requests that are open are answered first.

        Raises:
            GateRefused: reachable from elsewhere without keys. ProjectBusy: another gateway serves this folder.
        """
        known = keys.read(self.project.keys_file)
        _require_keys(self.host, known)
        self.gateway.keys_wanted = not is_loopback(self.host) or self.project.keys_file.exists()
        if self.gateway.keys_wanted and not known.keys:
            self.tell(f"no key is left, so nobody gets in: make one (--new-key), or remove {self.project.keys_file}")
        with self.project.serving():
            settings = uvicorn.Config(
                self.gateway.app(self._lifespan, metrics=not self.admin_port and is_loopback(self.host)),
                host=self.host,
                port=self.port,
                log_config=None,  # uvicorn's own closes other libraries' handlers, and the streams behind them
                log_level="warning",
                access_log=False,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=30,
                server_header=False,
                http=patience.protocol(self.limits.head_seconds),
            )
            self._uvicorn = uvicorn.Server(settings)
            self._uvicorn.run()

    def stop(self) -> None:
        """Take no more requests, answer the open ones, and end."""
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True

    @property
    def _stopping(self) -> bool:
        return self._uvicorn is not None and self._uvicorn.should_exit

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self.traces.start()
        works = [
            self._ever(LOOK_EVERY, self._follow),
            self._ever(self.heartbeat, self._beat),
            self._ever(MEND_EVERY, self._mend),
            *([self._admin()] if self.admin_port else []),
        ]
        watching = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            for beside in list(self.gateway.besides.values()):
                self._let_go(beside)
            for task in watching:
                task.cancel()
            for ended in await asyncio.gather(*watching, return_exceptions=True):
                if isinstance(ended, Exception):
                    self.tell(f"{type(ended).__name__}: {ended}")
            try:
                await asyncio.to_thread(self.loading.close)
            finally:
                await asyncio.to_thread(self.traces.stop)

    async def _admin(self) -> None:
        """Metrics and health on a port of their own."""
        settings = uvicorn.Config(
            self.gateway.admin(), host="127.0.0.1", port=self.admin_port, log_config=None, access_log=False
        )
        server = _Beside(settings)
        serving = asyncio.create_task(server.serve())
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = server.force_exit = True
            await serving

    async def _ever(self, seconds: float, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step again and again. What goes wrong, foreseen or not, is told (once while it stays the same), and
        serving goes on with what is live."""
        told = ""
        while True:
            await asyncio.sleep(0)  # the socket is bound when startup is done; the gate asks through it
            try:
                await step()
                told = ""
            except Exception as error:
                said = str(error) if isinstance(error, TuneworthyError) else f"{type(error).__name__}: {error}"
                if said != told:
                    self.tell(told := said)
            await asyncio.sleep(seconds)

    async def _follow(self) -> None:
        """Work off wishes in the deployment log, now and whenever it grows."""
        if (now := _state(self.project.deployments_file)) == self._seen:
            return
        self._seen = now
        try:
            await self._catch_up()
        except EngineAway:  # a wish is not refused for it: it is worked off when the engine is there
            self._seen = (-1, -1)
            await asyncio.sleep(MEND_EVERY)
            raise

    async def _beat(self) -> None:
        """What is live has to go on behaving as recorded; otherwise the release before takes over at once."""
        for alias, name in list(self.gateway.routes.items()):
            checks = await self.loading.looked_at(name)
            if (reason := gate.refused(checks)) and self.gateway.routes.get(alias) == name:
                self._take_out(alias, name, f"heartbeat: {reason}", checks)
        for beside in list(self.gateway.besides.values()):
            checks = await self.loading.looked_at(beside.entry.release)
            if (reason := gate.refused(checks)) and not beside.over:
                self._end_challenger(beside, "refused", f"heartbeat: {reason}", checks)

    async def _mend(self) -> None:
        """A lane whose engine was away answers again once the engine does, and only if it behaves as recorded: one that
        was started again may have lost its adapter."""
        for name, lane in list(self.gateway.lanes.items()):
            if not lane.down:
                continue
            try:
                checks = await asyncio.to_thread(self.loading.again, lane)
            except TuneworthyError:
                continue
            if reason := gate.refused(checks):
                for alias in [alias for alias, live in self.gateway.routes.items() if live == name]:
                    self._take_out(alias, name, f"after its engine was away: {reason}", checks)
                for beside in [b for b in self.gateway.besides.values() if b.entry.release == name]:
                    self._end_challenger(beside, "refused", f"after its engine was away: {reason}", checks)
            else:
                lane.up()
                self.tell(f"{name} answers again")

    def _take_out(self, alias: str, name: str, why: str, checks: Sequence[Check]) -> None:
        """Out first, written down then: a full disk or a damaged log must not keep a bad release in."""
        before = None
        with suppress(TuneworthyError):
            before = deployments.live([e for e in deployments.read(self.project) if e.release != name]).get(alias)
        found = before if before in self.gateway.lanes else None
        if found is None:
            self.gateway.close(alias)
        else:
            self.gateway.route(alias, found)
        if beside := self.gateway.besides.get(alias):
            self._let_go(beside)
        taken = Entry(alias=alias, action="live", release=name)
        self._log(taken, "refused", why, checks)
        if found is not None:
            self._log(taken.model_copy(update={"release": found}), "live", f"{name} was taken out: {why}")

    async def _catch_up(self) -> None:
        for alias, wish in deployments.wanted(deployments.read(self.project)).items():
            if self.gateway.routes.get(alias) != wish.release:
                await self._deploy(wish)
        for alias in set(self.gateway.routes) - set(deployments.wanted(deployments.read(self.project))):
            self.gateway.close(alias)
        await self._follow_challengers(deployments.challengers(deployments.read(self.project)))
        self._forget(deployments.read(self.project))

    async def _deploy(self, wish: Entry) -> None:
        """Load, gate, flip; or refuse and stay."""
        alias, name = wish.alias, wish.release
        checks = await (self.loading.injected(wish) if wish.action == "injected" else self.loading.gated(name))
        if reason := gate.refused(checks):
            self._drop(name)
            if self._stopping:  # the gate could not ask to its end: the wish is worked off at the next start
                return
            deployments.write(self.project, alias, "refused", name, why=reason, checks=checks)
            self.tell(f"{alias}: {name} is refused: {reason}")
            return
        if beside := self.gateway.besides.get(alias):  # it was compared with what is live no more
            self._let_go(beside)
        self.gateway.route(alias, name)
        if wish.action != "live":  # else it was live when the gateway stopped
            deployments.write(self.project, alias, "live", name, why=wish.why, checks=checks)
        self.tell(f"{alias}: {name} is live")

    def _drop(self, name: str) -> None:
        """Unload what was refused, unless something else is answered by it."""
        used = [*self.gateway.routes.values(), *(b.entry.release for b in self.gateway.besides.values())]
        if name not in used:
            self.gateway.lanes.pop(name, None)

    # --- challengers ---

    async def _follow_challengers(self, wishes: Mapping[str, Entry]) -> None:
        for alias, beside in list(self.gateway.besides.items()):
            if alias not in wishes:
                self._let_go(beside)
        for alias, wish in wishes.items():
            running = self.gateway.besides.get(alias)
            if running is None or _differs(running.entry, wish):
                await self._set_beside(wish)

    async def _set_beside(self, wish: Entry) -> None:
        """Gate a challenger and let it run beside what is live."""
        alias, name = wish.alias, wish.release
        champion = self.gateway.routes.get(alias)
        checks = await self.loading.gated(name) if champion not in (None, name) else []
        reason = gate.refused(checks)
        if champion is None:
            reason = f"nothing is live under {alias!r} that it could be compared with"
        elif champion == name:
            reason = "it is what is live"
        if reason:
            self._drop(name)
            if self._stopping:
                return
            deployments.write(
                self.project, alias, "refused", name, why=reason, checks=checks, mode=wish.mode, share=wish.share
            )
            self.tell(f"{alias}: {name} is refused as {wish.mode}: {reason}")
            return
        if before := self.gateway.besides.get(alias):
            self._let_go(before)
        self.gateway.besides[alias] = self._beside(wish, str(champion))
        if wish.action != "live":
            deployments.write(
                self.project, alias, "live", name, why=wish.why, checks=checks, mode=wish.mode, share=wish.share
            )
        self.tell(f"{alias}: {name} runs as {wish.mode} ({wish.share:.0%})")

    def _beside(self, wish: Entry, champion: str) -> Beside:
        lane = self.gateway.lanes[wish.release]
        return Beside(
            entry=wish,
            champion=self.gateway.lanes[champion],
            challenger=lane,
            split=open_split(self.project.split_file),
            file=self.project.pairs_file(wish.release, champion),
            told=Told(
                take_out=lambda why: self._end_challenger(self.gateway.besides.get(wish.alias), "refused", why),
                enough=lambda why: self._log(wish, "enough", why),
                count=lambda outcome: self.gateway.copied(wish.alias, outcome),
            ),
            offline=lane.offline,
        )

    def _end_challenger(
        self, beside: Beside | None, action: deployments.Action, why: str, checks: Sequence[Check] = ()
    ) -> None:
        """Out first, written down then: no further client gets its answers, whatever the disk says."""
        if beside is None or beside.over:
            return
        self._let_go(beside)
        self._log(beside.entry, action, why, checks)

    def _let_go(self, beside: Beside) -> None:
        beside.stop()
        if self.gateway.besides.get(beside.entry.alias) is beside:
            del self.gateway.besides[beside.entry.alias]

    def _log(self, entry: Entry, action: deployments.Action, why: str, checks: Sequence[Check] = ()) -> None:
        try:
            deployments.write(
                self.project,
                entry.alias,
                action,
                entry.release,
                why=why,
                checks=checks,
                mode=entry.mode,
                share=entry.share,
            )
        except TuneworthyError as error:
            self.tell(str(error))
        self.tell(f"{entry.alias}: {entry.release}: {action}: {why}")

    def _forget(self, entries: tuple[deployments.Entry, ...]) -> None:
        """Unload what is neither live nor the release to roll back to."""
        lived = deployments.lived(entries)
        kept = set(self.gateway.routes.values())
        kept.update(beside.entry.release for beside in self.gateway.besides.values())
        kept.update(name for alias in self.gateway.routes for name in lived.get(alias, [])[-KEPT:])
        for name in set(self.gateway.lanes) - kept:
            del self.gateway.lanes[name]


class _Beside(uvicorn.Server):
    """A second server in this process: signals are the first one's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _differs(running: Entry, wish: Entry) -> bool:
    return (running.release, running.mode, running.share) != (wish.release, wish.mode, wish.share)


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
