"""The command line: one short function per verb, a module for each part of the way.

Imports nothing heavy, so that --help answers at once.

Exit codes: 0 done, and the bar or gate is met · 1 an error · 2 wrong usage · 3 a gate refused or the bar is not met ·
4 undecided · 130 stopped with Ctrl-C (the same command continues).
"""

from __future__ import annotations

import sys

from tuneworthy.cli import data, measuring, service, start, suite
from tuneworthy.cli.shell import app

__all__ = ["app", "data", "main", "measuring", "service", "start", "suite"]


def main() -> None:
    """Entry point: errors become a message and an exit code."""
    from tuneworthy.errors import TuneworthyError

    try:
        app()
    except TuneworthyError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(error.exit_code) from None
