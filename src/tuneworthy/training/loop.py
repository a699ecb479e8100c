"""The one training loop: LoRA, full and continued training run here and nowhere else.

    for each step:  rows of every training → one pass for all → each its own clip → AdamW → (checkpoint → score)

Several trainings on one base go side by side; a lone one is the same with one. The same base, rows and recipe end in
the same weights; on a CPU bit for bit (with the same number of threads and the same trainings beside it), also when
the process was killed in between and the same command ran again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tuneworthy.errors import TrainingError
from tuneworthy.training.batches import EncodedRow
from tuneworthy.training.checkpoints import Identity, last_step
from tuneworthy.training.delivery import Trained, delivered
from tuneworthy.training.gradients import TooLarge, within_memory
from tuneworthy.training.network import Base, adapter_name, tunable
from tuneworthy.training.prefix import ALLOWED, SHORTEST, common, relative_difference, sharing
from tuneworthy.training.recipe import Recipe
from tuneworthy.training.run import Progress, Run, Training
from tuneworthy.training.side_by_side import side_by_side
from tuneworthy.training.tokens import Encoded

SMALL = 4_000_000
"""parameters below which trainings side by side gain nothing on a CPU where their rows share a beginning"""


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


def train_all(base: Base, trainings: Sequence[Training], *, together: bool | None = None) -> list[Trained]:
    """Several trainings on one base: side by side, in the same passes, where `apart` knows no reason against it.

    Each ends as it would alone, up to rounding; alone, or called again with the same ones, bit for bit.

    Args:
        together: side by side wherever that is exact, or never; None = where it is also faster.

    Raises:
        TrainingError, StorageError: as `train`, from any of them.
    """
    identities = [identify(base, asked.recipe, asked.encoded) for asked in trainings]
    for asked in trainings:
        _check_stop(base, asked.encoded)
    done = [delivered(t.out, identity, t.share) for t, identity in zip(trainings, identities, strict=True)]
    waiting = [number for number, trained in enumerate(done) if trained is None]
    asked_now = [trainings[number] for number in waiting]
    joined = not apart(asked_now) and (pays_side_by_side(base, asked_now) if together is None else together)
    sets = [waiting] if joined else [[number] for number in waiting]
    for numbers in filter(None, sets):
        with tunable(base, *(trainings[number].recipe for number in numbers)) as network:
            runs = [
                Run(base, network, adapter_name(place), trainings[number], identities[number])
                for place, number in enumerate(numbers)
            ]
            for number, trained in zip(numbers, _Together(network, runs).to_the_end(), strict=True):
                done[number] = trained
    return [trained for trained in done if trained is not None]


def pays_side_by_side(base: Base, trainings: Sequence[Training]) -> bool:
    """Is it faster? On two CPU cores (`benchmarks.training`) twelve trainings of 8 million parameters whose rows share
    256 tokens took 0.66 of the time. With 1 million parameters and three trainings it took 0.90 of the time where rows
    share nothing, and 1.02 where they share 64 tokens, so such are trained alone. On a GPU, where starting small
    operations takes the time, it is taken to pay: not measured."""
    small = base.network.device.type == "cpu" and base.parameters < SMALL
    return not (small and any(common(asked.encoded.rows) >= SHORTEST for asked in trainings))


def apart(trainings: Sequence[Training]) -> str:
    """Why these are trained one after the other; empty = they can be trained side by side."""
    recipes = [asked.recipe for asked in trainings]
    if len({str(asked.out) for asked in trainings}) < len(trainings):
        return "two of them are the same training"
    if any(recipe.method == "full" for recipe in recipes):
        return "full fine-tuning changes the base itself"
    if any(recipe.dropout > 0 for recipe in recipes):
        return "dropout would draw other masks than alone"
    if len({common(asked.encoded.rows) for asked in trainings}) > 1:
        return "their rows share beginnings of different lengths, and a pass computes one length"
    for name in ("r", "batch_size", "micro_batch", "precision"):
        if len({getattr(recipe, name) for recipe in recipes}) > 1:
            return f"they differ in {name}"
    return ""


@dataclass
class _Together:
    """Trainings in lockstep: one pass computes a step of each. A lone one is a lockstep of one."""

    network: Any
    runs: list[Run]
    micro_batch: int = 0
    one_by_one: bool = False
    """one row of each did not fit into memory together: from then on they take turns in every step"""
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

    def _step(self, now: list[Run]) -> None:
        began = time.monotonic()
        batches = [run.rows() for run in now]
        self.network.train()
        for run, rows in zip(now, batches, strict=True):
            if run.standing.prefix is None:
                self._decide_sharing(run, rows)
        # Their beginnings may differ where one of them was begun alone: what its record tells is what is done.
        alike = len({run.standing.prefix for run in now}) == 1
        if not self.one_by_one and alike:
            try:
                self._move(now, batches)
            except TooLarge:
                if len(now) == 1:
                    raise
                self.one_by_one = True
        if self.one_by_one or not alike:
            for run, rows in zip(now, batches, strict=True):
                self._move([run], [rows])
        seconds = time.monotonic() - began
        for run, rows in zip(now, batches, strict=True):
            run.spend(seconds, len(now), rows)

    def _move(self, now: Sequence[Run], batches: Sequence[Sequence[EncodedRow]]) -> None:
        """The weights of these, by one step. Raises TooLarge before any is moved."""
        side_by_side(self.network, [run.adapter for run in now])
        # Dropout follows from (seed, step); with dropout there is only one.
        torch.manual_seed((now[0].recipe.seed << 32) + now[0].standing.step)
        losses, fitted = self._gradients(batches, prefix=now[0].standing.prefix or 0)
        if fitted < self.micro_batch:
            self.micro_batch = fitted
            for run in self.runs:
                run.move(micro_batch=fitted)
        for run, rows, loss in zip(now, batches, losses, strict=True):
            run.take(loss, rows)

    def _gradients(self, batches: Sequence[Sequence[EncodedRow]], *, prefix: int) -> tuple[list[float], int]:
        precision = self.runs[0].recipe.precision
        return within_memory(self.network, batches, micro_batch=self.micro_batch, precision=precision, prefix=prefix)

    def _decide_sharing(self, run: Run, rows: Sequence[EncodedRow]) -> None:
        """Once for a whole training. Two rows of its first batch are computed both ways; trainings side by side share
        the network and its arithmetic, so what one of them found holds for the others, whose record says so."""
        tokens, why = sharing(self.network, run.asked.encoded.rows, run.recipe.batch_size)
        if tokens and tokens not in self._checked:
            side_by_side(self.network, [run.adapter])
            found = []
            for prefix in (0, tokens):
                self._gradients([rows[:2]], prefix=prefix)
                found.append([weight.grad for weight in run.learning.weights.values() if weight.grad is not None])
                self.network.zero_grad()
            differs = relative_difference(*found)
            self._checked[tokens] = tokens, f"{why}; checked on a training beside it"
            why += f"; gradients of the first rows, computed both ways, differ by {differs:.1e}"
            if not differs <= ALLOWED[run.recipe.precision]:
                told = f"the {tokens} tokens that all rows begin with are computed with each of them: shared,"
                self._checked[tokens] = 0, f"{told} the gradient of a training beside it differed too much"
                tokens, why = 0, f"{told} the gradient of the first rows differed by {differs:.1e}"
        elif tokens:
            tokens, why = self._checked[tokens]
        run.move(prefix=tokens, sharing=why)


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
