"""LoRA layers that compute several adapters on one base in one pass, each on its own part of the batch.

part 0 ─┬─ W ─ + ─      A, B of every adapter are stacked: two batched products for all of them, and one product
        └─ A₀·B₀ ┘      with the frozen W for the whole batch. Adapters share no weight that is trained, so each
part 1 ─┬─ W ─ + ─      gets the gradient that it would get alone.
        └─ A₁·B₁ ┘
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch.nn import functional


def side_by_side(network: Any, adapters: Sequence[str]) -> None:
    """From now on a pass computes these adapters, each on an equal part of the batch, in this order.

    A single one takes the same way: peft's own layer makes several passes over memory that this one does not.
    """
    for layer in network.modules():
        if is_plain(layer):
            layer.forward = partial(_forward, layer, tuple(adapters))


def is_plain(layer: Any) -> bool:
    """Is it LoRA on an ordinary linear layer? Others keep the forward pass of peft."""
    from peft.tuners.lora import LoraLayer

    return isinstance(layer, LoraLayer) and isinstance(layer.base_layer, torch.nn.Linear)


def _forward(layer: Any, adapters: tuple[str, ...], x: torch.Tensor) -> torch.Tensor:
    a_KRI = _stack([layer.lora_A[name].weight for name in adapters])
    b_KOR = _stack([layer.lora_B[name].weight * layer.scaling[name] for name in adapters])
    dropouts = [layer.lora_dropout[name] for name in adapters]
    base = layer.base_layer
    alike = x.dtype == base.weight.dtype == a_KRI.dtype and not torch.is_autocast_enabled(x.device.type)
    if alike and type(base) is torch.nn.Linear and not any(isinstance(d, torch.nn.Dropout) for d in dropouts):
        y: torch.Tensor = _Product.apply(x, base.weight, base.bias, a_KRI, b_KOR)
        return y
    y = base(x)
    dropped = x if len(adapters) > 1 else dropouts[0](x)  # dropout and several adapters do not meet: see `loop.apart`
    x_KNI = dropped.to(a_KRI.dtype).reshape(len(adapters), -1, x.shape[-1])
    return y + (x_KNI @ a_KRI.mT @ b_KOR.mT).view(y.shape).to(y.dtype)


def _stack(weights: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(weights) if len(weights) > 1 else weights[0].unsqueeze(0)


class _Product(torch.autograd.Function):
    """x Wᵀ + bias + (x Aᵀ) Bᵀ with frozen W, adding up in place: as few passes over memory as there are products."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w_OI: torch.Tensor, bias: Any, a_KRI: Any, b_KOR: Any) -> torch.Tensor:
        x_KNI = x.reshape(len(a_KRI), -1, x.shape[-1])
        h_KNR = torch.bmm(x_KNI, a_KRI.mT)
        y_KNO = functional.linear(x_KNI, w_OI, bias).baddbmm_(h_KNR, b_KOR.mT)
        ctx.save_for_backward(x_KNI, h_KNR, w_OI, a_KRI, b_KOR)
        return y_KNO.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> Any:
        x_KNI, h_KNR, w_OI, a_KRI, b_KOR = ctx.saved_tensors
        dy_KNO = dy.reshape(len(a_KRI), -1, dy.shape[-1])
        g_KNR = torch.bmm(dy_KNO, b_KOR)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = torch.matmul(dy_KNO, w_OI).baddbmm_(g_KNR, a_KRI).view(*dy.shape[:-1], -1)
        return dx, None, None, torch.bmm(g_KNR.mT, x_KNI), torch.bmm(dy_KNO.mT, h_KNR)
