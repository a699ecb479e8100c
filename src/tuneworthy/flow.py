"""The whole method on one screen: what each verb does.

    use case → data → suite, locked → levers without training → bar met? → levers that train → verdict

Its neighbours, each on a screen of its own: `worth` (what examples are worth), `planning` (what it takes), `judging`
(people, judges, logs of other tools), `service` (what follows the verdict). They are called by the command line and
print nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tuneworthy import readiness, runs
from tuneworthy.answering import Sources
from tuneworthy.data import near, read
from tuneworthy.data import split as splits
from tuneworthy.data.read import Reading
from tuneworthy.data.split import SplitReport
from tuneworthy.errors import DataError, GateRefused, ModelError, SuiteChanged, TuneworthyError
from tuneworthy.exchange import to_inspect, to_mlflow
from tuneworthy.ground import Ground, prepare
from tuneworthy.ladder import BASE, TRAINED, UNTRAINED, Ladder, Listener
from tuneworthy.levers import beforehand, tuned
from tuneworthy.levers.bench import Bench
from tuneworthy.measure.corpus import corpus_difference
from tuneworthy.measure.diagnose import Diagnosis
from tuneworthy.measure.learning_curve import LearningCurve
from tuneworthy.measure.probes import Beforehand, ProbeName, Probes
from tuneworthy.models.open import answer_tokens, open_model
from tuneworthy.plan import plan as planning
from tuneworthy.plan import privacy
from tuneworthy.project import Project, open_project
from tuneworthy.records import Comparison, Example, LeverResult
from tuneworthy.report import html
from tuneworthy.retrievers.embedders import minilm_at_hand, open_minilm
from tuneworthy.runs import GateResult, RunRecord
from tuneworthy.seams import Tunable
from tuneworthy.suite import build
from tuneworthy.suite import lock as locks
from tuneworthy.suite.status import SuiteStatus, status
from tuneworthy.verdict import decide


def run(folder: Path, listener: Listener, *, everything: bool = False) -> RunRecord:
    """Climb the ladder and end with the verdict: the main job.

    Args:
        everything: train even when a cheaper lever meets the bar.

    Raises:
        TuneworthyError: whatever a user has to act on; finished arms are kept.
    """
    started = datetime.now(UTC)
    project = open_project(folder)
    with project.busy("run"):
        ground = prepare(project)
        gates = readiness.check(ground)
        ladder = climb_without_training(ground, gates, listener)
        falls_short = ladder.meets_the_bar() is None
        for lever in TRAINED:
            ladder.try_levers([lever], closed=_why_not_train(ladder, gates, everything))
            ladder.probe([lever])
            ladder.open_cases([lever])
        if falls_short:
            ladder.diagnose()  # last, so that it can say what training mended
        evidence = ladder.evidence(gates)
        record = ladder.record(evidence, decide(evidence), gates, started)
        there = project.run(record.run_id)
        runs.save(record, there / "verdict.json")
        _page(project, record, there / "report.html")
    return record


def climb_without_training(ground: Ground, gates: Sequence[GateResult], listener: Listener) -> Ladder:
    """Find the levers that need no training on the development split, register the comparisons, open the cases."""
    ground.keep()
    ladder = Ladder(ground, open_bench(ground, readiness.refusal(gates)), listener)
    ladder.try_levers(UNTRAINED)
    ladder.register()
    ladder.open_cases(UNTRAINED)
    return ladder


def _why_not_train(ladder: Ladder, gates: Sequence[GateResult], everything: bool) -> str:
    """Why the next trained lever is not tried; empty when it is its turn."""
    refusal = readiness.refusal(gates)
    cheaper = None if everything else ladder.meets_the_bar()
    return refusal or (f"{cheaper} meets the bar at lower cost" if cheaper else "")


def open_bench(ground: Ground, may_not_train: str = "") -> Bench:
    """The bench that levers work at: the base model and what else answers.

    Raises:
        PrivacyRefused: the use case names an address that its privacy posture forbids.
    """
    usecase, project = ground.usecase, ground.project
    privacy.require_posture(usecase, privacy.load())
    wanted = usecase.output.kind == "label" or project.docs is not None
    sources = Sources(
        usecase=usecase,
        folder=project.folder,
        model=open_model(usecase, project.folder),
        pool=ground.train,
        data_version=ground.version,
        embedder=open_minilm() if wanted and minilm_at_hand() else None,
    )
    return Bench(
        project,
        sources,
        ground.train,
        ground.dev,
        ground.yardstick,
        may_train=may_not_train,
        disputed=ground.disputed,
    )


def check(folder: Path) -> tuple[GateResult, ...]:
    """The five prerequisites. Nothing is written."""
    return readiness.check(prepare(open_project(folder), strict=False))


def import_data(
    file: Path,
    folder: Path,
    *,
    mapping: Mapping[str, str] | None,
    skip_bad: bool,
    licence: str = "",
    agreed: Callable[[Reading], bool] = lambda reading: True,
) -> Reading:
    """Read examples in the format they have and, if that is agreed to, write data/examples.jsonl."""
    project = open_project(folder)
    with project.busy("data import"):
        return read.import_file(
            file, project, mapping=mapping or None, skip_bad=skip_bad, licence=licence, agreed=agreed
        )


def split(folder: Path) -> SplitReport:
    """How the examples are divided into those to learn from and those for development. Nothing is written.

    Raises:
        DataError: there are no examples, or they cannot be read.
    """
    project = open_project(folder)
    ground = prepare(project, strict=False)
    if ground.data_problem is not None:
        raise ground.data_problem
    if not ground.examples:
        raise DataError("there are no examples", [], next="run: tuneworthy data import FILE", where=str(project.folder))
    by_output = ground.usecase.output.kind == "label"
    return SplitReport(
        version=ground.version,
        seed=ground.usecase.seed,
        exact_duplicates=ground.exact_duplicates,
        leaked=len(ground.leaked),
        strata=splits.strata(ground.examples, ground.split, by_output=by_output),
        split=ground.split,
    )


def build_suite(folder: Path, *, cases: int, source: Path | None) -> SuiteStatus:
    """Write suite/cases.jsonl: drawn from the examples, or taken from a file.

    Raises:
        SuiteChanged: the suite is locked.
    """
    project = open_project(folder)
    usecase = project.usecase
    with project.busy("suite build"):
        if project.lock_file.exists():
            raise SuiteChanged(
                "the suite is locked",
                why="new cases would make another suite under the old lock",
                next="remove suite/suite.lock first if that is what you want; old results stay with the old lock",
                where=str(project.lock_file),
            )
        if source is not None:
            chosen = read.read_cases(source, usecase)
        else:
            examples = _examples(project)
            chosen = build.draw(examples, near.clusters(examples), n=cases, seed=usecase.seed)
        build.write_cases(project.cases_file, chosen)
    return status(project, usecase, chosen, None, "not locked yet")


def lock_suite(folder: Path, *, again: bool) -> SuiteStatus:
    """Freeze cases, scorers, bar and decoding."""
    project = open_project(folder)
    with project.busy("suite lock"):
        cases = read.read_cases(project.cases_file, project.usecase)
        count = answer_tokens(project.usecase, project.folder)
        found = locks.lock(project, project.usecase, cases, again=again, answer_tokens=count)
    return status(project, project.usecase, cases, found)


def suite_status(folder: Path) -> SuiteStatus:
    """What the suite can detect, and how often it was opened."""
    ground = prepare(open_project(folder), strict=False)
    problem = ground.suite_problem.what if ground.suite_problem else ""
    return status(ground.project, ground.usecase, ground.cases, ground.lock, problem)


def diagnose(folder: Path, listener: Listener) -> tuple[list[LeverResult], Diagnosis | None]:
    """Measure every untrained lever on the development split, then find out why the base fails there."""
    project = open_project(folder)
    with project.busy("eval"):
        ladder = _tried(prepare(project), UNTRAINED, listener)
        return list(ladder.results.values()), ladder.diagnose()


def evaluate(folder: Path, levers: Sequence[str] | None, listener: Listener) -> list[LeverResult]:
    """Measure untrained levers on the development split: no locked case is opened.

    Raises:
        TuneworthyError: the lever trains, or is not known.
    """
    wanted = list(levers or UNTRAINED)
    odd = [name for name in wanted if name not in UNTRAINED]
    if odd:
        raise TuneworthyError(
            f"{odd[0]!r} is not a lever that `eval` measures; known: {', '.join(UNTRAINED)}",
            next=f"run: tuneworthy train --lever {odd[0]}" if odd[0] in TRAINED else "correct the name",
        )
    project = open_project(folder)
    with project.busy("eval"):
        first = [name for name in UNTRAINED if name in wanted or name in _built_on(wanted)]
        ladder = _tried(prepare(project), first, listener)
    return [ladder.results[name] for name in wanted]


def probe(folder: Path, lever: str, names: Sequence[ProbeName], listener: Listener) -> Probes | Beforehand:
    """What training one lever did beside the task: the named probes, and what was found before. For `prompt`, what the
    base can before anything is trained; no gate has to be open for it.

    Trains the lever where that was not done yet; the locked cases are not opened.

    Raises:
        GateRefused: a prerequisite of training is missing.
        TuneworthyError: the lever does not train, or could not be trained.
    """
    project = open_project(folder)
    if lever == BASE:
        with project.busy("eval"):
            ladder = _tried(prepare(project), [BASE] if "unknown" in names else [], listener)
            ladder.bench.tell = listener.step
            return beforehand.probe(ladder.bench, names)
    _require_trained_lever(lever)
    with project.busy("eval"):
        ground = prepare(project)
        _require_open_gates(project, readiness.check(ground))
        ladder = Ladder(ground, open_bench(ground), listener)
        ground.keep()
        ladder.try_levers(UNTRAINED)
        ladder.try_levers(["lora", lever] if lever == "full" else [lever])
        if lever not in ladder.bench.found:
            raise TuneworthyError(f"{lever} was not trained: {ladder.results[lever].reason}", next="mend that first")
        ladder.probe([lever], names)
    return ladder.bench.probes[lever]


def train(folder: Path, lever: str, listener: Listener) -> LeverResult:
    """Train one lever, after the baselines were measured. The locked cases are not opened for it: `run` does that.

    Raises:
        GateRefused: a prerequisite is missing, the suite is not locked, or it was changed.
    """
    _require_trained_lever(lever)
    project = open_project(folder)
    with project.busy("train"):
        ground = prepare(project)
        gates = readiness.check(ground)
        _require_open_gates(project, gates)
        ladder = climb_without_training(ground, gates, listener)
        ladder.try_levers(["lora", lever] if lever == "full" else [lever])
    return ladder.results[lever]


def loss_mask(folder: Path, lever: str, listener: Listener, rows: int = 3) -> tuple[str, list[list[tuple[str, bool]]]]:
    """Which tokens would carry loss: the report, and some rows as (token text, carries loss)."""
    _require_trained_lever(lever)
    project = open_project(folder)
    with project.busy("train"):
        ladder = prompted(prepare(project), lever, listener)
        return tuned.loss_mask(ladder.bench, lever, rows)


def compare(folder: Path, reference: str, candidate: str) -> Comparison:
    """Two arms of the last run, case by case. A contrast that was not registered is exploratory.

    Raises:
        SuiteChanged: the suite is not the one that the run measured.
    """
    record, ground = measured(open_project(folder))
    together = corpus_difference(
        ground.usecase.bar.metric,
        record.arm(reference),
        record.arm(candidate),
        ground.cases,
        ground.usecase.output,
        clusters=ground.clusters,
        level=1 - ground.usecase.bar.alpha,
        seed=ground.usecase.seed,
    )
    return paired(record, ground, reference, candidate).model_copy(update={"corpus": together})


def paired(record: RunRecord, ground: Ground, reference: str, candidate: str) -> Comparison:
    """Two arms of a run on the ground that it stood on."""
    return record.compare(
        reference,
        candidate,
        binary=ground.yardstick.primary.binary,
        alpha=ground.usecase.bar.alpha,
        seed=ground.usecase.seed,
        clusters=ground.clusters,
        judge=ground.yardstick.calibration,
    )


def report(folder: Path, out: str, to: str = "html") -> str:
    """Write the last run as one self-contained HTML file, as Inspect logs, or into MLflow; returns where it lies."""
    project = open_project(folder)
    record = last_run(project)
    there = project.run(record.run_id)
    if to == "inspect":
        return str(to_inspect.export(record, Path(out) if out else there / "inspect"))
    if to == "mlflow":
        uri = out or os.environ.get("MLFLOW_TRACKING_URI", "")
        if not uri:
            raise TuneworthyError(
                "no MLflow server is named", next="add --out http://127.0.0.1:5000, or set MLFLOW_TRACKING_URI"
            )
        _page(project, record, there / "report.html")
        return to_mlflow.export(record, [there / "verdict.json", there / "report.html"], uri)
    path = Path(out) if out else there / "report.html"
    _page(project, record, path)
    return str(path)


def _page(project: Project, record: RunRecord, path: Path) -> None:
    """The report with what is known beside the run: its plan, and learning curves on whichever version of the data."""
    curves = [LearningCurve.model_validate_json(kept.read_text("utf-8")) for kept in project.kept_curves()]
    html.write(record, path, planning.kept(project.plan_file), curves=curves)


def _tried(ground: Ground, levers: Sequence[str], listener: Listener) -> Ladder:
    """Untrained levers, each with its best candidate on the development split."""
    ground.keep()
    ladder = Ladder(ground, open_bench(ground), listener)
    ladder.try_levers(levers)
    return ladder


def prompted(ground: Ground, lever: str, listener: Listener) -> Ladder:
    """What a trained lever builds on: the prompt that won, and a base model whose weights are here."""
    ladder = Ladder(ground, open_bench(ground), listener)
    ladder.try_levers(["prompt", "rag"] if lever == "rag_lora" else ["prompt"])
    start = "rag" if lever == "rag_lora" else "prompt"
    if start not in ladder.bench.found:
        raise TuneworthyError(f"{lever} builds on {start}: {ladder.results[start].reason}", next="mend that first")
    if not isinstance(ladder.bench.sources.model, Tunable):
        raise ModelError("the weights of the base model are not here", next="use a local base model")
    return ladder


def _examples(project: Project) -> Sequence[Example]:
    path = project.examples_file
    if path is None:
        raise TuneworthyError(
            "there are no examples to draw cases from",
            next="run: tuneworthy data import FILE; or write cases: tuneworthy suite build --from FILE",
            where=str(project.folder / "data"),
        )
    reading = read.read_examples(path, project.usecase)
    reading.require_whole()
    return reading.examples


def _built_on(wanted: Sequence[str]) -> set[str]:
    """Levers that others build on."""
    needs = {"few_shot": ["prompt"], "constrained": ["prompt", "few_shot"], "rag": ["prompt"]}
    return {other for name in wanted for other in needs.get(name, [])}


def _require_trained_lever(lever: str) -> None:
    if lever not in TRAINED:
        raise TuneworthyError(f"{lever!r} does not train; known: {', '.join(TRAINED)}", next="correct --lever")


def measured(project: Project) -> tuple[RunRecord, Ground]:
    """The last run and the ground it stood on."""
    record, ground = last_run(project), prepare(project)
    if record.suite is not None and (ground.lock is None or ground.lock.digest != record.suite.lock):
        raise SuiteChanged(
            "the last run measured another suite", next="run: tuneworthy run", where=str(project.lock_file)
        )
    return record, ground


def last_run(project: Project) -> RunRecord:
    """The record of the run whose verdict was written last. Raises TuneworthyError where there is none."""
    last = project.latest_run()
    if last is None:
        raise TuneworthyError("there is no run yet", next="run: tuneworthy run", where=str(project.runs))
    return runs.load(last / "verdict.json")


def _require_open_gates(project: Project, gates: Sequence[GateResult]) -> None:
    refusal = readiness.refusal(gates)
    if refusal:
        raise GateRefused(
            f"training is refused: {refusal}",
            why="without its prerequisites nobody could tell whether training helped",
            next="run: tuneworthy check",
            where=str(project.folder),
        )
