"""The workbench: a web app over one use-case folder, on this machine.

    /            where the use case stands, and the one next step
    /usecase     usecase.toml, checked while it is written
    /label       one row at a time, by keyboard; differences between people; taking over
    /rows        every example, searched and filtered
    /review      findings of the data checks; random and doubtful rows to judge
    /suite       cases, power, lock, who looked when
    /run         start the main job, watch it, stop it
    /compare     two arms case by case; blind pairs
    /verdict     the decision and the report
    /live        which release answers

Every page is made by functions that the command line calls as well. What takes long runs in threads or in a process of
its own, so that the next row to label never waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tuneworthy.errors import GateRefused, TuneworthyError
from tuneworthy.project import Project
from tuneworthy.workbench import door
from tuneworthy.workbench.door import Door, Refused
from tuneworthy.workbench.visit import Visit

if TYPE_CHECKING:
    from tuneworthy.data.decisions import Decision
    from tuneworthy.data.findings import CheckReport
    from tuneworthy.data.labelled import Desk
    from tuneworthy.workbench.rows import RowIndex
    from tuneworthy.workbench.running import Runner

Page = Callable[[Visit], Awaitable[Response]]

GET: dict[str, str] = {
    "/": "home.page",
    "/gates": "home.gates",
    "/usecase": "usecase.page",
    "/label": "label.page",
    "/label/differences": "label.differences",
    "/rows": "rows.page",
    "/review": "review.page",
    "/review/rows/{kind}": "review.finding",
    "/review/judge/{which}": "review.judge",
    "/suite": "suite.page",
    "/run": "running.page",
    "/run/events": "running.events",
    "/compare": "compare.page",
    "/blind": "blind.page",
    "/blind/result": "blind.result",
    "/verdict": "verdict.page",
    "/report": "verdict.report",
    "/live": "live.page",
}
POST: dict[str, str] = {
    "/settings": "home.settings",
    "/usecase": "usecase.save",
    "/usecase/check": "usecase.check",
    "/label": "label.put",
    "/label/undo": "label.undo",
    "/label/check": "label.check",
    "/label/decide": "label.decide",
    "/label/take": "label.take",
    "/review/check": "review.check",
    "/review/drop": "review.drop",
    "/review/undo": "review.undo",
    "/review/judge/{which}": "review.put",
    "/review/fix": "review.repair",
    "/suite/build": "suite.build",
    "/suite/lock": "suite.lock",
    "/run/start": "running.start",
    "/run/stop": "running.stop",
    "/blind/start": "blind.start",
    "/blind": "blind.vote",
    "/live/rollback": "live.rollback",
}
"""address → module of this room and its function; loaded when it is first asked for, since some need torch"""
STATIC = {"workbench.css": "text/css", "workbench.js": "text/javascript"}


@dataclass
class Workbench:
    """What the pages share."""

    project: Project
    port: int
    door: Door = field(init=False)
    findings: CheckReport | None = None
    """of the last look at the data"""
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """held by whoever changes more than one file"""

    def __post_init__(self) -> None:
        self.door = Door(door.names_of(self.port))

    @cached_property
    def desk(self) -> Desk:
        """The labelling queue."""
        from tuneworthy.data.labelled import Desk

        return Desk(self.project)

    @cached_property
    def index(self) -> RowIndex:
        """The examples, to be searched."""
        from tuneworthy.workbench.rows import RowIndex

        return RowIndex(self.project)

    @cached_property
    def runner(self) -> Runner:
        """The main job in a process of its own."""
        from tuneworthy.workbench.running import Runner

        return Runner(self.project)

    def decisions(self) -> tuple[Decision, ...]:
        """The last decisions about rows, newest first."""
        from tuneworthy.data import decisions

        return decisions.read(self.project.decisions_file)[:-21:-1]

    def reload(self) -> None:
        """Read usecase.toml again after it was written. What was read before may not fit any more."""
        self.project = Project(self.project.folder)
        for name in ("desk", "index", "runner"):
            self.__dict__.pop(name, None)

    def app(self) -> Starlette:
        """The web application."""
        routes = [Route(path, self._answer(name), methods=["GET"]) for path, name in GET.items()]
        routes += [Route(path, self._answer(name), methods=["POST"]) for path, name in POST.items()]
        routes += [Route(f"/static/{name}", self._static(name, kind)) for name, kind in STATIC.items()]
        return Starlette(routes=routes)

    def link(self) -> str:
        """A link that opens one browser."""
        return f"http://127.0.0.1:{self.port}/?token={self.door.invite()}"

    def _answer(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            visit = Visit(self, request)
            try:
                welcome = self.door.welcome(request)
                if welcome is None:
                    self.door.check(request)
                    response = await self._page(name, visit)
                else:
                    response = welcome
            except Refused as error:
                response = door.refusal(error)
            except ClientDisconnect:
                response = Response(status_code=400)
            for header, value in door.HEADERS.items():
                response.headers.setdefault(header, value)
            return response

        return answer

    async def _page(self, name: str, visit: Visit) -> Response:
        module, function = name.split(".")
        page: Page = getattr(import_module(f"tuneworthy.workbench.{module}"), function)
        try:
            return await page(visit)
        except TuneworthyError as error:
            return visit.problem(error)

    def _static(self, name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
        content = files("tuneworthy.workbench").joinpath("static", name).read_bytes()

        async def answer(request: Request) -> Response:
            headers = {**door.HEADERS, "cache-control": "private, max-age=60"}
            return Response(content, media_type=kind, headers=headers)

        return answer


def serve(folder: Path, *, port: int, tell: Callable[[str], None]) -> None:
    """Answer until stopped. `tell` gets the link that opens the first browser.

    Raises:
        UseCaseError: there is no valid usecase.toml in the folder.
        GateRefused: the port is taken.
    """
    from tuneworthy.project import open_project

    bench = Workbench(open_project(folder), port)
    settings = uvicorn.Config(
        bench.app(),
        host="127.0.0.1",
        port=port,
        log_config=None,  # uvicorn's own configuration closes other libraries' handlers, and the streams behind them
        log_level="error",
        access_log=False,
        timeout_graceful_shutdown=2,
        server_header=False,
    )
    tell(bench.link())
    try:
        uvicorn.Server(settings).run()
    except SystemExit:
        raise GateRefused(
            f"port {port} is taken", why="another program listens there", next="choose another: --port"
        ) from None
