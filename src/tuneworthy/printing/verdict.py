"""What a run came to."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from tuneworthy.printing.board import table
from tuneworthy.printing.console import MET, REFUSED, UNDECIDED, machine, next_step, people
from tuneworthy.records import Comparison
from tuneworthy.report.wording import points, points_range, visible
from tuneworthy.runs import RunRecord

_DECISIONS = {"tune": "bold green", "do_not_tune": "bold cyan", "undecided": "bold yellow"}


def verdict(record: RunRecord, folder: Path, *, as_json: bool) -> int:
    """The table and the three sentences; the exit code says whether the bar is met."""
    console = people(as_json)
    if not console.is_terminal:
        gains = {c.candidate: c for c in reversed(record.comparisons) if c.reference == "prompt"}
        console.print(table(record.arms, gains, {r.lever: (r.state, r.reason) for r in record.levers}))
    found = record.verdict
    console.print()
    console.print(Text(found.decision.replace("_", " ").upper(), style=_DECISIONS[found.decision]))
    for sentence in found.sentences:
        console.print(Text(visible(sentence)))
    next_step(console, "report", folder, "every case side by side", "--out report.html")
    if as_json:
        machine(record)
    if found.decision == "undecided":
        return UNDECIDED
    return MET if found.bar_met else REFUSED


def comparison(found: Comparison, *, as_json: bool) -> int:
    """Two arms; 0 when the candidate is better, 3 when it is not, 4 when that cannot be told."""
    console = people(as_json)
    difference = found.difference
    limits = f"{points(difference.value)} points ({points_range(difference)})" if difference else "no interval"
    console.print(f"{found.candidate} against {found.reference}, n = {found.n}: {limits}")
    p = found.p if found.p_adjusted is None else found.p_adjusted
    told = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    console.print(f"{found.test}: {told}; {found.wins} cases better, {found.losses} worse")
    if found.dropped:
        console.print(f"{found.dropped} unscored cases left out; at worst {points(found.worst_case)} points")
    if found.note:
        console.print(found.note)
    if not found.registered:
        console.print("Exploratory: this contrast was not registered before the cases were opened.")
    if as_json:
        machine(found)
    if difference is not None and p < 1 - difference.level:
        return MET if difference.value > 0 else REFUSED
    return UNDECIDED


def report(path: Path, *, as_json: bool) -> None:
    """Where the report lies."""
    people(as_json).print(f"Written: {path}", soft_wrap=True, markup=False)
    if as_json:
        machine({"report": str(path)})
