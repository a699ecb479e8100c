"""A compressed soak: the gateway under steady load, with everything on that grows when it is wrong.

    python -m benchmarks.soak [--minutes 10]

Champion with a shadow on all requests, feedback on one in ten, the release swapped every few seconds, and clients that
come and go. Memory and open files of the gateway are read twice a second; after the first fifth (caches fill) a line is
fitted through memory, and its slope must not tell of growth: less than 1 MB in the time of the soak, or not different
from none (95 % interval).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import httpx
from scipy.stats import linregress, t

from benchmarks.results import write_part
from benchmarks.serving import LABELS, Client, about, free_port, memory_mb, served, stub, until
from tuneworthy import service
from tuneworthy.project import Project
from tuneworthy.serving import deployments

CLIENTS = 8
SWAP_EVERY = 10.0
GROWTH = 1.0
"""MB"""


class Reading(NamedTuple):
    """The gateway at one moment."""

    seconds: float
    memory: float
    """MB"""
    files: int


def main() -> None:
    """Run it and write the part `soak` of RESULTS.md (from five minutes on)."""
    minutes = float(sys.argv[sys.argv.index("--minutes") + 1]) if "--minutes" in sys.argv else 10.0
    with tempfile.TemporaryDirectory() as there:
        project, (one, two) = stub(Path(there) / "stub")
        service.deploy(project.folder, one.name, alias="champion", why="soak")
        port = free_port()
        with served(project.folder, port, "--heartbeat", "5") as process:
            until(lambda: deployments.live(deployments.read(project)).get("champion") == one.name)
            seen, readings = asyncio.run(_soak(project, port, process, [one.name, two.name], 60 * minutes))
        swaps = sum(entry.action == "live" and entry.mode == "all" for entry in deployments.read(project))
    table = _table(seen, readings, swaps)
    sys.stdout.write(table + "\n")
    if minutes >= 5:
        write_part("soak", f"## Serving: a soak of {minutes:g} minutes\n\n{about()}\n\n{table}\n")


async def _soak(
    project: Project, port: int, process: subprocess.Popen[bytes], names: list[str], seconds: float
) -> tuple[Counter[str], list[Reading]]:
    end, start = time.monotonic() + seconds, time.monotonic()
    seen: Counter[str] = Counter()
    readings: list[Reading] = []
    numbers = itertools.count()

    async def client() -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=30, verify=False) as web:
            asking, turns = Client(port), 0
            while time.monotonic() < end:
                number, turns = next(numbers), turns + 1
                word = list(LABELS)[number % 3]
                status, reply = await asking.ask(f"request {number}: {word}", user=f"user-{number % 500}")
                if status != 200 or reply["choices"][0]["message"]["content"] != LABELS[word]:
                    seen["wrong"] += 1
                    continue
                seen["right"] += 1
                if number % 10 == 0:
                    said = {"id": reply["id"], "right": True}
                    told = await web.post(f"http://127.0.0.1:{port}/v1/feedback", json=said)
                    seen["feedback taken" if told.is_success else f"feedback {told.status_code}"] += 1
                if turns % 200 == 0:  # clients come and go
                    asking.close()
                    asking = Client(port)
            asking.close()

    async def swap() -> None:
        for turn in itertools.count(1):
            live, other = names[(turn + 1) % 2], names[turn % 2]
            service.deploy(project.folder, other, alias="champion", why="soak", mode="shadow")
            await asyncio.sleep(SWAP_EVERY / 2)
            service.deploy(project.folder, other, alias="champion", why=f"soak: after {live}")
            await asyncio.sleep(SWAP_EVERY / 2)

    async def read() -> None:
        while True:
            files = len(os.listdir(f"/proc/{process.pid}/fd"))
            readings.append(Reading(time.monotonic() - start, memory_mb(process), files))
            await asyncio.sleep(0.5)

    beside = [asyncio.create_task(work()) for work in (swap, read)]
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    for task in beside:
        task.cancel()
    return seen, readings


def _table(seen: Counter[str], readings: list[Reading], swaps: int) -> str:
    settled = readings[len(readings) // 5 :]
    line = linregress([r.seconds for r in settled], [r.memory for r in settled])
    length = settled[-1].seconds - settled[0].seconds
    # neighbouring readings are alike, so far fewer of them count than were taken: one in ten
    half = float(t.ppf(0.975, max(1, len(settled) // 10 - 2))) * line.stderr * 10**0.5
    low, high = (length * (line.slope + sign * half) for sign in (-1, 1))
    flat = low <= 0 or length * line.slope < GROWTH
    rows = {
        "requests": ", ".join(f"{count:,} {kind}" for kind, count in sorted(seen.items())),
        "releases swapped, each after it was a shadow": f"{swaps:,} times",
        "memory, start, after a fifth, end": f"{readings[0].memory:.1f}, {settled[0].memory:.1f}, "
        f"{readings[-1].memory:.1f} MB",
        "growth after the first fifth": f"{length * line.slope:+.2f} MB (95 % interval {low:+.2f} to {high:+.2f}): "
        f"{'flat' if flat else 'GROWS'}",
        "open files, start, most, end": f"{readings[0].files}, {max(r.files for r in readings)}, {readings[-1].files}",
    }
    return "\n".join(
        ["| what | measured |", "| --- | --- |", *(f"| {name} | {found} |" for name, found in rows.items())]
    )


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
