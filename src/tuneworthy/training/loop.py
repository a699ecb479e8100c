"""The one training loop: LoRA, full and continued training run here and nowhere else.

    for each step:  rows → loss per trained token of the whole batch → clip → AdamW → (checkpoint → score)

The same base, rows and recipe end in the same weights; on a CPU bit for bit (with the same number of threads), also
when the process was killed in between and the same command ran again.
"""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from tuneworthy.errors import TrainingError
from tuneworthy.training import checkpoints
from tuneworthy.training.batches import EncodedRow, step_rows
from tuneworthy.training.checkpoints import Identity, Learning, Standing, last_step
from tuneworthy.training.choice import DevScore, Point, choose, contenders, out_of_patience
from tuneworthy.training.delivery import Stopped, Trained, deliver, delivered
from tuneworthy.training.gradients import within_memory
from tuneworthy.training.network import Base, adapter_name, trainable, tunable
from tuneworthy.training.prefix import ALLOWED, relative_difference, sharing
from tuneworthy.training.recipe import Recipe
from tuneworthy.training.side_by_side import side_by_side
from tuneworthy.training.tokens import Encoded

SAVE_SECONDS = 300.0
"""a checkpoint for continuing (not scored) is also written when the last one is older than this"""
DIVERGED_OVER = 5
"""steps whose mean loss is held against the first loss: one odd batch is no divergence"""


@dataclass(frozen=True)
class Progress:
    """Where training stands, after each step."""

    step: int
    steps: int
    epoch: float
    loss: float
    """mean loss per trained token of this step, in nats"""
    dev: DevScore | None
    """the latest development score"""
    step_seconds: float
    """that this step took, without checkpoint and scoring"""
    tokens_per_second: float
    """in steps since this process began, padding not counted"""
    seconds_left: float


@dataclass(frozen=True)
class Training:
    """A training that is asked for; `train` says what each part is."""

    recipe: Recipe
    encoded: Encoded
    out: Path
    evaluate: Callable[[int], tuple[float, float] | None] | None = None
    on_progress: Callable[[Progress], None] | None = None
    share: float = 1.0


