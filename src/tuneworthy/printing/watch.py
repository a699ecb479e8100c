"""What `watch` found: days, drift, alarms; and whether what is live still earns its place."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from pydantic import JsonValue
from rich.console import Console
from rich.text import Text

from tuneworthy.content import write_whole
from tuneworthy.printing.console import (
    MET,
    REFUSED,
    UNDECIDED,
    grid,
    limits_of,
    machine,
    named,
    next_step,
    people,
    score_of,
)
from tuneworthy.report.wording import NOT_MEASURED, percent, visible
from tuneworthy.watch import drift
from tuneworthy.watch.drift import Shift
from tuneworthy.watch.report import Report
from tuneworthy.watching import Redecision

SHOWN = 14
"""days and alarms that are shown"""


def report(found: Report, folder: Path, *, as_json: bool) -> int:
    """Exit code 3 when there is an alarm."""
    _shown(found, folder, people(as_json))
    if as_json:
        machine(found)
    return REFUSED if found.alarms else MET


def page(found: Report, folder: Path, out: Path) -> None:
    """The same as one HTML file.

    Raises:
        StorageError: it cannot be written.
    """
    console = Console(record=True, file=StringIO(), width=140, highlight=False)
    _shown(found, folder, console)
    write_whole(out, console.export_html())


def _shown(found: Report, folder: Path, console: Console) -> None:
    console.print(Text(f"{found.alias}: {found.release}", style="bold"))
    table = grid(
        ("day", "left"), ("answers", "right"), ("failed", "right"), ("p50 s", "right"), ("p95 s", "right"),
        ("tokens", "right"), ("EUR", "right"), ("right/wrong", "right"),
    )  # fmt: skip
    for day in found.days[-SHOWN:]:
        table.add_row(
            day.day + ("" if day.whole else " …"),
            f"{day.answers:,}",
            f"{day.failed:,}",
            "" if day.p50 is None else f"{day.p50:.3f}",
            "" if day.p95 is None else f"{day.p95:.3f}",
            f"{day.tokens_in + day.tokens_out:,}",
            NOT_MEASURED if day.eur is None else f"{day.eur:.2f}",
            f"{day.right}/{day.wrong}" if day.right + day.wrong else "",
        )
    console.print(table)
    if not found.days:
        console.print("No answer was traced yet.")
    _features(found, console)
    _quality(found, console)
    for alarm in found.alarms[-SHOWN:]:
        chance = "" if alarm.p is None else f", p = {alarm.p:.1e}"
        window = f", {alarm.window} d" if alarm.window else ""
        word = "WORSE" if alarm.worse else "OTHER"
        console.print(
            Text(f"{word} {alarm.day}  ", style="red" if alarm.worse else "yellow"),
            Text(f"{alarm.what}{window}: {visible(alarm.told)}{chance}"), sep="", soft_wrap=True,
        )  # fmt: skip
    if len(found.alarms) > SHOWN:
        console.print(Text(f"… and {len(found.alarms) - SHOWN} more before", style="dim"))
    if not found.alarms and found.reference:
        console.print(Text("No alarm.", style="green"))
    for note in found.notes:
        console.print(Text(f"Note: {note}", style="dim"), soft_wrap=True)
    for text in found.not_measured:
        console.print(Text(f"{NOT_MEASURED}: {visible(text)}", style="dim"), soft_wrap=True)
    _next(found, folder, console)


def reevaluated(line: dict[str, JsonValue], *, as_json: bool) -> int:
    """The suite, asked again through the gateway."""
    console = people(as_json)
    style = {"passed": "green", "failed": "red"}.get(str(line["state"]), "dim")
    console.print(Text(f"{line['state']}: ", style=style), Text(visible(str(line["found"]))), sep="", soft_wrap=True)
    if as_json:
        machine(line)
    return REFUSED if line["state"] == "failed" else MET


def redecided(found: Redecision, folder: Path, *, as_json: bool) -> int:
    """Exit code 0 when it stays or nothing changed, 3 when it goes, 4 when nobody can tell."""
    console = people(as_json)
    console.print(Text(found.release, style="bold"))
    for change in found.changes:
        console.print(Text(f"changed   {visible(change)}"), soft_wrap=True)
    if found.live is not None:
        table = grid(("arm", "left"), ("score %", "right"), ("95 %", "right"), ("n", "right"), ("s/answer", "right"))
        for arm in (*found.arms, found.live):
            seconds = "" if arm.seconds is None else f"{arm.seconds:.3f}"
            table.add_row(arm.name, score_of(arm), limits_of(arm.interval), str(arm.n), seconds)
        console.print(table)
    console.print(Text(f"{found.decision}: {visible(found.sentence)}", style="bold"), soft_wrap=True)
    if found.decision == "goes":
        next_step(console, "run", folder, "the verdict on the new base; then release what it names")
    elif found.decision == "undecided":
        next_step(console, "suite status", folder, "what these cases can tell apart")
    elif found.changes:
        next_step(console, "run", folder, "would training on the new base do better still?", "--all")
    if as_json:
        machine(found)
    return {"goes": REFUSED, "undecided": UNDECIDED}.get(found.decision, MET)


def _features(found: Report, console: Console) -> None:
    if not found.features:
        return
    days = found.reference
    first = f"{days[0]} to {days[-1]} ({len(days)} days with answers)" if days else "no reference yet"
    table = grid(("last week against the first days", "left"), ("n", "right"), ("PSI", "right"), ("p", "right"),
                 ("what moved most", "left"), ("PSI to suite", "right"))  # fmt: skip
    for feature in found.features:
        s = feature.last
        table.add_row(
            feature.name,
            *(("", NOT_MEASURED, "", "") if s is None else (f"{s.n:,}", f"{s.psi:.2f}", f"{s.p:.2g}", visible(s.told))),
            _suite(feature.suite),
        )
    console.print(table)
    named(
        console, "reference",
        f"{first}; an alarm needs p ≤ {found.level:.1e} ({found.looks} looks a day, one false alarm in "
        f"{drift.BUDGET_DAYS} days) and PSI ≥ {drift.SMALLEST}",
    )  # fmt: skip


def _suite(shift: Shift | None) -> str:
    return "" if shift is None else f"{shift.psi:.2f}"


def _quality(found: Report, console: Console) -> None:
    if found.feedback is not None:
        offline = (
            "" if found.offline is None else f"; offline {percent(found.offline.value)} ({limits_of(found.offline)})"
        )
        named(
            console, "feedback",
            f"right {percent(found.feedback.value)} ({limits_of(found.feedback)}, n = {found.feedback_n}){offline}. "
            "Who speaks up is not everybody.",
        )  # fmt: skip
    if found.texts is not None:
        named(
            console, "texts",
            f"a classifier tells new inputs from old ones with AUC {found.texts.auc:.2f} (p = {found.texts.p:.2g}, "
            f"{found.texts.n} against {found.texts.reference}; 0.5 = it cannot)",
        )  # fmt: skip
    for score in found.scores:
        named(console, score.scorer, f"{percent(score.mean.value)} ({limits_of(score.mean)}) of {score.n:,} {score.on}")
    if found.stale is not None:
        gone = [f"{p.passage} ({p.state}, {p.answers} answers)" for p in found.stale.gone[:5]]
        named(
            console, "documents",
            f"{len(found.stale.gone)} of {found.stale.passages} passages are not in the documents any more; "
            f"{found.stale.stale_answers} of {found.stale.answers} answers rest on one"
            + (f": {', '.join(gone)}" if gone else "")
            + (f"; new: {', '.join(found.stale.new_files[:5])}" if found.stale.new_files else ""),
        )  # fmt: skip
    for line in found.suite[-1:]:
        named(console, "suite", f"{line['state']} {str(line['when'])[:16]}: {line['found']}")


def _next(found: Report, folder: Path, console: Console) -> None:
    if any(alarm.worse for alarm in found.alarms):
        next_step(console, "rollback", folder, "if the release before did better; else mend data or documents")
    elif found.alarms:
        next_step(console, "watch", folder, "are answers still right? asks the suite again", "--suite")
    elif found.feedback is not None:
        next_step(console, "data label", folder, "what clients corrected, for the next iteration", "--feedback")
