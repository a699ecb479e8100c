"""LocalModel: a transformers model behind the model seam, with adapters as views that share its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tuneworthy.content import digest
from tuneworthy.errors import ModelError
from tuneworthy.models.local import constraints, decoding, files, labels, likelihood, prefixes
from tuneworthy.models.local.adapters import Adapter, Adapters, adapter_at
from tuneworthy.models.local.rendering import chat_ids
from tuneworthy.records import Completion, Message, Request
from tuneworthy.usecase import ModelChoice

READ_AT_ONCE = 8
"""conversations whose distributions are held at once: bounds memory"""


def load(choice: ModelChoice, folder: Path, device: str) -> LocalModel:
    """Load a checked folder. Raises ModelError where transformers cannot."""
    from transformers import AutoTokenizer

    files.checked(folder, choice)
    where = _device(device)
    with _explained(folder):
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=choice.trust_remote_code
        )
    return LocalModel(_Weights(folder, _network(folder, choice, where), tokenizer, choice))


def _network(folder: Path, choice: ModelChoice, device: str) -> Any:
    network = read_network(
        folder,
        _precision(choice.precision, device),
        trust_remote_code=choice.trust_remote_code,
        use_safetensors=not (choice.allow_pickle and files.only_pickles(folder)),
    )
    return network.to(device).eval()


def read_network(
    folder: Path, precision: torch.dtype, *, trust_remote_code: bool = False, use_safetensors: bool = True
) -> Any:
    """The transformers model in a folder; nothing is fetched. Raises ModelError when it is damaged or lacks weights."""
    from transformers import AutoModelForCausalLM

    with _explained(folder), files.silent_transformers():
        network, told = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=use_safetensors,
            trust_remote_code=trust_remote_code,
            dtype=precision,
            output_loading_info=True,
        )
    lacking = sorted(told["missing_keys"])
    if lacking:  # transformers would put random numbers in their place
        raise ModelError(
            f"the weights lack {lacking[0]} ({len(lacking)} in all)",
            next="copy the complete model folder",
            where=str(folder),
        )
    return network


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # transformers, tokenizers and safetensors raise many kinds for a damaged file
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"the model cannot be loaded: {said[:300]}",
            next="copy the complete model folder again, or choose another base model",
            where=str(folder),
        ) from error


@dataclass
class _Weights:
    """What all views of one base model share."""

    folder: Path
    network: Any
    tokenizer: Any
    choice: ModelChoice

    @cached_property
    def adapters(self) -> Adapters:
        return Adapters(self.network)

    @cached_property
    def digest(self) -> str:
        """Names weights, tokenizer, template and precision."""
        named = [[name, sha256] for name, sha256 in files.file_digests(self.folder).items()]
        return digest([*named, str(self.network.dtype)])

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end generation: all those of the generation config, or the tokenizer's own."""
        found = self.network.generation_config.eos_token_id
        found = self.tokenizer.eos_token_id if found is None else found
        if found is None:
            raise ModelError("the base model names no token that ends an answer", where=str(self.folder))
        return frozenset([found] if isinstance(found, int) else found)

    @cached_property
    def sharing(self) -> tuple[int, str]:
        """(bytes of one token's keys and values, why prompts cannot share their beginnings; empty when they can)."""
        return prefixes.trial(self.network)

    @cached_property
    def grammar(self) -> constraints.Grammar:
        return constraints.Grammar(self.tokenizer, self.network.config.vocab_size, self.stop_ids)


