"""Is the plan right? Predicted hours against measured ones, and the error table of the memory estimator.

    python -m benchmarks.plan            three rounds of calibrate → train → compare, on an idle machine (about 15 min)
    python -m benchmarks.plan 1          one round
    python -m benchmarks.plan memory     the error table only

Each round, for LoRA and for full fine-tuning on the pocket model: calibrate this machine, predict one training with its
scored checkpoints, then run exactly that training in a folder of its own, and compare.
"""

from __future__ import annotations

import datetime as dt
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tuneworthy.flow import open_bench
from tuneworthy.ground import prepare
from tuneworthy.levers import rehearsal
from tuneworthy.levers.bench import Bench
from tuneworthy.levers.tuned import Tuning
from tuneworthy.models.local.files import weights_digest
from tuneworthy.plan import calibrate, hours
from tuneworthy.plan.memory_points import errors, summary
from tuneworthy.plan.records import Method, estimate
from tuneworthy.project import open_project
from tuneworthy.training.checkpoints import checkpoint_folder
from tuneworthy.training.loop import train

USECASE = Path(__file__).parents[1] / "examples" / "ticket-triage"
ROUNDS = 3
METHODS: tuple[Method, ...] = ("lora", "full")


@dataclass(frozen=True)
class Compared:
    """One training: predicted and measured seconds."""

    method: str
    predicted: float
    low: float
    high: float
    measured: float
    steps: int
    planned: int

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1


def main() -> None:
    """Print what was asked for."""
    if sys.argv[1:] == ["memory"]:
        memory_table()
        return
    rounds = int(sys.argv[1]) if sys.argv[1:] else ROUNDS
    if rounds == ROUNDS:
        memory_table()
        print()
    print("hours: predicted against measured, pocket model, LoRA and full, calibrate → train → compare in one sitting")
    print("| round | method | predicted s (range) | measured s | error | steps run / planned |")
    print("| --- | --- | --- | --- | --- | --- |")
    found = [compared for number in range(1, rounds + 1) for compared in one_round(number)]
    for method in ("lora", "full"):
        sizes = [abs(c.error) for c in found if c.method == method]
        inside = sum(c.low <= c.measured <= c.high for c in found if c.method == method)
        print(
            f"{method}: median absolute error {median(sizes):.1%}, largest {max(sizes):.1%} over {len(sizes)} rounds; "
            f"{inside} of {len(sizes)} inside the predicted range"
        )
    print("GPU: not measured (none at hand)")


def memory_table() -> None:
    """The estimator on every published point."""
    found = errors(dt.date.today())
    print("| point | quantity | measured GiB | estimated GiB | error |")
    print("| --- | --- | --- | --- | --- |")
    for error in found:
        point = error.point
        print(
            f"| {point.id} | {point.quantity} | {error.measured:.1f} | {error.estimated:.1f} | {error.relative:+.1%} |"
        )
    for name, part in (
        ("handbook", [e for e in found if e.point.handbook]),
        ("further", [e for e in found if not e.point.handbook]),
    ):
        middle, worst = summary(part)
        print(f"{name}: n = {len(part)}, median absolute error {middle:.1%}, largest {worst:.1%}")


def one_round(number: int) -> list[Compared]:
    """Calibrate, then train both ways."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "usecase"
        shutil.copytree(USECASE, folder, ignore=shutil.ignore_patterns(".tuneworthy"))
        bench = open_bench(prepare(open_project(folder)))
        pace = rehearsal.calibrate(bench, today=dt.date.today())
        found = [_compare(bench, pace, method) for method in METHODS]
    for c in found:
        print(
            f"| {number} | {c.method} | {c.predicted:.0f} ({c.low:.0f}–{c.high:.0f}) | {c.measured:.0f} "
            f"| {c.error:+.1%} | {c.steps} / {c.planned} |",
            flush=True,
        )
    return found


def _compare(bench: Bench, pace: calibrate.MeasuredSpeed, method: Method) -> Compared:
    start = rehearsal.plain_candidate(bench)
    tuning = Tuning(bench, method, start, method)
    recipe, encoded = tuning.suggestion.recipe, tuning.encoded
    out = bench.project.store / "compared" / method

    def evaluate(step: int) -> tuple[float, float] | None:
        folder = checkpoint_folder(out, step)
        return bench.dev_score(tuning.candidate(folder, weights_digest(folder), 1.0), f"{method}, step {step}")

    base = tuning.untouched_base()
    began = time.monotonic()
    done = train(base, recipe, encoded, out, evaluate=evaluate)
    seconds = time.monotonic() - began
    counted = estimate(encoded.report.tokens / len(encoded.rows), "tokens", "counted")
    amount = hours.Amount(
        rows=len(encoded.rows),
        dev=len(bench.dev),
        cases=0,
        row_tokens=counted,
        answer_tokens=counted,
        recipe=recipe,
        rates=1,
        seeds=1,
        dev_calls=0,
        documents=False,
    )
    planned = hours.one_training(
        amount, hours.from_calibration(pace, None, amount), method, share=done.steps / done.planned_steps
    )
    return Compared(
        method=method,
        predicted=3600 * planned.value,
        low=3600 * planned.low,
        high=3600 * planned.high,
        measured=seconds,
        steps=done.steps,
        planned=done.planned_steps,
    )


if __name__ == "__main__":
    main()
