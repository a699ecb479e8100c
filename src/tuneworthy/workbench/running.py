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

    def events(self) -> list[dict[str, Any]]:
        """What the last run has told so far."""
        return [event for _, event in self._since(0)]

    def _since(self, start: int) -> list[tuple[int, dict[str, Any]]]:
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
            for after, event in self._since(at):
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
    return visit.page("run.html", running=runner.running, board=_board(runner.events()))


async def start(visit: Visit) -> Response:
    """Start the main job."""
    form = await visit.form()
    visit.bench.runner.start(everything=form.get("everything") == "1")
    waited = 0.0
    while waited < START_WITHIN and visit.bench.runner.running and not visit.bench.runner.events():
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
        seen: list[dict[str, Any]] = [event for at, event in visit.bench.runner._since(0) if at <= begin]
        async for at, event in visit.bench.runner.follow(begin):
            seen.append(event)
            yield f"id: {at}\nevent: board\ndata: {json.dumps(_board(seen), ensure_ascii=False)}\n\n"
        yield "event: done\ndata: {}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


def _board(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The events as a table: what each lever is doing, what each arm scored, and how it ended."""
    levers: dict[str, dict[str, Any]] = {}
    doing, ended = "", None
    for event in events:
        match event["what"]:
            case "lever":
                levers.setdefault(event["name"], {}).update(state=event["state"], text=event["text"])
            case "arm":
                levers.setdefault(event["name"], {}).update(
                    n=event["n"], score=event["score"], difference=event["difference"]
                )
            case "step":
                doing = f"{event['text']} {event['done']}/{event['total']}" if event["total"] > 1 else event["text"]
            case "end":
                ended, doing = {"error": event.get("error", ""), "decision": event.get("decision", "")}, ""
    rows = [
        {"name": name, "state": "", "text": "", "n": None, "score": None, "difference": None, **row}
        for name, row in levers.items()
    ]
    return {"levers": rows, "doing": doing, "ended": ended}
