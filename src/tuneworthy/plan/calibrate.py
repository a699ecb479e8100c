"""Speed measured on this machine with the user's own model and rows, kept as `.tuneworthy/calibration.json`.

The measuring itself is done where the one training loop is at hand (levers/rehearsal.py); here stand the record, what
makes it valid, and its statistics.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

from pydantic import ValidationError
from scipy.stats import t as student

from tuneworthy.content import folder_digest, write_whole
from tuneworthy.models.local.files import resolve
from tuneworthy.plan.records import Figure, Method, estimate
from tuneworthy.records import Record
from tuneworthy.usecase import ModelChoice

SECONDS = 60.0
"""most that a calibration takes, the loading of the model not counted"""
OTHER_LOAD = 0.10
"""least half-width of a measured pace: what a machine does beside changes from one minute to the next"""


class Machine(Record):
    """What a calibration is valid for."""

    processor: str
    cores: int
    threads: int
    """that torch uses"""
    device: str
    """cpu, or the name of the GPU"""


class Pace(Record):
    """How fast one method is."""

    step: Figure
    """seconds of one optimiser step"""
    checkpoint: Figure
    """seconds to write one"""
    answer: Figure
    """seconds per answer, many asked together"""

    @classmethod
    def answering(cls, answer: Figure) -> Pace:
        """Nothing is trained."""
        none = estimate(0.0, "s", "nothing is trained")
        return cls(step=none, checkpoint=none, answer=answer)

    def scaled(self, ratio: float, source: str) -> Pace:
        """Steps of another method."""
        held = self.step.times(ratio, "s", source=source)
        return self.model_copy(update={"step": held.model_copy(update={"basis": "estimated"})})


class MethodPace(Record):
    """One method as it was measured."""

    method: Method
    pace: Pace
    steps: int
    """measured"""
    batch_size: int
    tokens_per_step: float
    """without padding"""


class MeasuredSpeed(Record):
    """Everything that was measured."""

    schema_version: Literal[1] = 1
    machine: Machine
    model: str
    """digest of the base model"""
    made: dt.date
    seconds: float
    """that it took"""
    answer: Figure
    """seconds per answer of the base model"""
    methods: tuple[MethodPace, ...] = ()

    def pace(self, method: Method) -> Pace | None:
        """As measured, or None."""
        return next((held.pace for held in self.methods if held.method == method), None)


def this_machine(device: str, threads: int) -> Machine:
    """The machine that this runs on."""
    return Machine(processor=_processor(), cores=len(os.sched_getaffinity(0)), threads=threads, device=device)


def measured(seconds: Sequence[float], today: dt.date, what: str) -> Figure:
    """Mean of repeated timings with its 95 % t interval, never narrower than ±10 %: other load comes and goes.

    Raises:
        ValueError: no timings.
    """
    mean = fmean(seconds)
    half = OTHER_LOAD * mean
    if len(seconds) > 2:
        spread = stdev(seconds) / math.sqrt(len(seconds))
        half = max(half, float(student.ppf(0.975, len(seconds) - 1)) * spread)
    return Figure(
        value=mean,
        low=max(0.0, mean - half),
        high=mean + half,
        unit="s",
        basis="measured",
        source=f"{what}, {len(seconds)} timed here",
        date=today,
    )


def save(found: MeasuredSpeed, path: Path) -> None:
    """Write it whole."""
    write_whole(path, found.model_dump_json(indent=1) + "\n")


def load(path: Path, *, model: str) -> tuple[MeasuredSpeed | None, str]:
    """The calibration, if it is of this model on this machine; else None and why."""
    if not path.exists():
        return None, ""
    try:
        found = MeasuredSpeed.model_validate_json(path.read_bytes())
    except (ValidationError, OSError):
        return None, f"{path.name} cannot be read; run: tuneworthy plan --calibrate"
    if found.model != model:
        return None, "the calibration is of another model; run: tuneworthy plan --calibrate"
    if found.machine.processor != _processor():
        return (
            None,
            f"the calibration is of another machine ({found.machine.processor}); run: tuneworthy plan --calibrate",
        )
    return found, ""


def load_for(path: Path, choice: ModelChoice, folder: Path) -> tuple[MeasuredSpeed | None, str]:
    """The calibration of this model on this machine, or None and why. Raises ModelError: the model is not here."""
    found, why = load(path, model=folder_digest(resolve(choice, folder)))
    return found, why


def _processor() -> str:
    """Its name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()
