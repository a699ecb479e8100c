"""The five prerequisites as gates, each with evidence: what was found, what is missing, what to do next.

No training starts past a failed gate. An override exists per gate only, with a written reason that the report prints.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from importlib.metadata import version

from tuneworthy.data.checks import run as checks
from tuneworthy.data.findings import Batch, Finding
from tuneworthy.errors import DataError, SuiteChanged, TuneworthyError
from tuneworthy.ground import Ground
from tuneworthy.measure.unknown import PASS, Unknown
from tuneworthy.models.local.files import resolve
from tuneworthy.models.open import SCRIPTED
from tuneworthy.plan import after_run, privacy
from tuneworthy.plan.architecture import read_config
from tuneworthy.plan.memory import GIB, for_run
from tuneworthy.plan.method import ENOUGH_EXAMPLES
from tuneworthy.runs import GateResult
from tuneworthy.suite.lock import MIN_CASES

ROW_TOKENS = 512
"""length of a row that the gate reckons with; `tuneworthy plan` counts your own"""
_DISK_GB = 1.0
"""Free disk that checkpoints and runs of a small model need."""


def check(ground: Ground) -> tuple[GateResult, ...]:
    """All five gates, in their order."""
    results = (_use_case(ground), _data(ground), _suite(ground), _hardware(ground), _discipline(ground))
    reasons = ground.usecase.override
    return tuple(_overridden(result, reasons.get(result.gate, "")) for result in results)


def refusal(gates: Sequence[GateResult]) -> str:
    """Why training is refused: the failed gates in one sentence; empty when all are open."""
    failed = [gate for gate in gates if gate.state == "failed"]
    return "; ".join(f"the gate {gate.gate!r} is closed: {gate.missing}" for gate in failed)


def _overridden(result: GateResult, reason: str) -> GateResult:
    if result.state != "failed" or not reason:
        return result
    return result.model_copy(update={"state": "overridden", "override": reason})


def _use_case(ground: Ground) -> GateResult:
    usecase = ground.usecase
    bar = usecase.bar
    shape = f"{len(usecase.output.labels)} labels" if usecase.output.kind == "label" else usecase.output.kind
    found = (
        f"input {', '.join(usecase.input)} → {shape}; good enough at {bar.metric} ≥ {bar.at_least:.2f}; "
        f"a difference of {100 * bar.smallest_difference:.0f} points matters"
    )
    docs = ground.project.docs
    if docs is not None and not docs.is_dir():
        return GateResult(
            gate="use_case",
            state="failed",
            found=found,
            missing=f"the documents: there is no folder {usecase.change.knowledge}",
            next='put them there as .md or .txt, or set change.knowledge = "none"',
        )
    if not usecase.description:
        return GateResult(
            gate="use_case",
            state="failed",
            found=found,
            missing="no description of the task",
            next='write in usecase.toml who asks, and what they do with the answer: description = "…"',
        )
    held = after_run.licence_of(ground)
    if held is not None and held.answer == "not allowed":
        return GateResult(
            gate="use_case",
            state="failed",
            found=found,
            missing=f"a licence for this use: {held.refusals[0].what}",
            next=held.refusals[0].next,
        )
    return GateResult(gate="use_case", state="passed", found=found)


def _data(ground: Ground) -> GateResult:
    if ground.data_problem is not None:
        return GateResult(
            gate="data",
            state="failed",
            found="the examples cannot be read",
            missing=_in_a_line(ground.data_problem),
            next="repair the lines that are listed, or: tuneworthy data import FILE --skip-bad",
        )
    enough, have = ENOUGH_EXAMPLES[ground.usecase.output.kind], len(ground.examples)
    found = (
        f"{have} usable examples ({ground.exact_duplicates} exact duplicates and {len(ground.leaked)} that stand in "
        f"the suite left out); {len(ground.split.train)} to learn from, {len(ground.split.dev)} for development"
    )
    if have < enough:
        return GateResult(
            gate="data",
            state="failed",
            found=found,
            missing=f"{enough - have} more examples (at least {enough})",
            next=f"collect {enough - have} more rows into data/; the levers without training are measured all the same",
        )
    try:
        findings = checks.gate(_batch(ground))
    except DataError as problem:  # the file of the audit
        return GateResult(gate="data", state="failed", found=found, missing=_in_a_line(problem), next=problem.next)
    never = _never_given(ground)
    found = f"{found}; {_quality(findings, ground)}{_told(never, ground)}"
    refused = [finding for finding in findings if finding.severity == "refuse"]
    if refused:
        return GateResult(
            gate="data",
            state="failed",
            found=found,
            missing="; ".join(finding.what for finding in refused),
            next="tuneworthy data check names the rows and what to do about each",
        )
    if never is not None and never.state == "refuse" and ground.project.docs is None:
        return GateResult(
            gate="data",
            state="failed",
            found=found,
            missing=f"training answers that the base model can give: {never.in_words}",
            next=f"{never.advice}; for retrieval put the documents into a folder, and name it as change.knowledge",
        )
    return GateResult(gate="data", state="passed", found=found)


def _never_given(ground: Ground) -> Unknown | None:
    """What the base can never give, where outputs are texts and it was measured."""
    if ground.usecase.output.kind != "text":
        return None
    try:
        return ground.unknown
    except TuneworthyError:  # no model or no scorer: the gates hardware and use_case tell, and a run says it
        return None


def _told(never: Unknown | None, ground: Ground) -> str:
    if ground.usecase.output.kind != "text":
        return ""
    if never is None:
        return "; answers that the base can never give: not measured (tuneworthy eval --probe unknown)"
    topics = [f"{t.topic} {100 * t.unknown.value:.0f} % of {t.n}" for t in never.topics if t.unknown.value > PASS]
    about = f", by topic {'; '.join(topics)}" if topics and len(never.topics) > 1 else ""
    if never.state == "sound":
        return f"; {never.in_words}"
    shown = ground.project.docs is not None
    return f"; {never.in_words}{about}: {'the documents have to give them, not the weights' if shown else never.advice}"


def _batch(ground: Ground) -> Batch:
    if ground.audit_problem is not None:
        raise ground.audit_problem
    return Batch(ground.usecase, ground.examples, audit=ground.audit)


def _quality(findings: Sequence[Finding], ground: Ground) -> str:
    """Which share of the rows teaches facts (labels teach none), and how much is wrong, as far as somebody looked."""
    kinds = {f"{finding.check}.{finding.kind}": finding for finding in findings}
    facts = sum(len(kinds[kind].rows) for kind in ("facts.dated", "facts.fact") if kind in kinds)
    noise = kinds.get("audit.noise_rate")
    wrong = noise.what if noise else "wrong outputs not measured (tuneworthy data check --review)"
    if ground.usecase.output.kind == "label":
        return wrong
    return f"{100 * facts / len(ground.examples):.1f} % teach facts that stand in the output only; {wrong}"


def _suite(ground: Ground) -> GateResult:
    have = len(ground.cases)
    if ground.lock is not None:
        return GateResult(gate="suite", state="passed", found=f"{have} cases, locked as {ground.lock.digest[:12]}")
    problem = ground.suite_problem
    if isinstance(problem, SuiteChanged | DataError):
        found = f"{have} cases, not as they were locked" if isinstance(problem, SuiteChanged) else "unreadable cases"
        return GateResult(gate="suite", state="failed", found=found, missing=_in_a_line(problem), next=problem.next)
    if have < MIN_CASES:
        return GateResult(
            gate="suite",
            state="failed",
            found=f"{have} cases",
            missing=f"{MIN_CASES - have} more cases (at least {MIN_CASES})",
            next="collect more real cases: tuneworthy suite build, or write them into suite/cases.jsonl",
        )
    return GateResult(
        gate="suite",
        state="failed",
        found=f"{have} cases, not locked",
        missing="the lock",
        next="run: tuneworthy suite lock",
    )


def _in_a_line(problem: TuneworthyError) -> str:
    """What is wrong, with the first few mistakes."""
    mistakes = problem.problems if isinstance(problem, DataError) else ()
    listed = [problem.what, *map(str, mistakes[:3]), *([f"{len(mistakes) - 3} more"] if len(mistakes) > 3 else [])]
    return " ".join(" · ".join(listed).split())


def _hardware(ground: Ground) -> GateResult:
    usecase = ground.usecase
    outside = [c for c in privacy.contacts(usecase, privacy.load()) if c.answer == "refused"]
    if outside:
        return GateResult(
            gate="hardware",
            state="failed",
            found=f"privacy: {usecase.privacy}, and {outside[0].key} names {outside[0].host}",
            missing=f"a host that the posture allows: {outside[0].reason}",
            next="name a host of your own network, or change privacy in usecase.toml if sending the data is allowed",
        )
    if usecase.model.endpoint or usecase.model.base == SCRIPTED:
        return GateResult(
            gate="hardware",
            state="failed",
            found=f"the base model answers {f'at {usecase.model.endpoint}' if usecase.model.endpoint else 'by script'}",
            missing="weights that can be trained here",
            next="name a local folder or hub name as model.base to train",
        )
    from tuneworthy.models.local import weights_bytes

    try:
        weights = weights_bytes(usecase.model, ground.project.folder)
    except TuneworthyError as error:
        return GateResult(
            gate="hardware",
            state="failed",
            found="the base model cannot be opened",
            missing=error.what,
            next=error.next,
        )
    memory = 1e9 * usecase.hardware.memory_gb if usecase.hardware.memory_gb else _memory_bytes()
    needed, told = _needed(ground, weights)
    found = f"needs about {told} GB to train (estimate), {memory / 1e9:.1f} GB at hand; privacy: {usecase.privacy}"
    if needed > memory:
        return GateResult(
            gate="hardware",
            state="failed",
            found=found,
            missing=f"{(needed - memory) / 1e9:.1f} GB of memory",
            next="choose a smaller base model, or a machine with more memory",
        )
    return GateResult(gate="hardware", state="passed", found=found)


def _needed(ground: Ground, weights: int) -> tuple[float, str]:
    """The least bytes that LoRA needs here, and the estimate with its range in words.

    For architectures that the plan does not know: two copies of the weights in float32 (one answers, one learns; files
    are at least 2 bytes a weight), a tenth for adapters and their optimizer, 0.5 GB of activations.
    """
    try:
        model = read_config(resolve(ground.usecase.model, ground.project.folder))
    except TuneworthyError:
        least = 2 * 2.1 * weights + 0.5e9
        return least, f"{least / 1e9:.1f}"
    figure = for_run(model, gpus=0, length=min(model.context, ROW_TOKENS))
    low, usual, high = (GIB * (end or 0.0) for end in (figure.low, figure.value, figure.high))
    return low, f"{usual / 1e9:.1f} ({low / 1e9:.1f}–{high / 1e9:.1f})"


def _memory_bytes() -> float:
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _discipline(ground: Ground) -> GateResult:
    folder = ground.project.folder
    free = shutil.disk_usage(folder).free / 1e9
    versioned = any((parent / ".git").exists() for parent in (folder, *folder.parents))
    found = (
        f"data version {ground.version[:12] or 'none'}, seed {ground.usecase.seed}, torch {version('torch')}; every "
        f"run keeps its settings; under version control: {'yes' if versioned else 'no'}"
    )  # nothing that differs from one run to the next, such as free disk: equal findings are equal records
    if not os.access(folder, os.W_OK) or free < _DISK_GB:
        short = f"{_DISK_GB:.0f} GB of free disk, of which {free:.1f} are there"
        missing = "a folder that can be written" if free >= _DISK_GB else short
        return GateResult(
            gate="discipline", state="failed", found=found, missing=missing, next="make room, or copy the folder"
        )
    return GateResult(gate="discipline", state="passed", found=found)
