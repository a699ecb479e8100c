"""The memory estimator against published measurements: how far off it is, point by point."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from pydantic import Field

from tuneworthy.plan import facts
from tuneworthy.plan.architecture import parse_config
from tuneworthy.plan.facts import Fact
from tuneworthy.plan.memory import Setup, demand
from tuneworthy.plan.models import known

UNITS = {"GiB": 2.0**30, "GB": 1e9, "MiB": 2.0**20}


class Point(Fact):
    """One published measurement, with the settings that its source states."""

    model: str
    measured: float = Field(gt=0)
    unit: Literal["GiB", "GB", "MiB"]
    quantity: Literal["allocated", "process"]
    handbook: bool
    assumed: str = ""
    setup: dict[str, Any]


@dataclass(frozen=True)
class Error:
    """Estimated against measured, GiB."""

    point: Point
    measured: float
    estimated: float

    @property
    def relative(self) -> float:
        """(estimated - measured) / measured."""
        return self.estimated / self.measured - 1


def errors(today: dt.date) -> list[Error]:
    """Every point, in the order of the file."""
    models = known(today)
    found = []
    for point in facts.read(facts.shipped("memory_points"), "point", Point, today=today):
        model = parse_config(models[point.model].config, source=point.model)
        needed = demand(model, Setup(**point.setup))
        estimated = needed.peak if point.quantity == "allocated" else needed.process[1]
        found.append(Error(point, point.measured * UNITS[point.unit] / 2**30, estimated / 2**30))
    return found


def excluded(today: dt.date) -> tuple[Fact, ...]:
    """Published numbers that are not compared; `note` says why."""
    return facts.read(facts.shipped("memory_points"), "excluded", Fact, today=today)


def summary(errors: list[Error]) -> tuple[float, float]:
    """Median and largest absolute relative error."""
    sizes = [abs(error.relative) for error in errors]
    return median(sizes), max(sizes)
