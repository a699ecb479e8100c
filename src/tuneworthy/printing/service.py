"""Releases, and what is live."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from tuneworthy.printing.console import MET, REFUSED, machine, next_step, people
from tuneworthy.release import signature
from tuneworthy.release.package import Release
from tuneworthy.release.reproduce import Reproduction
from tuneworthy.report.wording import visible
from tuneworthy.serving.deployments import Entry, live

_ACTIONS = {
    "asked": "cyan",
    "live": "green",
    "refused": "red",
    "rollback": "yellow",
    "ended": "yellow",
    "enough": "green",
    "injected": "magenta",
}


def released(found: Release, folder: Path, *, as_json: bool) -> None:
    """A new release."""
    console = people(as_json)
    arm, mark = found.manifest.measured.arm, found.manifest.fingerprint
    console.print(Text(found.name, style="bold"))
    score = f"{100 * arm.interval.value:.1f} % (n = {arm.n})" if arm.interval else "not measured"
    size = sum(file.bytes for file in found.manifest.files.values())
    console.print(f"{arm.lever}: {score}; {len(found.manifest.files)} files, {size / 1e6:.1f} MB")
    told = "on which trained and untrained answers differ" if mark.must_differ else "nothing was trained"
    console.print(f"fingerprint: {len(mark.probes)} questions, {told}")
    console.print(Text(str(found.folder), style="dim"), soft_wrap=True)
    next_step(console, "release deploy", folder, "then: tuneworthy serve")
    if as_json:
        machine({"name": found.name, "folder": str(found.folder), **found.manifest.model_dump(mode="json")})


def listed(found: Sequence[Release], entries: Sequence[Entry], folder: Path, *, as_json: bool) -> None:
    """All releases, and where each is live."""
    console = people(as_json)
    answering = live(entries)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (
        ("release", "left"),
        ("lever", "left"),
        ("score", "right"),
        ("made", "left"),
        ("live as", "left"),
    ):
        grid.add_column(name, justify=justify)  # type: ignore[arg-type]
    for release in found:
        arm = release.manifest.measured.arm
        score = f"{100 * arm.interval.value:.1f} %" if arm.interval else "not measured"
        where = ", ".join(alias for alias, name in answering.items() if name == release.name)
        grid.add_row(release.name, arm.lever, score, release.manifest.made, where)
    console.print(grid if found else "There is no release yet.")
    next_step(
        console, *(("release deploy", folder, "put one into service") if found else ("release build", folder, ""))
    )
    if as_json:
        machine([release.manifest for release in found])


def verified(found: Release, problems: Sequence[str], *, signed: bool, as_json: bool) -> int:
    """What is not as released; 3 when anything is not."""
    console = people(as_json)
    for problem in problems:
        console.print(Text(f"✗ {visible(problem)}", style="red"))
    hashed = len(found.manifest.files) + len(found.manifest.base.files)
    if not problems:
        console.print(Text(f"✓ {found.name}: {hashed} files are as released", style="green"))
        if signed:
            console.print(Text("✓ the signature is that of the key", style="green"))
        elif (found.folder / signature.FILE).is_file():
            console.print("It is signed; the signature was not looked at: --key PUBLIC_KEY")
    else:
        console.print(f"{found.name} is not what was released: do not serve it.")
    if as_json:
        machine({"name": found.name, "problems": list(problems)})
    return REFUSED if problems else MET


def reproduced(found: Reproduction, *, as_json: bool) -> int:
    """Was the same candidate made? 3 when not."""
    console = people(as_json)
    if found.same_candidate:
        told = f"weights {found.found[:12]}" if found.found else "nothing was trained"
        console.print(Text(f"✓ {found.release}: the same candidate was made again ({told})", style="green"))
    else:
        console.print(Text(f"✗ {found.release}: another candidate was made", style="red"))
        console.print(f"weights: {found.wanted[:12] or 'none'} recorded, {found.found[:12] or 'none'} made now")
        console.print("Another machine, other library versions or another thread count round differently.")
    if as_json:
        machine(found)
    return MET if found.same_candidate else REFUSED


def entry(found: Entry, folder: Path, *, as_json: bool) -> None:
    """A wish that was written down."""
    console = people(as_json)
    console.print(Text(f"{found.alias}: {found.release}", style="bold"), Text(f"({found.action}{_beside(found)})"))
    if found.action == "ended":
        console.print("A running gateway lets it answer nobody any more, within a second.")
    elif found.mode == "all":
        console.print("A running gateway takes it through the gate within a second and then answers with it.")
    else:
        console.print("A running gateway takes it through the gate within a second and then lets it run beside.")
    verb, why = ("release log", "what became of it") if found.mode == "all" else ("release traffic", "what it shows")
    next_step(console, verb, folder, why)
    if as_json:
        machine(found)


def history(entries: Sequence[Entry], at: str, *, as_json: bool) -> None:
    """The deployment log, or what was live at a time."""
    console = people(as_json)
    if at:
        answering = live(entries, at)
        for alias, name in answering.items():
            console.print(f"{alias}: {name}")
        if not answering:
            console.print(f"Nothing was live at {at}.")
        if as_json:
            machine({"at": at, "live": answering})
        return
    for line in entries:
        console.print(
            Text(f"{line.at[:19]}  {line.alias:<10} "), Text(f"{line.action:<9}", style=_ACTIONS[line.action]),
            Text(f" {line.release}{_beside(line)}  {visible(line.why)} ({visible(line.who)})"), sep="", soft_wrap=True,
        )  # fmt: skip
    if not entries:
        console.print("Nothing was deployed yet.")
    if as_json:
        machine(list(entries))


def _beside(found: Entry) -> str:
    """How it runs, where it does not answer everybody."""
    kind = "" if found.mode == "all" else f", {found.mode} {found.share:.0%}"
    return kind + (", a drill" if found.drill else "")
