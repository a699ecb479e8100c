"""The plan as a person reads it: what is planned, does it fit, how long, where, and what stands against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tuneworthy.plan.records import ArmHours, Figure, HardwareChoice, Hours, Memory, Plan, Section
from tuneworthy.printing import money
from tuneworthy.printing.console import MET, REFUSED, grid, machine, named, next_step, people
from tuneworthy.report.wording import NOT_MEASURED


def plan(made: Plan, folder: Path, *, as_json: bool) -> int:
    """All sections, then what stands against it; the exit code says whether anything does."""
    console = people(as_json)
    console.print(Text(f"Plan for {made.use_case}: {_planned(made)}", style="bold"), soft_wrap=True)
    if made.method is not None:
        named(console, "method", made.method.why)
    if made.memory is not None:
        _memory(console, made.memory)
    if made.hours is not None:
        _hours(console, made.hours)
    if made.hardware is not None:
        _hardware(console, made.hardware)
    money.sections(console, made)
    for section in made.sections:
        _notes(console, section)
    for sentence in made.not_known:
        console.print(Text("? ", style="yellow"), Text(f"{NOT_MEASURED}: {sentence}"), sep="", soft_wrap=True)
    code = _verdict(console, made, folder)
    if as_json:
        machine(made)
    return code


def number(figure: Figure, digits: int = 1) -> str:
    """`12.3 (10.1–15.0)`, or `not measured`."""
    if figure.value is None:
        return NOT_MEASURED
    told = _plain(figure.value, digits)
    if figure.low is None or figure.high is None:
        return told
    return f"{told} ({_plain(figure.low, digits)}–{_plain(figure.high, digits)})"


def duration(figure: Figure) -> str:
    """Hours as people say them: `40 s (30–60)`, `12 min (9–20)`, `3.4 h (2.0–7.1)`, `12 days (8–30)`."""
    if figure.value is None:
        return NOT_MEASURED
    steps = ((72.0, "days", 1 / 24, 0), (1.0, "h", 1.0, 1), (1 / 60, "min", 60.0, 1), (0.0, "s", 3600.0, 0))
    unit, factor, digits = next(
        (unit, factor, digits) for least, unit, factor, digits in steps if figure.value >= least
    )
    scaled = number(figure.times(factor, unit), digits)
    value, _, limits = scaled.partition(" ")
    return f"{value} {unit} {limits}".strip()


def _plain(value: float, digits: int) -> str:
    """Values below a hundredth keep two significant digits."""
    if 0 < abs(value) < 0.01:
        return f"{value:.2g}"
    return f"{value:,.{digits}f}"


def _planned(made: Plan) -> str:
    scenario = made.scenario
    where = "this CPU" if scenario.gpus == 0 else f"{scenario.gpus} × {scenario.gpu}"
    examples = "unknown" if scenario.examples.value is None else f"{scenario.examples.value:,.0f}"
    tokens = scenario.tokens_per_example.value
    each = f" of {tokens:,.0f} tokens" if tokens is not None else ""
    return f"{scenario.method} on {scenario.base}, {where}, {examples} examples{each} × {scenario.epochs:g} epochs"


def _memory(console: Console, memory: Memory) -> None:
    count = f"{memory.gpus} × " if memory.gpus > 1 else ""
    named(console, "memory", f"{count}{memory.device}: {number(memory.capacity)} GiB ({memory.capacity.basis})")
    table = grid(
        ("method", "left"), ("GiB needed", "right"), ("rows at once", "right"), ("fits", "left"), ("how", "left")
    )
    for need in memory.needs:
        fits = Text("yes", style="green") if need.fits else Text("no", style="red")
        rows = f"{need.batch} × {need.length:,}" if need.batch else "–"
        table.add_row(need.method, number(need.need), rows, fits, f"{need.how} ({need.need.basis})")
    console.print(table)


def _hours(console: Console, hours: Hours) -> None:
    speed = number(hours.tokens_per_second, 0 if (hours.tokens_per_second.value or 0) >= 100 else 1)
    named(console, "hours", f"one training {duration(hours.one_training)} at {speed} tokens/s")
    console.print(_arms(hours.arms, "everything that `tuneworthy run` does", hours.ladder))


def _arms(arms: tuple[ArmHours, ...], last: str = "", total: Figure | None = None) -> Table:
    table = grid(("arm", "left"), ("time", "right"), ("answers", "right"), ("trainings", "right"), ("basis", "left"))
    for arm in arms:
        trainings = f"{arm.trainings:.1f}" if arm.trainings else "–"
        table.add_row(arm.lever, duration(arm.hours), f"{arm.answers:,}", trainings, arm.hours.basis)
    if total is not None:
        table.add_row(last, duration(total), "", "", total.basis)
    return table


def _hardware(console: Console, hardware: HardwareChoice) -> None:
    named(console, "here", hardware.here)
    if hardware.enough:
        enough = ", ".join(f"{count} × {gpu}" if count > 1 else gpu for gpu, count in hardware.enough.items())
        named(console, "enough", enough)
    if hardware.offers:
        table = grid(("offer", "left"), ("GPUs", "left"), ("region", "left"), ("EUR/h", "right"), ("price of", "left"))
        for offer in hardware.offers:
            place = f"{offer.region}{', EU provider' if offer.eu_provider else ''}"
            read = str(offer.hourly.date or "stated by the user")
            table.add_row(offer.provider, f"{offer.gpus} × {offer.gpu}", place, number(offer.hourly, 2), read)
        console.print(table)
    if hardware.on_cpu:
        named(console, "no GPU", "these arms still run on this CPU:")
        console.print(_arms(hardware.on_cpu))


def _notes(console: Console, section: Section) -> None:
    for sentence in section.warnings:
        console.print(Text("! ", style="yellow"), Text(sentence), sep="", soft_wrap=True)


def _verdict(console: Console, made: Plan, folder: Path) -> int:
    refusals = made.refusals
    for refusal in refusals:
        console.print(
            Text("✗ ", style="red"), Text(". ".join(_told(refusal.what, refusal.why))), sep="", soft_wrap=True
        )
        if refusal.next:
            console.print(Text(f"  Next: {refusal.next}", style="bold"), soft_wrap=True)
    if refusals:
        return REFUSED
    console.print(Text("Nothing in this plan stands against it.", style="green"))
    next_step(console, "run", folder, "climb the ladder")
    return MET


def _told(*sentences: str) -> Iterator[str]:
    yield from (sentence for sentence in sentences if sentence)
