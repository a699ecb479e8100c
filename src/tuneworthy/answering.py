"""The one path that answers: retrieve → render → generate. Evaluation, training prompts and serving all come here.

What was measured is what runs, because nothing else renders a prompt.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tuneworthy import rendering
from tuneworthy.content import digest
from tuneworthy.errors import ModelError
from tuneworthy.models.local.files import weights_digest
from tuneworthy.records import (
    AdapterRef,
    Answer,
    Candidate,
    Completion,
    Example,
    Input,
    Message,
    Passage,
    Prompt,
    Request,
    Shots,
    TunedRef,
)
from tuneworthy.retrievers import examples
from tuneworthy.retrievers.examples import NearestExamples, query_text
from tuneworthy.seams import Embedder, Model, Retriever, SearchesMany, Tunable
from tuneworthy.usecase import UseCase

if TYPE_CHECKING:
    from tuneworthy.models.plain_classifier import PlainClassifier


@dataclass(frozen=True)
class Sources:
    """What candidates refer to by name or hash, opened once and shared by all of them."""

    usecase: UseCase
    folder: Path
    model: Model
    pool: tuple[Example, ...] = ()
    """the training split: few-shot examples and classifiers come from here"""
    data_version: str = ""
    embedder: Embedder | None = None

    @cached_property
    def nearest(self) -> NearestExamples:
        return NearestExamples(self.pool)

    @cached_property
    def by_name(self) -> dict[str, Example]:
        return {example.name: example for example in self.pool}


class Answerer:
    """A candidate that answers.

    Raises:
        ModelError: the candidate refers to another model or other data than the sources hold.
    """

    def __init__(self, candidate: Candidate, sources: Sources) -> None:
        self.candidate, self.sources = candidate, sources
        self._check_references()
        self.model = self._tuned_model()
        self._retriever = self._open_retriever()
        self._passages_of_shots: dict[str, Sequence[Passage]] = {}
        self._found: dict[str, list[Passage]] = {}
        """what was found for the inputs of the latest call"""

    def answer(self, inputs: Sequence[Input], on_done: Callable[[int, Answer], None] | None = None) -> list[Answer]:
        """One answer per input, in order; a failure is an Answer with `error`. `on_done` as they come."""
        if self.candidate.classifier is not None:
            return self._classify(inputs, on_done)
        self._find(inputs)
        found = [self.passages(row) for row in inputs]
        requests = [self.request(row, passages) for row, passages in zip(inputs, found, strict=True)]

        def done(index: int, completion: Completion) -> None:
            if on_done is not None:
                on_done(index, _answer(completion, found[index]))

        completions = self.model.complete(requests, done)
        return [_answer(completion, passages) for completion, passages in zip(completions, found, strict=True)]

    def request(self, row: Input, passages: Sequence[Passage]) -> Request:
        """The complete question to the model."""
        return Request(
            messages=self.messages(row, passages),
            decoding=self.candidate.decoding,
            constraint=self.candidate.constraint,
        )

    def messages(
        self, row: Input, passages: Sequence[Passage] = (), *, exclude: str = "", whole: bool = False
    ) -> tuple[Message, ...]:
        """The rendered prompt of one input. `exclude` names an example that must not serve as a shot.

        Shots that would push the prompt out of the model's context are left out, the least near first; `whole` keeps
        them, to see whether they fit.
        """
        if self.candidate.prompt is None:
            raise ModelError("this candidate asks no model, so it has no prompt")
        shots = self._shots(row, exclude)
        layout = self.candidate.shots.layout if self.candidate.shots else "turns"
        while True:
            rendered = render(
                self.candidate.prompt,
                row,
                usecase=self.sources.usecase,
                shots=[(shot, self._shown_with(shot)) for shot in shots],
                layout=layout,
                passages=passages,
            )
            if whole or not shots or self._fits(rendered):
                return rendered
            shots = shots[1:]

    def passages(self, row: Input) -> list[Passage]:
        """The passages put before the model for one input; none without a retriever."""
        if self._retriever is None or self.candidate.retriever is None:
            return []
        query = query_text(row)
        known = self._found.get(query)
        return self._retriever.search(query, self.candidate.retriever.top_k) if known is None else known

    def _find(self, inputs: Sequence[Input]) -> None:
        """Search for all inputs of a call at once, where the retriever can: then texts are embedded in batches."""
        self._found = {}
        if self.candidate.retriever is not None and isinstance(self._retriever, SearchesMany):
            queries = list(dict.fromkeys(query_text(row) for row in inputs))
            found = self._retriever.search_all(queries, self.candidate.retriever.top_k)
            self._found = dict(zip(queries, found, strict=True))

    def _shown_with(self, shot: Example) -> Sequence[Passage]:
        """The passages of a worked example: a candidate that reads shows how one reads."""
        if shot.name not in self._passages_of_shots:
            self._passages_of_shots[shot.name] = self.passages(shot.input)
        return self._passages_of_shots[shot.name]

    @cached_property
    def key(self) -> str:
        """Names everything that decides this candidate's answers, the code that renders prompts included."""
        usecase, retriever = self.sources.usecase, self._retriever
        # As a list and as text: their order decides how inputs and shots are laid out, and a digest sorts keys.
        shape = [list(usecase.input), usecase.output.model_dump_json(include={"kind", "json_schema"})]
        return digest([candidate_digest(self.candidate), shape, retriever.digest if retriever else "", CODE])

    # --- opening what the candidate refers to ---

    def _check_references(self) -> None:
        wanted = {ref.data_version for ref in (self.candidate.shots, self.candidate.classifier) if ref is not None}
        if wanted - {self.sources.data_version}:
            raise ModelError(
                "the candidate was made from another data version", next="run it again on the current data"
            )
        if self.candidate.classifier is None and self.candidate.model != self.sources.model.digest:
            raise ModelError(
                "the candidate was made with another base model", next="run it again with the current model"
            )

    def _tuned_model(self) -> Model:
        model, adapter, tuned = self.sources.model, self.candidate.adapter, self.candidate.tuned
        if adapter is None and tuned is None:
            return model
        if not isinstance(model, Tunable):
            raise ModelError(f"{model.name} cannot load trained weights", next="use a local base model")
        if tuned is not None:
            return model.with_weights(self._trained(tuned))
        assert adapter is not None  # one of the two is there
        return model.with_adapter(self._trained(adapter), adapter.scale)

    def _trained(self, ref: AdapterRef | TunedRef) -> Path:
        """The folder of trained weights, which must be those that the candidate names."""
        folder = self.sources.folder / ref.path
        if weights_digest(folder) != ref.weights:
            raise ModelError(
                "these are not the weights that the candidate was made with", next="train again", where=str(folder)
            )
        return folder

    def _open_retriever(self) -> Retriever | None:
        ref = self.candidate.retriever
        docs = self.sources.usecase.docs_folder
        if ref is None or docs is None:
            return None
        from tuneworthy.retrievers.open import open_retriever

        return open_retriever(ref, self.sources.folder / docs, self.sources.embedder)

    def _fits(self, messages: Sequence[Message]) -> bool:
        context, model = self.sources.model.context, self.sources.model
        tokens = model.count_tokens(messages) if context is not None else None
        return context is None or tokens is None or tokens + self.candidate.decoding.max_tokens <= context

    def _shots(self, row: Input, exclude: str) -> list[Example]:
        shots: Shots | None = self.candidate.shots
        if shots is None or shots.k == 0:
            return []
        if shots.pick == "nearest":
            return self.sources.nearest.pick(row, shots.k, exclude=exclude)
        return [self.sources.by_name[name] for name in shots.names if name != exclude]

    def _classify(self, inputs: Sequence[Input], on_done: Callable[[int, Answer], None] | None) -> list[Answer]:
        import time

        started = time.perf_counter()
        labels = self._classifier.predict([query_text(row) for row in inputs])
        seconds = (time.perf_counter() - started) / max(1, len(inputs))
        answers = [Answer(text=label, seconds=seconds) for label in labels]
        for index, answer in enumerate(answers):
            if on_done is not None:
                on_done(index, answer)
        return answers

    @cached_property
    def _classifier(self) -> PlainClassifier:
        from tuneworthy.models.plain_classifier import PlainClassifier

        ref = self.candidate.classifier
        if ref is None:
            raise ModelError("this candidate has no classifier")
        texts = [query_text(example.input) for example in self.sources.pool]
        labels = [str(example.expected) for example in self.sources.pool]
        return PlainClassifier(ref, texts, labels, self.sources.embedder)


