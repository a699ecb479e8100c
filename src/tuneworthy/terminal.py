"""What a person sees: the live table of a run, and the results of each verb. With `--json`, standard output is for
machines and people's text goes to standard error."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tuneworthy.data.diff import Difference
from tuneworthy.data.engine import Checked, Fixed, VersionInfo
from tuneworthy.data.read import Reading
from tuneworthy.ladder import LADDER
from tuneworthy.measure.diagnose import Diagnosis
from tuneworthy.records import Comparison, Interval, LeverResult, Record
from tuneworthy.report.wording import NOT_MEASURED, per_answer, percent, points, points_range, visible
from tuneworthy.runs import ArmReport, GateResult, RunRecord
from tuneworthy.suite.status import SuiteStatus

MET, REFUSED, UNDECIDED = 0, 3, 4
"""exit codes: the bar or gate is met; a gate refused or the bar is not met; undecided"""

_STATES = {"measured": "green", "trying": "cyan", "failed": "red", "not_tried": "dim", "not_applicable": "dim"}
_GATES = {"passed": ("✓", "green"), "failed": ("✗", "red"), "overridden": ("!", "yellow"), "not_measured": ("?", "dim")}
_SEVERITIES = {"refuse": ("✗", "red"), "review": ("!", "yellow"), "note": ("·", "dim")}
_DECISIONS = {"tune": "bold green", "do_not_tune": "bold cyan", "undecided": "bold yellow"}


# --- while it runs --------------------------------------------------------------------------------


@contextmanager
def live(*, as_json: bool = False) -> Iterator[Board]:
    """The live table; on a file or pipe, one line for each change instead."""
    console = _people(as_json)
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
            self._line(f"{name}: {_state(state)}{f': {text}' if text else ''}")

    def arm(self, report: ArmReport, comparison: Comparison | None) -> None:
        """An arm was measured on the locked cases."""
        self.arms[report.name] = (report, comparison)
        gain = f", {points(comparison.difference.value)} points" if comparison and comparison.difference else ""
        limits = f" ({_limits(report.interval)})" if report.interval else ""
        self._line(f"{report.name}: {_score(report)}{limits} on {report.n} locked cases{gain}")

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
            grid.add_row(name, "–", "–", "–", "–", "–", "–", Text(_told(state, text), style=_STATES.get(state, "")))
    return grid


def _add(grid: Table, arm: ArmReport, gain: Comparison | None, told: tuple[str, str]) -> None:
    interval = arm.interval
    gained = f"{points(gain.difference.value)} ({points_range(gain.difference)})" if gain and gain.difference else "–"
    notes = [told[1]] if told[1] else []
    notes += [f"passage found in {percent(arm.evidence_recall)}"] if arm.evidence_recall is not None else []
    notes += [f"{arm.too_long} inputs do not fit the context"] if arm.too_long else []
    notes += [f"{arm.unscored} unscored"] if arm.unscored else []
    grid.add_row(
        arm.name,
        _score(arm),
        _limits(interval) or "–",
        gained,
        "–" if arm.tokens_in is None else f"{arm.tokens_in:,.0f}",
        "–" if arm.tokens_out is None else f"{arm.tokens_out:,.0f}",
        "–" if arm.seconds is None else per_answer(arm.seconds).removesuffix("s").strip(),
        Text(visible("; ".join(notes)), style="dim"),
    )


# --- results --------------------------------------------------------------------------------------


def verdict(record: RunRecord, folder: Path, *, as_json: bool) -> int:
    """The table and the three sentences; the exit code says whether the bar is met."""
    console = _people(as_json)
    if not console.is_terminal:
        gains = {c.candidate: c for c in reversed(record.comparisons) if c.reference == "prompt"}
        console.print(table(record.arms, gains, {r.lever: (r.state, r.reason) for r in record.levers}))
    found = record.verdict
    console.print()
    console.print(Text(found.decision.replace("_", " ").upper(), style=_DECISIONS[found.decision]))
    for sentence in found.sentences:
        console.print(Text(visible(sentence)))
    _next(console, "report", folder, "every case side by side", "--out report.html")
    if as_json:
        _machine(record)
    if found.decision == "undecided":
        return UNDECIDED
    return MET if found.bar_met else REFUSED


def gates(results: Sequence[GateResult], folder: Path, *, as_json: bool) -> int:
    """The five prerequisites; 3 when one failed."""
    console = _people(as_json)
    for gate in results:
        mark, style = _GATES[gate.state]
        console.print(Text(f"{mark} {gate.gate.replace('_', ' '):<11}", style=style), Text(visible(gate.found)))
        for label, text in (("missing", gate.missing), ("next", gate.next), ("overridden", gate.override)):
            if text:
                console.print(Text(f"  {'':<11} {label}: {visible(text)}", style="" if label == "next" else style))
    failed = [gate for gate in results if gate.state == "failed"]
    console.print()
    if failed:
        names = ", ".join(gate.gate.replace("_", " ") for gate in failed)
        console.print(
            f"{len(failed)} of {len(results)} gates closed ({names}): the levers without training are measured"
        )
        console.print("all the same; training starts when every gate is open.")
    _next(console, "run", folder, "climb the ladder")
    if as_json:
        _machine(results)
    return REFUSED if failed else MET


def imported(reading: Reading, folder: Path, *, as_json: bool) -> None:
    """What an import did."""
    console = _people(as_json)
    console.print(f"Read {reading.source.name} as {reading.format}: {len(reading.examples):,} examples.")
    for field, column in reading.mapping.items():
        console.print(f"  {field} ← {visible(column)}", markup=False)
    if reading.unused:
        console.print(f"  not used: {visible(', '.join(reading.unused))}", markup=False)
    if reading.rejects:
        console.print(f"{len(reading.rejects):,} rows could not be used: data/rejects.jsonl says why.")
    if reading.replaced:
        console.print(f"What stood there before is kept as {reading.replaced.name}.")
    _next(console, "suite build", folder, "draw the cases that decide")
    if as_json:
        _machine(
            {
                "format": reading.format,
                "mapping": reading.mapping,
                "examples": len(reading.examples),
                "rejects": [{"where": p.where, "reason": p.reason} for p in reading.problems],
                "unused": list(reading.unused),
            }
        )


def data_findings(found: Checked, folder: Path, *, as_json: bool, shown: int = 3) -> int:
    """What is wrong with the examples, worst first; 3 when a finding forbids training on them."""
    console, told = _people(as_json), found.report
    console.print(f"{told.examples:,} examples, {told.cases:,} cases, version {told.version[:12] or 'none'}")
    for finding in told.findings:
        mark, style = _SEVERITIES[finding.severity]
        console.print()
        console.print(Text(f"{mark} {finding.check}: {visible(finding.what)}", style=style))
        console.print(Text(f"    why: {visible(finding.why)}; cost: {finding.cost}"))
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
        _machine(told)
    if told.refused:
        console.print("Rows marked ✗ would teach something wrong: repair them before training.")
        return REFUSED
    _next(console, "check", folder, "the five prerequisites")
    return MET


def data_fixed(found: Fixed, folder: Path, *, as_json: bool, shown: int = 5) -> None:
    """What a fix changed, row by row."""
    console, entry = _people(as_json), found.decision
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
    _next(console, "data check", folder, "look again")
    if as_json:
        _machine({"done": found.done, "decision": None if entry is None else entry.model_dump(mode="json")})


def data_versions(found: Sequence[VersionInfo], folder: Path, *, as_json: bool) -> None:
    """All versions, the newest last."""
    console = _people(as_json)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("version", "rows", "when", "made by", "runs", ""):
        grid.add_column(name)
    for info in found:
        now = "now" if info.current else ""
        cells = (info.dataset.version[:12], f"{info.dataset.rows:,}", info.when, info.how or "import or edit")
        grid.add_row(*(visible(cell) for cell in cells), ", ".join(info.runs) or "–", now)
    console.print(grid)
    _next(console, "data diff VERSION now", folder, "what changed since")
    if as_json:
        _machine(found)


def data_difference(found: Difference, *, as_json: bool, shown: int = 10) -> None:
    """Two versions by row."""
    console = _people(as_json)
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
        _machine(found)


def suite(found: SuiteStatus, folder: Path, *, as_json: bool) -> None:
    """A suite: cases, lock, and what can be seen with it."""
    console = _people(as_json)
    state = f"locked as {found.lock[:12]}" if found.lock else f"not locked ({found.problem or 'run: suite lock'})"
    grouped = f" in {found.clusters} groups" if found.clusters < found.cases else ""
    console.print(f"{found.cases} cases{grouped}, {state}; bar: {found.metric} ≥ {found.at_least:.2f}")
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("true difference", "is seen with", "cases for 80 %"):
        grid.add_column(name, justify="right")
    for row in found.power:
        grid.add_row(f"{100 * row.difference:.0f} points", f"{100 * row.power:.0f} %", f"{row.cases_for_80:,}")
    console.print(grid)
    console.print(f"The locked cases were looked at {found.openings} times.")
    step = ("run", "climb the ladder") if found.lock else ("suite lock", "freeze it")
    _next(console, step[0], folder, step[1])
    if as_json:
        _machine(found)


def lever_results(
    results: Sequence[LeverResult], folder: Path, *, as_json: bool, console: Console | None = None
) -> None:
    """Levers on the development split."""
    console = console or _people(as_json)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name, side in (("lever", "left"), ("development score", "right"), ("tried", "right"), ("", "left")):
        grid.add_column(name, justify=side)  # type: ignore[arg-type]
    for r in results:
        score = percent(r.dev_score) if r.dev_score is not None else "–"
        grid.add_row(r.lever, score, str(len(r.trials) or "–"), Text(_told(r.state, r.reason), style=_STATES[r.state]))
    console.print(grid)
    console.print("A development score is for choosing; the locked cases decide.")
    _next(console, "run", folder, "compare on the locked cases")
    if as_json:
        _machine(results)


def diagnosis(results: Sequence[LeverResult], found: Diagnosis | None, folder: Path, *, as_json: bool) -> None:
    """Levers on the development split, and why the base fails there."""
    console = _people(as_json)
    lever_results(results, folder, as_json=False, console=console)
    console.print()
    if found is None:
        console.print("No diagnosis: it takes development rows, and a prompt that could be measured.")
    else:
        _diagnosed(console, found)
    if as_json:
        plain = found.model_dump(mode="json") if found else None
        _machine({"levers": [r.model_dump(mode="json") for r in results], "diagnosis": plain})


def _diagnosed(console: Console, found: Diagnosis) -> None:
    console.print(f"The prompt alone fails {found.failed} of {found.cases} development cases.")
    if found.shares:
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for name, side in (("cause", "left"), ("cases", "right"), ("share", "right"), ("points to", "left")):
            grid.add_column(name, justify=side)  # type: ignore[arg-type]
        for s in found.shares:
            share = f"{percent(s.share.value)} ({_limits(s.share)})"
            grid.add_row(_state(s.cause), str(s.cases), share, s.points_to)
        console.print(grid)
    for c in found.contrasts:
        limits = (
            f"{points(c.difference.value)} points ({points_range(c.difference)})" if c.difference else "no interval"
        )
        told = "told from none" if c in found.told_from_none else "not told from none"
        console.print(f"{c.candidate} against the base, n = {c.n}: {limits}, {told} (Holm p = {c.p_adjusted:.3f})")
    if found.gold:
        console.print(f"Passages with the facts: {found.gold}.")
    for name, reason in found.not_tried.items():
        console.print(f"not tried: {name.replace('_', ' ')}: {visible(reason)}", markup=False)


def mask(report: str, rows: Sequence[Sequence[tuple[str, bool]]], *, as_json: bool) -> None:
    """Which tokens carry loss: those that do are set off by colour and brackets."""
    console = _people(as_json)
    console.print(report)
    for row in rows:
        text = Text()
        for token, trained in row:
            shown = visible(token).replace("\n", "⏎\n")
            text.append(f"⟦{shown}⟧" if trained else shown, style="bold green" if trained else "dim")
        console.print()
        console.print(text)
    if as_json:
        _machine({"report": report, "rows": [[{"token": t, "loss": flag} for t, flag in row] for row in rows]})


def comparison(found: Comparison, *, as_json: bool) -> int:
    """Two arms; 0 when the candidate is better, 3 when it is not, 4 when that cannot be told."""
    console = _people(as_json)
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
        _machine(found)
    if difference is not None and p < 1 - difference.level:
        return MET if difference.value > 0 else REFUSED
    return UNDECIDED


def report(path: Path, *, as_json: bool) -> None:
    """Where the report lies."""
    _people(as_json).print(f"Written: {path}", soft_wrap=True, markup=False)
    if as_json:
        _machine({"report": str(path)})


def written(paths: Sequence[Path], folder: Path, *, as_json: bool) -> None:
    """Files of a new use case."""
    console = _people(as_json)
    for path in paths:
        console.print(f"  {path}", soft_wrap=True, markup=False)
    console.print(f"{len(paths)} files written.")
    _next(console, "check", folder, "look at the prerequisites")
    if as_json:
        _machine({"files": [str(path) for path in paths]})


# --- parts ----------------------------------------------------------------------------------------


def _people(as_json: bool) -> Console:
    console = Console(stderr=as_json, highlight=False)
    if not console.is_terminal:
        console.width = 120  # a file or pipe has no width of its own; 80 columns would cut the table
    return console


def _next(console: Console, verb: str, folder: Path, why: str, options: str = "") -> None:
    command = " ".join(part for part in ("tuneworthy", verb, shlex.quote(str(folder)), options) if part)
    console.print(Text(f"Next: {command}", style="bold"), Text(f"({why})", style="dim"), soft_wrap=True)


def _machine(value: Record | Sequence[Record] | dict[str, Any]) -> None:
    plain: Any = value
    if isinstance(value, Record):
        plain = value.model_dump(mode="json")
    elif not isinstance(value, dict):
        plain = [item.model_dump(mode="json") for item in value]
    sys.stdout.write(json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n")


def _score(arm: ArmReport) -> str:
    """Without an interval there is no score to show: nothing was scored, or graded scores do not vary."""
    if arm.interval is None:
        return "no spread" if arm.n else NOT_MEASURED
    return percent(arm.interval.value)


def _limits(interval: Interval | None) -> str:
    return f"{100 * interval.low:.1f}–{100 * interval.high:.1f}" if interval else ""


def _state(state: str) -> str:
    return state.replace("_", " ")


def _told(state: str, text: str) -> str:
    return visible(text) if state == "measured" else f"{_state(state)}{f': {visible(text)}' if text else ''}"
