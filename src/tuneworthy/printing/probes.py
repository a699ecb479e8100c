"""What training did beside the task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from tuneworthy.errors import TuneworthyError
from tuneworthy.measure.probes import NAMES, ProbeName, Probes
from tuneworthy.printing.console import machine, next_step, people
from tuneworthy.report.beside import lines
from tuneworthy.report.wording import NOT_MEASURED, visible


def chosen(words: Sequence[str]) -> tuple[ProbeName, ...]:
    """The probes that are asked for; `all` stands for every one.

    Raises:
        TuneworthyError: there is no such probe.
    """
    odd = [word for word in words if word not in (*NAMES, "all")]
    if odd:
        raise TuneworthyError(f"there is no probe called {odd[0]!r}", next=f"known: {', '.join(NAMES)}, all")
    return tuple(name for name in NAMES if name in words or "all" in words)


def probes(lever: str, found: Probes, folder: Path, *, as_json: bool) -> None:
    """One line a number, then what was not measured and what to mind."""
    console = people(as_json)
    console.print(f"{lever}, beside the task (development data and probes of our own):")
    for name, text in lines(found):
        console.print(Text(f"  {name:<12} "), Text(visible(text)), sep="")
    for name, why in found.not_measured.items():
        console.print(Text(f"  {name:<12} {NOT_MEASURED}: {visible(why)}", style="dim"))
    for warning in found.warnings():
        console.print(Text(f"! {visible(warning)}", style="yellow"))
    next_step(console, "run", folder, "puts these numbers into the record and the report")
    if as_json:
        machine(found)
