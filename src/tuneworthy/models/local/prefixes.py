"""What prompts share at their beginning, computed once.

Prompts are laid out as a tree of pieces: the instruction of all, the worked examples of some, the document of a few.
The network reads each piece once and its keys and values are kept; a batch is filled from the pieces of its rows, so
that rows with different beginnings are read and answered side by side. Same mathematics as reading each prompt alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

SHORTEST = 16
"""tokens; a shorter piece is not read apart"""
KEPT_BYTES = 512 * 2**20
"""keys and values of all pieces of one call: bounds memory"""
BATCH_BYTES = 1024 * 2**20
"""keys and values of one batch, its answers included: bounds memory"""
BATCH_ROWS = 64
"""rows of one batch"""
BATCH_TOKENS = 8192
"""tokens that go through the network at once: bounds memory"""

Ids = Sequence[int]


@dataclass(eq=False)
class Piece:
    """Tokens that several prompts have at the same place, after the same tokens."""

    before: Piece | None
    ids: Ids
    kept: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)
    """per layer: keys and values, each of shape (heads, tokens, head dimension)"""

    def __post_init__(self) -> None:
        self.end = len(self.ids) + _end(self.before)
        """tokens from the beginning of the prompt to the end of this piece"""

    @property
    def way(self) -> list[Piece]:
        """The pieces from the beginning of the prompt to this one."""
        found, piece = [self], self.before
        while piece is not None:
            found, piece = [piece, *found], piece.before
        return found


@dataclass(frozen=True)
class Row:
    """A prompt: what it shares with others, and its own tokens (at least one)."""

    shared: Piece | None
    own: Ids

    @property
    def length(self) -> int:
        """Tokens of the whole prompt."""
        return _end(self.shared) + len(self.own)


def read_shared(network: Any, prompts: Sequence[Ids], *, token_bytes: int) -> list[Row]:
    """Lay prompts out as a tree, read the shared pieces, and return one row per prompt, in order.

    Args:
        token_bytes: keys and values of one token, as `trial` found.
    """
    rows, pieces = laid_out(prompts, KEPT_BYTES // token_bytes)
    for level in pieces:
        for part in batches([Row(piece.before, piece.ids) for piece in level], answer=0, token_bytes=token_bytes):
            batch = Batch(network, [row for _, row in part], room=0)
            batch.read_prompts()
            for place, (number, row) in enumerate(part):
                level[number].kept = batch.kept(place, len(row.own))
    return rows


def laid_out(prompts: Sequence[Ids], room: int) -> tuple[list[Row], list[list[Piece]]]:
    """(one row per prompt, the pieces by their depth in the tree). Each prompt keeps at least one token of its own.

    Args:
        room: tokens that the pieces may have together.
    """
    order = sorted(range(len(prompts)), key=lambda number: list(prompts[number]))
    common = [0, *(_common(prompts[a], prompts[b]) for a, b in pairwise(order))]
    rows: dict[int, Row] = {}
    levels: list[list[Piece]] = []
    open_groups: list[tuple[int, int, Piece | None, int]] = [(0, len(order), None, 0)]
    while open_groups:
        low, high, piece, depth = open_groups.pop()
        start = _end(piece)
        shared = min(common[low + 1 : high], default=0)
        if shared - start >= SHORTEST and shared - start <= room:
            piece = Piece(piece, prompts[order[low]][start:shared])
            room -= shared - start
            start = shared
            levels += [[]] if depth == len(levels) else []
            levels[depth].append(piece)
            depth += 1
        cuts = [low, *(n for n in range(low + 1, high) if common[n] - start < SHORTEST), high]
        for first, end in pairwise(cuts):
            if end - first == 1 or (first, end) == (low, high):  # alone, or no room for what they share
                rows |= {order[n]: Row(piece, prompts[order[n]][start:]) for n in range(first, end)}
            else:
                open_groups.append((first, end, piece, depth))
    return [rows[number] for number in range(len(prompts))], levels


def batches(
    rows: Sequence[Row], *, answer: int, token_bytes: int, alone: bool = False
) -> Iterator[list[tuple[int, Row]]]:
    """(place, row) of rows with similar lengths, the longest first: too large a batch shows at once.

    Args:
        answer: tokens that may follow a prompt.
        token_bytes: keys and values of one token.
        alone: one row each.
    """
    batch: list[tuple[int, Row]] = []
    longest = 0
    for number, row in sorted(enumerate(rows), key=lambda item: (-len(item[1].own), -item[1].length, item[0])):
        width = len(batch[0][1].own) if batch else len(row.own)
        longest = max(longest, _end(row.shared))
        size = len(batch) + 1
        if batch and (
            alone
            or size > BATCH_ROWS
            or size * width > BATCH_TOKENS
            or size * (longest + width + answer) * token_bytes > BATCH_BYTES
        ):
            yield batch
            batch, longest = [], _end(row.shared)
        batch.append((number, row))
    if batch:
        yield batch


class Batch:
    """Rows that the network reads side by side.

    Columns: what a row shares with others, ending together; then its own tokens, padded on the left; then what follows.
    """

    def __init__(self, network: Any, rows: Sequence[Row], *, room: int) -> None:
        """`room`: tokens that will follow each prompt."""
        self._network, self._rows = network, rows
        self._shared = max(_end(row.shared) for row in rows)
        self._width = max(len(row.own) for row in rows)
        self._cache = _cache(network, self._shared + self._width + room)
        self._fill()
        seen = np.zeros((len(rows), self._shared + self._width), dtype=bool)
        for number, row in enumerate(rows):
            seen[number, self._shared - _end(row.shared) : self._shared] = True
            seen[number, self._shared + self._width - len(row.own) :] = True
        self._seen_BS = torch.from_numpy(seen).to(network.device)
        self._lengths_B = torch.tensor([row.length for row in rows], device=network.device)

    def read_prompts(self) -> torch.Tensor:
        """Read each row's own tokens; the logits after its last one, shape (B, V)."""
        own = [[*([0] * (self._width - len(row.own))), *row.own] for row in self._rows]
        past_BS, new_BT = self._seen_BS[:, : self._shared], self._seen_BS[:, self._shared :]
        causal_TT = torch.ones(self._width, self._width, dtype=torch.bool, device=new_BT.device).tril()
        # A pad sees itself: a row of the mask without any column would give not-a-number.
        itself_TT = torch.eye(self._width, dtype=torch.bool, device=new_BT.device)
        new_BTT = (causal_TT & new_BT[:, None, :]) | itself_TT
        past_BTS = past_BS[:, None, :].expand(-1, self._width, -1)
        ends_B1 = self._lengths_B[:, None] - self._width
        positions_BT = (ends_B1 + torch.arange(self._width, device=new_BT.device)).clamp(min=0)
        ids_BT = torch.tensor(own, device=new_BT.device)
        return self._forward(ids_BT, positions_BT, torch.cat([past_BTS, new_BTT], -1), keep=1)[:, -1]

    def read_next(self, ids: Sequence[int]) -> torch.Tensor:
        """Read one more token of each row; the logits after it, shape (B, V)."""
        ids_B1 = torch.tensor(ids, device=self._lengths_B.device)[:, None]
        positions_B1 = self._lengths_B[:, None]
        self._seen_BS = torch.cat([self._seen_BS, self._seen_BS.new_ones(len(ids), 1)], 1)
        self._lengths_B = self._lengths_B + 1
        return self._forward(ids_B1, positions_B1, self._seen_BS[:, None, :], keep=1)[:, -1]

    def read_tree(self, ids: Ids, depths: Sequence[int], sees_TT: np.ndarray) -> torch.Tensor:
        """Read the same tree of tokens after each row and forget it; the logits after each token, shape (B, T, V).

        Args:
            depths: of each token: how many tokens of the tree stand before it on its way.
            sees_TT: bool; may token t see token u? Itself and the tokens on its way.
        """
        rows, device = len(self._lengths_B), self._lengths_B.device
        new_BTT = torch.from_numpy(sees_TT).to(device).expand(rows, -1, -1)
        past_BTS = self._seen_BS[:, None, :].expand(-1, len(ids), -1)
        positions_BT = self._lengths_B[:, None] + torch.tensor(depths, device=device)
        ids_BT = torch.tensor([list(ids)], device=device).expand(rows, -1)
        logits_BTV = self._forward(ids_BT, positions_BT, torch.cat([past_BTS, new_BTT], -1), keep=len(ids))
        for layer in self._cache.layers:
            layer.forget(len(ids))
        return logits_BTV

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some rows only."""
        chosen = torch.tensor(rows, device=self._lengths_B.device)
        self._cache.batch_select_indices(chosen)
        self._seen_BS, self._lengths_B = self._seen_BS[chosen], self._lengths_B[chosen]

    def kept(self, row: int, tokens: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values of the last tokens of a row, per layer."""
        return [
            (layer.keys[row, :, -tokens:].clone(), layer.values[row, :, -tokens:].clone())
            for layer in self._cache.layers
        ]

    def _fill(self) -> None:
        """Copy what the rows share with others into the cache."""
        places: dict[int, list[int]] = {}
        for number, row in enumerate(self._rows):
            if row.shared is not None:
                places.setdefault(id(row.shared), []).append(number)
        for numbers in places.values():
            piece = self._rows[numbers[0]].shared
            way = piece.way if piece is not None else []
            for depth, layer in enumerate(self._cache.layers):
                both = [torch.cat([part.kept[depth][which] for part in way], 1) for which in (0, 1)]
                layer.put(numbers, both, of=len(self._rows), end=self._shared)

    def _forward(
        self, ids_BT: torch.Tensor, positions_BT: torch.Tensor, sees_BTS: torch.Tensor, *, keep: int
    ) -> torch.Tensor:
        dtype = self._network.dtype
        mask_B1TS = torch.zeros(sees_BTS.shape, dtype=dtype, device=ids_BT.device).masked_fill_(
            ~sees_BTS, torch.finfo(dtype).min
        )[:, None]
        out = self._network(
            input_ids=ids_BT,
            attention_mask=mask_B1TS,
            position_ids=positions_BT,
            cache=self._cache,
            use_cache=True,
            logits_to_keep=keep,
        )
        logits_BTV: torch.Tensor = out.logits
        return logits_BTV


