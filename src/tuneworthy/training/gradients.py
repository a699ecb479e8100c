"""The gradient of one step: passes that fit into memory, what rows share computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tuneworthy.errors import TrainingError
from tuneworthy.training.batches import EncodedRow, collate, micro_batches
from tuneworthy.training.network import negative_log_likelihood
from tuneworthy.training.prefix import begin

_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")
"""what torch's allocators say; on a CPU as a plain RuntimeError"""


class TooLarge(TrainingError):
    """Not even one row of each group fits into memory."""


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


def within_memory(
    network: Any, groups: Sequence[Sequence[EncodedRow]], *, micro_batch: int, precision: str = "fp32", prefix: int = 0
) -> tuple[list[float], int]:
    """As `gradients`; when memory runs out, once more in passes of half the size. Also returns the size that fitted.

    Raises:
        TooLarge: not even one row of each group fits. The gradients are empty then.
    """
    while True:
        try:
            return gradients(network, groups, micro_batch=micro_batch, precision=precision, prefix=prefix), micro_batch
        except (RuntimeError, MemoryError) as error:
            if not isinstance(error, MemoryError) and not any(words in str(error) for words in _NO_MEMORY):
                raise
        # Out here the failed pass is let go: within `except` its frames would keep the memory.
        network.zero_grad()
        if network.device.type == "cuda":
            torch.cuda.empty_cache()
        parts = list(micro_batches(groups, micro_batch, prefix=prefix))
        if max(map(len, parts)) == len(groups):
            raise TooLarge(
                "one row does not fit into memory",
                why=f"its forward and backward pass need more than there is; the longest has {_longest(groups)} tokens",
                next="lower max_length, or take a smaller base model; tuneworthy plan tells what fits",
            )
        largest = max(len(part) * max(len(row.ids) - prefix + prefix // 8 for row in part) for part in parts)
        micro_batch = max(1, min(micro_batch, largest) // 2)


def _longest(groups: Sequence[Sequence[EncodedRow]]) -> int:
    return max(len(row.ids) for rows in groups for row in rows)
