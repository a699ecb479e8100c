"""The main job in a process of its own, telling a file what happens: `python -m tuneworthy.workbench.child FOLDER`.

The file stays locked while this runs, so that any server can see whether it does; Ctrl-C ends it as on a terminal.
"""

from __future__ import annotations

import fcntl
import json
import sys
import time
from pathlib import Path
from typing import IO, Any

from tuneworthy.errors import TuneworthyError
from tuneworthy.project import open_project
from tuneworthy.records import Comparison
from tuneworthy.runs import ArmReport

STEP_EVERY = 0.25
"""seconds between two lines about progress within one lever"""


class Teller:
    """Listens to the ladder and writes one JSON object a line."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._told = 0.0

    def tell(self, what: str, **values: Any) -> None:
        """One event."""
        self._file.write(json.dumps({"what": what, **values}, ensure_ascii=False) + "\n")
        self._file.flush()

    def step(self, what: str, done: int, total: int) -> None:
        """Progress within one lever."""
        if time.monotonic() - self._told >= STEP_EVERY or done == total:
            self._told = time.monotonic()
            self.tell("step", text=what, done=done, total=total)

    def lever(self, name: str, state: str, text: str) -> None:
        """A lever changed its state."""
        self.tell("lever", name=name, state=state, text=text)

    def arm(self, report: ArmReport, comparison: Comparison | None) -> None:
        """An arm was measured on the locked cases."""
        difference = comparison.difference if comparison else None
        self.tell(
            "arm",
            name=report.name,
            n=report.n,
            score=report.interval.model_dump() if report.interval else None,
            difference=difference.model_dump() if difference else None,
        )


def main(folder: str, everything: bool) -> int:
    """Run, and say how it ended."""
    project = open_project(folder)
    project.store.mkdir(parents=True, exist_ok=True)
    with project.live_file.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.truncate(0)
        teller = Teller(file)
        teller.tell("begin")
        try:
            from tuneworthy import flow  # torch takes seconds: only once the page sees that something happens

            record = flow.run(Path(folder), teller, everything=everything)
        except TuneworthyError as error:
            teller.tell("end", error=str(error))
            return error.exit_code
        except KeyboardInterrupt:
            teller.tell("end", error="Stopped. Started again, it goes on where it was: finished arms are kept.")
            return 130
        except Exception as error:
            teller.tell("end", error=f"{type(error).__name__}: {error}")
            raise
        teller.tell("end", decision=record.verdict.decision)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], "--all" in sys.argv[2:]))
