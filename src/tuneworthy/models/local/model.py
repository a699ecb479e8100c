"""LocalModel: a transformers model behind the model seam, with adapters as views that share its weights."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from tuneworthy.content import digest, file_digest
from tuneworthy.errors import ModelError
from tuneworthy.models.local import constraints, decoding, files
from tuneworthy.models.local.rendering import chat_ids
from tuneworthy.records import Completion, Message, Request
from tuneworthy.usecase import ModelChoice

KEPT_ADAPTERS = 4
"""Adapters held in memory beside the base; the one that was used longest ago goes first."""


def load(choice: ModelChoice, folder: Path, device: str) -> LocalModel:
    """Load a checked folder. Raises ModelError where transformers cannot."""
    from transformers import AutoTokenizer

    files.checked(folder, choice)
    where = _device(device)
    with _explained(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return LocalModel(_Weights(folder, _network(folder, choice, where), tokenizer, choice))


def _network(folder: Path, choice: ModelChoice, device: str) -> Any:
    from transformers import AutoModelForCausalLM

    with _explained(folder), files.silent_transformers():
        network = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=not choice.allow_pickle,
            trust_remote_code=choice.trust_remote_code,
            dtype=_precision(choice.precision, device),
        )
    return network.to(device).eval()


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"the base model cannot be loaded: {str(error).splitlines()[0][:300]}", where=str(folder)
        ) from error


@dataclass
class _Weights:
    """What all views of one base model share."""

    folder: Path
    network: Any
    tokenizer: Any
    choice: ModelChoice
    peft: Any = None
    adapters: list[str] = field(default_factory=list)
    """names of the loaded adapters, the latest used last"""
    lock: threading.RLock = field(default_factory=threading.RLock)

    @cached_property
    def digest(self) -> str:
        """Names weights, tokenizer, template and precision."""
        names = [n for n in files.DECIDING if (self.folder / n).is_file()]
        names += [path.name for path in files.weight_files(self.folder)]
        return digest([[name, file_digest(self.folder / name)] for name in sorted(names)] + [str(self.network.dtype)])

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end generation: all those of the generation config, or the tokenizer's own."""
        found = self.network.generation_config.eos_token_id
        found = self.tokenizer.eos_token_id if found is None else found
        if found is None:
            raise ModelError("the base model names no token that ends an answer", where=str(self.folder))
        return frozenset([found] if isinstance(found, int) else found)

    @cached_property
    def grammar(self) -> constraints.Grammar:
        return constraints.Grammar(self.tokenizer, self.network.config.vocab_size, min(self.stop_ids))

    @contextmanager
    def active(self, adapter: _Adapter | None) -> Iterator[Any]:
        """The network with one adapter, or with none: then the answers are exactly the base's."""
        with self.lock:
            if adapter is not None:
                self._load(adapter)
                self.peft.set_adapter(adapter.name)
                for module in self.peft.modules():
                    if hasattr(module, "set_scale") and adapter.name in getattr(module, "scaling", {}):
                        module.set_scale(adapter.name, adapter.scale)
                yield self.peft
            elif self.peft is not None:
                with self.peft.disable_adapter():
                    yield self.peft
            else:
                yield self.network

    def _load(self, adapter: _Adapter) -> None:
        if adapter.name in self.adapters:
            self.adapters.remove(adapter.name)
        elif self.peft is None:
            from peft import PeftModel

            self.peft = PeftModel.from_pretrained(
                self.network, adapter.path, adapter_name=adapter.name, autocast_adapter_dtype=False
            ).eval()
        else:
            self.peft.load_adapter(adapter.path, adapter_name=adapter.name, autocast_adapter_dtype=False)
            self.peft.eval()
        self.adapters.append(adapter.name)
        _require_effective(self.peft, adapter)
        while len(self.adapters) > KEPT_ADAPTERS:
            self.peft.delete_adapter(self.adapters.pop(0))


@dataclass(frozen=True)
class _Adapter:
    name: str
    path: Path
    scale: float


