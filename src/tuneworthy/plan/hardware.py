"""What the machine has, what would be enough, and where that can be rented."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import Field

from tuneworthy.errors import TuneworthyError
from tuneworthy.plan import facts
from tuneworthy.plan.facts import Fact
from tuneworthy.plan.prices import Offer, Prices
from tuneworthy.plan.records import Figure, OfferLine, Scenario, unknown

CPU = "cpu"
GIB = 2**30
OFFERS = 3
"""that are listed, the cheapest"""
SKY = ("aws", "azure", "gcp", "lambda", "nebius", "ovh", "runpod", "scaleway", "vast", "verda")
"""providers of the price table that SkyPilot's catalogue has, https://github.com/skypilot-org/skypilot-catalog"""


class Gpu(Fact):
    """One kind of GPU, as published."""

    name: str
    memory: float = Field(gt=0)
    """GB as sold"""
    usable: float = Field(gt=0)
    """GiB that a program sees"""
    tflops: float = Field(gt=0)
    """dense 16-bit matrix peak, TFLOP/s"""
    bandwidth: float = Field(gt=0)
    """GB/s"""
    sky: str = ""
    """its name for SkyPilot; empty = not known there"""


@dataclass(frozen=True)
class Device:
    """What a plan computes on."""

    id: str
    name: str
    gpus: int
    """0 = a CPU"""
    memory: Figure
    """GiB of one GPU, or of the machine"""
    tflops: Figure
    """matrix peak of one, TFLOP/s"""
    bandwidth: Figure
    """GB/s of one"""


@dataclass(frozen=True)
class Found:
    """What this machine has."""

    gpus: tuple[tuple[str, float], ...]
    """name and GiB of each GPU"""
    memory_gib: float
    cores: int
    disk_gib: float
    """free, where the use case lies"""


def gpus(today: dt.date) -> dict[str, Gpu]:
    """id → GPU, from facts/gpus.toml."""
    return {row.id: row for row in facts.read(facts.shipped("gpus"), "gpu", Gpu, today=today)}


def detect(folder: Path) -> Found:
    """GPUs as nvidia-smi names them (none where it is not there), memory, cores, free disk."""
    return Found(
        gpus=tuple(_smi()),
        memory_gib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB,
        cores=len(os.sched_getaffinity(0)),
        disk_gib=shutil.disk_usage(folder).free / GIB,
    )


def device(name: str, count: int, found: Found, *, memory_gb: float | None, today: dt.date) -> Device:
    """The device of a scenario.

    Args:
        name: id of a GPU, or `cpu`, which means this machine: its speed is measured in half a second.
        memory_gb: the user's own limit, GB; None = all there is.

    Raises:
        TuneworthyError: a GPU that is not in the table.
    """
    limit = None if memory_gb is None else memory_gb * 1e9 / GIB
    if name == CPU:
        memory = _figure(found.memory_gib, "GiB", "memory of this machine", today)
        if limit is not None:
            memory = _stated(min(limit, found.memory_gib), "GiB", "hardware.memory_gb")
        speed, bandwidth = _speed_here()
        return Device(
            id=CPU,
            name=f"this CPU ({found.cores} cores)",
            gpus=0,
            memory=memory,
            tflops=_figure(speed, "TFLOP/s", "a matrix product timed here, fp32", today),
            bandwidth=_figure(bandwidth, "GB/s", "a copy in memory timed here", today),
        )
    table = gpus(today)
    if name not in table:
        near = get_close_matches(name, table, n=1, cutoff=0.3)
        raise TuneworthyError(
            f"the GPU {name!r} is not in the table",
            next=f"did you mean {near[0]!r}? Known: cpu, {', '.join(table)}"
            if near
            else f"known: cpu, {', '.join(table)}",
        )
    row = table[name]
    memory = _published(row.usable, "GiB", row) if limit is None else _stated(limit, "GiB", "hardware.memory_gb")
    return Device(
        id=row.id,
        name=row.name,
        gpus=count,
        memory=memory,
        tflops=_published(row.tflops, "TFLOP/s", row),
        bandwidth=_published(row.bandwidth, "GB/s", row),
    )


def own_gpu(found: Found, today: dt.date) -> str:
    """The id of this machine's GPU, `cpu` where there is none, or where the table does not know it."""
    if not found.gpus:
        return CPU
    name = found.gpus[0][0].casefold()
    table = gpus(today)
    matching = [row for row in table.values() if row.name.casefold().removeprefix("nvidia ").split(" gb")[0] in name]
    near = get_close_matches(name, [row.name.casefold() for row in table.values()], n=1, cutoff=0.6)
    chosen = matching or [row for row in table.values() if row.name.casefold() in near]
    return chosen[0].id if chosen else CPU


