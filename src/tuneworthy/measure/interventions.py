"""What a diagnosis changes, one thing at a time: passages that are given, shuffled targets, room to reason."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from pydantic import JsonValue

from tuneworthy.answering import Answerer, Sources
from tuneworthy.content import digest
from tuneworthy.records import Answer, Candidate, Input, Passage
from tuneworthy.scorers.classification import Classification
from tuneworthy.scorers.reading import lenient_json
from tuneworthy.usecase import Output

ROOM = 200
"""tokens to reason, beside those of the answer"""
_REASON = "Think step by step and write your reasoning down. Then write the answer alone on the last line."


class Given(Answerer):
    """The same path, with passages that are given instead of retrieved: digest of the input → passage."""

    def __init__(self, candidate: Candidate, sources: Sources, given: Mapping[str, Passage]) -> None:
        super().__init__(candidate, sources)
        self._given = given

    def passages(self, row: Input) -> list[Passage]:
        """The passage given for this input, if there is one."""
        passage = self._given.get(digest(dict(row)))
        return [passage] if passage is not None else []

    @cached_property
    def key(self) -> str:
        texts = {name: [p.title, p.text] for name, p in self._given.items()}
        return digest(["given passages", Answerer(self.candidate, self.sources).key, texts])


class Reasoning(Given):
    """Room to reason before the answer, which is the last line; passages are given where there are any."""

    def __init__(self, candidate: Candidate, sources: Sources, given: Mapping[str, Passage]) -> None:
        if candidate.prompt is None:
            raise ValueError("the candidate asks no model")
        prompt = candidate.prompt.model_copy(update={"reminder": f"{candidate.prompt.reminder}\n{_REASON}".strip()})
        decoding = candidate.decoding.model_copy(update={"max_tokens": candidate.decoding.max_tokens + ROOM})
        super().__init__(candidate.model_copy(update={"prompt": prompt, "decoding": decoding}), sources, given)

    def answer(self, inputs: Sequence[Input], on_done: Callable[[int, Answer], None] | None = None) -> list[Answer]:
        """The last line of each answer that has several."""
        done = None if on_done is None else lambda index, answer: on_done(index, _last_line(answer))
        return [_last_line(answer) for answer in super().answer(inputs, done)]

    @cached_property
    def key(self) -> str:
        return digest(["last of several lines", super().key])


def _last_line(answer: Answer) -> Answer:
    """Empty where the answer is one line: no use was made of the room, so what mended it would be another wording."""
    *before, last = [line.strip() for line in answer.text.splitlines() if line.strip()] or [""]
    return answer.model_copy(update={"text": last.removeprefix("Answer:").strip() if before else ""})


def shuffled_targets(candidate: Candidate, sources: Sources) -> tuple[Candidate, Sources]:
    """The same shots, each with the target of another: what is left is format. A pool with other targets is another
    version of the data, so no kept answer is mistaken."""
    if candidate.shots is None:
        raise ValueError("the candidate shows no examples")
    targets = _deranged([example.expected for example in sources.pool], seed=sources.usecase.seed)
    pool = tuple(e.model_copy(update={"expected": t}) for e, t in zip(sources.pool, targets, strict=True))
    names = {before.name: after.name for before, after in zip(sources.pool, pool, strict=True)}
    version = digest(["shuffled targets", sources.data_version, sources.usecase.seed])
    shots = candidate.shots.model_copy(
        update={"names": tuple(names[name] for name in candidate.shots.names), "data_version": version}
    )
    return candidate.model_copy(update={"shots": shots}), replace(sources, pool=pool, data_version=version)


def shaped(output: Output, text: str) -> bool:
    """Does a lenient reading find an answer of the declared shape at all?"""
    if output.kind == "label":
        return Classification(output).read(text, lenient=True) is not None
    if output.kind == "text":
        return bool(text.strip())
    try:
        lenient_json(text)
    except ValueError:
        return False
    return True


def _deranged(values: Sequence[JsonValue], *, seed: int) -> list[JsonValue]:
    """A seeded shuffle in which as few values as possible stay where an equal one was."""
    draw = random.Random(seed)
    shuffled = list(values)
    draw.shuffle(shuffled)
    places = list(range(len(values)))
    draw.shuffle(places)
    for here in places:
        if shuffled[here] == values[here]:
            for there in places:
                if shuffled[there] != values[here] and shuffled[here] != values[there]:
                    shuffled[here], shuffled[there] = shuffled[there], shuffled[here]
                    break
    return shuffled
