"""Levers on the development split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tuneworthy.measure.diagnose import Diagnosis
from tuneworthy.printing.console import STATES, limits_of, machine, next_step, people, state_name, worded
from tuneworthy.records import LeverResult
from tuneworthy.report.wording import percent, points, points_range, visible


def measured(results: Sequence[LeverResult], folder: Path, *, as_json: bool, console: Console | None = None) -> None:
    """Levers on the development split."""
    console = console or people(as_json)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name, side in (("lever", "left"), ("development score", "right"), ("tried", "right"), ("", "left")):
        grid.add_column(name, justify=side)  # type: ignore[arg-type]
    for r in results:
        score = percent(r.dev_score) if r.dev_score is not None else "–"
        grid.add_row(r.lever, score, str(len(r.trials) or "–"), Text(worded(r.state, r.reason), style=STATES[r.state]))
    console.print(grid)
    console.print("A development score is for choosing; the locked cases decide.")
    next_step(console, "run", folder, "compare on the locked cases")
    if as_json:
        machine(results)


def diagnosis(results: Sequence[LeverResult], found: Diagnosis | None, folder: Path, *, as_json: bool) -> None:
    """Levers on the development split, and why the base fails there."""
    console = people(as_json)
    measured(results, folder, as_json=False, console=console)
    console.print()
    if found is None:
        console.print("No diagnosis: it takes development rows, and a prompt that could be measured.")
    else:
        _diagnosed(console, found)
    if as_json:
        plain = found.model_dump(mode="json") if found else None
        machine({"levers": [r.model_dump(mode="json") for r in results], "diagnosis": plain})


def _diagnosed(console: Console, found: Diagnosis) -> None:
    console.print(f"The prompt alone fails {found.failed} of {found.cases} development cases.")
    if found.shares:
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for name, side in (("cause", "left"), ("cases", "right"), ("share", "right"), ("points to", "left")):
            grid.add_column(name, justify=side)  # type: ignore[arg-type]
        for s in found.shares:
            share = f"{percent(s.share.value)} ({limits_of(s.share)})"
            grid.add_row(state_name(s.cause), str(s.cases), share, s.points_to)
        console.print(grid)
    for s in found.shares:
        if s.shown:
            told = ", ".join(f"{one.lever} {percent(one.share.value)} ({limits_of(one.share)})" for one in s.shown)
            console.print(f"{s.cause.replace('_', ' ')}: of these {s.cases} cases pass with {told}")
    for c in found.contrasts:
        limits = (
            f"{points(c.difference.value)} points ({points_range(c.difference)})" if c.difference else "no interval"
        )
        told = "told from none" if c in found.told_from_none else "not told from none"
        console.print(f"{c.candidate} against the base, n = {c.n}: {limits}, {told} (Holm p = {c.p_adjusted:.3f})")
    if found.gold:
        console.print(f"Passages with the facts: {found.gold}.")
    for name, reason in found.not_tried.items():
        console.print(f"not tried: {name.replace('_', ' ')}: {visible(reason)}", markup=False)


def mask(report: str, rows: Sequence[Sequence[tuple[str, bool]]], *, as_json: bool) -> None:
    """Which tokens carry loss: those that do are set off by colour and brackets."""
    console = people(as_json)
    console.print(report)
    for row in rows:
        text = Text()
        for token, trained in row:
            shown = visible(token).replace("\n", "⏎\n")
            text.append(f"⟦{shown}⟧" if trained else shown, style="bold green" if trained else "dim")
        console.print()
        console.print(text)
    if as_json:
        machine({"report": report, "rows": [[{"token": t, "loss": flag} for t, flag in row] for row in rows]})