class LocalModel:
    """A base model, or a view of it with one adapter. Views share the weights and take turns."""

    def __init__(self, weights: _Weights, adapter: Adapter | None = None) -> None:
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

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end an answer."""
        return self._weights.stop_ids

    def with_adapter(self, path: Path, scale: float = 1.0) -> LocalModel:
        """A view with LoRA weights from a PEFT folder. `scale` weakens them (1 = as trained).

        Raises:
            ModelError: the folder is not an adapter.
        """
        return LocalModel(self._weights, adapter_at(path, scale))

    def with_weights(self, path: Path) -> LocalModel:
        """The fully tuned model in a folder; tokenizer and chat template stay those of the base.

        Raises:
            ModelError: the folder cannot be loaded.
        """
        choice = self._weights.choice
        return LocalModel(_Weights(path, _network(path, choice, self.device), self.tokenizer, choice))

    @property
    def sharing_problem(self) -> str:
        """Why prompts are read one by one instead of what they share once; empty where that is not so."""
        with self._reading():
            return self._weights.sharing[1]

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the rendered prompt."""
        return len(chat_ids(self.tokenizer, messages, generation=True))

    def constraint_problem(self, request: Request) -> str:
        """Why the constraint cannot be enforced; empty when it can."""
        wanted = request.constraint
        if wanted is None:
            return ""
        if wanted.kind == "labels" and wanted.how == "score":
            return labels.problem(self.tokenizer, request.messages, wanted.labels)
        return self._weights.grammar.problem(wanted)

    def answer_logprob(self, request: Request, text: str) -> float | None:
        """Total log-probability (nats) of a text and its stop token as the answer, unconstrained; None where the chat
        template does not write an answer where it opens one, or the context has no room for it."""
        if labels.problem(self.tokenizer, request.messages, [text]):
            return None
        prompt = chat_ids(self.tokenizer, request.messages, generation=True)
        if self.context is not None and len(prompt) + request.decoding.max_tokens > self.context:
            return None
        with self._reading() as network:
            return decoding.label_logprobs(self._asked(network), request.messages, [text], prompt)[0]

    def rendered(self, messages: Sequence[Message]) -> str:
        """The prompt as the chat template writes it, special tokens included."""
        return str(self.tokenizer.decode(chat_ids(self.tokenizer, messages, generation=True)))

    def complete(
        self, requests: Sequence[Request], on_done: Callable[[int, Completion], None] | None = None
    ) -> list[Completion]:
        """Answer every request.

        A prompt that does not fit the context with its answer is not asked: its completion is empty and says so.
        """
        prompts = [chat_ids(self.tokenizer, request.messages, generation=True) for request in requests]
        done: dict[int, Completion] = {}

        def keep(index: int, completion: Completion) -> None:
            done[index] = completion
            if on_done is not None:
                on_done(index, completion)

        fitting = []
        for index, (prompt, request) in enumerate(zip(prompts, requests, strict=True)):
            if self.context is None or len(prompt) + request.decoding.max_tokens <= self.context:
                fitting.append(index)
            else:
                keep(index, _too_long(len(prompt), request, self.context))
        with self._reading() as network:
            decoding.complete(
                self._asked(network),
                [prompts[index] for index in fitting],
                [requests[index] for index in fitting],
                lambda place, completion: keep(fitting[place], completion),
            )
        return [done[index] for index in range(len(requests))]

    def distributions(self, conversations: Sequence[Sequence[Message]]) -> Iterator[np.ndarray]:
        """log p(next token), float32 of shape (tokens - 1, vocabulary), for each rendered conversation."""
        ids = [chat_ids(self.tokenizer, messages, generation=False)[: self.context] for messages in conversations]
        for at in range(0, len(ids), READ_AT_ONCE):
            with self._reading() as network:
                found = likelihood.distributions(network, ids[at : at + READ_AT_ONCE])
            yield from found  # outside, so that another view of the same weights can be read in turns

    def continuation(self, given: str, rest: str) -> tuple[float, bool]:
        """(log-probability of `rest` after `given` in nats, is each of its tokens the likeliest one), as plain text."""
        with self._reading() as network:
            return likelihood.continuation(network, self.tokenizer, given, rest, self.context)

    def answer_logprobs(self, questions: Sequence[Sequence[Message]], texts: Sequence[str]) -> np.ndarray:
        """log p(text) in nats as the beginning of an answer to each question, float64 of shape (questions, texts)."""
        with self._reading() as network:
            return likelihood.answers(network, self.tokenizer, questions, texts)

    def _asked(self, network: Any) -> decoding.Asked:
        weights = self._weights
        return decoding.Asked(network, self.tokenizer, weights.stop_ids, weights.grammar, weights.sharing[0])

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        with torch.inference_mode(), self._weights.adapters.active(self._adapter) as network:
            yield network


def _too_long(tokens: int, request: Request, context: int) -> Completion:
    """What this model says to an input that it cannot take: nothing. Cutting it would change the question."""
    return Completion(
        tokens_in=tokens,
        finish="length",
        too_long=True,
        detail=f"not asked: a prompt of {tokens} tokens and an answer of up to {request.decoding.max_tokens} do not "
        f"fit the context of {context} tokens",
    )


def _device(wanted: str) -> str:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ModelError("there is no CUDA device", next='set hardware.device = "auto" or "cpu"')
    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted


def _precision(wanted: str, device: str) -> torch.dtype:
    if wanted == "auto":
        return torch.bfloat16 if device == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if wanted == "bfloat16" else torch.float32
