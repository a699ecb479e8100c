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
from tuneworthy.training.batches import EncodedRow, collate, micro_batches, step_rows
from tuneworthy.training.checkpoints import Identity, Standing
from tuneworthy.training.choice import DevScore, Point, choose, contenders, out_of_patience
from tuneworthy.training.delivery import Stopped, Trained, deliver, delivered
from tuneworthy.training.network import Base, negative_log_likelihood, trainable, tunable
from tuneworthy.training.prefix import ALLOWED, begin, relative_difference, sharing
from tuneworthy.training.recipe import Recipe
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
    _check_stop(base, encoded)
    identity = identify(base, recipe, encoded)
    done = delivered(out, identity, share)
    if done is not None:
        return done
    with tunable(base, recipe) as network:
        run = _Run(network, recipe, encoded, out, identity, evaluate, on_progress, share)
        stopped = run.to_the_end()
        chosen, why = choose(run.standing.points)
    return deliver(
        out,
        base,
        encoded.report,
        identity,
        run.standing,
        chosen=chosen,
        why=why,
        stopped=stopped,
        share=share,
        planned_steps=run.steps,
        peak_memory_bytes=_peak_memory(base),
    )


@dataclass
class _Run:
    """A training, from its start or its last checkpoint on."""

    network: Any
    recipe: Recipe
    encoded: Encoded
    out: Path
    identity: Identity
    evaluate: Callable[[int], tuple[float, float] | None] | None
    on_progress: Callable[[Progress], None] | None
    share: float
    standing: Standing = field(default_factory=Standing)
    _clock: float = field(default_factory=time.monotonic)
    _saved_at: float = field(default_factory=time.monotonic)
    _stepping: _Pace = field(default_factory=lambda: _Pace())
    _scoring: _Pace = field(default_factory=lambda: _Pace())

    @cached_property
    def steps(self) -> int:
        return self.recipe.steps(len(self.encoded.rows))

    @cached_property
    def last(self) -> int:
        return min(self.steps, math.ceil(self.share * self.steps))

    @cached_property
    def marks(self) -> frozenset[int]:
        """Steps with a scored checkpoint."""
        return frozenset({*self.recipe.checkpoint_steps(len(self.encoded.rows)), self.last})

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        weights = list(trainable(self.network).values())
        return torch.optim.AdamW(
            weights, lr=self.recipe.learning_rate, weight_decay=self.recipe.weight_decay, fused=True
        )

    def to_the_end(self) -> Stopped:
        """Run the remaining steps."""
        begun = checkpoints.resume(self.out, self.network, self.optimizer, self.identity)
        if begun is not None:
            self.standing = begun
            # Its own score is not yet in the history that it holds; the end of a share is a mark of that share only.
            if begun.step in self.marks or checkpoints.read_score(self.out, begun.step)[0]:
                self._score()
        while (stopped := self._stopped()) is None:
            self._step()
            if self.standing.step in self.marks:
                self._save()
                self._score()
            elif time.monotonic() - self._saved_at > SAVE_SECONDS:
                self._save()
            self._tell()
        if not self.standing.points or self.standing.points[-1].step != self.standing.step:
            self._save()
            self._score()
        return stopped

    def _step(self) -> None:
        began, step = time.monotonic(), self.standing.step
        count, recipe = len(self.encoded.rows), self.recipe
        order = step_rows(count, step=step, batch_size=recipe.batch_size, seed=recipe.seed)
        rows = [self.encoded.rows[index] for index in order]
        self.network.train()
        torch.manual_seed((recipe.seed << 32) + step)  # dropout follows from (seed, step)
        if self.standing.prefix is None:
            self._decide_sharing(rows)
        (loss,) = self._gradients(rows, self.standing.prefix)
        _check_loss(loss, step)
        torch.nn.utils.clip_grad_norm_(trainable(self.network).values(), recipe.max_grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate(step, self.steps)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        tokens = sum(len(row.ids) for row in rows)
        self._stepping.add(time.monotonic() - began, tokens)
        self._move(
            step=step + 1,
            losses=(*self.standing.losses, loss),
            tokens=self.standing.tokens + tokens,
            trained_tokens=self.standing.trained_tokens + sum(row.trained for row in rows),
        )

    def _gradients(self, rows: Sequence[EncodedRow], prefix: int | None) -> list[float]:
        recipe = self.recipe
        return gradients(
            self.network, [rows], micro_batch=recipe.micro_batch, precision=recipe.precision, prefix=prefix or 0
        )

    def _decide_sharing(self, rows: Sequence[EncodedRow]) -> None:
        """Once for the whole training, after both ways have computed the first batch."""
        tokens, why = sharing(self.network, self.encoded.rows, self.recipe.batch_size)
        if tokens:
            found = []
            for prefix in (0, tokens):
                self._gradients(rows, prefix)
                found.append([w.grad for w in trainable(self.network).values() if w.grad is not None])
                self.network.zero_grad()
            differs = relative_difference(*found)
            if not differs <= ALLOWED[self.recipe.precision]:
                why = f"the {tokens} tokens that all rows begin with are computed with each of them: sharing went wrong"
                tokens = 0
            why += f"; the gradients of the first batch, computed both ways, differ by {differs:.1e}"
        self._move(prefix=tokens, sharing=why)

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

    def _save(self) -> None:
        self._move()
        checkpoints.save(self.out, self.network, self.optimizer, standing=self.standing, identity=self.identity)
        self._saved_at = time.monotonic()

    def _score(self) -> None:
        """Measure the checkpoint just written, put it into the history, remove those that cannot be chosen."""
        now, began = self.standing, time.monotonic()
        if now.points and now.points[-1].step == now.step:
            return
        known, score = checkpoints.read_score(self.out, now.step)
        if not known and self.evaluate is not None and not _diverged(now.losses):
            self.network.eval()
            measured = self.evaluate(now.step)
            score = None if measured is None else DevScore(*map(float, measured))
            if score is not None and not all(map(math.isfinite, score)):
                raise TrainingError(f"the development score after step {now.step} is not a number: {score.mean}")
            checkpoints.write_score(self.out, now.step, score)
            self._scoring.add(time.monotonic() - began, 1)
        since = now.losses[now.points[-1].step if now.points else 0 :]
        point = Point(
            step=now.step,
            epoch=self._epoch,
            loss=sum(since) / len(since) if since else None,
            dev=score.mean if score else None,
            standard_error=score.standard_error if score else None,
        )
        self._move(points=(*now.points, point))
        checkpoints.prune(self.out, {contender.step for contender in contenders(self.standing.points)})

    def _tell(self) -> None:
        if self.on_progress is None:
            return
        now = self.standing
        scored = [point for point in now.points if point.dev is not None]
        scores_left = sum(mark > now.step for mark in self.marks if mark <= self.last)
        self.on_progress(
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
        return self.standing.step * self.recipe.batch_size / len(self.encoded.rows)

    def _move(self, **changes: Any) -> None:
        now = time.monotonic()
        seconds = self.standing.seconds + now - self._clock
        self._clock = now
        self.standing = self.standing.model_copy(update={"seconds": seconds, **changes})


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


def gradients(
    network: Any, groups: Sequence[Sequence[EncodedRow]], *, micro_batch: int, precision: str = "fp32", prefix: int = 0
) -> list[float]:
    """Add the gradient of each group's mean loss per trained token; returns these losses in nats.

    The sum over all forward passes is divided by the trained tokens of the whole batch, so the gradient does not
    depend on how the batch is cut (the mean of per-pass means would weigh short answers more).

    Args:
        groups: the rows of this step, of each adapter that is trained; equally many.
        prefix: tokens that all rows of a group begin with, to be computed once (`prefix.common` allows so many).
    """
    trained = torch.tensor([sum(row.trained for row in rows) for rows in groups], device=network.device)
    total = torch.zeros(len(groups), device=network.device)
    beginning = None
    if prefix:
        beginning = begin(network, torch.tensor([rows[0].ids[:prefix] for rows in groups]), precision=precision)
    for part in micro_batches(groups, micro_batch, prefix=prefix):
        batch = collate(part, prefix=prefix)
        losses = negative_log_likelihood(network, batch, precision=precision, beginning=beginning, groups=len(groups))
        (losses / trained).sum().backward()
        total = total + losses.detach()
    if beginning is not None:
        beginning.backward()
    return [float(loss) for loss in total / trained]


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
