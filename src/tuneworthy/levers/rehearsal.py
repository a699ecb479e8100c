"""A calibration: the one training loop and the one path that answers, run for less than a minute and timed.

What is trained here is thrown away: a later training starts from nothing, and can be held against the prediction.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import time
from typing import TYPE_CHECKING

from tuneworthy.answering import Answerer
from tuneworthy.content import folder_digest
from tuneworthy.errors import ModelError
from tuneworthy.levers.bench import Bench
from tuneworthy.levers.prompt import phrasings
from tuneworthy.levers.tuned import Method, Tuning
from tuneworthy.models.local.files import weights_digest
from tuneworthy.plan.calibrate import SECONDS, MeasuredSpeed, MethodPace, Pace, measured, this_machine
from tuneworthy.plan.records import Figure, unknown
from tuneworthy.records import Candidate, Input
from tuneworthy.seams import Tunable

if TYPE_CHECKING:
    from tuneworthy.training.run import Progress

WARM_UP = 2
"""steps that are not counted: the first ones fill caches"""
FEWEST_STEPS = 3
SHARES = {"lora": 0.28, "full": 0.28}
"""of the time; the rest goes to answers"""
AT_ONCE = 32
"""answers asked together, as far as there are rows"""


class _Enough(Exception):
    """The time of a rehearsal is over."""


def calibrate(bench: Bench, *, today: dt.date, seconds: float = SECONDS) -> MeasuredSpeed:
    """Time answers of the base model, and steps of LoRA and of full fine-tuning.

    Raises:
        ModelError: the weights are not here.
        TrainingError: the rows cannot be trained on.
    """
    model = bench.sources.model
    if not isinstance(model, Tunable):
        raise ModelError(
            "the weights of the base model are not here, so its speed cannot be measured",
            next="name a local base model; for a known model `tuneworthy plan` estimates from its dimensions",
        )
    import torch

    began = time.monotonic()
    start = plain_candidate(bench)
    methods = []
    for method, share in SHARES.items():
        bench.tell(f"calibrating: {method}", 0, 1)
        methods.append(_rehearse(bench, start, method, share * seconds, today))  # type: ignore[arg-type]
    bench.tell("calibrating: answers", 0, 1)
    answer = _answering(bench, start, (1 - sum(SHARES.values())) * seconds / 2, today, "answers of the base model")
    return MeasuredSpeed(
        machine=this_machine(model.device, torch.get_num_threads()),
        model=folder_digest(model.folder),
        made=today,
        seconds=round(time.monotonic() - began, 1),
        answer=answer,
        methods=tuple(methods),
    )


def plain_candidate(bench: Bench) -> Candidate:
    """The first phrasing: which one wins changes the length of a prompt by a few tokens."""
    prompt = phrasings(bench.usecase)[0]
    return Candidate(lever="prompt", model=bench.sources.model.digest, prompt=prompt, decoding=bench.decoding)


def _rehearse(bench: Bench, start: Candidate, method: Method, seconds: float, today: dt.date) -> MethodPace:
    """Train for a while in a folder that is removed again; time steps, a checkpoint, and answers with what came out."""
    from tuneworthy.training.checkpoints import checkpoint_folder
    from tuneworthy.training.loop import train

    tuning = Tuning(bench, method, start, method)
    encoded, recipe = tuning.encoded, tuning.suggestion.recipe
    out = bench.project.store / "calibration" / method
    shutil.rmtree(out, ignore_errors=True)
    steps = recipe.steps(len(encoded.rows))
    watch = _Watch(seconds)
    first = min(steps, WARM_UP + 1)
    try:
        base = tuning.untouched_base()
        began = time.monotonic()
        train(base, recipe, encoded, out, on_progress=watch, share=first / steps)
        beside = max(0.0, time.monotonic() - began - sum(watch.seconds))
        with contextlib.suppress(_Enough):
            train(tuning.untouched_base(), recipe, encoded, out, on_progress=watch)
        counted = watch.seconds[WARM_UP:] if len(watch.seconds) > WARM_UP else watch.seconds
        newest = max((int(path.name.split("-")[1]) for path in out.glob("checkpoints/checkpoint-*")), default=first)
        folder = checkpoint_folder(out, newest)
        answer = unknown("s", "no checkpoint was written while calibrating")
        if folder.is_dir():
            candidate = tuning.candidate(folder, weights_digest(folder), 1.0)
            answer = _answering(bench, candidate, seconds / 3, today, f"answers with {method}")
        return MethodPace(
            method=method,
            pace=Pace(
                step=measured(counted, today, f"steps of {method}"),
                checkpoint=measured([beside], today, f"a checkpoint of {method} written and delivered"),
                answer=answer,
            ),
            steps=len(counted),
            batch_size=recipe.batch_size,
            tokens_per_step=recipe.batch_size * encoded.report.tokens / len(encoded.rows),
        )
    finally:
        shutil.rmtree(out, ignore_errors=True)


class _Watch:
    """Seconds of each step, from what the loop tells after it; ends the rehearsal when time is over."""

    def __init__(self, limit: float) -> None:
        self.limit, self.began, self.seconds = limit, time.monotonic(), list[float]()

    def __call__(self, progress: Progress) -> None:
        self.seconds.append(progress.step_seconds)
        if time.monotonic() - self.began > self.limit and len(self.seconds) >= WARM_UP + FEWEST_STEPS:
            raise _Enough


def _answering(bench: Bench, candidate: Candidate, seconds: float, today: dt.date, what: str) -> Figure:
    """Seconds per answer: as many development rows as the time allows, asked together as evaluation does."""
    rows: list[Input] = [case.input for case in bench.dev] or [example.input for example in bench.train]
    if not rows:
        return unknown("s", "there are no rows to ask about")
    answerer = Answerer(candidate, bench.sources)
    answerer.answer(rows[:2])  # not counted: the first answers fill caches
    timings: list[float] = []
    began, at = time.monotonic(), 0
    while not timings or (time.monotonic() - began < seconds and at < len(rows)):
        part = rows[at : at + AT_ONCE]
        started = time.monotonic()
        answerer.answer(part)
        timings.append((time.monotonic() - started) / len(part))
        at += len(part)
    return measured(timings, today, what)
