"""The gateway under load and faults: a real process on a real port, in front of a stub model that answers at once.

    python -m benchmarks.serving

Client and gateway share the machine's cores, so requests per second are a lower limit.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.results import write_part
from tuneworthy import flow, service
from tuneworthy.project import Project, open_project
from tuneworthy.release.package import Release
from tuneworthy.serving import deployments

LABELS = {"pipe": "plumbing", "fuse": "power", "door": "keys"}
USECASE = """
name = "stub"
description = "A stub for load tests."
instruction = "Read the message and name the team."
[input.message]
[output]
kind = "label"
labels = ["plumbing", "power", "keys"]
max_tokens = 8
[model]
base = "scripted"
[bar]
metric = "classification"
at_least = 0.5
smallest_difference = 0.05
"""


class Quiet:
    """Nobody watches."""

    def step(self, what: str, done: int, total: int) -> None: ...
    def lever(self, name: str, state: str, text: str) -> None: ...
    def arm(self, report: Any, comparison: Any) -> None: ...


def stub(folder: Path) -> tuple[Project, list[Release]]:
    """A use case whose scripted model knows all answers, released twice."""
    draw = random.Random(3)

    def row(number: int) -> dict[str, Any]:
        word = list(LABELS)[number % 3]
        noise = " ".join("".join(draw.choice("bdgklmnrst") + draw.choice("aiou") for _ in range(3)) for _ in range(7))
        return {"id": f"case-{number:03}", "input": {"message": f"{noise} {word}"}, "expected": LABELS[word]}

    rows = [row(number) for number in range(120)]
    for name, part in (("suite/cases", rows[:40]), ("data/examples", rows[40:])):
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in part), "utf-8")
    (folder / "usecase.toml").write_text(USECASE, "utf-8")
    (folder / "scripted.json").write_text(json.dumps({**LABELS, "": "none"}), "utf-8")
    flow.lock_suite(folder, again=False)
    flow.run(folder, Quiet())
    return open_project(folder), [service.release(folder, "prompt", override="a stub for load tests") for _ in range(2)]


@contextmanager
def served(folder: Path, port: int, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """`tuneworthy serve` in a process of its own, with further options."""
    command = [sys.executable, "-m", "tuneworthy", "serve", str(folder), "--port", str(port), "--waiting", "400", *more]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _connects(port))
        yield process
    finally:
        process.terminate()
        process.wait(40)


class Client:
    """One connection that stays open."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, content: str, model: str = "champion", **more: str) -> tuple[int, dict[str, Any]]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._streams
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": content}], **more}).encode()
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        head += f"content-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        headers = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(headers.partition("content-length: ")[2].partition("\r")[0])
        return int(headers.split()[1]), json.loads(await reader.readexactly(length))

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


async def one_after_another(port: int, n: int = 1000) -> list[float]:
    """Seconds of each of n requests of one client."""
    client, found = Client(port), []
    for _ in range(n):
        started = time.perf_counter()
        assert (await client.ask("the pipe"))[0] == 200
        found.append(time.perf_counter() - started)
    client.close()
    return found


async def many(port: int, *, clients: int, requests: int, flips: Any = None) -> dict[str, Any]:
    """Requests of many clients at once, each checked; 429 is tried again, as clients do."""
    left = iter(range(requests))
    wrong: list[str] = []
    again = 0
    releases: set[str] = set()

    async def work(number: int) -> None:
        nonlocal again
        client = Client(port)
        for turn in left:
            word = list(LABELS)[(number + turn) % 3]
            alias = ("champion", "challenger")[turn % 2]
            status, reply = await client.ask(f"request {turn}: {word}", alias)
            while status == 429:
                again += 1
                await asyncio.sleep(0.05)
                status, reply = await client.ask(f"request {turn}: {word}", alias)
            if status != 200 or reply["choices"][0]["message"]["content"] != LABELS[word]:
                wrong.append(f"{status} {reply}")
            else:
                releases.add(reply["model"])
        client.close()

    started = time.perf_counter()
    tasks = [asyncio.create_task(work(number)) for number in range(clients)]
    flipping = asyncio.create_task(flips()) if flips else None
    await asyncio.gather(*tasks)
    seconds = time.perf_counter() - started
    done = await flipping if flipping else 0
    return {"seconds": seconds, "wrong": wrong, "again": again, "releases": releases, "flips": done}


def flipper(project: Project, names: list[str], n: int) -> Any:
    """Swap champion and challenger n times, each after the one before took effect."""

    async def flips() -> int:
        for number in range(n):
            for alias, place in (("champion", number), ("challenger", number + 1)):
                deployments.write(project, alias, "asked", names[place % 2], why="load test")
            while True:
                live = deployments.live(deployments.read(project))
                if live.get("champion") == names[number % 2] and live.get("challenger") == names[(number + 1) % 2]:
                    break
                await asyncio.sleep(0.02)
        return n

    return flips