class _Layer(DynamicLayer):  # type: ignore[misc]  # transformers has no types
    """Keys and values of one layer in memory that is taken once; transformers' own grows by copying at every token."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room, self._filled = room, 0
        self._both: list[torch.Tensor] = []

    def put(self, rows: Sequence[int], both: Sequence[torch.Tensor], *, of: int, end: int) -> None:
        """Keys and values of shape (heads, tokens, head dimension) into some of `of` rows, up to column `end`."""
        self._take_room(of, both)
        for all_BHSD, new_HTD in zip(self._both, both, strict=True):
            all_BHSD[list(rows), :, end - new_HTD.shape[1] : end] = new_HTD
        self._show(end)

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> Any:
        """What transformers calls: append, and give back all."""
        start, end = self._filled, self._filled + key_states.shape[2]
        self._take_room(len(key_states), (key_states[0], value_states[0]))
        for all_BHSD, new_BHTD in zip(self._both, (key_states, value_states), strict=True):
            all_BHSD[:, :, start:end] = new_BHTD
        self._show(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Go on with some rows only."""
        self._both = [all_BHSD[indices] for all_BHSD in self._both]
        self._show(self._filled)

    def forget(self, tokens: int) -> None:
        """Drop the last tokens of all rows."""
        self._show(self._filled - tokens)

    def _take_room(self, rows: int, like: Sequence[torch.Tensor]) -> None:
        if not self._both:
            self._both = [new.new_zeros(rows, new.shape[0], self._room, new.shape[2]) for new in like]
            self.dtype, self.device, self.is_initialized = like[0].dtype, like[0].device, True

    def _show(self, filled: int) -> None:
        self._filled = filled
        self.keys, self.values = (all_BHSD[:, :, :filled] for all_BHSD in self._both)


