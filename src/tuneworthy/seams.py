"""Every protocol that a plug-in can implement, on one screen. Built-ins come in through the same door (plugins.py).

Each seam is small and synchronous; concurrency belongs to the one loop that needs it. Every seam ships an
implementation that needs no network, no GPU and no extra, and one contract test runs all implementations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tuneworthy.records import Answer, Candidate, Case, Completion, LeverResult, Message, Passage, Request, Score

if TYPE_CHECKING:
    import numpy as np

    from tuneworthy.levers.bench import Bench
    from tuneworthy.release.package import Release


@runtime_checkable
class Model(Protocol):
    """Something that can be asked. Implementations: scripted, local, openai_compatible."""

    name: str
    digest: str
    """names everything that decides an answer: weights, tokenizer, chat template, precision; or the endpoint"""
    context: int | None
    """longest prompt plus answer in tokens; None = not known"""

    def complete(
        self, requests: Sequence[Request], on_done: Callable[[int, Completion], None] | None = None
    ) -> list[Completion]:
        """Answer every request, in order. A request that fails gives a Completion with `error`, never an exception
        and never an empty text in its place. `on_done(index, completion)` is called as answers arrive."""
        ...

    def count_tokens(self, messages: Sequence[Message]) -> int | None:
        """Tokens of the rendered prompt, or None where they cannot be counted without asking."""
        ...

    def constraint_problem(self, request: Request) -> str:
        """Why this model cannot enforce the request's constraint; empty when it can."""
        ...


@runtime_checkable
class Tunable(Model, Protocol):
    """A model whose weights are here, so that they can be trained. Implementation: local."""

    folder: Path
    """its files: config.json, safetensors, tokenizer"""
    device: str
    """where it runs: cpu or cuda"""

    def with_adapter(self, path: Path, scale: float = 1.0) -> Tunable:
        """The same model with LoRA weights from a PEFT folder; `scale` weakens them (1 = as trained)."""
        ...

    def with_weights(self, path: Path) -> Tunable:
        """The fully tuned model in a folder, asked with the same tokens."""
        ...


@runtime_checkable
class Telling(Protocol):
    """A model that lets one see what it reads and how sure it is. Implementation: local."""

    def answer_logprob(self, request: Request, text: str) -> float | None:
        """Total log-probability (nats) of a text and its stop token as the answer; None where it has none."""
        ...

    def rendered(self, messages: Sequence[Message]) -> str:
        """The prompt as the chat template writes it."""
        ...


@runtime_checkable
class Transparent(Model, Protocol):
    """A model whose next-token probabilities can be read. Implementation: local."""

    def distributions(self, conversations: Sequence[Sequence[Message]]) -> Iterator[np.ndarray]:
        """log p(next token), float32 of shape (tokens - 1, vocabulary), for each rendered conversation."""
        ...

    def continuation(self, given: str, rest: str) -> tuple[float, bool]:
        """(log-probability of `rest` after `given` in nats, is each of its tokens the likeliest one), as plain text."""
        ...

    def answer_logprobs(self, questions: Sequence[Sequence[Message]], texts: Sequence[str]) -> np.ndarray:
        """log p(text) in nats as the beginning of an answer to each question, float64 of shape (questions, texts)."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """Judges one output. Pure: the same case and output give the same score."""

    name: str
    version: int
    binary: bool
    """True when values are only 0 and 1: decides which statistics apply"""

    def score(self, case: Case, output: str, *, lenient: bool = False) -> Score:
        """Strict, or lenient: code fences and surrounding prose stripped, types coerced, label aliases accepted."""
        ...


@runtime_checkable
class AnswerScorer(Scorer, Protocol):
    """Judges what an answer took and not its text: time, tokens, euros. A further scorer; it carries no bar."""

    def score_answer(self, case: Case, answer: Answer) -> Score:
        """Unscored where the channel did not tell."""
        ...


@runtime_checkable
class Retriever(Protocol):
    """Finds passages. Implementations: bm25, dense, hybrid."""

    name: str
    digest: str
    """names the documents and the settings"""

    def search(self, query: str, top_k: int) -> list[Passage]:
        """The `top_k` best passages, best first; ties broken by passage id."""
        ...


@runtime_checkable
class SearchesMany(Protocol):
    """A retriever that is quicker with many queries at once."""

    def search_all(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """What `search` finds for each query, up to rounding."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into unit vectors."""

    name: str
    digest: str

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 array of shape (len(texts), dimensions), rows of length 1."""
        ...


@runtime_checkable
class Lever(Protocol):
    """Turns data into a Candidate, using the development split only."""

    name: str
    trains: bool
    """True when it changes weights: such levers stand behind the gates"""

    def propose(self, bench: Bench) -> tuple[Candidate | None, LeverResult]:
        """The best candidate this lever finds, and what was tried; None with the reason when it does not apply."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Where releases run. Implementations: in_process, openai_compatible, vllm, llama_cpp."""

    def open(self, release: Release) -> Model:
        """The base model that a release is answered with, its trained weights within reach (Tunable.with_adapter).

        Raises:
            EngineAway: it does not answer just now. ModelError: it cannot serve this release.
        """
        ...

    def alive(self) -> bool:
        """It answers at all."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...
