"""What a run came to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tuneworthy.evidence import p_of
from tuneworthy.exchange.judge import Judged, JudgedArm
from tuneworthy.printing.board import table
from tuneworthy.printing.console import MET, REFUSED, UNDECIDED, grid, limits_of, machine, next_step, people, state_name
from tuneworthy.records import Comparison, CorpusDifference
from tuneworthy.report.wording import NOT_MEASURED, further_score, p_value, percent, points, points_range, visible
from tuneworthy.runs import RunRecord

_DECISIONS = {"tune": "bold green", "do_not_tune": "bold cyan", "undecided": "bold yellow"}


def verdict(record: RunRecord, folder: Path, *, as_json: bool) -> int:
    """The table and the three sentences; the exit code says whether the bar is met."""
    console = people(as_json)
    if not console.is_terminal:
        gains = {c.candidate: c for c in reversed(record.comparisons) if c.reference == "prompt"}
        console.print(table(record.arms, gains, {r.lever: (r.state, r.reason) for r in record.levers}))
    if any(arm.further for arm in record.arms):
        console.print(_beside_the_bar(record))
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


def _beside_the_bar(record: RunRecord) -> Table:
    """Further scorers, a column each."""
    names = list(dict.fromkeys(name for arm in record.arms for name in arm.further))
    told = grid(("beside the bar", "left"), *((name, "right") for name in names))
    for arm in record.arms:
        told.add_row(arm.name, *(further_score(arm.further.get(name)) for name in names))
    return told


def comparison(found: Comparison, *, as_json: bool) -> int:
    """Two arms; 0 when the candidate is better, 3 when it is not, 4 when that cannot be told."""
    told(people(as_json), found)
    if as_json:
        machine(found)
    return outcome(found)


def told(console: Console, found: Comparison) -> None:
    """Difference, interval, test."""
    difference = found.difference
    limits = f"{points(difference.value)} points ({points_range(difference)})" if difference else "no interval"
    console.print(f"{found.candidate} against {found.reference}, n = {found.n}: {limits}")
    p = p_of(found)
    chance = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    console.print(f"{found.test}: {chance}; {found.wins} cases better, {found.losses} worse")
    if found.dropped:
        console.print(f"{found.dropped} unscored cases left out; at worst {points(found.worst_case)} points")
    if found.note:
        console.print(found.note)
    if found.corpus:
        console.print(_together(found.corpus), markup=False)
    if not found.registered:
        console.print("Exploratory: this contrast was not registered before the cases were opened.")


def _together(c: CorpusDifference) -> str:
    """The score of all answers together, as papers print it."""
    limits = f" ({c.difference.low:+.1f} to {c.difference.high:+.1f})" if c.difference else ""
    test = f"; approximate randomisation: p = {p_value(c.p)}" if c.p is not None else ""
    note = f"; {c.note}" if c.note else ""
    return (
        f"all answers together, {c.metric}: {c.reference:.1f} → {c.candidate:.1f}, "
        f"{c.candidate - c.reference:+.1f}{limits}{test}{note}"
    )


def judged(found: Judged, *, as_json: bool) -> int:
    """Logs of other tools. 0 when an arm is better than the reference, 3 when each is worse, else 4."""
    console = people(as_json)
    console.print(f"{visible(found.metric)}, {len(found.arms)} arms, cases paired by {found.paired_by}", markup=False)
    comparisons = {c.candidate: c for c in found.comparisons}
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name, side in (("arm", "left"), ("score", "right"), ("interval", "right"), ("n", "right")):
        grid.add_column(name, justify=side)  # type: ignore[arg-type]
    for name in ("unscored", "difference", "p", "better", "worse"):
        grid.add_column(name, justify="right")
    for arm in found.arms:
        grid.add_row(Text(visible(arm.name)), *_outside(arm), *_against(comparisons.get(arm.name)))
    console.print(grid)
    for line in _remarks(found):
        console.print(visible(line), markup=False, soft_wrap=True)
    console.print("Exploratory: no suite was locked before these cases were answered, so this supports no verdict.")
    if as_json:
        machine(found)
    return _of_all(found)


def _outside(arm: JudgedArm) -> tuple[str, ...]:
    score = percent(arm.interval.value) if arm.interval else "no spread" if arm.n else NOT_MEASURED
    return score, limits_of(arm.interval) or "–", str(arm.n), str(sum(arm.unscored.values()))


def _against(found: Comparison | None) -> tuple[str, ...]:
    if found is None:
        return "–", "–", "–", "–"
    difference = found.difference
    told = f"{points(difference.value)} ({points_range(difference)})" if difference else "no interval"
    return told, p_value(p_of(found)), str(found.wins), str(found.losses)


def _remarks(found: Judged) -> Iterator[str]:
    for arm in found.arms:
        yield f"{arm.name}: {arm.tool}, {arm.file}"
        if arm.unscored:
            reasons = ", ".join(f"{count} {state_name(reason)}" for reason, count in arm.unscored.items())
            yield f"{arm.name}: unscored, whatever {arm.tool} made of them: {reasons}"
        yield from (f"{arm.name}: {note}" for note in arm.notes)
    for name, values in found.settings.items():
        yield f"differs: {name}: " + "; ".join(
            f"{arm} {json.dumps(v, ensure_ascii=False)}"[:120] for arm, v in values.items()
        )
    for c in found.comparisons:
        if c.dropped:
            yield f"{c.candidate}: cases left out: {c.dropped}; at worst {points(c.worst_case)} points"
        if c.note:
            yield f"{c.candidate}: {c.note}"
    for problem in found.problems.values():
        yield f"No conclusion: {problem}"


def _of_all(found: Judged) -> int:
    states = [UNDECIDED if c.candidate in found.problems else outcome(c) for c in found.comparisons]
    return MET if MET in states else REFUSED if set(states) == {REFUSED} else UNDECIDED


def outcome(found: Comparison) -> int:
    """0 when the candidate is better, 3 when it is not, 4 when that cannot be told."""
    difference = found.difference
    if difference is None or p_of(found) >= 1 - difference.level:
        return UNDECIDED
    return MET if difference.value > 0 else REFUSED


def report(path: Path | str, *, as_json: bool) -> None:
    """Where the report lies."""
    people(as_json).print(f"Written: {path}", soft_wrap=True, markup=False)
    if as_json:
        machine({"report": str(path)})
