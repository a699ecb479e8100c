"""Generation in batches: greedy, sampled and constrained; the most probable of given labels.

What prompts share at their beginning is computed once. Rows are batched by length; finished rows leave their batch.
Batched greedy answers equal those asked one by one, up to rounding. Networks that cannot share are asked row by row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tuneworthy.content import digest
from tuneworthy.models.local.constraints import Grammar
from tuneworthy.models.local.labels import Endings, scored, scored_alone
from tuneworthy.models.local.prefixes import Alone, Batch, Row, batches, read_shared
from tuneworthy.records import Completion, Message, Request

LEAVE_TOGETHER = 8
"""Finished rows leave once they are one in so many: leaving copies the keys and values of those who stay."""


@dataclass(frozen=True)
class Asked:
    """What is asked: the network and how its tokens are read."""

    network: Any
    tokenizer: Any
    stop_ids: frozenset[int]
    grammar: Grammar
    token_bytes: int
    """keys and values of one token; 0 = the network cannot share (prefixes.trial)"""


@dataclass
class _Answer:
    """One answer in the making."""

    index: int
    tokens_in: int
    request: Request
    ids: list[int] = field(default_factory=list)
    matcher: Any = None
    dice: torch.Generator | None = None
    finish: str = ""


def complete(
    asked: Asked,
    prompts: Sequence[Sequence[int]],
    requests: Sequence[Request],
    on_done: Callable[[int, Completion], None],
) -> None:
    """Answer every prompt; `on_done(index, completion)` as batches finish."""
    if not prompts:
        return
    started = time.perf_counter()
    if asked.token_bytes:
        rows = read_shared(asked.network, prompts, token_bytes=asked.token_bytes)
    else:
        rows = [Row(None, prompt) for prompt in prompts]
    each = (time.perf_counter() - started) / len(prompts)  # seconds; all share what was read for all
    scoring = {index for index, request in enumerate(requests) if _scores_labels(request)}
    _write(asked, {n: rows[n] for n in range(len(rows)) if n not in scoring}, requests, each, on_done)
    _pick(asked, {n: rows[n] for n in sorted(scoring)}, requests, each, on_done)


def label_logprobs(
    asked: Asked, messages: Sequence[Message], labels: Sequence[str], prompt: Sequence[int]
) -> list[float]:
    """Total log-probability (nats) of each label and its stop token, given the prompt."""
    endings = Endings(asked.tokenizer, labels, asked.stop_ids).after(messages)
    ((_, scores_1L),) = _scored(asked, [Row(None, prompt)], endings)
    return [float(score) for score in scores_1L[0]]


def _pick(
    asked: Asked,
    rows: dict[int, Row],
    requests: Sequence[Request],
    each: float,
    on_done: Callable[[int, Completion], None],
) -> None:
    """Answer with the most probable label; ties go to the first."""
    known: dict[tuple[str, ...], Endings] = {}
    alike: dict[tuple[tuple[str, ...], tuple[tuple[int, ...], ...]], list[int]] = {}
    for index in rows:
        constraint = requests[index].constraint
        labels = constraint.labels if constraint is not None else ()
        if labels not in known:
            known[labels] = Endings(asked.tokenizer, labels, asked.stop_ids)
        alike.setdefault((labels, known[labels].after(requests[index].messages)), []).append(index)
    for (labels, endings), indexes in alike.items():
        started = time.perf_counter()
        for places, scores_BL in _scored(asked, [rows[index] for index in indexes], endings):
            ended = time.perf_counter()
            seconds, started = each + (ended - started) / len(places), ended
            for place, scores_L in zip(places, scores_BL, strict=True):
                text, tokens_in = labels[int(scores_L.argmax())], rows[indexes[place]].length
                on_done(indexes[place], Completion(text=text, tokens_in=tokens_in, seconds=seconds))


def _scored(
    asked: Asked, rows: Sequence[Row], endings: Sequence[Sequence[int]]
) -> Iterator[tuple[list[int], np.ndarray]]:
    if asked.token_bytes:
        yield from scored(asked.network, rows, endings, token_bytes=asked.token_bytes)
        return
    for place, row in enumerate(rows):
        yield [place], scored_alone(asked.network, row.own, endings)[None]


def _scores_labels(request: Request) -> bool:
    constraint = request.constraint
    return constraint is not None and constraint.kind == "labels" and constraint.how == "score"


def _write(
    asked: Asked,
    rows: dict[int, Row],
    requests: Sequence[Request],
    each: float,
    on_done: Callable[[int, Completion], None],
) -> None:
    """Answer token by token."""
    indexes = list(rows)
    room = max((requests[index].decoding.max_tokens for index in indexes), default=0)
    for part in batches(list(rows.values()), answer=room, token_bytes=asked.token_bytes, alone=not asked.token_bytes):
        started = time.perf_counter()
        answers = [_answer(asked, indexes[place], row, requests[indexes[place]]) for place, row in part]
        together = [row for _, row in part]
        batch = Batch(asked.network, together, room=room) if asked.token_bytes else Alone(asked.network, together[0])
        _generate(asked, answers, batch)
        seconds = each + (time.perf_counter() - started) / len(answers)
        for answer in answers:
            on_done(answer.index, _completion(asked, answer, seconds))


def _answer(asked: Asked, index: int, row: Row, request: Request) -> _Answer:
    matcher = None if request.constraint is None else asked.grammar.matcher(request.constraint)
    dice = None
    if request.decoding.temperature > 0:
        # Dice of its own for every question: the same dice for all would make the luck of one case that of the next.
        asked_for = [request.decoding.seed, [message.content for message in request.messages]]
        dice = torch.Generator().manual_seed(int(digest(asked_for)[:15], 16))
    return _Answer(index, row.length, request, matcher=matcher, dice=dice)


def _generate(asked: Asked, answers: list[_Answer], batch: Batch | Alone) -> None:
    """Fill in the answers of one batch."""
    active = answers
    logits_BV = batch.read_prompts()
    while True:
        for answer, token in zip(active, _choose(asked, active, logits_BV.float()), strict=True):
            if not answer.finish:
                _take(asked, answer, token)
        staying = [number for number, answer in enumerate(active) if not answer.finish]
        if not staying:
            return
        if (len(active) - len(staying)) * LEAVE_TOGETHER >= len(active):
            batch.keep(staying)
            active = [active[number] for number in staying]
        logits_BV = batch.read_next([answer.ids[-1] for answer in active])


def _choose(asked: Asked, answers: list[_Answer], logits_BV: torch.Tensor) -> list[int]:
    """The next token of each answer."""
    for number, answer in enumerate(answers):
        if answer.matcher is not None and not answer.finish:
            allowed = torch.from_numpy(asked.grammar.allowed(answer.matcher)).to(logits_BV.device)
            logits_BV[number, ~allowed] = -torch.inf
    best: list[int] = logits_BV.argmax(-1).tolist()
    return [best[n] if answer.dice is None else _sample(answer, logits_BV[n]) for n, answer in enumerate(answers)]


def _sample(answer: _Answer, logits_V: torch.Tensor) -> int:
    probabilities_V = (logits_V.cpu() / answer.request.decoding.temperature).softmax(-1)
    if answer.request.decoding.top_p < 1.0:
        ordered, order = probabilities_V.sort(descending=True)
        beyond = ordered.cumsum(-1) - ordered > answer.request.decoding.top_p
        probabilities_V[order[beyond]] = 0.0
    return int(torch.multinomial(probabilities_V, 1, generator=answer.dice))


def _take(asked: Asked, answer: _Answer, token: int) -> None:
    """Append a token and see whether the answer ends."""
    answer.ids.append(token)
    if token in asked.stop_ids:
        answer.finish = "stop"
        return
    if answer.matcher is not None:
        answer.matcher.consume_token(token)
    decoding = answer.request.decoding
    if decoding.stop and any(stop in _text(asked, answer) for stop in decoding.stop):
        answer.finish = "stop"
    elif len(answer.ids) >= decoding.max_tokens:
        answer.finish = "length"


def _completion(asked: Asked, answer: _Answer, seconds: float) -> Completion:
    text = _text(asked, answer)
    for stop in answer.request.decoding.stop:
        text = text.split(stop, 1)[0]
    return Completion(
        text=text,
        tokens_in=answer.tokens_in,
        tokens_out=len(answer.ids),
        seconds=seconds,
        finish="stop" if answer.finish == "stop" else "length",
    )


def _text(asked: Asked, answer: _Answer) -> str:
    ids = [token for token in answer.ids if token not in asked.stop_ids]
    return str(asked.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
