"""Where text goes and how its parts are written."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tuneworthy.records import Interval, Record
from tuneworthy.report.wording import NOT_MEASURED, percent, visible
from tuneworthy.runs import ArmReport

MET, REFUSED, UNDECIDED = 0, 3, 4
"""exit codes: the bar or gate is met; a gate refused or the bar is not met; undecided"""

STATES = {"measured": "green", "trying": "cyan", "failed": "red", "not_tried": "dim", "not_applicable": "dim"}


def people(as_json: bool) -> Console:
    console = Console(stderr=as_json, highlight=False)
    if not console.is_terminal:
        console.width = 120  # a file or pipe has no width of its own; 80 columns would cut the table
    return console


def next_step(console: Console, verb: str, folder: Path, why: str, options: str = "") -> None:
    command = " ".join(part for part in ("tuneworthy", verb, shlex.quote(str(folder)), options) if part)
    console.print(Text(f"Next: {command}", style="bold"), Text(f"({why})", style="dim"), soft_wrap=True)


def named(console: Console, name: str, text: str) -> None:
    """A line with its name before it; lines without one stand below it."""
    console.print(Text(f"{name:<9} ", style="dim"), Text(text), sep="", soft_wrap=True)


def grid(*columns: tuple[str, Literal["left", "right"]]) -> Table:
    """An empty table without lines: name and side of each column."""
    found = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name, side in columns:
        found.add_column(name, justify=side, overflow="fold")
    return found


def machine(value: Record | Sequence[Record] | dict[str, Any]) -> None:
    plain: Any = value
    if isinstance(value, Record):
        plain = value.model_dump(mode="json")
    elif not isinstance(value, dict):
        plain = [item.model_dump(mode="json") for item in value]
    sys.stdout.write(json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n")


def score_of(arm: ArmReport) -> str:
    """Without an interval there is no score to show: nothing was scored, or graded scores do not vary."""
    if arm.interval is None:
        return "no spread" if arm.n else NOT_MEASURED
    return percent(arm.interval.value)


def limits_of(interval: Interval | None) -> str:
    return f"{100 * interval.low:.1f}–{100 * interval.high:.1f}" if interval else ""


def state_name(state: str) -> str:
    return state.replace("_", " ")


def worded(state: str, text: str) -> str:
    return visible(text) if state == "measured" else f"{state_name(state)}{f': {visible(text)}' if text else ''}"
