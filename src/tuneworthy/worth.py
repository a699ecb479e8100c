"""What examples are worth, on one screen: what each verb about more and better examples does.

    findings → their price;  sizes → learning curve;  unlabelled rows → which to label next

Small arms learn and are judged on development cases; no locked case is opened. Nothing here prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tuneworthy.content import write_whole
from tuneworthy.data import unlabelled
from tuneworthy.data.engine import Checked, load
from tuneworthy.data.labelled import Desk
from tuneworthy.data.unlabelled import Taken
from tuneworthy.errors import DataError, GateRefused, TuneworthyError
from tuneworthy.flow import prompted
from tuneworthy.ground import Ground, prepare
from tuneworthy.ladder import Listener
from tuneworthy.levers import curve as curves
from tuneworthy.levers import labelling, small_arms
from tuneworthy.levers import price as prices
from tuneworthy.levers.labelling import Suggestion, Trial
from tuneworthy.levers.small_arms import Learner, Trainings
from tuneworthy.measure.learning_curve import LearningCurve
from tuneworthy.project import open_project
from tuneworthy.retrievers.embedders import minilm_at_hand, open_minilm
from tuneworthy.seams import Embedder
from tuneworthy.watch import corrections, feedback
from tuneworthy.watch.corrections import Collected


def price(folder: Path, checked: Checked, listener: Listener) -> Checked:
    """Measure what the rows of each finding cost the score, with small arms on development cases.

    Raises:
        TuneworthyError: small arms cannot be trained here, or not within budget.training_hours.
    """
    project = open_project(folder)
    with project.busy("data check"):
        ground = prepare(project)
        learner = open_small_arm(ground, listener)
        groups, left = prices.groups_of(checked.report, load(project), ground.examples, most=learner.most_groups)
        counting = Trainings(ground, listener.step, prices.trainings(learner, groups))
        listener.lever(learner.lever, "planned", f"{counting.total} trainings ({learner.told})")
        found = prices.price(learner, groups, counting, level=1 - ground.usecase.bar.alpha) if groups else []
    return replace(checked, report=prices.with_prices(checked.report, found, left))


def learning_curve(
    folder: Path, listener: Listener, *, lever: str = "", minutes: float | None = None
) -> tuple[LearningCurve, Path]:
    """Measure how the score grows with the examples, on development cases; keep the curve, and say where it lies.

    Args:
        lever: what learns; without one the plain classifier for labels, else LoRA.
        minutes: a person's time for one more example.

    Raises:
        TuneworthyError: there are too few examples, or small arms cannot be trained here.
    """
    project = open_project(folder)
    with project.busy("eval"):
        ground = prepare(project)
        learner = open_small_arm(ground, listener, lever)
        counting = Trainings(ground, listener.step, curves.trainings(learner))
        listener.lever(learner.lever, "planned", f"{counting.total} trainings ({learner.told})")
        found = curves.measure(ground, learner, counting, minutes=minutes)
        path = project.curve(learner.lever)
        write_whole(path, f"{found.model_dump_json(indent=1)}\n")
    return found, path


def suggest_labels(
    file: Path, folder: Path, listener: Listener, *, count: int, mapping: Mapping[str, str] | None = None
) -> tuple[Suggestion, Path]:
    """Write the rows of a file that are worth labelling next, after trying on the labelled ones whether choosing them
    beats chance.

    Raises:
        DataError: the file cannot be read, holds nothing new, or labels wait to be taken over.
    """
    project = open_project(folder)
    with project.busy("data label"):
        ground = prepare(project)
        found = unlabelled.read_inputs(
            file, project.usecase, examples=ground.examples, cases=ground.cases, mapping=mapping
        )
        if not found.rows:
            raise DataError("no row is left to label", [], next="all are known, or in the suite", where=str(file))
        embedder = open_minilm() if minilm_at_hand() else None
        trial, reason = _labelling_trial(ground, embedder, listener)
        pays = trial is not None and trial.pays
        rows = labelling.suggest(
            project.usecase, ground.examples, found.rows, count, by_strategy=pays, embedder=embedder
        )
        Desk(project).require_taken_over()
        unlabelled.write(rows, project.to_label_file)
    suggestion = Suggestion(
        by="strategy" if pays else "chance",
        trial=trial,
        not_measured=reason,
        rows=rows,
        pool=len(found.rows),
        known=found.known,
        judged=found.judged,
    )
    return suggestion, project.to_label_file


def collect_corrections(folder: Path) -> tuple[Collected, Path]:
    """Write what clients corrected as rows for a person to look at.

    Raises:
        DataError: labels wait to be taken over.
    """
    project = open_project(folder)
    with project.busy("data label"):
        ground = prepare(project, strict=False)
        found = corrections.collect(feedback.read(project.feedback)[0], ground.examples, ground.cases)
        if found.rows:
            Desk(project).require_taken_over()
            unlabelled.write(found.rows, project.to_label_file)
    return found, project.to_label_file


def take_labels(folder: Path) -> Taken:
    """Add the rows that a person labelled to the examples.

    Raises:
        DataError: there are none, or some cannot be used.
    """
    project = open_project(folder)
    if project.labels_file.exists():  # labelled in the workbench, or there as well
        return Desk(project).take_over()
    with project.busy("data label"):
        return unlabelled.take(project)


def _labelling_trial(ground: Ground, embedder: Embedder | None, listener: Listener) -> tuple[Trial | None, str]:
    """The trial, or why there is none."""
    try:
        learner = open_small_arm(ground, listener)
        counting = Trainings(ground, listener.step, labelling.trainings(learner))
        listener.lever(learner.lever, "planned", f"{counting.total} trainings ({learner.told})")
        return labelling.try_out(ground.usecase, learner, embedder, counting), ""
    except TuneworthyError as error:
        return None, error.what


def open_small_arm(ground: Ground, listener: Listener, lever: str = "") -> Learner:
    """What learns when trainings are compared: the plain classifier for labels, LoRA for other outputs.

    Raises:
        TuneworthyError: it does not fit the task, or this base model.
        GateRefused: LoRA, and the suite is not locked.
    """
    labels = ground.usecase.output.kind == "label"
    wanted = lever or ("classifier" if labels else "lora")
    if wanted == "classifier" and labels:
        return small_arms.Plain(ground, open_minilm() if minilm_at_hand() else None)
    if wanted != "lora":
        what = "the plain classifier answers labels only" if wanted == "classifier" else f"no small arm of {wanted!r}"
        raise TuneworthyError(what, next="use --lever lora")
    if ground.lock is None:
        raise GateRefused(
            "training is refused: the suite is not locked",
            why="no training starts before it is fixed what will be judged",
            next="run: tuneworthy suite lock",
            where=str(ground.project.folder),
        )
    return small_arms.Lora(ground, prompted(ground, "lora", listener).bench)
