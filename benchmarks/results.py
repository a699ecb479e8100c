"""RESULTS.md: each script writes the part that it measured."""

from __future__ import annotations

import re
from pathlib import Path

from tuneworthy.content import write_whole

RESULTS = Path(__file__).parent / "RESULTS.md"


def write_part(name: str, text: str) -> None:
    """Replace one part of RESULTS.md, between its marks."""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before = (
        RESULTS.read_text("utf-8") if RESULTS.exists() else "# Measured\n\nWritten by the scripts of this folder.\n"
    )
    part = f"{start}\n{text}\n{end}"
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    write_whole(
        RESULTS, pattern.sub(lambda _: part, before) if pattern.search(before) else f"{before.rstrip()}\n\n{part}\n"
    )
