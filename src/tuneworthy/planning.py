"""What it takes, before anything is spent, on one screen: the plan, and the speed of this machine.

Nothing here prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tuneworthy import runs
from tuneworthy.content import write_whole
from tuneworthy.flow import open_bench
from tuneworthy.ground import prepare
from tuneworthy.ladder import Listener
from tuneworthy.levers import rehearsal
from tuneworthy.plan import plan as plans
from tuneworthy.plan.calibrate import MeasuredSpeed
from tuneworthy.plan.calibrate import save as save_speed
from tuneworthy.plan.records import Plan
from tuneworthy.project import Project, open_project


def plan(folder: Path, what_if: Sequence[str] = ()) -> Plan:
    """Memory, hours, hardware, euros, licence and privacy, before anything is spent; kept as .tuneworthy/plan.json.

    Args:
        what_if: `field=value`, e.g. `gpu=l4`; such a plan is not kept.
    """
    project = open_project(folder)
    changed = plans.parse_what_if(what_if)
    ground = prepare(project, strict=False)
    made = plans.make(ground, today=datetime.now(UTC).date(), what_if=changed, lora_measured=_lora_wasmeasured(project))
    if not changed:
        with project.busy("plan"):
            plans.save(made, project.plan_file)
            if made.hardware is not None and made.hardware.sky_yaml:
                write_whole(project.sky_file, made.hardware.sky_yaml)
    return made


def measure_speed(folder: Path, listener: Listener) -> MeasuredSpeed:
    """Measure how fast this machine answers and trains, with the user's own model and rows, in at most a minute."""
    project = open_project(folder)
    with project.busy("plan --calibrate"):
        ground = prepare(project)
        bench = open_bench(ground)
        bench.tell = listener.step
        found = rehearsal.calibrate(bench, today=datetime.now(UTC).date())
        save_speed(found, project.calibration)
    return found


def _lora_wasmeasured(project: Project) -> bool:
    latest = project.latest_run()
    levers = runs.load(latest / "verdict.json").levers if latest is not None else ()
    return any(result.lever == "lora" and result.state == "measured" for result in levers)
