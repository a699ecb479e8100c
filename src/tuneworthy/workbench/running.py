"""Run: start the main job, watch arms fill in, stop it. It goes on when the tab or the server is closed."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response, StreamingResponse

from tuneworthy.errors import ProjectBusy
from tuneworthy.project import Project
from tuneworthy.workbench.visit import Visit

LOOK_EVERY = 0.25
"""seconds between looks at the file of events"""
START_WITHIN = 20.0
"""seconds in which the process has to be up"""


@dataclass
class Runner:
    """The run of one project, whoever started it."""

    project: Project
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def running(self) -> bool:
        """Whether a run that was started in a browser is under way."""
        if self._child is not None and self._child.poll() is None:
            return True
        try:
            with self.project.live_file.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def start(self, *, everything: bool) -> None:
        """Start a run in a process of its own. Raises ProjectBusy where one is under way."""
        if self.running:
            raise ProjectBusy("a run is under way", next="watch it, or stop it first")
        self.project.live_file.unlink(missing_ok=True)  # what an earlier run told is not this one's
        options = ["--all"] if everything else []
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tuneworthy.workbench.child", str(self.project.folder), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def stop(self) -> None:
        """Ask the run to end, as Ctrl-C does. What was finished is kept."""
        pid = self._child.pid if self._child is not None and self._child.poll() is None else self._owner()
        if pid:
            os.kill(pid, signal.SIGINT)

    def since(self, start: int) -> list[tuple[int, dict[str, Any]]]:
        """(byte after it, event) from a byte on; whole lines only."""
        try:
            with self.project.live_file.open("rb") as file:
                file.seek(start)
                raw = file.read()
        except FileNotFoundError:
            return []
        found, at = [], start
        for line in raw[: raw.rfind(b"\n") + 1].splitlines(keepends=True):
            at += len(line)
            found.append((at, json.loads(line)))
        return found

    async def follow(self, start: int) -> AsyncIterator[tuple[int, dict[str, Any]]]:
        """Events from a byte on, as they come, until the run has ended."""
        size = self.project.live_file.stat().st_size if self.project.live_file.exists() else 0
        at = start if start <= size else 0  # another run began in the meantime
        while True:
            running = self.running
            for after, event in self.since(at):
                at = after
                yield after, event
                if event["what"] == "end":
                    return
            if not running:
                return
            await asyncio.sleep(LOOK_EVERY)

    def _owner(self) -> int | None:
        """The process that works on the folder, as its lock names it."""
        if not self.running:
            return None
        try:
            owner = json.loads((self.project.store / "lock").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return owner["pid"] if owner.get("doing") == "run" and isinstance(owner.get("pid"), int) else None


async def page(visit: Visit) -> Response:
    """The levers as they stand, and what can be done."""
    runner = visit.bench.runner
    board = Board()
    for _, event in runner.since(0):
        board.add(event)
    # a process that has told its end may take a moment to go: its page must not wait for more and reload
    running = board.table["ended"] is None and runner.running
    return visit.page("run.html", running=running, board=board.table)


async def start(visit: Visit) -> Response:
    """Start the main job."""
    form = await visit.form()
    visit.bench.runner.start(everything=form.get("everything") == "1")
    waited = 0.0
    while waited < START_WITHIN and visit.bench.runner.running and not visit.bench.runner.since(0):
        await asyncio.sleep(LOOK_EVERY)
        waited += LOOK_EVERY
    return visit.go("/run")


async def stop(visit: Visit) -> Response:
    """Ask it to end."""
    await visit.form()
    visit.bench.runner.stop()
    return visit.go("/run", visit.say("Stopping: what is finished is kept."))


async def events(visit: Visit) -> Response:
    """Server-sent events; a browser that comes back gets what it missed."""
    last = visit.request.headers.get("last-event-id", "")
    begin = int(last) if last.isascii() and last.isdigit() else 0

    async def stream() -> AsyncIterator[str]:
        board = Board()
        for at, event in visit.bench.runner.since(0):
            if at <= begin:
                board.add(event)
        async for at, event in visit.bench.runner.follow(begin):
            board.add(event)
            yield f"id: {at}\nevent: board\ndata: {json.dumps(board.table, ensure_ascii=False)}\n\n"
        yield "event: done\ndata: {}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


class Board:
    """The events as a table: what each lever is doing, what each arm scored, and how it ended."""

    def __init__(self) -> None:
        self._levers: dict[str, dict[str, Any]] = {}
        self._doing = ""
        self._ended: dict[str, str] | None = None

    def add(self, event: dict[str, Any]) -> None:
        """One more event."""
        match event["what"]:
            case "lever":
                self._lever(event["name"]).update(state=event["state"], text=event["text"])
            case "arm":
                self._lever(event["name"]).update({key: event[key] for key in ("n", "score", "difference")})
            case "step":
                far = f" {event['done']}/{event['total']}" if event["total"] > 1 else ""
                self._doing = f"{event['text']}{far}"
            case "end":
                self._ended = {"error": event.get("error", ""), "decision": event.get("decision", "")}
                self._doing = ""

    @property
    def table(self) -> dict[str, Any]:
        """As the page shows it."""
        return {"levers": list(self._levers.values()), "doing": self._doing, "ended": self._ended}

    def _lever(self, name: str) -> dict[str, Any]:
        empty = {"name": name, "state": "", "text": "", "n": None, "score": None, "difference": None}
        return self._levers.setdefault(name, empty)
