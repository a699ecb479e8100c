"""What to label next, and what was taken over."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from tuneworthy.data.findings import excerpt, many
from tuneworthy.data.near import input_text
from tuneworthy.data.unlabelled import Taken
from tuneworthy.levers.labelling import Suggestion
from tuneworthy.printing.console import machine, next_step, people
from tuneworthy.report.wording import visible
from tuneworthy.watch.corrections import Collected


def suggested(found: Suggestion, path: Path, folder: Path, *, as_json: bool, shown: int = 5) -> None:
    """The rows to label, and why these."""
    console = people(as_json)
    left = f"{found.known:,} known already, {found.judged:,} in the suite"
    console.print(f"{many(found.pool)} to choose from; left out: {left}")
    console.print(Text(found.sentence))
    for row in found.rows[:shown]:
        text = visible(excerpt(input_text(row.input)))
        console.print(Text(f"    {row.source}  {text}  {visible(row.why)}", style="dim"))
    if len(found.rows) > shown:
        console.print(Text(f"    … and {len(found.rows) - shown:,} more", style="dim"))
    console.print(f"Written: {path}: fill in `expected`", soft_wrap=True, markup=False)
    next_step(console, "data label", folder, "when they are filled in: adds them to the examples", "--take")
    if as_json:
        machine(found)


def taken(found: Taken, folder: Path, *, as_json: bool) -> None:
    """What was added to the examples."""
    console = people(as_json)
    console.print(f"{many(found.added)} added to the examples")
    console.print(f"{found.known:,} were there already; {found.left:,} still to fill in")
    next_step(console, "data check", folder, "look at what was added")
    if as_json:
        machine({"added": found.added, "known": found.known, "left": found.left})


def collected(found: Collected, path: Path, folder: Path, *, as_json: bool) -> None:
    """What clients corrected, laid before a person."""
    console = people(as_json)
    console.print(
        f"{many(len(found.rows))} that clients corrected; left out: {found.known:,} known already, "
        f"{found.judged:,} in the suite, {found.bare:,} whose input is not kept"
    )
    for row in found.rows[:5]:
        text = visible(excerpt(input_text(row.input)))
        console.print(Text(f"    {text}  → {row.suggested}  {visible(row.why)}", style="dim"))
    if found.rows:
        console.print(f"Written: {path}: where you agree, write it under `expected`", soft_wrap=True, markup=False)
        next_step(console, "data label", folder, "adds the rows that are filled in to the examples", "--take")
    if as_json:
        machine(
            {
                "rows": [row.model_dump(mode="json") for row in found.rows],
                "known": found.known,
                "in_suite": found.judged,
                "without_input": found.bare,
            }
        )
