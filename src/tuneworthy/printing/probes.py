"""What training did beside the task, and what the base can before it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from tuneworthy.errors import TuneworthyError
from tuneworthy.measure.probes import NAMES, NOT_ASKED, Beforehand, ProbeName, Probes
from tuneworthy.printing.console import machine, next_step, people
from tuneworthy.report.beside import before_training, lines
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


def subject(names: Sequence[ProbeName]) -> str:
    """Whom to probe where no lever was named: what asks the base alone needs no training."""
    return "prompt" if set(names) == {"unknown"} else "lora"


def probes(lever: str, found: Probes | Beforehand, folder: Path, *, as_json: bool) -> None:
    """One line a number, then what was not measured and what to mind."""
    console = people(as_json)
    trained = isinstance(found, Probes)
    title = f"{lever}, beside the task" if trained else "the base, before anything is trained"
    console.print(f"{title} (development data and probes of our own):")
    told = lines(found) if isinstance(found, Probes) else before_training(found)
    for name, text in told:
        console.print(Text(f"  {name:<12} "), Text(visible(text)), sep="")
    for name, why in found.not_measured.items():
        if not why.startswith(NOT_ASKED):
            console.print(Text(f"  {name:<12} {NOT_MEASURED}: {visible(why)}", style="dim"))
    rest = [name for name, why in found.not_measured.items() if why.startswith(NOT_ASKED)]
    if rest:
        console.print(Text(f"  {NOT_ASKED}: {', '.join(rest)}", style="dim"))
    for warning in found.warnings() if isinstance(found, Probes) else ():
        console.print(Text(f"! {visible(warning)}", style="yellow"))
    if trained:
        next_step(console, "run", folder, "puts these numbers into the record and the report")
    else:
        next_step(console, "check", folder, "the gate data reads what the base can never give")
    if as_json:
        machine(found)
