"""One training, step by step: its weights and optimiser, checkpoints, scores, when it ends and what it delivers."""

from __future__ import annotations

import math
import re
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
from tuneworthy.training.checkpoints import Identity, Learning, Standing
from tuneworthy.training.choice import DevScore, Point, choose, contenders, out_of_patience
from tuneworthy.training.delivery import Stopped, Trained, deliver
from tuneworthy.training.network import Base, trainable
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
    """A training that is asked for; `loop.train` says what each part is."""

    recipe: Recipe
    encoded: Encoded
    out: Path
    evaluate: Callable[[int], tuple[float, float] | None] | None = None
    on_progress: Callable[[Progress], None] | None = None
    share: float = 1.0


@dataclass
class Run:
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
        """Is a checkpoint to be written now? Also where it ends off a mark: the others go on without it from here."""
        marked = self.standing.step in self.marks or self._stopped() is not None
        return marked or time.monotonic() - self._saved_at > SAVE_SECONDS

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
        keep = {contender.step for contender in contenders(self.standing.points)}
        checkpoints.prune(self.asked.out, keep, last=now.step)

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


def _peak_memory(base: Base) -> int:
    """Bytes: of the device where there is one, else the largest resident size of this process so far."""
    device = base.network.device
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:  # ru_maxrss would begin with what the process that started this one had
        held = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    except OSError:
        held = None
    return 1024 * (int(held[1]) if held else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