@torch.inference_mode()
def trial(network: Any) -> tuple[int, str]:
    """Read two made-up prompts both ways: with a shared piece, padded, and alone.

    Returns:
        (bytes of one token's keys and values, why this network cannot be read in shared pieces; empty when it can).
    """
    if any(type(layer) is not DynamicLayer for layer in DynamicCache(config=network.config).layers):
        return 0, "some layers keep a window or a state instead of every token"
    shared = [1 + 7 * n % (network.config.vocab_size - 1) for n in range(11)]
    rows = [Row(piece := Piece(None, shared), shared[4:9]), Row(piece, shared[2:4])]
    try:
        alone = [
            network(input_ids=_tensor(network, [[*shared, *row.own]]), use_cache=False).logits[0, -1] for row in rows
        ]
        first = Batch(network, [Row(None, shared)], room=0)
        first.read_prompts()
        piece.kept = first.kept(0, len(shared))
        together = Batch(network, rows, room=0).read_prompts()
    except Exception as error:  # networks fail in many ways where they are not made for this
        return 0, f"{type(error).__name__}: {error}".splitlines()[0][:200]
    apart = max(float((a - b).abs().max() / a.std()) for a, b in zip(alone, together, strict=True))
    if not apart < (1e-2 if network.dtype == torch.float32 else 0.5):  # a wrong mask or position gives 1 and more
        return 0, f"its logits differ by {apart:.2g} of their spread"
    return sum(both.numel() * both.element_size() for kept in piece.kept for both in kept) // len(shared), ""


def _cache(network: Any, room: int) -> Any:
    cache = DynamicCache(config=network.config)
    cache.layers = [_Layer(room) for _ in cache.layers]
    return cache


def _tensor(network: Any, ids: Sequence[Ids]) -> torch.Tensor:
    return torch.tensor(ids, device=network.device)


def _common(one: Ids, other: Ids) -> int:
    """Tokens that two prompts begin with; each keeps one of its own."""
    most = min(len(one), len(other)) - 1
    return next((n for n in range(most) if one[n] != other[n]), max(0, most))


def _end(piece: Piece | None) -> int:
    return 0 if piece is None else piece.end


class Alone:
    """One row of a network that cannot share, read as transformers does."""

    def __init__(self, network: Any, row: Row) -> None:
        self._network, self._row = network, row
        self._cache: Any = None

    def read_prompts(self) -> torch.Tensor:
        """The logits after the prompt, shape (1, V)."""
        return self._forward(self._row.own)

    def read_next(self, ids: Ids) -> torch.Tensor:
        """Read one more token; the logits after it, shape (1, V)."""
        return self._forward(ids)

    def keep(self, rows: Sequence[int]) -> None:
        """There is one row."""

    def _forward(self, ids: Ids) -> torch.Tensor:
        out = self._network(input_ids=_tensor(self._network, [ids]), cache=self._cache, use_cache=True)
        self._cache = out.cache
        logits_1V: torch.Tensor = out.logits[:, -1]
        return logits_1V
