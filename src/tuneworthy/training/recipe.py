"""Recipe: every setting of a training, frozen and hashed; `recipe_for` suggests one by the number of examples.

Sources: the default LoRA recipe (TRL and tinker-cookbook guides, "LoRA Without Regret"), and for models below 50
million parameters a pilot of this project at 0.4 million parameters, whose best LoRA rates were 5e-4 to 2e-3.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from tuneworthy.records import Record

TINY = 50_000_000
"""parameters below which the higher learning rates are screened"""
LARGE_RATES: tuple[float, ...] = (1e-4, 2e-4, 5e-4)
"""best LoRA rates at batch 128 (3e-4 to 1e-3 over 28 models, tinker-cookbook) times sqrt(batch / 128)"""
TINY_RATES: tuple[float, ...] = (1e-3, 2e-3, 5e-3)
"""pilot, 0.4M parameters: task and old skill best at 5e-4 to 2e-3; pocket model, 1.3M, e-mails to JSON: best at 5e-3"""
TINY_EPOCHS = 12
"""pocket model, 297 e-mails to JSON, rate 5e-3, batch 8: development score .13, .48, .93, .98 after 2, 4, 6, 8 epochs
and .24 at the end of a schedule of 5 epochs, so small bases need the longer one"""
TINY_BATCH = 8
MANY_COMPLETION_TOKENS = 2_000_000
"""above this a LoRA of rank 16 on a 1B model may be short of capacity: at most 1 bit per completion token
against about 2 bits per parameter ("LoRA Without Regret")"""
SCREENED = 0.3
"""share of the steps for which each learning rate is tried; the winner goes on from there"""
FEWEST_STEPS = 100
"""optimiser steps (TRL guide: at least 100, better 200)"""


class Recipe(Record):
    """The settings of one training. Two trainings with equal recipe, data and base end in the same weights."""

    method: Literal["lora", "full"] = "lora"
    r: int = Field(default=16, ge=1)
    """rank of the LoRA matrices"""
    alpha: float = Field(default=32.0, gt=0)
    """the LoRA update is scaled by alpha / r"""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """on the input of the LoRA matrices"""
    target: Literal["all-linear"] = "all-linear"
    """every linear layer of attention and MLP; never the head, never the embeddings"""
    learning_rate: float = Field(default=2e-4, gt=0)
    """peak, reached after the warm-up"""
    epochs: float = Field(default=3.0, gt=0)
    batch_size: int = Field(default=8, ge=1)
    """rows per optimiser step"""
    micro_batch: int = Field(default=4096, ge=1)
    """longest forward pass in tokens, padding included; changes speed and memory, never the loss or the gradient"""
    schedule: Literal["linear", "cosine"] = "linear"
    """from the peak to 0"""
    warmup: float = Field(default=0.04, ge=0, le=1)
    """share of the steps over which the rate rises from 0"""
    weight_decay: float = Field(default=0.0, ge=0)
    max_length: int = Field(default=1024, ge=2)
    """longest row in tokens; longer rows are refused or left out as a whole, never cut"""
    on_too_long: Literal["refuse", "skip"] = "refuse"
    max_grad_norm: float = Field(default=1.0, gt=0)
    seed: int = Field(default=0, ge=0, lt=2**31)
    checkpoint_every: float = Field(default=0.5, gt=0)
    """in epochs"""
    patience: int = Field(default=2, ge=1)
    """checkpoints without a better development score before training stops"""
    precision: Literal["fp32", "bf16"] = "fp32"

    def steps(self, rows: int) -> int:
        """Optimiser steps for this many rows; every batch is full, epochs follow each other without a gap."""
        return max(1, round(rows * self.epochs / self.batch_size))

    def checkpoint_steps(self, rows: int) -> list[int]:
        """The steps after which a checkpoint is written and scored; the last step is always one of them."""
        steps = self.steps(rows)
        every = rows * self.checkpoint_every / self.batch_size
        marks = {round(every * count) for count in range(1, math.ceil(steps / every) + 1)}
        return sorted({mark for mark in marks if 0 < mark < steps} | {steps})

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of a step (0-based): a pure function, so that a resumed training needs no schedule state."""
        rising = math.ceil(self.warmup * steps)
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        left = (steps - step) / max(1, steps - rising)
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 - math.cos(math.pi * left))
        return self.learning_rate * left


class Suggestion(Record):
    """A recipe to start from, and the learning rates to screen with it."""

    recipe: Recipe
    learning_rates: tuple[float, ...]
    """screen these on the development split; a best one at the edge calls for one step further"""
    reasons: tuple[str, ...]


def recipe_for(
    n_examples: int,
    completion_tokens: int,
    base_parameters: int,
    *,
    method: Literal["lora", "full"] = "lora",
    max_length: int = 1024,
    precision: Literal["fp32", "bf16"] = "fp32",
    seed: int = 0,
) -> Suggestion:
    """The default recipe for this much data.

    Args:
        n_examples: rows to train on.
        completion_tokens: tokens of all expected outputs together, once.
        base_parameters: parameters of the base model.

    Raises:
        ValueError: no examples.
    """
    if n_examples < 1:
        raise ValueError("a recipe needs at least one example")
    tiny = base_parameters < TINY
    epochs, why_epochs = _epochs(n_examples, completion_tokens / n_examples, tiny)
    rank = 32 if completion_tokens > MANY_COMPLETION_TOKENS else 16
    rates = TINY_RATES if tiny else LARGE_RATES
    if method == "full":  # LoRA wants about ten times the rate of full tuning ("LoRA Without Regret")
        rates = tuple(rate / 10 for rate in rates)
    recipe = Recipe(
        method=method,
        r=rank,
        alpha=32.0,  # the same at every rank keeps the best rate nearly rank-free ("LoRA Without Regret")
        dropout=0.05 if n_examples < 500 and method == "lora" and not tiny else 0.0,
        learning_rate=rates[1],
        epochs=epochs,
        batch_size=min(n_examples, TINY_BATCH) if tiny else _batch_size(n_examples, epochs),
        max_length=max_length,
        checkpoint_every=epochs / 6 if epochs > 5 else 0.5,
        precision=precision,
        seed=seed,
    )
    size = "below" if tiny else "from"
    return Suggestion(
        recipe=recipe,
        learning_rates=rates,
        reasons=(why_epochs, f"rates for models {size} {TINY // 1_000_000}M parameters", f"rank {rank}"),
    )


def _epochs(n_examples: int, tokens_per_answer: float, tiny: bool) -> tuple[float, str]:
    if tiny and n_examples < 1_000:
        epochs, why = TINY_EPOCHS, f"a base below {TINY // 1_000_000}M parameters: {TINY_EPOCHS} epochs"
    elif tokens_per_answer <= 8:
        epochs, why = 10, "short labels: 10 epochs"
    elif n_examples < 1_000:
        epochs, why = 5, "fewer than 1,000 examples: 5 epochs"
    else:
        epochs, why = 3, "1,000 examples or more: 3 epochs"
    # With the smallest batch (4) a few dozen rows would end long before anything is learned.
    needed = min(20, math.ceil(FEWEST_STEPS * 4 / n_examples))
    return (float(needed), f"few rows: {needed} epochs") if needed > epochs else (float(epochs), why)


def _batch_size(n_examples: int, epochs: float) -> int:
    """About 200 optimiser steps, between 4 and 32 rows (below 32 is advised for LoRA)."""
    return min(n_examples, 32, max(4, round(n_examples * epochs / 200)))
