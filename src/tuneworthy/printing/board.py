"""While it runs: the live table."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tuneworthy.ladder import LADDER
from tuneworthy.printing.console import STATES, limits_of, people, score_of, state_name, worded
from tuneworthy.records import Comparison
from tuneworthy.report.wording import per_answer, percent, points, points_range, visible
from tuneworthy.runs import ArmReport


@contextmanager
def live(*, as_json: bool = False) -> Iterator[Board]:
    """The live table; on a file or pipe, one line for each change instead."""
    console = people(as_json)
    board = Board(console)
    if not console.is_terminal:
        yield board
        return
    with Live(board, console=console, refresh_per_second=4, transient=False):
        yield board
        board.doing = ""


class Board:
    """The state of a run as a table; listens to the ladder."""

    def __init__(self, console: Console) -> None:
        self.console, self.doing = console, ""
        self.levers: dict[str, tuple[str, str]] = {}
        self.arms: dict[str, tuple[ArmReport, Comparison | None]] = {}
        self._began, self._told = time.monotonic(), 0.0

    def step(self, what: str, done: int, total: int) -> None:
        """Progress within one lever."""
        self.doing = f"{what} {done}/{total}" if total > 1 else what
        if not self.console.is_terminal and time.monotonic() - self._told > 15:
            self._told = time.monotonic()
            self._line(f"  … {self.doing}")

    def lever(self, name: str, state: str, text: str) -> None:
        """A lever changed its state."""
        self.levers[name] = (state, text)
        self._told = time.monotonic()
        if state != "trying":
            self._line(f"{name}: {state_name(state)}{f': {text}' if text else ''}")

    def arm(self, report: ArmReport, comparison: Comparison | None) -> None:
        """An arm was measured on the locked cases."""
        self.arms[report.name] = (report, comparison)
        gain = f", {points(comparison.difference.value)} points" if comparison and comparison.difference else ""
        limits = f" ({limits_of(report.interval)})" if report.interval else ""
        self._line(f"{report.name}: {score_of(report)}{limits} on {report.n} locked cases{gain}")

    def __rich__(self) -> Group:
        seconds = int(time.monotonic() - self._began)
        doing = Text(f"{seconds // 60}:{seconds % 60:02d}  {self.doing}" if self.doing else "", style="dim")
        return Group(table([a for a, _ in self.arms.values()], dict(self._gains()), self.levers), doing)

    def _gains(self) -> Iterator[tuple[str, Comparison]]:
        for name, (_, comparison) in self.arms.items():
            if comparison is not None:
                yield name, comparison

    def _line(self, text: str) -> None:
        if not self.console.is_terminal:
            self.console.print(visible(text), soft_wrap=True, markup=False)


def table(arms: Sequence[ArmReport], gains: dict[str, Comparison], levers: dict[str, tuple[str, str]]) -> Table:
    """Levers in the order of the ladder: score with interval, difference to the base, cost, state."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name, side in (("lever", "left"), ("score", "right"), ("interval", "right"), ("vs prompt", "right")):
        grid.add_column(name, justify=side, no_wrap=True)  # type: ignore[arg-type]
    for name in ("tokens in", "out", "s/answer"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("state", overflow="fold")
    measured = {arm.name: arm for arm in arms}
    for name in LADDER:
        if name in measured:
            _add(grid, measured[name], gains.get(name), levers.get(name, ("measured", "")))
            for seed in (arm for arm in arms if arm.name.startswith(f"{name}/")):
                _add(grid, seed, gains.get(seed.name), ("", ""))
        elif name in levers:
            state, text = levers[name]
            grid.add_row(name, "–", "–", "–", "–", "–", "–", Text(worded(state, text), style=STATES.get(state, "")))
    return grid


def _add(grid: Table, arm: ArmReport, gain: Comparison | None, told: tuple[str, str]) -> None:
    interval = arm.interval
    gained = f"{points(gain.difference.value)} ({points_range(gain.difference)})" if gain and gain.difference else "–"
    notes = [told[1]] if told[1] else []
    notes += [f"passage found in {percent(arm.evidence_recall)}"] if arm.evidence_recall is not None else []
    notes += [f"{arm.too_long} inputs do not fit the context"] if arm.too_long else []
    notes += [f"{arm.eur_per_1000.mean:.2f} EUR for 1,000 answers"] if arm.eur_per_1000 else []
    notes += [f"{arm.unscored} unscored"] if arm.unscored else []
    grid.add_row(
        arm.name,
        score_of(arm),
        limits_of(interval) or "–",
        gained,
        "–" if arm.tokens_in is None else f"{arm.tokens_in:,.0f}",
        "–" if arm.tokens_out is None else f"{arm.tokens_out:,.0f}",
        "–" if arm.seconds is None else per_answer(arm.seconds).removesuffix("s").strip(),
        Text(visible("; ".join(notes)), style="dim"),
    )
