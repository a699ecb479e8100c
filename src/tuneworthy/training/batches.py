"""Which rows stand in which step, and the tensors that reach the loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

IGNORED = -100
"""target of a position that carries no loss (the convention of torch's cross entropy)"""


@dataclass(frozen=True)
class EncodedRow:
    """One row as tokens. `carries_loss[i]` says whether predicting token i is trained."""

    name: str
    ids: tuple[int, ...]
    carries_loss: tuple[bool, ...]

    @property
    def trained(self) -> int:
        """Tokens that carry loss."""
        return sum(self.carries_loss)


@dataclass(frozen=True)
class Batch:
    """Rows padded on the right. Causal attention never looks right, so padding needs no attention mask."""

    ids_BT: torch.Tensor
    targets_BT: torch.Tensor
    """`targets[b, t]` is the token to predict after `ids[b, :t + 1]`, or IGNORED"""


def step_rows(count: int, *, step: int, batch_size: int, seed: int) -> list[int]:
    """Indices of the rows of one optimiser step (0-based).

    Epochs are seeded permutations laid end to end and cut into full batches, so the rows of a step follow from
    (seed, step) alone and do not depend on how a batch is cut into forward passes.
    """
    places = range(step * batch_size, (step + 1) * batch_size)
    epochs = {place // count for place in places}
    orders = {epoch: np.random.default_rng([seed, epoch]).permutation(count) for epoch in epochs}
    return [int(orders[place // count][place % count]) for place in places]


def micro_batches(rows: Sequence[EncodedRow], tokens: int) -> Iterator[list[EncodedRow]]:
    """Cut a batch into forward passes of at most `tokens` tokens, padding included; rows of like length together.

    A row longer than `tokens` gets a pass of its own.
    """
    chosen: list[EncodedRow] = []
    for row in sorted(rows, key=lambda row: (-len(row.ids), row.name)):
        longest = len(chosen[0].ids) if chosen else len(row.ids)
        if chosen and longest * (len(chosen) + 1) > tokens:
            yield chosen
            chosen = []
        chosen.append(row)
    if chosen:
        yield chosen


def collate(rows: Sequence[EncodedRow], *, pad_id: int = 0) -> Batch:
    """Stack rows. The targets come from positions: a pad id that equals the stop id masks nothing."""
    longest = max(len(row.ids) for row in rows)
    ids_BT = torch.full((len(rows), longest), pad_id, dtype=torch.long)
    targets_BT = torch.full((len(rows), longest), IGNORED, dtype=torch.long)
    for number, row in enumerate(rows):
        ids = torch.tensor(row.ids, dtype=torch.long)
        carries_loss = torch.tensor(row.carries_loss, dtype=torch.bool)
        ids_BT[number, : len(ids)] = ids
        targets_BT[number, : len(ids) - 1] = torch.where(carries_loss[1:], ids[1:], IGNORED)
    return Batch(ids_BT, targets_BT)
