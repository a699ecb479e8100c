"""The gateway in front of an engine that fails: real processes, real sockets, each fault made and timed.

    python -m benchmarks.faults [--quick]        about 3 minutes; --quick: a minute, fewer requests

The engine is a stand-in for vLLM (benchmarks/stub_engine.py) in a process of its own.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.results import write_part
from benchmarks.serving import LABELS, Client, about, free_port, one_after_another, served, stub, until
from tuneworthy import service
from tuneworthy.project import Project
from tuneworthy.serving import deployments

SECONDS, HEARTBEAT = 3.0, 2.0
"""of the gateway's options, so that the faults end while one watches"""

STEPPING = """
import sys, threading, time
real, shift = time.time, [0.0]
time.time = lambda: real() + shift[0]
def step():
    while True:
        for shift[0] in (-86400.0, 172800.0, 0.0):
            time.sleep(0.3)
threading.Thread(target=step, daemon=True).start()
sys.argv = ["tuneworthy", *sys.argv[1:]]
from tuneworthy.cli import main
main()
"""
"""a process whose wall clock is set a day back, two days forward and right again, three times a second"""


@contextmanager
def engine(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The stand-in in a process of its own."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.stub_engine", str(port)])
    try:
        until(lambda: _reachable(f"http://127.0.0.1:{port}/v1/models"))
        yield process
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Make every fault and write the part `faults` of RESULTS.md."""
    quick = "--quick" in sys.argv
    rows: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as there:
        project, (one, two) = stub(Path(there) / "stub")
        service.deploy(project.folder, one.name, alias="champion", why="faults")
        away, port = free_port(), free_port()
        url = ("--engine-url", f"http://127.0.0.1:{away}/v1", "--engine-model", "base")
        options = ("--engine", "openai_compatible", *url, "--seconds", str(SECONDS), "--heartbeat", str(HEARTBEAT))
        with served(project.folder, port, *options):
            rows["engine started after the gateway"] = _late(project, port, away)
            with engine(away) as process:
                until(lambda: _ok(port))
                rows["engine killed (kill -9) under load, started again"] = _killed(port, away, process, quick)
            with engine(away):
                until(lambda: _ok(port))
                for mode, name in FAULTS.items():
                    rows[name] = _broken(port, away, mode, quick)
                rows["engine answers after 0.5 s each, 64 clients"] = _slow(port, away, quick)
                rows["engine answers nonsense"] = _nonsense(project, port, away)
        rows |= _in_process(project, one.name, two.name, quick)
    table = "\n".join(
        ["| what | measured |", "| --- | --- |", *(f"| {name} | {found} |" for name, found in rows.items())]
    )
    settings = f"An answer has {SECONDS:g} s, the heartbeat comes every {HEARTBEAT:g} s."
    sys.stdout.write(table + "\n")
    if not quick:
        write_part("faults", f"## Serving: engines that fail\n\n{about()} {settings}\n\n{table}\n")


FAULTS = {
    "hang": "engine hangs: takes requests and never answers",
    "cut": "engine ends in the middle of its answers",
    "error": "engine answers HTTP 500",
}


def _late(project: Project, port: int, away: int) -> str:
    time.sleep(2.0)
    status = _status(port)
    with engine(away):
        started = time.monotonic()
        until(lambda: _ok(port))
        seconds = time.monotonic() - started
    refused = sum(entry.action == "refused" for entry in deployments.read(project))
    return f"{status} before; {seconds:.1f} s after the engine was there it had passed the gate; {refused} refused"


def _killed(port: int, away: int, process: subprocess.Popen[bytes], quick: bool) -> str:
    async def run() -> Counter[str]:
        load = asyncio.create_task(_load(port, 300 if quick else 2000, clients=16, pause=0.05))
        await asyncio.sleep(0.5)
        process.kill()
        return await load

    seen = asyncio.run(run())
    process.wait()
    with engine(away):
        started = time.monotonic()
        until(lambda: _ok(port))
        return f"{_told(seen)}; answers again {time.monotonic() - started:.1f} s after the engine"


def _broken(port: int, away: int, mode: str, quick: bool) -> str:
    _fault(away, mode)
    started = time.monotonic()
    seen = asyncio.run(_load(port, 32 if quick else 64, clients=16))
    longest = time.monotonic() - started
    _fault(away, "")
    started = time.monotonic()
    until(lambda: _ok(port))
    return f"{_told(seen)} in {longest:.1f} s; answers again {time.monotonic() - started:.1f} s after the fault ended"


def _slow(port: int, away: int, quick: bool) -> str:
    _fault(away, "slow", seconds=0.5)
    n = 128 if quick else 512
    started = time.monotonic()
    seen = asyncio.run(_load(port, n, clients=64))
    seconds = time.monotonic() - started
    _fault(away, "")
    return f"{_told(seen)}, {n / seconds:.0f} requests/s (32 at a time can be 64)"


def _nonsense(project: Project, port: int, away: int) -> str:
    _fault(away, "garbage")
    started = time.monotonic()
    until(lambda: _status(port) == 503)
    seconds = time.monotonic() - started
    why = deployments.read(project)[-1].why
    return f"taken out after {seconds:.1f} s, for good: {why}"


def _in_process(project: Project, one: str, two: str, quick: bool) -> dict[str, str]:
    """What needs no engine elsewhere: a shadow beside the champion, a drill, a clock that is set."""
    service.deploy(project.folder, one, alias="champion", why="faults")
    port, n = free_port(), 300 if quick else 3000
    rows = {}
    with served(project.folder, port, "--heartbeat", str(HEARTBEAT)):
        until(lambda: _ok(port))
        alone = asyncio.run(one_after_another(port, n))
        service.deploy(project.folder, two, alias="champion", why="faults", mode="shadow")
        until(lambda: deployments.read(project)[-1].action in ("live", "refused"))
        beside = asyncio.run(one_after_another(port, n))
        pairs = service.traffic(project.folder)[-1].found.pairs
        rows[f"shadow on all of {n:,} requests of one client"] = (
            f"p50 {_ms(alone, 50)} and p99 {_ms(alone, 99)} alone, p50 {_ms(beside, 50)} and p99 {_ms(beside, 99)} "
            f"beside the shadow; {pairs:,} copies compared, the others left out"
        )
        service.rollback(project.folder, alias="champion", why="faults")
        drill = service.drill(project.folder, alias="champion", patience=60, tell=lambda text: None)
        times = [f"{step.way} out after {step.seconds:.2f} s" if step.seconds else "NOT FOUND" for step in drill.steps]
        rows["drill: a bad copy of the live release"] = f"{', '.join(times)}; live unchanged: {_yes(drill.passed)}"
    command = [sys.executable, "-c", STEPPING, "serve", str(project.folder), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _ok(port))
        seen = asyncio.run(_load(port, n, clients=16, pause=0.01))
        rows["wall clock set a day back and two forward, again and again"] = _told(seen)
    finally:
        process.terminate()
        process.wait(40)
    return rows


async def _load(port: int, requests: int, *, clients: int, pause: float = 0.0) -> Counter[str]:
    """Requests of several clients, each answer checked; one that the gateway closed connects again."""
    left, seen = iter(range(requests)), Counter[str]()

    async def work() -> None:
        client = Client(port)
        for turn in left:
            word = list(LABELS)[turn % 3]
            try:
                status, reply = await client.ask(f"request {turn}: {word}")
                right = status == 200 and reply["choices"][0]["message"]["content"] == LABELS[word]
                seen["right" if right else "WRONG" if status == 200 else str(status)] += 1
            except (OSError, asyncio.IncompleteReadError, ValueError):
                seen["lost"] += 1
                client = Client(port)
            await asyncio.sleep(pause)
        client.close()

    await asyncio.gather(*(work() for _ in range(clients)))
    return seen


def _told(seen: Counter[str]) -> str:
    names = {"502": "told that there is no answer (502)", "503": "sent away (503)", "504": "told that time is up (504)"}
    wrong = "" if seen["WRONG"] or seen["lost"] else ", none wrong or lost"
    return ", ".join(f"{count:,} {names.get(kind, kind)}" for kind, count in sorted(seen.items())) + wrong


def _fault(away: int, mode: str, **more: float) -> None:
    httpx.post(f"http://127.0.0.1:{away}/fault", json={"mode": mode, **more}, trust_env=False).raise_for_status()


def _status(port: int) -> int:
    body = {"model": "champion", "messages": [{"role": "user", "content": "the pipe"}]}
    try:
        reply = httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body, trust_env=False, timeout=30)
    except httpx.HTTPError:
        return 0
    return reply.status_code


def _ok(port: int) -> bool:
    return _status(port) == 200


def _reachable(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=2).is_success
    except httpx.HTTPError:
        return False


def _ms(seconds: list[float], percent: int) -> str:
    return f"{1e3 * statistics.quantiles(seconds, n=100)[percent - 1]:.2f} ms"


def _yes(passed: bool) -> str:
    return "yes" if passed else "NO"


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
