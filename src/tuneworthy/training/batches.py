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


def micro_batches(
    groups: Sequence[Sequence[EncodedRow]], tokens: int, *, prefix: int = 0
) -> Iterator[list[EncodedRow]]:
    """Cut a batch into forward passes of at most `tokens` tokens, padding included; rows of like length together.

    A longer row gets a pass of its own.

    Args:
        groups: the rows of each adapter, equally many; a pass holds as many rows of each, one group after the other.
        prefix: tokens at the beginning of each row that are computed elsewhere. Their keys and values are held once
            more for every row, which takes about an eighth of what a computed token takes.
    """
    by_length = [sorted(rows, key=lambda row: (-len(row.ids), row.name)) for rows in groups]
    begun = 0
    for place, rows in enumerate(zip(*by_length, strict=True)):
        longest = max(len(group[begun].ids) for group in by_length) - prefix + prefix // 8
        if place > begun and longest * (place + 1 - begun) * len(rows) > tokens:
            yield [row for group in by_length for row in group[begun:place]]
            begun = place
    yield [row for group in by_length for row in group[begun:]]


def collate(rows: Sequence[EncodedRow], *, prefix: int = 0, pad_id: int = 0) -> Batch:
    """Stack rows without their first `prefix` tokens. The targets come from positions: a pad id that equals the stop
    id masks nothing."""
    longest = max(len(row.ids) for row in rows) - prefix
    ids_BT = np.full((len(rows), longest), pad_id)
    targets_BT = np.full((len(rows), longest), IGNORED)
    for number, row in enumerate(rows):
        ids, carries_loss = np.array(row.ids[prefix:]), np.array(row.carries_loss[prefix:])
        ids_BT[number, : len(ids)] = ids
        targets_BT[number, : len(ids) - 1] = np.where(carries_loss[1:], ids[1:], IGNORED)
    return Batch(torch.from_numpy(ids_BT), torch.from_numpy(targets_BT))
