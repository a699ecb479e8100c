"""LoRA adapters on one network: put in when first asked for, a few kept, refused whole where they do not fit.

In float32 an adapter is merged into weights of its own, W + scale · B A (Hu et al. 2021, arXiv 2106.09685, section
4.1), and the network wears them while it is asked: then a tuned arm costs what the base costs. In bfloat16 merging
would round small updates away, so the adapter computes beside the base.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tuneworthy.content import digest, file_digest
from tuneworthy.errors import ModelError
from tuneworthy.models.local.files import read_object, silent_peft

KEPT_ADAPTERS = 4
"""Adapters held in memory beside the base; the one that was used longest ago goes first."""

MERGED_BYTES = 1024 * 2**20
"""Merged weights that are kept, all adapters together: bounds memory. An adapter that needs more stays beside."""

SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

_CHANGE_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Beginnings of `init_lora_weights` under which peft rewrites the weights of the base as it puts an adapter in."""


@dataclass(frozen=True)
class Adapter:
    """LoRA weights by reference."""

    name: str
    """digest of the two files"""
    path: Path
    scale: float
    """1 = as trained"""


def adapter_at(path: Path, scale: float) -> Adapter:
    """Refer to a PEFT folder. Raises ModelError when a file is missing."""
    missing = [name for name in (SETTINGS, WEIGHTS) if not (path / name).is_file()]
    if missing:
        raise ModelError(f"the adapter lacks {missing[0]}", next="train it again", where=str(path))
    return Adapter(digest([file_digest(path / name) for name in (SETTINGS, WEIGHTS)])[:32], path, scale)


class Adapters:
    """The adapters of one network. Those who ask take turns."""

    def __init__(self, network: Any) -> None:
        self.names: list[str] = []
        """of the adapters in memory beside the base, the latest used last"""
        self.merged: dict[tuple[str, float], dict[str, torch.nn.Parameter]] = {}
        """(name, scale) → module → merged weight, the latest used last"""
        self._network = network
        self._peft: Any = None
        self._worn: dict[str, torch.nn.Parameter] = {}
        """the base's own weights of the modules that wear merged ones now"""
        self._lock = threading.RLock()

    @contextmanager
    def active(self, adapter: Adapter | None) -> Iterator[Any]:
        """The network with one adapter, or with none: then the answers are exactly the base's.

        Raises:
            ModelError: the adapter does not fit; the network is then as it was.
        """
        with self._lock, self._bare():
            weights = {} if adapter is None else self._merged(adapter)
            if adapter is not None and not weights:
                yield self.beside(adapter)
            else:
                self._worn = self._wear(weights)
                with self._peft.disable_adapter() if self._peft is not None else nullcontext():
                    yield self._peft or self._network

    def beside(self, adapter: Adapter) -> Any:
        """The peft model with one adapter beside the base's own weights. Raises ModelError when it does not fit."""
        peft = self._loaded(adapter)
        peft.set_adapter(adapter.name)
        _set_scale(peft, adapter)
        return peft

    @contextmanager
    def _bare(self) -> Iterator[None]:
        """The base's own weights at the beginning, and at the end what was worn before."""
        before = self._wear(self._worn)
        self._worn = {}
        try:
            yield
        finally:
            self._wear(self._worn)
            self._worn = self._wear(before)

    def _wear(self, weights: dict[str, torch.nn.Parameter]) -> dict[str, torch.nn.Parameter]:
        """Give modules other weights; what they had. Whole parameters, so that tied weights elsewhere stay."""
        had = {}
        for name, weight in weights.items():
            module = self._network.get_submodule(name)
            module = module.get_base_layer() if hasattr(module, "get_base_layer") else module
            had[name], module.weight = module.weight, weight
        return had

    def _merged(self, adapter: Adapter) -> dict[str, torch.nn.Parameter]:
        """Merged weights by module; empty where the adapter has to stay beside the base."""
        key = (adapter.name, adapter.scale)
        if key not in self.merged:
            if self._network.dtype != torch.float32 or adapter.name in self.names:
                return {}
            _set_scale(self._loaded(adapter), adapter)
            weights = _merged_weights(self._network, adapter.name)
            if not weights:
                return {}
            self._take_out(self.names.pop())
            self.merged[key] = weights
        self.merged[key] = self.merged.pop(key)  # the latest used last
        while len(self.merged) > KEPT_ADAPTERS or sum(map(_bytes, self.merged.values())) > MERGED_BYTES:
            del self.merged[next(iter(self.merged))]
        return self.merged[key]

    def _loaded(self, adapter: Adapter) -> Any:
        if adapter.name in self.names:
            self.names.remove(adapter.name)
        else:
            try:
                self._put_in(adapter)
            except Exception as error:  # peft raises many kinds, and half an adapter must not stay
                self._take_out(adapter.name)
                if isinstance(error, ModelError):
                    raise
                raise _misfit(adapter, str(error) or type(error).__name__) from error
        self.names.append(adapter.name)
        while len(self.names) > KEPT_ADAPTERS:
            self._take_out(self.names.pop(0))
        return self._peft

    def _put_in(self, adapter: Adapter) -> None:
        from peft import LoraConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
        from safetensors.torch import load_file

        _require_lora(adapter)
        config = LoraConfig.from_pretrained(adapter.path, inference_mode=True)
        held = load_file(adapter.path / WEIGHTS)
        with silent_peft():
            if self._peft is None:
                self._peft = PeftModel(self._network, config, adapter.name, autocast_adapter_dtype=False)
            else:
                self._peft.add_adapter(adapter.name, config, autocast_adapter_dtype=False)
        self._peft.eval()
        # Every weight of the file must find its place; otherwise the base would answer under the tuned name. And none
        # may belong to the base: peft would write it there.
        places = get_peft_model_state_dict(self._peft, adapter_name=adapter.name, save_embedding_layers=False)
        found, wanted = ({name: tuple(w.shape) for name, w in weights.items()} for weights in (held, places))
        wrong = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        if wrong:
            raise _misfit(adapter, f"its weights do not match the base model, e.g. {wrong[0]}")
        set_peft_model_state_dict(self._peft, held, adapter_name=adapter.name)

    def _take_out(self, name: str) -> None:
        from peft.tuners.tuners_utils import BaseTunerLayer

        if self._peft is not None and name in self._peft.peft_config and len(self._peft.peft_config) > 1:
            self._peft.delete_adapter(name)
        layers = {at: m for at, m in self._network.named_modules() if isinstance(m, BaseTunerLayer)}
        if self.names:
            for layer in layers.values():
                layer.delete_adapter(name)
            return
        for at, layer in layers.items():
            self._network.set_submodule(at, layer.get_base_layer())
        if hasattr(self._network, "peft_config"):
            del self._network.peft_config  # peft's own mark; the next adapter would be taken for a second one
        self._peft = None


