"""Generation in batches: greedy, sampled and constrained; labels scored exactly.

What all prompts of a call share at their beginning is computed once. Rows are sorted by length and batched by tokens;
a finished row leaves its batch. Batched greedy answers equal those asked one by one, up to rounding.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tuneworthy.content import digest
from tuneworthy.errors import ModelError
from tuneworthy.models.local.constraints import Grammar
from tuneworthy.models.local.rendering import chat_ids
from tuneworthy.records import Completion, Message, Request

BATCH_TOKENS = 8192
"""Prompt and answer tokens of one batch: bounds memory."""
BATCH_ROWS = 32
SHARED_AT_LEAST = 16
"""A shorter common beginning is not worth computing apart."""

_NOT_WHERE_IT_BEGINS = "the chat template writes an answer elsewhere than where it opens one, so labels have no score"


@dataclass(frozen=True)
class Asked:
    """What is asked: the network and how its tokens are read."""

    network: Any
    tokenizer: Any
    stop_ids: frozenset[int]
    grammar: Grammar


@dataclass
class _Row:
    """One answer in the making."""

    index: int
    prompt: Sequence[int]
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
    shared = _shared_beginning(prompts)
    prefix = _prefix_cache(asked, prompts[0][:shared]) if shared else None
    rows = [_row(asked, i, prompt[shared:], r) for i, (prompt, r) in enumerate(zip(prompts, requests, strict=True))]
    for batch in _batches([row for row in rows if not _scores_labels(row.request)], shared):
        started = time.perf_counter()
        _generate(asked, batch, prefix, shared)
        seconds = (time.perf_counter() - started) / len(batch)
        for row in batch:
            on_done(row.index, _completion(asked, row, shared, seconds))
    for row in rows:
        if _scores_labels(row.request):
            on_done(row.index, _best_label(asked, row, prefix, shared, list(prompts[row.index])))


def label_logprobs(
    asked: Asked, messages: Sequence[Message], labels: Sequence[str], prompt: Sequence[int], prefix: Any, shared: int
) -> list[float]:
    """Total log-probability (nats) of each label and its stop token, given the prompt. The prompt is computed once."""
    endings = [_label_ids(asked, messages, prompt, label) for label in labels]
    cache, last_V = _read_prompt(asked, prompt[shared:], prefix, shared)
    longest = max(map(len, endings))
    ids_LT = torch.tensor([[*ids, *([0] * (longest - len(ids)))] for ids in endings], device=asked.network.device)
    logits_LTV = last_V.expand(len(endings), 1, -1)
    if longest > 1:
        cache.batch_repeat_interleave(len(endings))
        out = asked.network(input_ids=ids_LT[:, :-1], cache=cache, use_cache=True)
        logits_LTV = torch.cat([logits_LTV, out.logits], dim=1)
    logprobs_LT = logits_LTV.float().log_softmax(-1).gather(-1, ids_LT.unsqueeze(-1)).squeeze(-1)
    return [float(logprobs_LT[number, : len(ids)].sum()) for number, ids in enumerate(endings)]


def scoring_problem(tokenizer: Any, messages: Sequence[Message], labels: Sequence[str]) -> str:
    """Why labels cannot be scored as answers to these messages; empty when they can."""
    prompt = chat_ids(tokenizer, messages, generation=True)
    ok = all(_answered(tokenizer, messages, label)[: len(prompt)] == prompt for label in labels)
    return "" if ok else _NOT_WHERE_IT_BEGINS


def _best_label(asked: Asked, row: _Row, prefix: Any, shared: int, prompt: list[int]) -> Completion:
    constraint = row.request.constraint
    labels = constraint.labels if constraint is not None else ()
    started = time.perf_counter()
    scores = label_logprobs(asked, row.request.messages, labels, prompt, prefix, shared)
    best = max(range(len(labels)), key=lambda number: scores[number])  # ties go to the first label
    return Completion(
        text=labels[best], tokens_in=len(prompt), tokens_out=0, seconds=time.perf_counter() - started, finish="stop"
    )


def _label_ids(asked: Asked, messages: Sequence[Message], prompt: Sequence[int], label: str) -> list[int]:
    """Tokens of a label as an answer, its stop token included."""
    full = _answered(asked.tokenizer, messages, label)
    if full[: len(prompt)] != list(prompt):
        raise ModelError(_NOT_WHERE_IT_BEGINS, next="let the labels be decoded, or use another base model")
    ending = full[len(prompt) :]
    stop = next((number for number, token in enumerate(ending) if token in asked.stop_ids), len(ending) - 1)
    return ending[: stop + 1]


def _answered(tokenizer: Any, messages: Sequence[Message], answer: str) -> list[int]:
    return chat_ids(tokenizer, [*messages, Message(role="assistant", content=answer)], generation=False)


def _scores_labels(request: Request) -> bool:
    constraint = request.constraint
    return constraint is not None and constraint.kind == "labels" and constraint.how == "score"


def _row(asked: Asked, index: int, prompt: Sequence[int], request: Request) -> _Row:
    matcher = None
    if request.constraint is not None and not _scores_labels(request):
        matcher = asked.grammar.matcher(request.constraint)
    dice = None
    if request.decoding.temperature > 0:
        # Dice of its own for every question: the same dice for all would make the luck of one case that of the next.
        asked_for = [request.decoding.seed, [message.content for message in request.messages]]
        dice = torch.Generator().manual_seed(int(digest(asked_for)[:15], 16))
    return _Row(index=index, prompt=prompt, request=request, matcher=matcher, dice=dice)


def _batches(rows: list[_Row], shared: int) -> Iterator[list[_Row]]:
    """Rows of similar length together, longest first: too large a batch shows at once."""
    batch: list[_Row] = []
    for row in sorted(rows, key=lambda row: (-len(row.prompt), row.index)):
        width = shared + len(batch[0].prompt if batch else row.prompt) + row.request.decoding.max_tokens
        if batch and (width * (len(batch) + 1) > BATCH_TOKENS or len(batch) == BATCH_ROWS):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _generate(asked: Asked, batch: list[_Row], prefix: Any, shared: int) -> None:
    """Fill in the answers of one batch. Left padding lies between the shared beginning and each row's own prompt."""
    device = asked.network.device
    width = max(len(row.prompt) for row in batch)
    pads = [width - len(row.prompt) for row in batch]
    ids_BT = torch.tensor([[0] * pad + list(row.prompt) for pad, row in zip(pads, batch, strict=True)], device=device)
    mask_BT = torch.ones(len(batch), shared + width, dtype=torch.long, device=device)
    for number, pad in enumerate(pads):
        mask_BT[number, shared : shared + pad] = 0
    cache = _expanded(prefix, len(batch))
    positions_BT = (mask_BT.cumsum(-1) - 1).clamp(min=0)[:, shared:]
    active = batch
    while True:
        out = asked.network(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            position_ids=positions_BT,
            cache=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = out.cache
        chosen = _choose(asked, active, out.logits[:, -1].float())
        for row, token in zip(active, chosen, strict=True):
            _take(asked, row, token)
        staying = [number for number, row in enumerate(active) if not row.finish]
        if not staying:
            return
        positions_B1 = positions_BT[:, -1:] + 1
        if len(staying) < len(active):
            keep = torch.tensor(staying, device=device)
            cache.batch_select_indices(keep)
            mask_BT, positions_B1 = mask_BT[keep], positions_B1[keep]
            active = [active[number] for number in staying]
        ids_BT = torch.tensor([[row.ids[-1]] for row in active], device=device)
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(active), 1)], dim=1)
        positions_BT = positions_B1


