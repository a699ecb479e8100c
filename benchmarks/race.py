"""Fair races: two sides turn by turn (A-B-B-A), the same result or no ratio, and what else ran on the machine."""

from __future__ import annotations

import gc
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

FOREIGN = 0.03
"""share of the machine that others may use during a run; a disturbed round is dropped and counted"""
FEWEST = 3
"""rounds below which no interval is given"""


@dataclass
class Outcome:
    """What a race gave."""

    name: str
    peer: str
    ours_s: list[float] = field(default_factory=list)
    peer_s: list[float] = field(default_factory=list)
    foreign: list[float] = field(default_factory=list)
    """of each round: the share of the machine that other processes used"""
    unequal: str = ""
    """why the results are not the same; empty when they are"""
    note: str = ""
    rss_mb: tuple[float, float] | None = None
    """peak memory of a process that runs one side only"""

    @property
    def rounds(self) -> list[int]:
        """Those that count: the quiet ones."""
        return [n for n, share in enumerate(self.foreign) if share <= FOREIGN]

    @property
    def ratio(self) -> tuple[float, float, float]:
        """Median of the peer's time over ours, and its bootstrap 95 % interval (rounds resampled, 4,000 times)."""
        ours, peer = (np.array(times)[self.rounds] for times in (self.ours_s, self.peer_s))
        drawn = np.random.default_rng(0).integers(len(ours), size=(4000, len(ours)))
        many = np.median(peer[drawn], 1) / np.median(ours[drawn], 1)
        low, high = np.quantile(many, (0.025, 0.975))
        return float(np.median(peer) / np.median(ours)), float(low), float(high)

    def row(self) -> str:
        """One line of the table."""
        if not self.ours_s:
            return f"| {self.name} | {self.peer} | | | not measured: {self.note} | |"
        if not self.rounds:
            return f"| {self.name} | {self.peer} | | | not measured: every round was disturbed | |"
        told = "not equivalent: " + self.unequal
        if not self.unequal:
            ratio, low, high = self.ratio
            limits = f" ({low:.2f}–{high:.2f})" if len(self.rounds) >= FEWEST else f" (n = {len(self.rounds)})"
            told = f"**{ratio:.2f}**{limits}"
        ours, peer = (np.median(np.array(times)[self.rounds]) for times in (self.ours_s, self.peer_s))
        memory = "" if self.rss_mb is None else "{:.0f} / {:.0f}".format(*self.rss_mb)
        rival = f"{self.peer}, {self.note}" if self.note else self.peer
        return f"| {self.name} | {rival} | {ours:.3g} | {peer:.3g} | {told} | {memory} |"

    def raw(self) -> str:
        """All times, for those who want to compute again."""
        ours, peer = (" ".join(f"{t:.3g}" for t in times) for times in (self.ours_s, self.peer_s))
        dropped = len(self.foreign) - len(self.rounds)
        most = f"{max(self.foreign, default=0):.0%}"
        return f"{self.name} / {self.peer}: ours {ours}; peer {peer}; rounds dropped {dropped}; most foreign CPU {most}"


HEAD = (
    "| work | peer | ours, s | peer, s | ratio (95 % interval) | peak MB, ours / peer |\n"
    "| --- | --- | --- | --- | --- | --- |"
)


def race(
    name: str,
    peer_name: str,
    ours: Callable[[], Any],
    peer: Callable[[], Any],
    same: Callable[[Any, Any], str],
    *,
    rounds: int = 5,
    note: str = "",
) -> Outcome:
    """Run both sides in turns, A-B then B-A.

    Args:
        same: why the two results are not the same; empty when they are. Asked of the first run of each side, which
            warms up and is not timed.
    """
    outcome = Outcome(name, peer_name, unequal=same(ours(), peer()), note=note)
    for number in range(rounds):
        sides = [(outcome.ours_s, ours), (outcome.peer_s, peer)]
        before = _cpu()
        for times, side in sides if number % 2 == 0 else reversed(sides):
            gc.collect()
            started = time.perf_counter()
            side()
            times.append(time.perf_counter() - started)
        outcome.foreign.append(_foreign(before, _cpu()))
    return outcome


def quickest(choices: Sequence[Any], side: Callable[[Any], Any]) -> Any:
    """The setting with which a side is quickest: the peer runs with its best one."""
    times = {}
    for choice in choices:
        started = time.perf_counter()
        side(choice)
        times[choice] = time.perf_counter() - started
    return min(times, key=lambda choice: times[choice])


def peak_mb() -> float:
    """The most memory that this process ever had: VmHWM, as ru_maxrss begins with what its parent had."""
    held = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    assert held is not None
    return int(held[1]) / 1024


def peak_of(module: str, *arguments: str) -> float:
    """Peak MB that a fresh `python -m module …` prints on its last line."""
    told = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=True)
    return float(told.stdout.strip().splitlines()[-1])


def about(*packages: str) -> str:
    """Date, machine, versions, load."""
    found = []
    for name in packages:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    cpu = next(
        (line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ""
    )
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({cpu or platform.machine()}), Python "
        f"{platform.python_version()}, {', '.join(found)}. Load at the end: {os.getloadavg()[0]:.1f}."
    )


def _cpu() -> tuple[float, float, float]:
    """(busy seconds of all processors, own seconds, wall time)."""
    ticks = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
    own = sum(os.times()[:4])
    return busy, own, time.perf_counter()


def _foreign(before: tuple[float, float, float], after: tuple[float, float, float]) -> float:
    busy, own, wall = (b - a for a, b in zip(before, after, strict=True))
    return max(0.0, busy - own) / (wall * (os.cpu_count() or 1))