def recovery(project: Project, port: int, before: str) -> float:
    """Seconds from `rollback` to the first answer of the release before."""
    started = time.perf_counter()
    service.rollback(project.folder, alias="champion", why="drill")

    async def first() -> float:
        client = Client(port)
        while (await client.ask("the pipe"))[1]["model"] != before:
            await asyncio.sleep(0.005)
        client.close()
        return time.perf_counter() - started

    return asyncio.run(first())


async def slow_clients(port: int, n: int = 100) -> list[float]:
    """Seconds of a good client's requests while n others have sent half a body and wait."""
    held = []
    for _ in range(n):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n")
        writer.write(b'content-length: 1000\r\n\r\n{"model": "cham')
        held.append(writer)
    found = await one_after_another(port, 300)
    for writer in held:
        writer.close()
    return found


def until(done: Any, seconds: float = 60.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError("it did not become so")
        time.sleep(0.02)


def _connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def memory_mb(process: subprocess.Popen[bytes]) -> float:
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def _live(project: Project) -> dict[str, str]:
    return deployments.live(deployments.read(project))


def main() -> None:
    """Measure and write the part `serving` of RESULTS.md."""
    with tempfile.TemporaryDirectory() as there:
        project, (one, two) = stub(Path(there) / "stub")
        for alias, release in (("champion", one), ("challenger", two)):
            service.deploy(project.folder, release.name, alias=alias, why="load test")
        port = free_port()
        with served(project.folder, port) as process:
            until(lambda: len(_live(project)) == 2)
            single = asyncio.run(one_after_another(port))
            load = asyncio.run(many(port, clients=32, requests=5000))
            before = memory_mb(process)
            names = [one.name, two.name]
            flips = asyncio.run(many(port, clients=200, requests=10_000, flips=flipper(project, names, 50)))
            after = memory_mb(process)
            slow = asyncio.run(slow_clients(port))
            previous = deployments.before(deployments.read(project), "champion")
            seconds = recovery(project, port, previous)
            live = _live(project)
            process.send_signal(signal.SIGKILL)
            process.wait()
        with served(project.folder, port):
            started = time.perf_counter()
            until(lambda: asyncio.run(_answers(port)))
            back = time.perf_counter() - started
            same = _live(project) == live
            (two.folder / "cases.jsonl").write_text("", "utf-8")
            service.deploy(project.folder, two.name, alias="canary", why="a corrupted file")
            until(lambda: deployments.read(project)[-1].action == "refused")
            refused = deployments.read(project)[-1].why
    p50, p99 = 1e3 * statistics.median(single), 1e3 * statistics.quantiles(single, n=100)[98]
    swaps = f"{len(flips['wrong'])} wrong or lost, {flips['again']} told to come back (429), {flips['flips']} swaps"
    rows = {
        "one client, time of a request": f"p50 {p50:.2f} ms, p99 {p99:.2f} ms (target: p50 5 ms)",
        "32 clients, 5,000 requests": f"{5000 / load['seconds']:,.0f} requests/s, {len(load['wrong'])} wrong or lost "
        "(target: 500 requests/s)",
        "200 clients, 10,000 requests, while champion and challenger swap": f"{swaps}, "
        f"{10_000 / flips['seconds']:,.0f} requests/s",
        "memory of the gateway before and after those": f"{before:.0f} MB, {after:.0f} MB",
        "100 clients that never finish their request": f"p50 of the others {1e3 * statistics.median(slow):.2f} ms",
        "rollback, until the release before answers": f"{seconds:.2f} s",
        "kill -9, started again, until it answers": f"{back:.1f} s; what was live is live: {'yes' if same else 'NO'}",
        "a corrupted file in a release": f"refused: {refused}",
    }
    table = tabled(rows)
    write_part("serving", f"## Serving: load and faults\n\n{about()}\n\n{table}\n")
    sys.stdout.write(table + "\n")


def tabled(rows: dict[str, str]) -> str:
    """What was measured, as Markdown."""
    return "\n".join(
        ["| what | measured |", "| --- | --- |", *(f"| {name} | {found} |" for name, found in rows.items())]
    )


def about() -> str:
    """Date, machine, versions."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("tuneworthy", "starlette", "uvicorn", "h11"))
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {versions}. Load at the end: {os.getloadavg()[0]:.1f}."


async def _answers(port: int) -> bool:
    client = Client(port)
    try:
        return (await client.ask("the pipe"))[0] == 200
    except (OSError, asyncio.IncompleteReadError):
        return False
    finally:
        client.close()


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
