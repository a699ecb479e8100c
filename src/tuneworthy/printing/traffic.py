"""A challenger beside its champion, on the same requests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tuneworthy.printing import verdict
from tuneworthy.printing.console import MET, REFUSED, machine, next_step, people
from tuneworthy.service import Traffic
from tuneworthy.serving.drill import Drill
from tuneworthy.serving.pairs import LEAST, Found, Needed, Quality
from tuneworthy.serving.replay import Replay


def traffic(found: Sequence[Traffic], folder: Path, *, as_json: bool) -> None:
    """Every challenger, what its traffic says, and when a decision can be expected."""
    console = people(as_json)
    for each in found:
        entry = each.entry
        console.print(Text(f"{entry.alias}: {entry.release}", style="bold"), f"({entry.mode}, {entry.share:.0%})")
        console.print(f"beside {each.champion}")
        compared(console, each.found)
        _decision(console, each)
    if not found:
        console.print("There was no challenger yet.")
        next_step(console, "release deploy --shadow 100%", folder, "let one answer copies that nobody sees")
    if as_json:
        machine({"challengers": [_plain(each) for each in found]})


def replayed(found: Replay, folder: Path, *, as_json: bool) -> None:
    """Both releases on the stored requests."""
    console = people(as_json)
    console.print(Text(found.challenger, style="bold"), f"beside {found.champion}")
    compared(console, found.found)
    if found.judged is None:
        console.print("quality: not measured, as no row holds an answer that a person judged")
    else:
        verdict.told(console, found.judged)
    next_step(console, "release deploy --shadow 100%", folder, "the same on live requests")
    if as_json:
        judged = None if found.judged is None else found.judged.model_dump(mode="json")
        machine({"champion": found.champion, "challenger": found.challenger, **_sides(found.found), "judged": judged})


def drilled(found: Drill, *, as_json: bool) -> int:
    """How long a bad release stayed; 3 when it was not found, or something live changed."""
    console = people(as_json)
    console.print(Text(f"{found.release}, {found.damage}", style="bold"))
    for step in found.steps:
        good = step.seconds is not None
        told = f"out after {step.seconds:.2f} s" if step.seconds is not None else "NOT FOUND"
        console.print(Text(f"{'✓' if good else '✗'} {step.way}: {told}: {step.why}", style="green" if good else "red"))
    same = found.live_before == found.live_after
    console.print("What is live stayed." if same else Text("What is live has changed: see the log.", style="red"))
    if as_json:
        machine(found)
    return MET if found.passed else REFUSED


def compared(console: Console, found: Found) -> None:
    """Both sides of the same requests."""
    if not found.pairs or found.agreement is None:
        console.print("No request was answered by both yet.")
        return
    low, high = 100 * found.agreement.low, 100 * found.agreement.high
    console.print(
        f"same answer: {found.same} of {found.pairs} requests "
        f"({100 * found.agreement.value:.1f} %, 95 % interval {low:.1f} to {high:.1f})"
    )
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (("", "left"), ("champion", "right"), ("challenger", "right")):
        grid.add_column(name, justify=justify)  # type: ignore[arg-type]
    for kind in sorted({*found.failed[0], *found.failed[1]}):
        grid.add_row(f"failed: {kind}", *(str(side.get(kind, 0)) for side in found.failed))
    grid.add_row("median time, ms", *(_number(side, 1000) for side in found.seconds))
    grid.add_row("median length, characters", *(_number(side, 1) for side in found.chars))
    console.print(grid)


def _decision(console: Console, each: Traffic) -> None:
    for quality in (each.found.rated, each.found.scored):
        if quality.pairs:
            console.print(_judged(quality))
    if not each.found.scored.pairs and not each.found.rated.pairs:
        console.print("quality: not measured, as nobody said of an answer whether it is right (POST /v1/feedback)")
    console.print(_days(each.needed, each.margin))
    if each.found.scored.pairs:
        console.print(
            "People report wrong answers more often than right ones, so scores that rest on reports favour whoever was "
            "not shown. They decide nothing; ratings in a canary do."
        )


def _judged(quality: Quality) -> str:
    return (
        f"{quality.source}: {quality.wins} wins, {quality.losses} losses, "
        f"{quality.pairs - quality.wins - quality.losses} ties; evidence that it is worse {quality.worse:.2g} : 1, "
        f"that it is no worse {quality.no_worse:.2g} : 1 (20 : 1 decides, from {LEAST} pairs on): {quality.state}"
    )


def _days(needed: Needed, margin: float) -> str:
    if needed.pairs is None:
        return f"To show that it is no worse by {100 * margin:g} points takes more than a million judged pairs."
    assumed = (
        "" if needed.assumed is None else f", if one of the two is better in {100 * needed.assumed:.0f} % of the pairs"
    )
    text = (
        f"To show that it is no worse by {100 * margin:g} points takes about {needed.pairs:,} judged pairs with a look "
        f"after each, {needed.once:,} with one look at the end{assumed}"
    )
    if needed.days is None:
        return text + f": {_at(needed.pairs)}."
    return text + f"; at {needed.a_day:,.1f} a day that is {math.ceil(needed.days):,} days."


def _at(pairs: int) -> str:
    """Days at three paces, where the pace is not known."""
    return ", ".join(f"{math.ceil(pairs / pace):,} days at {pace:,} a day" for pace in (10, 100, 1000))


def _number(value: float | None, times: float) -> str:
    return "not measured" if value is None else f"{value * times:,.1f}"


def _plain(each: Traffic) -> dict[str, object]:
    found, wanted = each.found, each.needed
    return {
        "entry": each.entry.model_dump(mode="json"),
        "champion": each.champion,
        **_sides(found),
        "quality": [{**quality._asdict(), "state": quality.state} for quality in (found.rated, found.scored)],
        "needed": {**wanted._asdict(), "days": wanted.days, "margin": each.margin},
    }


def _sides(found: Found) -> dict[str, object]:
    return {
        "pairs": found.pairs,
        "same": found.same,
        "failed": {"champion": found.failed[0], "challenger": found.failed[1]},
        "seconds": {"champion": found.seconds[0], "challenger": found.seconds[1]},
    }
