"""LoRA adapters on one network: put in when first asked for, a few kept, refused whole where they do not fit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneworthy.content import digest, file_digest
from tuneworthy.errors import ModelError
from tuneworthy.models.local.files import read_object, silent_peft

KEPT_ADAPTERS = 4
"""Adapters held in memory beside the base; the one that was used longest ago goes first."""

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
        """of the adapters in memory, the latest used last"""
        self._network = network
        self._peft: Any = None
        self._lock = threading.RLock()

    @contextmanager
    def active(self, adapter: Adapter | None) -> Iterator[Any]:
        """The network with one adapter, or with none: then the answers are exactly the base's.

        Raises:
            ModelError: the adapter does not fit; the network is then as it was.
        """
        with self._lock:
            if adapter is not None:
                peft = self._loaded(adapter)
                peft.set_adapter(adapter.name)
                for module in peft.modules():
                    if hasattr(module, "set_scale"):
                        module.set_scale(adapter.name, adapter.scale)
                yield peft
            elif self._peft is not None:
                with self._peft.disable_adapter():
                    yield self._peft
            else:
                yield self._network

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
