"""A learning curve in the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table
from rich.text import Text

from tuneworthy.measure.learning_curve import LearningCurve
from tuneworthy.printing.console import MET, UNDECIDED, limits_of, machine, next_step, people
from tuneworthy.report.wording import percent

BAR = 40
"""characters of a score of 100 %"""


def learning_curve(curve: LearningCurve, path: Path, folder: Path, *, as_json: bool) -> int:
    """Scores by size, what is predicted, and the answer; 4 when it is undecided."""
    console = people(as_json)
    seeds = len(curve.points[0].scores)
    console.print(f"{curve.learner}, {curve.metric}: {curve.trainings} trainings, {seeds} seeds, {curve.cases:,} cases")
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("examples", "score", "interval"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("", no_wrap=True)
    for point in curve.points:
        bar = Text("█" * round(BAR * point.score.value), style="cyan")
        grid.add_row(f"{point.size:,.0f}", percent(point.score.value), limits_of(point.score), bar)
    for forecast in curve.forecasts:
        bar = Text("░" * round(BAR * forecast.score.value) + " predicted", style="dim")
        grid.add_row(f"{forecast.size:,.0f}", percent(forecast.score.value), limits_of(forecast.score), bar)
    console.print(grid)
    console.print()
    for sentence in curve.sentences:
        console.print(Text(sentence))
    console.print(f"Written: {path}", soft_wrap=True, markup=False)
    steps = {
        "helps": ("data check", "then label more"),
        "flat": ("eval", "which examples are missed, and why", "--diagnose"),
        "undecided": ("data check", "what the examples lack"),
    }
    verb, why, *options = steps[curve.answer]
    next_step(console, verb, folder, why, *options)
    if as_json:
        machine(curve)
    return UNDECIDED if curve.answer == "undecided" else MET
