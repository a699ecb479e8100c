"""Is the plan right? Predicted hours against measured ones, and the memory estimator against published points.

    python -m benchmarks.plan            three rounds of calibrate → train → compare (15 minutes on two idle cores)
    python -m benchmarks.plan 1          one round, printed only

Each round, for LoRA and for full fine-tuning on the pocket model: calibrate this machine, predict one training with its
scored checkpoints, then run exactly that training in a folder of its own, and compare. Writes its part of
benchmarks/RESULTS.md.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import torch

from benchmarks.results import write_part
from tuneworthy.flow import open_bench
from tuneworthy.ground import prepare
from tuneworthy.levers import rehearsal
from tuneworthy.levers.bench import Bench
from tuneworthy.levers.tuned import Method, Tuning
from tuneworthy.models.local.files import weights_digest
from tuneworthy.plan import calibrate, hours
from tuneworthy.plan.memory_points import errors, summary
from tuneworthy.plan.records import estimate
from tuneworthy.project import open_project
from tuneworthy.training.checkpoints import checkpoint_folder
from tuneworthy.training.loop import train

USECASE = Path(__file__).parents[1] / "examples" / "ticket-triage"
ROUNDS = 3
METHODS: tuple[Method, ...] = ("lora", "full")


@dataclass(frozen=True)
class Compared:
    """One training: predicted and measured seconds."""

    round: int
    method: Method
    predicted: float
    low: float
    high: float
    measured: float
    steps: int
    planned: int

    @property
    def error(self) -> float:
        """(predicted - measured) / measured."""
        return self.predicted / self.measured - 1

    def __str__(self) -> str:
        told = f"{self.predicted:.0f} ({self.low:.0f}–{self.high:.0f}) | {self.measured:.0f} | {self.error:+.1%}"
        return f"| {self.round} | {self.method} | {told} | {self.steps} / {self.planned} |"


def main() -> None:
    """Measure, print, and after all rounds write."""
    rounds = int(sys.argv[1]) if sys.argv[1:] else ROUNDS
    found = []
    for number in range(1, rounds + 1):
        for compared in one_round(number):
            print(compared, flush=True)
            found.append(compared)
    text = "\n".join(page(found))
    print(text)
    if rounds >= ROUNDS:
        write_part("plan", text)


def page(found: list[Compared]) -> Iterator[str]:
    """Markdown."""
    load = os.getloadavg()[0]
    versions = ", ".join(f"{name} {version(name)}" for name in ("tuneworthy", "torch", "transformers", "peft"))
    yield "## The plan"
    yield ""
    machine = f"{os.cpu_count()} cores ({platform.machine()})"
    yield f"{dt.date.today()}, {machine}, {versions}; {torch.get_num_threads()} threads."
    yield ""
    shared = "shared with other work" if load > 2.5 else "otherwise idle"
    yield f"Load of the machine at the end: {load:.1f} ({shared})."
    yield ""
    yield "### Hours: predicted against measured, pocket model, calibrate → train → compare in one sitting"
    yield ""
    yield "| round | method | predicted s (range) | measured s | error | steps run / planned |"
    yield "| --- | --- | --- | --- | --- | --- |"
    yield from map(str, found)
    yield ""
    for method in METHODS:
        own = [c for c in found if c.method == method]
        sizes = [abs(c.error) for c in own]
        inside = sum(c.low <= c.measured <= c.high for c in own)
        yield (
            f"- {method}: median absolute error {median(sizes):.1%}, largest {max(sizes):.1%}, {len(own)} rounds; "
            f"{inside} of {len(own)} inside the predicted range"
        )
    yield "- GPU: not measured"
    yield ""
    yield "### Memory: estimated against published measurements (point by point: docs/reference/memory.md)"
    yield ""
    points = errors(dt.date.today())
    for name, part in (
        ("the handbook's", [error for error in points if error.point.handbook]),
        ("further", [error for error in points if not error.point.handbook]),
    ):
        middle, worst = summary(part)
        yield f"- {name}: n = {len(part)}, median absolute error {middle:.1%}, largest {worst:.1%}"


def one_round(number: int) -> Iterator[Compared]:
    """Calibrate, then train both ways, in a copy of the use case."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "usecase"
        shutil.copytree(USECASE, folder, ignore=shutil.ignore_patterns(".tuneworthy"))
        bench = open_bench(prepare(open_project(folder)))
        speed = rehearsal.calibrate(bench, today=dt.date.today())
        for method in METHODS:
            yield _compare(number, bench, speed, method)


def _compare(number: int, bench: Bench, speed: calibrate.MeasuredSpeed, method: Method) -> Compared:
    tuning = Tuning(bench, method, rehearsal.plain_candidate(bench), method)
    recipe, encoded = tuning.suggestion.recipe, tuning.encoded
    out = bench.project.store / "compared" / method

    def evaluate(step: int) -> tuple[float, float] | None:
        folder = checkpoint_folder(out, step)
        return bench.dev_score(tuning.candidate(folder, weights_digest(folder), 1.0), f"{method}, step {step}")

    base = tuning.untouched_base()
    began = time.monotonic()
    done = train(base, recipe, encoded, out, evaluate=evaluate)
    seconds = time.monotonic() - began
    row = estimate(encoded.report.tokens / len(encoded.rows), "tokens", "counted")
    amount = hours.Amount(
        rows=len(encoded.rows),
        dev=len(bench.dev),
        cases=0,
        row_tokens=row,
        answer_tokens=row,
        recipe=recipe,
        rates=1,
        seeds=1,
        dev_calls=0,
        documents=False,
    )
    paces = hours.from_calibration(speed, None, amount)
    predicted = hours.one_training(amount, paces, method, share=done.steps / done.planned_steps)
    assert predicted.value is not None and predicted.low is not None and predicted.high is not None  # noqa: PT018
    return Compared(
        round=number,
        method=method,
        predicted=3600 * predicted.value,
        low=3600 * predicted.low,
        high=3600 * predicted.high,
        measured=seconds,
        steps=done.steps,
        planned=done.planned_steps,
    )


if __name__ == "__main__":
    main()