def train(
    base: Base,
    recipe: Recipe,
    encoded: Encoded,
    out: Path,
    *,
    evaluate: Callable[[int], tuple[float, float] | None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    share: float = 1.0,
) -> Trained:
    """Train, or continue a training, or return it when it is already done.

    Args:
        base: the loaded base model. LoRA is taken out of it again at the end.
        encoded: the rows, from `tokens.encode`; print `encoded.report` before calling this.
        out: folder of the finished adapter; while training, its `checkpoints/` hold what is needed to continue.
        evaluate: step → (mean, standard error) of the task on the development split, higher is better, or None when
            it could not be measured. Called at each checkpoint with the network in evaluation mode; the same weights
            lie in `checkpoints.checkpoint_folder(out, step)`.
        on_progress: called after each step.
        share: stop after this share of the steps (screening); the same call with a larger share continues. 0 gives
            an adapter that changes nothing.

    Raises:
        TrainingError: loss not finite, or zero from the start; the stop token does not end generation; `out` holds
            another training.
        StorageError: the disk is full or read-only.
    """
    return train_all(base, [Training(recipe, encoded, out, evaluate, on_progress, share)])[0]


def train_all(base: Base, trainings: Sequence[Training]) -> list[Trained]:
    """Several trainings on one base: side by side, in the same passes, where `apart` knows no reason against it.

    Each ends as it would alone, up to rounding; alone, or called again with the same ones, bit for bit.

    Raises:
        TrainingError, StorageError: as `train`, from any of them.
    """
    identities = [identify(base, asked.recipe, asked.encoded) for asked in trainings]
    for asked in trainings:
        _check_stop(base, asked.encoded)
    done = [delivered(t.out, identity, t.share) for t, identity in zip(trainings, identities, strict=True)]
    waiting = [number for number, trained in enumerate(done) if trained is None]
    sets = [[number] for number in waiting] if apart([trainings[n] for n in waiting]) else [waiting]
    for numbers in filter(None, sets):
        with tunable(base, *(trainings[number].recipe for number in numbers)) as network:
            runs = [
                _Run(base, network, adapter_name(place), trainings[number], identities[number])
                for place, number in enumerate(numbers)
            ]
            for number, trained in zip(numbers, _Together(network, runs).to_the_end(), strict=True):
                done[number] = trained
    return [trained for trained in done if trained is not None]


def apart(trainings: Sequence[Training]) -> str:
    """Why these are trained one after the other; empty = they can be trained side by side."""
    recipes = [asked.recipe for asked in trainings]
    if len({str(asked.out) for asked in trainings}) < len(trainings):
        return "two of them are the same training"
    if any(recipe.method == "full" for recipe in recipes):
        return "full fine-tuning changes the base itself"
    if any(recipe.dropout > 0 for recipe in recipes):
        return "dropout would draw other masks than alone"
    for name in ("r", "batch_size", "micro_batch", "precision"):
        if len({getattr(recipe, name) for recipe in recipes}) > 1:
            return f"they differ in {name}"
    return ""


@dataclass
class _Together:
    """Trainings in lockstep: one pass computes a step of each. A lone one is a lockstep of one."""

    network: Any
    runs: list[_Run]
    micro_batch: int = 0
    _checked: dict[int, tuple[int, str]] = field(default_factory=dict)

    def to_the_end(self) -> list[Trained]:
        """Run the remaining steps of all. The ones behind go first, until they stand where the others stand."""
        at = min(last_step(run.asked.out) for run in self.runs)
        for run in self.runs:
            run.begin(at)
        self.micro_batch = min(run.standing.micro_batch or run.recipe.micro_batch for run in self.runs)
        while going := [run for run in self.runs if not run.ended()]:
            behind = min(run.standing.step for run in going)
            now = [run for run in going if run.standing.step == behind]
            self._step(now)
            # All at once, and before any is scored: continued after a kill, all stand at the same step again.
            if any(run.due for run in now):
                for run in now:
                    run.save()
            for run in now:
                run.score_if_due()
                run.tell()
        return [run.trained for run in self.runs if run.trained is not None]

    def _step(self, now: list[_Run]) -> None:
        began = time.monotonic()
        batches = [run.rows() for run in now]
        self.network.train()
        for run, rows in zip(now, batches, strict=True):
            if run.standing.prefix is None:
                self._decide_sharing(run, rows)
        side_by_side(self.network, [run.adapter for run in now])
        # Dropout follows from (seed, step); with dropout there is only one.
        torch.manual_seed((now[0].recipe.seed << 32) + now[0].standing.step)
        losses, fitted = self._gradients(batches, prefix=min(run.standing.prefix or 0 for run in now))
        if fitted < self.micro_batch:
            self.micro_batch = fitted
            for run in now:
                run.move(micro_batch=fitted)
        for run, rows, loss in zip(now, batches, losses, strict=True):
            run.take(loss, rows)
        seconds = time.monotonic() - began
        for run, rows in zip(now, batches, strict=True):
            run.spend(seconds, len(now), rows)

    def _gradients(self, batches: Sequence[Sequence[EncodedRow]], *, prefix: int) -> tuple[list[float], int]:
        precision = self.runs[0].recipe.precision
        return within_memory(self.network, batches, micro_batch=self.micro_batch, precision=precision, prefix=prefix)

    def _decide_sharing(self, run: _Run, rows: Sequence[EncodedRow]) -> None:
        """Once for a whole training. Two rows of its first batch are computed both ways; trainings side by side share
        the network and its arithmetic, so what one of them found holds for the others."""
        tokens, why = sharing(self.network, run.asked.encoded.rows, run.recipe.batch_size)
        if tokens and tokens not in self._checked:
            side_by_side(self.network, [run.adapter])
            found = []
            for prefix in (0, tokens):
                self._gradients([rows[:2]], prefix=prefix)
                found.append([weight.grad for weight in run.learning.weights.values() if weight.grad is not None])
                self.network.zero_grad()
            differs = relative_difference(*found)
            self._checked[tokens] = (
                tokens,
                f"{why}; gradients of the first rows, computed both ways, differ by {differs:.1e}",
            )
            if not differs <= ALLOWED[run.recipe.precision]:
                told = f"the {tokens} tokens that all rows begin with are computed with each of them"
                self._checked[tokens] = 0, f"{told}: shared, the gradient of the first rows differed by {differs:.1e}"
        tokens, why = self._checked.get(tokens, (tokens, why))
        run.move(prefix=tokens, sharing=why)


@dataclass
class _Run:
    """A training, from its start or its last checkpoint on."""

    base: Base
    network: Any
    adapter: str
    asked: Training
    identity: Identity
    standing: Standing = field(default_factory=Standing)
    trained: Trained | None = None
    _saved_at: float = field(default_factory=time.monotonic)
    _stepping: _Pace = field(default_factory=lambda: _Pace())
    _scoring: _Pace = field(default_factory=lambda: _Pace())

    @property
    def recipe(self) -> Recipe:
        return self.asked.recipe

    @cached_property
    def steps(self) -> int:
        return self.recipe.steps(len(self.asked.encoded.rows))

    @cached_property
    def last(self) -> int:
        return min(self.steps, math.ceil(self.asked.share * self.steps))

    @cached_property
    def marks(self) -> frozenset[int]:
        """Steps with a scored checkpoint."""
        return frozenset({*self.recipe.checkpoint_steps(len(self.asked.encoded.rows)), self.last})

    @cached_property
    def learning(self) -> Learning:
        weights = list(trainable(self.network, self.adapter).values())
        optimizer = torch.optim.AdamW(
            weights, lr=self.recipe.learning_rate, weight_decay=self.recipe.weight_decay, fused=True
        )
        return Learning(self.network, optimizer, self.adapter)

    def begin(self, at: int) -> None:
        """Go on from a checkpoint, if there is one."""
        begun = checkpoints.resume(self.asked.out, self.learning, self.identity, at=at)
        if begun is not None:
            self.standing = begun
            # Its own score is not yet in the history that it holds; the end of a share is a mark of that share only.
            if begun.step in self.marks or checkpoints.read_score(self.asked.out, begun.step)[0]:
                self.score()

    def rows(self) -> list[EncodedRow]:
        """Of the next step."""
        rows, recipe = self.asked.encoded.rows, self.recipe
        order = step_rows(len(rows), step=self.standing.step, batch_size=recipe.batch_size, seed=recipe.seed)
        return [rows[index] for index in order]

    def take(self, loss: float, rows: Sequence[EncodedRow]) -> None:
        """Move the weights by the gradients that they hold."""
        step, weights, optimizer = self.standing.step, self.learning.weights, self.learning.optimizer
        _check_loss(loss, step)
        torch.nn.utils.clip_grad_norm_(weights.values(), self.recipe.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = self.recipe.rate(step, self.steps)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        self.move(
            step=step + 1,
            losses=(*self.standing.losses, loss),
            tokens=self.standing.tokens + sum(len(row.ids) for row in rows),
            trained_tokens=self.standing.trained_tokens + sum(row.trained for row in rows),
        )

    def spend(self, seconds: float, among: int, rows: Sequence[EncodedRow]) -> None:
        """A step took so long; as many trainings shared it."""
        self._stepping.add(seconds, sum(len(row.ids) for row in rows))
        self.move(seconds=self.standing.seconds + seconds / among)

    def ended(self) -> bool:
        """True once nothing is left to do; then what was trained is delivered."""
        if self.trained is None and (stopped := self._stopped()) is not None:
            if not self.standing.points or self.standing.points[-1].step != self.standing.step:
                self.save()
                self.score()
            self.trained = self._delivered(stopped)
        return self.trained is not None

    def _delivered(self, stopped: Stopped) -> Trained:
        chosen, why = choose(self.standing.points)
        return deliver(
            self.asked.out,
            self.base,
            self.asked.encoded.report,
            self.identity,
            self.standing,
            chosen=chosen,
            why=why,
            stopped=stopped,
            share=self.asked.share,
            planned_steps=self.steps,
            peak_memory_bytes=_peak_memory(self.base),
        )

    def _stopped(self) -> Stopped | None:
        now = self.standing
        if _diverged(now.losses):
            return "diverged"
        if now.losses and now.losses[-1] == 0.0:
            return "learned"
        if any(point.dev is not None and point.dev >= 1.0 for point in now.points):
            return "perfect"
        if out_of_patience(now.points, self.recipe.patience):
            return "patience"
        if now.step >= self.steps:
            return "finished"
        return "share" if now.step >= self.last else None

    @property
    def due(self) -> bool:
        """Is a checkpoint to be written now?"""
        return self.standing.step in self.marks or time.monotonic() - self._saved_at > SAVE_SECONDS

    def save(self) -> None:
        """Write a checkpoint."""
        checkpoints.save(self.asked.out, self.learning, standing=self.standing, identity=self.identity)
        self._saved_at = time.monotonic()

    def score_if_due(self) -> None:
        """At the marks."""
        if self.standing.step in self.marks:
            self.score()

    def score(self) -> None:
        """Measure the checkpoint just written, put it into the history, remove those that cannot be chosen."""
        now, began = self.standing, time.monotonic()
        if now.points and now.points[-1].step == now.step:
            return
        known, score = checkpoints.read_score(self.asked.out, now.step)
        if not known and self.asked.evaluate is not None and not _diverged(now.losses):
            self.network.eval()
            side_by_side(self.network, [self.adapter])
            measured = self.asked.evaluate(now.step)
            score = None if measured is None else DevScore(*map(float, measured))
            if score is not None and not all(map(math.isfinite, score)):
                raise TrainingError(f"the development score after step {now.step} is not a number: {score.mean}")
            checkpoints.write_score(self.asked.out, now.step, score)
            self._scoring.add(time.monotonic() - began, 1)
        since = now.losses[now.points[-1].step if now.points else 0 :]
        point = Point(
            step=now.step,
            epoch=self._epoch,
            loss=sum(since) / len(since) if since else None,
            dev=score.mean if score else None,
            standard_error=score.standard_error if score else None,
        )
        self.move(points=(*now.points, point), seconds=now.seconds + time.monotonic() - began)
        checkpoints.prune(self.asked.out, {contender.step for contender in contenders(self.standing.points)})

    def tell(self) -> None:
        """Report progress."""
        if self.asked.on_progress is None:
            return
        now = self.standing
        scored = [point for point in now.points if point.dev is not None]
        scores_left = sum(mark > now.step for mark in self.marks if mark <= self.last)
        self.asked.on_progress(
            Progress(
                step=now.step,
                steps=self.last,
                epoch=self._epoch,
                loss=now.losses[-1],
                dev=DevScore(scored[-1].dev or 0.0, scored[-1].standard_error or 0.0) if scored else None,
                step_seconds=self._stepping.last,
                tokens_per_second=self._stepping.done / max(self._stepping.seconds, 1e-9),
                seconds_left=(self.last - now.step) * self._stepping.each + scores_left * self._scoring.each,
            )
        )

    @property
    def _epoch(self) -> float:
        return self.standing.step * self.recipe.batch_size / len(self.asked.encoded.rows)

    def move(self, **changes: Any) -> None:
        """To another standing."""
        self.standing = self.standing.model_copy(update=changes)


@dataclass
class _Pace:
    """How long something takes: seconds over `times`, with `done` units of work."""

    seconds: float = 0.0
    times: int = 0
    done: int = 0
    last: float = 0.0
    """seconds of the latest one"""

    def add(self, seconds: float, done: int) -> None:
        self.seconds, self.times, self.done = self.seconds + seconds, self.times + 1, self.done + done
        self.last = seconds

    @property
    def each(self) -> float:
        return self.seconds / max(1, self.times)


def _check_loss(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss is not a finite number in step {step + 1}",
            why="the weights would be spoiled",
            next="lower the learning rate; with bf16, try fp32",
        )
    if loss == 0.0 and step == 0:
        raise TrainingError(
            "the loss is exactly 0 before anything was learned",
            why="no token carries loss, or the prompt holds the answer",
            next="look at what is trained: tuneworthy train --show-mask",
        )


def _diverged(losses: tuple[float, ...]) -> bool:
    """Mean of the last steps above twice the first loss, and by at least one nat (near 0, twice is noise)."""
    recent = losses[-DIVERGED_OVER:]
    return bool(losses) and sum(recent) / len(recent) > max(2 * losses[0], losses[0] + 1.0)


def _check_stop(base: Base, encoded: Encoded) -> None:
    strange = encoded.stop_ids - base.stop_ids
    if strange:
        names = base.tokenizer.convert_ids_to_tokens(sorted(strange))
        raise TrainingError(
            f"the trained stop token {', '.join(names)} does not end generation with this base model",
            why="answers would run to the length limit",
            next="add it to eos_token_id in generation_config.json of the base model",
        )


def identify(base: Base, recipe: Recipe, encoded: Encoded) -> Identity:
    """What this training is a training of; its digest names the folder."""
    import peft
    import transformers

    versions = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
    }
    return Identity(recipe=recipe, data=encoded.digest, base=base.digest, versions=versions)


def _peak_memory(base: Base) -> int:
    """Bytes: of the device where there is one, else the largest resident size of this process so far."""
    device = base.network.device
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
