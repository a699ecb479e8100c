"""Small releases on real model files: a tiny random Llama with a random adapter, as if a run had chosen it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "models"))

from weights import write_adapter

from small import LABELS, USECASE, small_usecase
from tiny import tiny_model
from tuneworthy import flow
from tuneworthy.answering import Answerer, candidate_digest
from tuneworthy.ground import Ground, prepare
from tuneworthy.measure.evaluate import measure
from tuneworthy.measure.statistics import wilson
from tuneworthy.models.local.files import weights_digest
from tuneworthy.project import Project
from tuneworthy.records import AdapterRef, Candidate, Decoding, Prompt, Shots
from tuneworthy.release import package
from tuneworthy.release.package import Release
from tuneworthy.runs import ArmReport, RunRecord, SuiteSummary
from tuneworthy.verdict import Verdict

SIGNS = {"pipe": "plumbing", "fuse": "power", "door": "keys", "": "none of them"}


def tiny_project(folder: Path, *, usecase: str = USECASE, base: Path | None = None) -> Project:
    """A locked use case whose base is a tiny random model (or a copy of another) in `base/`, with a random adapter in
    `.tuneworthy/`."""
    project = small_usecase(
        folder,
        usecase=usecase.replace('base = "scripted"', 'base = "base"').replace("max_tokens = 8", "max_tokens = 12"),
    )
    if base is None:
        tiny_model(folder / "base")
    else:
        shutil.copytree(base, folder / "base")
    write_adapter(folder / "base", folder / ".tuneworthy" / "adapters" / "one")
    flow.lock_suite(folder, again=False)
    return project


def scripted_project(folder: Path) -> Project:
    """A locked use case whose scripted model knows every answer."""
    import json

    project = small_usecase(folder)
    (folder / "scripted.json").write_text(json.dumps(SIGNS), "utf-8")
    flow.lock_suite(folder, again=False)
    return project


def candidate(ground: Ground, *, trained: bool, shots: bool = False) -> Candidate:
    """What is released: an instruction, and where wanted the adapter and two nearest examples."""
    folder = ground.project.folder
    adapter = folder / ".tuneworthy" / "adapters" / "one"
    return Candidate(
        lever="lora" if trained else "prompt",
        model=flow.open_bench(ground).sources.model.digest,
        prompt=Prompt(name="plain", instruction="Name the team."),
        shots=Shots(pick="nearest", k=2, data_version=ground.version) if shots else None,
        adapter=AdapterRef(weights=weights_digest(adapter), path=str(adapter.relative_to(folder))) if trained else None,
        decoding=Decoding(max_tokens=12),
    )


def record(project: Project, *, trained: bool, shots: bool = False, bar_met: bool = True) -> RunRecord:
    """The record of a run that measured this one candidate."""
    ground = prepare(project)
    chosen = candidate(ground, trained=trained, shots=shots)
    bench = flow.open_bench(ground)
    arm = measure(
        chosen.lever,
        Answerer(chosen, bench.sources),
        ground.cases,
        ground.yardstick,
        cases_digest="test",
        store=project.answers,
    )
    right = sum(arm.scores().values())
    report = ArmReport(
        name=chosen.lever,
        lever=chosen.lever,
        trained=trained,
        interval=wilson(right, len(ground.cases)),
        n=len(ground.cases),
        candidate=candidate_digest(chosen),
    )
    return RunRecord(
        tuneworthy_version="0",
        run_id="2026-01-01T00-00-00.000",
        usecase=ground.usecase.model_dump(mode="json", by_alias=True),
        verdict=Verdict(
            decision="tune" if trained else "do_not_tune",
            lever=chosen.lever,
            bar_met=bar_met,
            sentences=("Do it.", "It was measured.", "Nothing else was."),
        ),
        suite=SuiteSummary(lock=ground.lock.digest if ground.lock else "", cases=len(ground.cases)),
        data=ground.data_summary(),
        arms=(report,),
        candidates={chosen.lever: chosen},
        not_measured=("everything else",),
    )


def build(project: Project, found: RunRecord, *, override: str = "", key: Path | None = None) -> Release:
    ground = prepare(project)
    return package.build(ground, flow.open_bench(ground).sources, found, found.arms[0].name, override=override, key=key)


def released(project: Project, *, trained: bool, shots: bool = False) -> Release:
    """Measured and packaged."""
    return build(project, record(project, trained=trained, shots=shots))


__all__ = ["LABELS", "SIGNS", "build", "candidate", "record", "released", "scripted_project", "tiny_project"]