def _set_scale(peft: Any, adapter: Adapter) -> None:
    for module in peft.modules():
        if hasattr(module, "set_scale"):
            module.set_scale(adapter.name, adapter.scale)


@torch.no_grad()
def _merged_weights(network: Any, name: str) -> dict[str, torch.nn.Parameter]:
    """W + scale · B A of every module with this adapter; empty where it is more than that, or too large."""
    from peft.tuners.lora.layer import Linear, LoraLayer

    layers = {at: m for at, m in network.named_modules() if isinstance(m, LoraLayer) and name in m.lora_A}
    plain = (
        type(m) is Linear
        and type(m.get_base_layer()) is torch.nn.Linear
        and not m.lora_variant
        and not m.lora_bias[name]
        for m in layers.values()
    )
    size = sum(m.get_base_layer().weight.numel() * m.get_base_layer().weight.element_size() for m in layers.values())
    if not all(plain) or size > MERGED_BYTES:
        return {}
    return {
        at: torch.nn.Parameter(m.get_base_layer().weight + m.get_delta_weight(name), requires_grad=False)
        for at, m in layers.items()
    }


def _bytes(weights: dict[str, torch.nn.Parameter]) -> int:
    return sum(weight.numel() * weight.element_size() for weight in weights.values())


def _require_lora(adapter: Adapter) -> None:
    settings = read_object(adapter.path / SETTINGS)
    if settings.get("peft_type") != "LORA":
        raise _misfit(adapter, f"it is not LoRA but {settings.get('peft_type')}")
    start = settings.get("init_lora_weights")
    if isinstance(start, str) and start.startswith(_CHANGE_THE_BASE):
        raise _misfit(adapter, f"it needs changed weights of the base model (init_lora_weights = {start})")


def _misfit(adapter: Adapter, why: str) -> ModelError:
    return ModelError(
        f"the adapter is not effective: {why.splitlines()[0][:300]}",
        next="train it on this base model",
        where=str(adapter.path),
    )
