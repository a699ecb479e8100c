"""The plan as a section of the report: memory against what the device has, and time by arm.

Each number stands in the tables below the plots, with its basis; the plots show the ranges.
"""

from __future__ import annotations

from collections.abc import Callable

from tuneworthy.plan.records import ArmHours, Figure, Hours, Memory, Need, Plan
from tuneworthy.report import wording
from tuneworthy.report.drawing import PERCENT, Chart
from tuneworthy.report.forest import Line, Mark, forest


def plots(plan: Plan | None) -> dict[str, tuple[Chart, Chart]]:
    """Name → chart for wide pages and for phones, for the sections that the plan has."""
    found: dict[str, tuple[Chart, Chart]] = {}
    if plan is not None and plan.memory is not None and plan.memory.capacity.value:
        held, planned = plan.memory, plan.scenario.method
        found["memory"] = _both(lambda wide: _memory(held, planned, wide=wide))
    if plan is not None and plan.hours is not None and plan.hours.ladder.value:
        times, lever = plan.hours, plan.scenario.method
        found["hours"] = _both(lambda wide: _hours(times, lever, wide=wide))
    return found


def with_range(figure: Figure, unit: str = "") -> str:
    """`12.3 (10.1–15.0) GiB`, or `not measured`."""
    if figure.value is None:
        return wording.NOT_MEASURED
    told = f"{figure.value:,.1f}"
    if figure.low is not None and figure.high is not None:
        told += f" ({figure.low:,.1f}–{figure.high:,.1f})"
    return f"{told} {unit}".strip()


def hours(figure: Figure) -> str:
    """Hours as people say them, with the range in the same unit."""
    if figure.value is None:
        return wording.NOT_MEASURED
    factor, unit = (1 / 24, "days") if figure.value >= 72 else (1.0, "h") if figure.value >= 1 else (60.0, "min")
    return with_range(figure.times(factor, unit), unit)


def _memory(memory: Memory, planned: str, *, wide: bool) -> Chart:
    """Each need as a share of what the device has, which is shaded."""
    room = memory.capacity.value or 1.0
    marks = [_share(need, room, chosen=need.method == planned) for need in memory.needs]
    drawing = forest(marks, Line(1.0, f"{memory.device}: {room:,.1f} GiB", (0.0, 1.0)), PERCENT, (-1.0, 2.0), wide)
    title = "Memory that each method needs, as a share of what the device has; the table below holds the numbers."
    return Chart("plan-memory", title, drawing, tuple(_numbers(need.method, need.need) for need in memory.needs))


def _share(need: Need, room: float, *, chosen: bool) -> Mark:
    figure = need.need.times(1 / room, "share")
    note = f"{with_range(need.need)} GiB"
    trained = need.method != "inference"
    return Mark(need.method, note, figure.value, figure.low, figure.high, trained=trained, chosen=chosen)


def _hours(held: Hours, planned: str, *, wide: bool) -> Chart:
    longest = max((arm.hours.high or arm.hours.value or 0.0 for arm in held.arms), default=0.0) or 1.0
    marks = [_time(arm, longest, chosen=arm.lever == planned) for arm in held.arms]
    scale, unit = (longest / 24, "days") if longest >= 72 else (longest, "h") if longest >= 1 else (longest * 60, "min")
    writes = f"format(datum.value * {scale:.6g}, '.1f') + ' {unit}'"
    drawing = forest(marks, Line(0.0, "", (0.0, 0.0)), writes, (0.0, 1.0), wide)
    title = "Time that each arm takes, with its range; the table below holds the numbers."
    return Chart("plan-hours", title, drawing, tuple(_numbers(arm.lever, arm.hours) for arm in held.arms))


def _time(arm: ArmHours, longest: float, *, chosen: bool) -> Mark:
    figure = arm.hours.times(1 / longest, "share")
    return Mark(
        arm.lever, hours(arm.hours), figure.value, figure.low, figure.high, trained=bool(arm.trainings), chosen=chosen
    )


def _numbers(name: str, figure: Figure) -> dict[str, object]:
    return {
        "name": name,
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "unit": figure.unit,
        "basis": figure.basis,
    }


def _both(drawn: Callable[[bool], Chart]) -> tuple[Chart, Chart]:
    return drawn(True), drawn(False)
