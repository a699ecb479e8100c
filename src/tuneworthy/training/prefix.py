"""What all rows of a training begin with is computed once a step, with gradients flowing through it.

    plain     [beginning][row 1]        shared     [beginning] ── keys, values ─┬─ [row 1]
              [beginning][row 2]                                                ├─ [row 2]
              [beginning][row 3]                                                └─ [row 3]

Every row attends to the same keys and values, so what flows back to them is the sum over the rows: the same loss and
the same gradient up to rounding, as long as nothing is drawn at random for each row (dropout).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from tuneworthy.training.batches import EncodedRow

SHORTEST = 16
"""tokens; measured on a CPU (6M parameters, 16 rows of about 72 own tokens): 8 tokens made a step 1.06 times as fast,
16 1.12 times, 64 1.7 times, 256 3.0 times"""
LEAST_SAVED = 0.1
"""share of the tokens of a step that sharing must save"""
ALLOWED = {"fp32": 1e-4, "bf16": 5e-2}
"""relative difference of the gradients of the first batch, computed both ways, above which nothing is shared"""
_DROPOUTS = ("attention_dropout", "hidden_dropout", "attn_pdrop", "resid_pdrop", "embd_pdrop")
"""settings of architectures whose dropout is no module"""


def common(rows: Sequence[EncodedRow]) -> int:
    """Tokens that all rows begin with. Each row keeps the position that predicts its first trained token."""
    first, last = min(row.ids for row in rows), max(row.ids for row in rows)  # the two that part soonest
    shared = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return max(0, min(shared, *(row.carries_loss.index(True) - 1 for row in rows)))


def sharing(network: Any, rows: Sequence[EncodedRow], batch_size: int) -> tuple[int, str]:
    """(tokens of the beginning to share, 0 = none; the reason in words). The same rows always give the same answer."""
    tokens = common(rows)
    saved = tokens * (batch_size - 1) / (batch_size * sum(len(row.ids) for row in rows) / len(rows))
    told = f"the {tokens} tokens that all rows begin with"
    if tokens < SHORTEST or saved < LEAST_SAVED:
        return 0, f"{told} are computed with each of them: once a step would save {saved:.0%} of it"
    if reason := _why_not(network):
        return 0, f"{told} are computed with each of them: {reason}"
    return tokens, f"{told} are computed once a step, which saves {saved:.0%} of it"


@dataclass(frozen=True)
class Beginning:
    """Keys and values of a beginning, for all passes of one step."""

    made: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    """of each layer, (groups, heads, tokens, width), in the graph of the pass that made them"""
    held: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    """the same cut out of that graph: the passes of the rows leave their gradients here"""

    def cache(self, rows: int) -> Any:
        """For a pass of `rows` rows of each group, one group after the other."""
        from transformers import DynamicCache
        from transformers.cache_utils import DynamicLayer

        cache = DynamicCache()
        for pair in self.held:
            layer = DynamicLayer()
            layer.lazy_initialization(*pair)
            layer.keys, layer.values = (kept.unsqueeze(1).expand(-1, rows, -1, -1, -1).flatten(0, 1) for kept in pair)
            cache.layers.append(layer)
        return cache

    def backward(self) -> None:
        """Once all passes are through: from the keys and values to the weights."""
        flat = [pair for both in zip(self.made, self.held, strict=True) for pair in zip(*both, strict=True)]
        back = [(made, held.grad) for made, held in flat if made.requires_grad and held.grad is not None]
        torch.autograd.backward([made for made, _ in back], [grad for _, grad in back])


def begin(network: Any, ids_GP: torch.Tensor, *, precision: str = "fp32") -> Beginning:
    """Run the beginning of each group."""
    with autocast(network.device.type, precision):
        cache = network(input_ids=ids_GP.to(network.device), use_cache=True, logits_to_keep=1).cache
    made = tuple((layer.keys, layer.values) for layer in cache.layers)
    held = tuple(tuple(kept.detach().requires_grad_() for kept in pair) for pair in made)
    return Beginning(made, held)


def relative_difference(left: Sequence[torch.Tensor], right: Sequence[torch.Tensor]) -> float:
    """|left - right| / |left|, over all tensors together."""
    apart = sum(float((a - b).double().square().sum()) for a, b in zip(left, right, strict=True))
    return math.sqrt(apart / max(sum(float(a.double().square().sum()) for a in left), 1e-300))


def autocast(device: str, precision: str) -> AbstractContextManager[Any]:
    """bf16 arithmetic where the recipe asks for it."""
    return torch.autocast(device, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


def _why_not(network: Any) -> str:
    """Why keys and values cannot be computed apart; empty = they can."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    inner = network.get_base_model() if hasattr(network, "get_base_model") else network
    dropout = max(
        *(module.p for module in network.modules() if isinstance(module, torch.nn.Dropout)),
        *(float(getattr(network.config, name, 0) or 0) for name in _DROPOUTS),
        0.0,
    )
    if dropout > 0:
        return f"dropout ({dropout:g}) draws another mask for every row"
    if inner.is_activation_checkpointing:
        return "gradient checkpointing keeps no keys and values"
    takes = inspect.signature(inner.forward).parameters
    if "cache" not in takes or "logits_to_keep" not in takes:
        return f"{type(inner).__name__} takes no keys and values computed before"
    if any(type(layer) is not DynamicLayer for layer in DynamicCache(config=network.config).layers):
        return f"{type(inner).__name__} does not keep the keys and values of all tokens"
    return ""