def cheapest(
    prices: Prices, table: dict[str, Gpu], scenario: Scenario, enough: dict[str, int]
) -> tuple[list[OfferLine], list[Fact]]:
    """The cheapest offers that satisfy region and privacy, by what enough GPUs cost an hour together; and the
    facts behind them, exchange rates included.

    Args:
        enough: GPU → how many of them hold the planned method; others are not listed.
    """
    lines: list[tuple[float, OfferLine, Offer]] = []
    for gpu, count in enough.items():
        for offer in prices.offers_for(gpu, region=scenario.region, privacy=scenario.privacy):
            if offer.per == "month":
                continue  # a whole month is paid for a few hours of training
            hourly = prices.hourly(offer).times(count, "EUR/h")
            line = OfferLine(
                id=offer.id,
                provider=offer.provider,
                gpu=gpu,
                gpus=count,
                region=offer.region,
                eu_provider=offer.eu_provider,
                hourly=hourly,
                own=offer.own,
                sky=table[gpu].sky if gpu in table and offer.provider in SKY else "",
            )
            lines.append((hourly.value or 0.0, line, offer))
    lines.sort(key=lambda held: (held[0], held[1].id))
    chosen = [offer for _, _, offer in lines[:OFFERS]]
    rates = [rate for rate in prices.exchange if rate.id in {offer.currency for offer in chosen}]
    return [line for _, line, _ in lines[:OFFERS]], [*chosen, *rates]


def sky_yaml(scenario: Scenario, offer: OfferLine, use_case: str, disk_gib: float) -> str:
    """A SkyPilot file that runs the whole method on the offer, from the folder of the use case.

    Source: https://docs.skypilot.co/en/latest/reference/yaml-spec.html, read 2026-11-25.
    """
    count = "" if offer.gpus == 1 else f":{offer.gpus}"
    return f"""# {use_case}: {scenario.method} on {offer.gpus} × {offer.gpu}, {offer.provider}, {offer.region}
# about {offer.hourly.value:.2f} EUR/h ({offer.hourly.date}); look the price up before you start it
# start:  sky launch -c {use_case} sky.yaml     stop:  sky down {use_case}
name: {use_case}
workdir: .
resources:
  infra: {offer.provider}
  accelerators: {offer.sky}{count}
  disk_size: {max(50, round(disk_gib))}
  autostop:
    idle_minutes: 10
setup: |
  pip install tuneworthy
run: |
  tuneworthy run .
"""


def _smi() -> Sequence[tuple[str, float]]:
    """Name and GiB per GPU; nothing where there is no nvidia-smi, or it fails."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.rsplit(",", 1) for line in told.splitlines() if "," in line]
    return [(name.strip(), float(size) / 1024) for name, size in rows if size.strip().replace(".", "").isdigit()]


@cache
def _speed_here() -> tuple[float, float]:
    """TFLOP/s of a matrix product and GB/s of a copy, the best of several within about half a second; timed once."""
    side = 1024
    a, b = np.ones((side, side), np.float32), np.ones((side, side), np.float32)
    product = _best(lambda: a @ b, 0.3)
    source, target = np.ones(2**24, np.float32), np.empty(2**24, np.float32)
    copy = _best(lambda: np.copyto(target, source), 0.2)
    return 2 * side**3 / product / 1e12, 2 * source.nbytes / copy / 1e9


def _best(work: object, seconds: float) -> float:
    assert callable(work)
    work()
    end, best = time.perf_counter() + seconds, float("inf")
    while time.perf_counter() < end:
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best


def _figure(value: float, unit: str, source: str, today: dt.date) -> Figure:
    return Figure(value=value, unit=unit, basis="measured", source=source, date=today)


def _stated(value: float, unit: str, source: str) -> Figure:
    return Figure(value=value, unit=unit, basis="stated by the user", source=source)


def _published(value: float, unit: str, row: Gpu) -> Figure:
    return Figure(value=value, unit=unit, basis="published", source=row.source, date=row.date)


def no_price(scenario: Scenario, where: str) -> Figure:
    """The price of a GPU that nobody offers where it may be rented."""
    return unknown("EUR/h", f"no offer of {scenario.gpu} {where} is in the price table; write yours into prices.toml")