def _choose(asked: Asked, rows: list[_Row], logits_BV: torch.Tensor) -> list[int]:
    """The next token of each row."""
    for number, row in enumerate(rows):
        if row.matcher is not None:
            allowed = torch.from_numpy(asked.grammar.allowed(row.matcher)).to(logits_BV.device)
            logits_BV[number, ~allowed] = -torch.inf
    best: list[int] = logits_BV.argmax(-1).tolist()
    return [best[n] if row.dice is None else _sample(row, logits_BV[n]) for n, row in enumerate(rows)]


def _sample(row: _Row, logits_V: torch.Tensor) -> int:
    probabilities_V = (logits_V.cpu() / row.request.decoding.temperature).softmax(-1)
    if row.request.decoding.top_p < 1.0:
        ordered, order = probabilities_V.sort(descending=True)
        beyond = ordered.cumsum(-1) - ordered > row.request.decoding.top_p
        probabilities_V[order[beyond]] = 0.0
    return int(torch.multinomial(probabilities_V, 1, generator=row.dice))


def _take(asked: Asked, row: _Row, token: int) -> None:
    """Append a token and see whether the answer ends."""
    row.ids.append(token)
    if token in asked.stop_ids:
        row.finish = "stop"
        return
    if row.matcher is not None:
        row.matcher.consume_token(token)
    decoding = row.request.decoding
    if decoding.stop and any(stop in _text(asked, row) for stop in decoding.stop):
        row.finish = "stop"
    elif len(row.ids) >= decoding.max_tokens:
        row.finish = "length"


def _completion(asked: Asked, row: _Row, shared: int, seconds: float) -> Completion:
    text = _text(asked, row)
    for stop in row.request.decoding.stop:
        text = text.split(stop, 1)[0]
    return Completion(
        text=text,
        tokens_in=shared + len(row.prompt),
        tokens_out=len(row.ids),
        seconds=seconds,
        finish="stop" if row.finish == "stop" else "length",
    )


def _text(asked: Asked, row: _Row) -> str:
    ids = [token for token in row.ids if token not in asked.stop_ids]
    return str(asked.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _shared_beginning(prompts: Sequence[Sequence[int]]) -> int:
    """Tokens that all prompts begin with; each keeps at least one token of its own. 0 where it does not pay."""
    if len(prompts) < 2:
        return 0
    low, high = min(map(list, prompts)), max(map(list, prompts))
    length = next((n for n, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    length = min(length, min(map(len, prompts)) - 1)
    return length if length >= SHARED_AT_LEAST else 0


def _prefix_cache(asked: Asked, ids: Sequence[int]) -> Any:
    return _read(asked, ids, None).cache


def _read_prompt(asked: Asked, ids: Sequence[int], prefix: Any, shared: int) -> tuple[Any, torch.Tensor]:
    """(cache of one whole prompt, logits after its last token, shape (V,))."""
    out = _read(asked, ids, _expanded(prefix, 1))
    return out.cache, out.logits[0, -1]


def _read(asked: Asked, ids: Sequence[int], cache: Any) -> Any:
    input_ids = torch.tensor([list(ids)], device=asked.network.device)
    return asked.network(input_ids=input_ids, cache=cache, use_cache=True, logits_to_keep=1)


def _expanded(prefix: Any, rows: int) -> Any:
    """A copy of the shared beginning's cache for a batch; the original stays as it is."""
    if prefix is None:
        return None
    cache = copy.deepcopy(prefix)
    cache.batch_repeat_interleave(rows)
    return cache
