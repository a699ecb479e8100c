"""What the data verbs found and did."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tuneworthy.data.diff import Difference
from tuneworthy.data.engine import Checked, Fixed, VersionInfo
from tuneworthy.data.findings import excerpt
from tuneworthy.data.read import Reading
from tuneworthy.data.split import SplitReport
from tuneworthy.printing.console import MET, REFUSED, machine, next_step, people
from tuneworthy.report.wording import NOT_MEASURED, visible

_SEVERITIES = {"refuse": ("✗", "red"), "review": ("!", "yellow"), "note": ("·", "dim")}


def imported(reading: Reading, folder: Path, *, as_json: bool) -> None:
    """What an import did."""
    console = people(as_json)
    _mapped(console, reading)
    if reading.rejects:
        told = ": data/rejects.jsonl says why" if reading.written else ""
        console.print(f"{len(reading.rejects):,} rows could not be used{told}.")
    if reading.replaced:
        console.print(f"What stood there before is kept as {reading.replaced.name}.")
    if reading.written:
        next_step(console, "suite build", folder, "draw the cases that decide")
    else:
        targets = " ".join(f"--map {field}=COLUMN" for field in reading.mapping if not field.startswith("provenance"))
        console.print("Nothing was written.")
        next_step(console, f"data import {reading.source}", folder, "the same again; or say what goes where", targets)
    if as_json:
        machine(
            {
                "format": reading.format,
                "mapping": reading.mapping,
                "examples": len(reading.examples),
                "written": reading.written,
                "rejects": [{"where": p.where, "reason": p.reason} for p in reading.problems],
                "unused": list(reading.unused),
            }
        )


def agreed(reading: Reading) -> bool:
    """Show what was guessed, with the first row, and ask."""
    console = people(as_json=False)
    _mapped(console, reading)
    return console.input("Write data/examples.jsonl like this? \\[y/N] ").strip().casefold() in ("y", "yes")


def _mapped(console: Console, reading: Reading) -> None:
    console.print(f"Read {reading.source.name} as {reading.format}: {len(reading.examples):,} examples.", markup=False)
    first = reading.examples[0]
    values = {"expected": first.expected, **{f"input.{name}": value for name, value in first.input.items()}}
    for field, column in reading.mapping.items():
        shown = f"   first: {excerpt(visible(str(values[field])))}" if field in values else ""
        console.print(f"  {field} ← {visible(column)}{shown}", markup=False, soft_wrap=True)
    if reading.unused:
        console.print(f"  not used: {visible(', '.join(reading.unused))}", markup=False)


def findings(found: Checked, folder: Path, *, as_json: bool, shown: int = 3) -> int:
    """What is wrong with the examples, worst first; 3 when a finding forbids training on them."""
    console, told = people(as_json), found.report
    console.print(f"{told.examples:,} examples, {told.cases:,} cases, version {told.version[:12] or 'none'}")
    for finding in told.findings:
        mark, style = _SEVERITIES[finding.severity]
        console.print()
        console.print(Text(f"{mark} {finding.check}: {visible(finding.what)}", style=style))
        console.print(Text(f"    why: {visible(finding.why)}"))
        console.print(Text(f"    cost: {visible(finding.cost)}"))
        for row in finding.rows[:shown]:
            console.print(Text(f"    {row.where}  {row.name[:8]}  {visible(row.note)}", style="dim"))
        if len(finding.rows) > shown:
            console.print(Text(f"    … and {len(finding.rows) - shown:,} more (--json names them all)", style="dim"))
        console.print(Text(f"    next: {visible(finding.next)}"))
    console.print()
    for gap in told.not_measured:
        console.print(Text(f"? {gap.check}: {visible(gap.what)}: {NOT_MEASURED} ({visible(gap.reason)})", style="dim"))
    for path in found.written:
        console.print(f"Written, to be judged: {path}", soft_wrap=True, markup=False)
    if as_json:
        machine(told)
    if told.refused:
        console.print("Rows marked ✗ would teach something wrong: repair them before training.")
        return REFUSED
    next_step(console, "check", folder, "the five prerequisites")
    return MET


def fixed(found: Fixed, folder: Path, *, as_json: bool, shown: int = 5) -> None:
    """What a fix changed, row by row."""
    console, entry = people(as_json), found.decision
    if entry is None:
        console.print("Nothing to change.")
    else:
        gone = sum(change.after is None for change in entry.changes)
        what = f"{'undo of ' if entry.undoes else ''}{entry.rule}"
        told = f"rows changed: {len(entry.changes) - gone:,}, left out: {gone:,}"
        if entry.undoes:
            told = f"rows as they were before: {len(entry.changes):,}"
        console.print(f"{what}: {told}{'' if found.done else ' (dry run: nothing was written)'}", markup=False)
        for change in entry.changes[:shown]:
            line = json.dumps((change.after or change.before).model_dump(mode="json", include={"input", "expected"}))
            console.print(
                Text(f"  {change.before.name[:8]}  {visible(change.note)}  {visible(line)[:100]}", style="dim")
            )
        console.print(f"version {entry.version_before[:12]} → {entry.version_after[:12]}")
    if found.kept:
        console.print("These files may still hold the values; delete them when nothing needs them:")
        for path in found.kept:
            console.print(f"  {path}", soft_wrap=True, markup=False)
    next_step(console, "data check", folder, "look again")
    if as_json:
        machine({"done": found.done, "decision": None if entry is None else entry.model_dump(mode="json")})


def divided(found: SplitReport, folder: Path, *, as_json: bool, shown: int = 30) -> None:
    """How many rows of each label stand on which side."""
    console = people(as_json)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("label" if len(found.strata) > 1 else "")
    for name in ("rows", "clusters", "to learn from", "development"):
        grid.add_column(name, justify="right")
    for line in found.strata[:shown]:
        grid.add_row(
            visible(line.output) or "all", *(f"{n:,}" for n in (line.rows, line.clusters, line.train, line.dev))
        )
    if len(found.strata) > 1:
        train, dev = len(found.split.train), len(found.split.dev)
        grid.add_row("all", f"{train + dev:,}", "", f"{train:,}", f"{dev:,}", style="bold")
    console.print(grid)
    if len(found.strata) > shown:
        console.print(f"… and {len(found.strata) - shown} more labels (--json names them all)")
    console.print(
        f"Seed {found.seed}, version {found.version[:12]}; left out: {found.exact_duplicates:,} exact duplicates, "
        f"{found.leaked:,} rows that stand in the suite."
    )
    console.print("Near-duplicates stay together, and rows keep their side when others are added.")
    next_step(console, "check", folder, "the five prerequisites")
    if as_json:
        machine(found)


def versions(found: Sequence[VersionInfo], folder: Path, *, row: str, as_json: bool) -> None:
    """All versions, the newest last; with `row`, those that hold it, and what learned from it."""
    console = people(as_json)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("version", "rows", "when", "made by", "runs", "releases", ""):
        grid.add_column(name)
    for info in found:
        now = "now" if info.current else ""
        cells = (info.dataset.version[:12], f"{info.dataset.rows:,}", info.when, info.how or "import or edit")
        grid.add_row(
            *(visible(cell) for cell in cells), ", ".join(info.runs) or "–", ", ".join(info.releases) or "–", now
        )
    console.print(grid)
    if row:
        learned = [f"{kind} {', '.join(names)}" for kind in ("runs", "releases") if (names := _named(found, kind))]
        console.print(f"Learned from it, or chosen on it: {'; '.join(learned) or 'no run and no release'}.")
    next_step(console, "data diff VERSION now", folder, "what changed since")
    if as_json:
        machine(found)


def _named(found: Sequence[VersionInfo], kind: str) -> list[str]:
    return sorted({name for info in found for name in getattr(info, kind)})


def difference(found: Difference, *, as_json: bool, shown: int = 10) -> None:
    """Two versions by row."""
    console = people(as_json)
    console.print(f"{found.before[:12]} → {found.after[:12]}: {found.same:,} rows the same")
    console.print(f"{len(found.added):,} added, {len(found.removed):,} removed, {len(found.changed):,} changed")
    for change in found.changed[:shown]:
        for field in change.fields:
            pair = f"{json.dumps(field.before, ensure_ascii=False)} → {json.dumps(field.after, ensure_ascii=False)}"
            console.print(Text(f"  ~ {change.before[:8]}  {field.field}: {visible(pair)[:200]}", style="yellow"))
    for sign, rows, style in (("+", found.added, "green"), ("-", found.removed, "red")):
        for row in rows[:shown]:
            line = json.dumps({"input": row.input, "expected": row.expected}, ensure_ascii=False)
            console.print(Text(f"  {sign} {row.name[:8]}  {visible(line)[:200]}", style=style))
    if as_json:
        machine(found)
