"""A release in a form for other engines."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from tuneworthy.printing.console import MET, REFUSED, UNDECIDED, machine, people
from tuneworthy.release.export import Export
from tuneworthy.report.wording import visible

_ENDS = {"equal": ("✓", "green", MET), "differs": ("✗", "red", REFUSED), "not measured": ("?", "yellow", UNDECIDED)}


def exported(found: Export, folder: Path, *, as_json: bool) -> int:
    """What was written, and whether it answers as the release does: 3 when not, 4 when that was not measured."""
    console = people(as_json)
    sign, colour, code = _ENDS[found.state]
    size = sum(file.bytes for file in found.files.values())
    console.print(Text(f"{found.release}, as {found.form}: {len(found.files)} files, {size / 1e6:.1f} MB"))
    console.print(Text(f"{sign} {found.state}: {visible(found.why)}", style=colour), soft_wrap=True)
    if found.measured is not None and found.measured.different:
        shown = ", ".join(found.measured.different[:5])
        console.print(Text(f"answered otherwise: {visible(shown)}{' …' if found.measured.n > 5 else ''}", style="dim"))
    console.print(Text(str(folder), style="dim"), soft_wrap=True)
    if as_json:
        machine({"folder": str(folder), **found.model_dump(mode="json")})
    return code
