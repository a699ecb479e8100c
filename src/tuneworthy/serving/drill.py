"""A rollback drill: a bad release is put in, and the clock runs until it is out. Nobody is answered by it.

It goes under the alias `drill`, which only the gate may ask, twice: through the gate, which has to refuse it; then past
the gate, so that the heartbeat has to find it and let the release before answer. Both are in the deployment log.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from tuneworthy.errors import GateRefused, ProjectBusy
from tuneworthy.project import Project
from tuneworthy.records import Record
from tuneworthy.release import drill as release_drill
from tuneworthy.release import package
from tuneworthy.serving import deployments
from tuneworthy.serving.deployments import DRILL, Entry

LOOK = 0.01
"""seconds between looks at the log"""


class Step(Record):
    """One way in, and how long it took to be out again."""

    way: str
    seconds: float | None
    """until it was refused or taken out; None = it was not"""
    why: str = ""


class Drill(Record):
    """What a drill found."""

    release: str
    """the live release that was copied"""
    damage: str
    steps: tuple[Step, Step]
    live_before: dict[str, str]
    live_after: dict[str, str]

    @property
    def passed(self) -> bool:
        """Every way in led out again, and what is live stayed."""
        return all(step.seconds is not None for step in self.steps) and self.live_before == self.live_after


def drill(project: Project, alias: str, *, patience: float, tell: Callable[[str], None]) -> Drill:
    """Run both parts beside a running gateway.

    Args:
        patience: seconds to wait for each; the heartbeat comes once a minute.

    Raises:
        GateRefused: no gateway runs here, or nothing is live under the alias.
    """
    live = deployments.live(deployments.read(project))
    if alias not in live:
        raise GateRefused(f"nothing is live under {alias!r}", next="deploy a release first: tuneworthy release deploy")
    _require_gateway(project)
    good = package.find(project, live[alias])
    bad, damage = release_drill.bad_copy(project, good)
    why = f"a drill: {bad.name} is a copy of {good.name}, {damage}"
    try:
        if _put_in(project, "asked", good.name, "a drill: the good release first", patience).action != "live":
            raise GateRefused("the live release does not pass its own gate", next="see: tuneworthy release log")
        tell(f"{bad.name}: {damage}; through the gate")
        first = _step(project, "through the gate", "asked", bad.name, why, patience)
        tell("past the gate; the heartbeat has to find it")
        second = _step(project, "past the gate", "injected", bad.name, why, patience)
    finally:
        deployments.write(project, DRILL, "ended", bad.name, why="the drill is over")
        shutil.rmtree(bad.folder, ignore_errors=True)
    after = {a: name for a, name in deployments.live(deployments.read(project)).items() if a != DRILL}
    before = {a: name for a, name in live.items() if a != DRILL}
    return Drill(release=good.name, damage=damage, steps=(first, second), live_before=before, live_after=after)


def _step(project: Project, way: str, action: deployments.Action, name: str, why: str, patience: float) -> Step:
    """Monotonic time: a clock that is set meanwhile changes nothing."""
    started = time.monotonic()
    try:
        found = _put_in(project, action, name, why, patience)
    except TimeoutError:
        return Step(way=way, seconds=None, why=f"nothing was found within {patience:g} s")
    if found.action == "live":
        return Step(way=way, seconds=None, why="it passed")
    return Step(way=way, seconds=round(time.monotonic() - started, 3), why=found.why)


def _put_in(project: Project, action: deployments.Action, name: str, why: str, patience: float) -> Entry:
    """Write a wish; the entry that answers it. What is put past the gate is live at once, so that answers nothing.

    Raises:
        TimeoutError: no answer.
    """
    start, end = len(deployments.read(project)), time.monotonic() + patience
    answers = ("refused",) if action == "injected" else ("refused", "live")
    deployments.write(project, DRILL, action, name, why=why)
    while time.monotonic() < end:
        for entry in deployments.read(project)[start:]:
            if (entry.alias, entry.release) == (DRILL, name) and entry.action in answers:
                return entry
        time.sleep(LOOK)
    raise TimeoutError


def _require_gateway(project: Project) -> None:
    try:
        with project.serving():
            pass
    except ProjectBusy:
        return
    raise GateRefused(
        "no gateway serves this folder", why="a drill is for what runs", next="start it first: tuneworthy serve"
    )
