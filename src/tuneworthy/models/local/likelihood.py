"""How likely texts are to a model: next-token distributions, texts, and very many answers to one question."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from tuneworthy.errors import ModelError
from tuneworthy.models.local.rendering import chat_ids
from tuneworthy.records import Message

PREFIXES = 1000
"""answers' beginnings in one forward pass: bounds memory"""


def distributions(network: Any, conversations: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """log p(next token), float32 of shape (tokens - 1, vocabulary), for each conversation given as token ids."""
    width = max(map(len, conversations))
    padded = [[*ids, *([0] * (width - len(ids)))] for ids in conversations]  # causal attention never looks right
    logits_BTV = network(input_ids=torch.tensor(padded, device=network.device), use_cache=False).logits
    logprobs_BTV = logits_BTV.float().log_softmax(-1).cpu().numpy()
    return [logprobs_BTV[row, : len(ids) - 1] for row, ids in enumerate(conversations)]


def continuation(network: Any, tokenizer: Any, given: str, rest: str, context: int | None = None) -> tuple[float, bool]:
    """(log-probability of `rest` after `given` in nats, is each of its tokens the likeliest one) as plain text.

    Raises:
        ModelError: nothing to continue, nothing to continue from and no beginning-of-sequence token, or more tokens
            than the context holds.
    """
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    before = start + tokenizer(given, add_special_tokens=False)["input_ids"]
    whole = start + tokenizer(given + rest, add_special_tokens=False)["input_ids"]
    if context is not None and len(whole) > context:
        raise ModelError(
            f"a text of {len(whole)} tokens does not fit the context of {context}: {given + rest!r:.100}",
            next="leave it out of the file",
        )
    shared = next((n for n, (a, b) in enumerate(zip(before, whole, strict=False)) if a != b), len(before))
    first = max(1, min(shared, len(whole)))  # the first token has nothing before it that it could follow from
    if first >= len(whole):
        raise ModelError(f"this text cannot be weighed: {given + rest!r:.100}", next="use texts of two words or more")
    (logprobs_TV,) = distributions(network, [whole])
    places, tokens = np.arange(first - 1, len(whole) - 1), np.asarray(whole[first:])
    likeliest = bool((logprobs_TV[places].argmax(-1) == tokens).all())
    return float(logprobs_TV[places, tokens].sum(dtype=np.float64)), likeliest


def answers(network: Any, tokenizer: Any, questions: Sequence[Sequence[Message]], texts: Sequence[str]) -> np.ndarray:
    """log p(text) in nats as the beginning of an answer to each question, float64 of shape (questions, texts).

    The tree of all texts is read token by token, each beginning once: 100,000 numbers of five digits are 11,111 tokens.

    Raises:
        ModelError: the chat template writes an answer elsewhere than where it opens one.
    """
    endings: list[list[int]] = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    levels = [_level(endings, depth) for depth in range(max(map(len, endings)))]
    total_QT = np.zeros((len(questions), len(texts)))
    for row, messages in enumerate(questions):
        prompt = chat_ids(tokenizer, messages, generation=True)
        answered = [*messages, Message(role="assistant", content=texts[0])]
        whole = chat_ids(tokenizer, answered, generation=False)
        if whole[: len(prompt) + len(endings[0])] != prompt + endings[0]:
            raise ModelError("the chat template writes an answer elsewhere than where it opens one")
        ids_1T = torch.tensor([prompt], device=network.device)
        read = network(input_ids=ids_1T, use_cache=True, logits_to_keep=1)
        _add(network, levels, 0, 0, read, total_QT[row])
    return total_QT


class _Level(NamedTuple):
    """The tokens at one depth of all endings, ordered by what stands before them."""

    texts: np.ndarray
    """which texts have a token here"""
    rows: np.ndarray
    """of each of them: the place of the beginning before it, rising"""
    columns: np.ndarray
    """of each of them: the place of its token among `wanted`"""
    wanted: list[int]
    """the tokens that stand here, each once"""
    parents: np.ndarray
    """of each beginning: the place of the beginning that is one token shorter, rising"""
    last: list[int]
    """of each beginning: its last token"""


def _level(endings: Sequence[Sequence[int]], depth: int) -> _Level:
    numbers = [n for n, ids in enumerate(endings) if len(ids) > depth]
    beginnings = sorted({tuple(endings[n][:depth]) for n in numbers})
    # the level above also holds beginnings that nothing follows
    above = sorted({tuple(ids[: depth - 1]) for ids in endings if len(ids) > depth - 1}) if depth else []
    wanted = sorted({endings[n][depth] for n in numbers})
    row, column, parent = ({key: n for n, key in enumerate(keys)} for keys in (beginnings, wanted, above))
    numbers.sort(key=lambda n: row[tuple(endings[n][:depth])])
    return _Level(
        texts=np.array(numbers),
        rows=np.array([row[tuple(endings[n][:depth])] for n in numbers]),
        columns=np.array([column[endings[n][depth]] for n in numbers]),
        wanted=wanted,
        parents=np.array([parent[b[:-1]] for b in beginnings] if depth else []),
        last=[b[-1] for b in beginnings] if depth else [],
    )


def _add(network: Any, levels: Sequence[_Level], depth: int, first: int, read: Any, total_T: np.ndarray) -> None:
    """Add the log-probabilities of this depth and of all below it.

    Args:
        read: what the network gave for the beginnings `first`, `first + 1`, … of this depth, one row each.
    """
    level, logits_BV = levels[depth], read.logits[:, -1].float()
    end = first + len(logits_BV)
    logprobs_BW = (logits_BV[:, level.wanted] - logits_BV.logsumexp(-1, keepdim=True)).cpu().numpy()
    own = slice(*np.searchsorted(level.rows, (first, end)))
    total_T[level.texts[own]] += logprobs_BW[level.rows[own] - first, level.columns[own]]
    if depth + 1 == len(levels):
        return
    below = levels[depth + 1]
    low, high = map(int, np.searchsorted(below.parents, (first, end)))
    for at in range(low, high, PREFIXES):
        part = slice(at, min(high, at + PREFIXES))
        ids_B1 = torch.tensor(below.last[part], device=network.device)[:, None]
        cache = _rows_of(read.cache, torch.tensor(below.parents[part] - first, device=network.device))
        deeper = network(input_ids=ids_B1, cache=cache, use_cache=True, logits_to_keep=1)
        _add(network, levels, depth + 1, at, deeper, total_T)


def _rows_of(cache: Any, rows: torch.Tensor) -> Any:
    """Rows of a cache as a cache of their own; the original keeps its tensors."""
    chosen = copy.copy(cache)
    chosen.layers = [copy.copy(layer) for layer in cache.layers]
    chosen.batch_select_indices(rows)
    return chosen