class LocalModel:
    """A base model, or a view of it with one adapter. Views share the weights and take turns."""

    def __init__(self, weights: _Weights, adapter: _Adapter | None = None) -> None:
        self._weights, self._adapter = weights, adapter
        self.name = weights.choice.base + (f" + adapter {adapter.name[:8]}" if adapter else "")
        parts = [weights.digest] if adapter is None else [weights.digest, adapter.name, adapter.scale]
        self.digest = weights.digest if adapter is None else digest(parts)
        self.context: int | None = getattr(weights.network.config, "max_position_embeddings", None)
        self.tokenizer, self.folder = weights.tokenizer, weights.folder
        self.device: str = weights.network.device.type

    @property
    def network(self) -> Any:
        """The torch module of the base."""
        return self._weights.network

    def with_adapter(self, path: Path, scale: float = 1.0) -> LocalModel:
        """A view with LoRA weights from a PEFT folder. `scale` weakens them (1 = as trained).

        Raises:
            ModelError: the folder is not an adapter.
        """
        missing = [n for n in ("adapter_config.json", "adapter_model.safetensors") if not (path / n).is_file()]
        if missing:
            raise ModelError(f"the adapter lacks {missing[0]}", next="train it again", where=str(path))
        name = digest([file_digest(path / n) for n in ("adapter_config.json", "adapter_model.safetensors")])[:32]
        return LocalModel(self._weights, _Adapter(name, path, scale))

    def with_weights(self, path: Path) -> LocalModel:
        """The fully tuned model in a folder; tokenizer and chat template stay those of the base.

        Raises:
            ModelError: the folder cannot be loaded.
        """
        choice = self._weights.choice
        return LocalModel(_Weights(path, _network(path, choice, self.device), self.tokenizer, choice))

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the rendered prompt."""
        return len(chat_ids(self.tokenizer, messages, generation=True))

    def constraint_problem(self, request: Request) -> str:
        """Why the constraint cannot be enforced; empty when it can."""
        return "" if request.constraint is None else self._weights.grammar.problem(request.constraint)

    def complete(
        self, requests: Sequence[Request], on_done: Callable[[int, Completion], None] | None = None
    ) -> list[Completion]:
        """Answer every request.

        Raises:
            ModelError: a prompt and its answer do not fit the context; nothing was asked then.
        """
        prompts = [chat_ids(self.tokenizer, request.messages, generation=True) for request in requests]
        self._require_room(prompts, requests)
        done: dict[int, Completion] = {}

        def keep(index: int, completion: Completion) -> None:
            done[index] = completion
            if on_done is not None:
                on_done(index, completion)

        with torch.inference_mode(), self._weights.active(self._adapter) as network:
            asked = decoding.Asked(network, self.tokenizer, self._weights.stop_ids, self._weights.grammar)
            decoding.complete(asked, prompts, requests, keep)
        return [done[index] for index in range(len(requests))]

    def _require_room(self, prompts: Sequence[Sequence[int]], requests: Sequence[Request]) -> None:
        if self.context is None:
            return
        for prompt, request in zip(prompts, requests, strict=True):
            if len(prompt) + request.decoding.max_tokens > self.context:
                raise ModelError(
                    f"a prompt of {len(prompt)} tokens and an answer of up to {request.decoding.max_tokens} do not fit "
                    f"the context of {self.context} tokens",
                    why="cutting it would change the question in silence",
                    next="shorten the input or output.max_tokens, show fewer examples or passages, or use a model "
                    "with a longer context",
                )


def _require_effective(peft: Any, adapter: _Adapter) -> None:
    """Every weight of the file must have found its place; otherwise the base would answer under the tuned name."""
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    with safe_open(adapter.path / "adapter_model.safetensors", framework="pt") as file:
        stored = set(file.keys())
    placed = set(get_peft_model_state_dict(peft, adapter_name=adapter.name))
    if not stored or stored != placed:
        odd = sorted(stored ^ placed)[:1]
        raise ModelError(
            f"the adapter is not effective: its weights do not match the base model ({odd[0] if odd else 'empty'})",
            next="train it on this base model",
            where=str(adapter.path),
        )


def _device(wanted: str) -> str:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ModelError("there is no CUDA device", next='set hardware.device = "auto" or "cpu"')
    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted


def _precision(wanted: str, device: str) -> torch.dtype:
    if wanted == "auto":
        return torch.bfloat16 if device == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if wanted == "bfloat16" else torch.float32
