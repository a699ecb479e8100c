"""Before anything is measured: a new use case, its prerequisites, its suite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from tuneworthy.printing.console import MET, REFUSED, machine, next_step, people
from tuneworthy.report.wording import visible
from tuneworthy.runs import GateResult
from tuneworthy.suite.status import SuiteStatus

_GATES = {"passed": ("✓", "green"), "failed": ("✗", "red"), "overridden": ("!", "yellow"), "not_measured": ("?", "dim")}


def written(paths: Sequence[Path], folder: Path, *, as_json: bool) -> None:
    """Files of a new use case."""
    console = people(as_json)
    for path in paths:
        console.print(f"  {path}", soft_wrap=True, markup=False)
    console.print(f"{len(paths)} files written.")
    next_step(console, "check", folder, "look at the prerequisites")
    if as_json:
        machine({"files": [str(path) for path in paths]})


def gates(results: Sequence[GateResult], folder: Path, *, as_json: bool) -> int:
    """The five prerequisites; 3 when one failed."""
    console = people(as_json)
    for gate in results:
        mark, style = _GATES[gate.state]
        console.print(Text(f"{mark} {gate.gate.replace('_', ' '):<11}", style=style), Text(visible(gate.found)))
        for label, text in (("missing", gate.missing), ("next", gate.next), ("overridden", gate.override)):
            if text:
                console.print(Text(f"  {'':<11} {label}: {visible(text)}", style="" if label == "next" else style))
    failed = [gate for gate in results if gate.state == "failed"]
    console.print()
    if failed:
        names = ", ".join(gate.gate.replace("_", " ") for gate in failed)
        console.print(
            f"{len(failed)} of {len(results)} gates closed ({names}): the levers without training are measured"
        )
        console.print("all the same; training starts when every gate is open.")
    next_step(console, "run", folder, "climb the ladder")
    if as_json:
        machine(results)
    return REFUSED if failed else MET


def suite(found: SuiteStatus, folder: Path, *, as_json: bool) -> None:
    """A suite: cases, lock, and what can be seen with it."""
    console = people(as_json)
    state = f"locked as {found.lock[:12]}" if found.lock else f"not locked ({found.problem or 'run: suite lock'})"
    grouped = f" in {found.clusters} groups" if found.clusters < found.cases else ""
    console.print(f"{found.cases} cases{grouped}, {state}; bar: {found.metric} ≥ {found.at_least:.2f}")
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("true difference", "is seen with", "cases for 80 %"):
        grid.add_column(name, justify="right")
    for row in found.power:
        grid.add_row(f"{100 * row.difference:.0f} points", f"{100 * row.power:.0f} %", f"{row.cases_for_80:,}")
    console.print(grid)
    console.print(f"The locked cases were looked at {found.openings} times.")
    step = ("run", "climb the ladder") if found.lock else ("suite lock", "freeze it")
    next_step(console, step[0], folder, step[1])
    if as_json:
        machine(found)