def render(
    prompt: Prompt,
    row: Input,
    *,
    usecase: UseCase,
    shots: Sequence[tuple[Example, Sequence[Passage]]] = (),
    layout: str = "turns",
    passages: Sequence[Passage] = (),
) -> tuple[Message, ...]:
    """Lay a prompt out as chat messages: instruction, examples, passages, input, reminder, in this order.

    Args:
        shots: worked examples, each with the passages that belong to it.
    """

    def block(fields: Input) -> str:
        return rendering.input_block(usecase.input, fields)

    def expected(example: Example) -> str:
        return rendering.render_expected(usecase.output, example.expected)

    question = _lines(_passage_block(passages), block(row), prompt.reminder)
    system = (Message(role="system", content=prompt.system),) if prompt.system else ()
    if not shots:
        return (*system, Message(role="user", content=_lines(prompt.instruction, question)))
    if layout == "inline":
        examples = _lines(
            *(f"Input:\n{_lines(_passage_block(own), block(e.input))}\nOutput: {expected(e)}" for e, own in shots)
        )
        return (
            *system,
            Message(role="user", content=_lines(prompt.instruction, examples, f"Input:\n{question}\nOutput:")),
        )
    turns: list[Message] = []
    for number, (example, own) in enumerate(shots):
        asked = _lines(prompt.instruction if number == 0 else "", _passage_block(own), block(example.input))
        turns += [Message(role="user", content=asked), Message(role="assistant", content=expected(example))]
    return (*system, *turns, Message(role="user", content=question))


def candidate_digest(candidate: Candidate) -> str:
    """Names what a candidate is. Where its weights lie does not count; what they hold does."""
    fields = candidate.model_dump(mode="json", exclude={"lever": True, "adapter": {"path"}, "tuned": {"path"}})
    return digest(fields)


def _passage_block(passages: Sequence[Passage]) -> str:
    return "\n".join(f"Passage {n}: {p.title}. {p.text}" for n, p in enumerate(passages, start=1))


def _lines(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _answer(completion: Completion, passages: Sequence[Passage]) -> Answer:
    return Answer(**completion.model_dump(), passages=tuple(passage.id for passage in passages))


CODE = digest(
    [
        inspect.getsource(part)
        for part in (
            Answerer.messages,
            Answerer._shots,
            Answerer._shown_with,
            Answerer._fits,
            render,
            _passage_block,
            _lines,
            rendering,
            examples,
        )
    ]
)
"""Changes when the code that lays out prompts changes: cached answers of older code are not reused."""
