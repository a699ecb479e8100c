"""Labels scored exactly, without generation: each prompt is read once, then the tree of all labels' tokens at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tuneworthy.errors import ModelError
from tuneworthy.models.local.prefixes import Batch, Ids, Row, batches
from tuneworthy.models.local.rendering import chat_text, text_ids
from tuneworthy.records import Message

TREE_TOKENS = 512
"""tokens of labels that are read at once: bounds memory and the square of attention"""
LOGIT_BYTES = 256 * 2**20
"""logits of one batch: bounds memory"""

_NOT_WHERE_IT_BEGINS = "the chat template writes an answer elsewhere than where it opens one, so labels have no score"


def problem(tokenizer: Any, messages: Sequence[Message], labels: Sequence[str]) -> str:
    """Why labels cannot be scored as answers to these messages; empty when they can."""
    prompt = chat_text(tokenizer, messages, generation=True)
    answered = (_answered(tokenizer, messages, label) for label in labels)
    ids = text_ids(tokenizer, prompt)
    ok = all(text.startswith(prompt) and text_ids(tokenizer, text)[: len(ids)] == ids for text in answered)
    return "" if ok else _NOT_WHERE_IT_BEGINS


class Endings:
    """Tokens of labels as answers, each label's stop token included.

    What follows a prompt does not depend on the prompt, as long as the template opens its answer in the same way. That
    is looked at for every prompt; the tokens are made once per opening.
    """

    def __init__(self, tokenizer: Any, labels: Sequence[str], stop_ids: frozenset[int]) -> None:
        self._tokenizer, self._labels, self._stop_ids = tokenizer, labels, stop_ids
        self._specials = [str(token) for token in tokenizer.all_special_tokens]
        self._known: dict[tuple[str, str], tuple[tuple[int, ...], ...]] = {}

    def after(self, messages: Sequence[Message]) -> tuple[tuple[int, ...], ...]:
        """The tokens of each label as the answer to these messages.

        Raises:
            ModelError: the chat template writes an answer elsewhere than where it opens one.
        """
        prompt = chat_text(self._tokenizer, messages, generation=True)
        opening = self._opening(prompt)
        first = self._tail(messages, prompt, self._labels[0])
        if (opening, first) not in self._known:
            tails = [self._tail(messages, prompt, label) for label in self._labels]
            self._known[opening, first] = tuple(self._ids(opening, tail) for tail in tails)
        return self._known[opening, first]

    def _opening(self, prompt: str) -> str:
        """The prompt from its last special token on: tokens never reach across one."""
        ends = [(place, token) for token in self._specials if token and (place := prompt.rfind(token)) >= 0]
        return prompt[max(ends)[0] :] if ends else prompt

    def _tail(self, messages: Sequence[Message], prompt: str, label: str) -> str:
        full = _answered(self._tokenizer, messages, label)
        if not full.startswith(prompt):
            raise ModelError(_NOT_WHERE_IT_BEGINS, next="let the labels be decoded, or use another base model")
        return full[len(prompt) :]

    def _ids(self, opening: str, tail: str) -> tuple[int, ...]:
        before, whole = text_ids(self._tokenizer, opening), text_ids(self._tokenizer, opening + tail)
        if whole[: len(before)] != before:
            raise ModelError(_NOT_WHERE_IT_BEGINS, next="let the labels be decoded, or use another base model")
        ending = whole[len(before) :]
        stop = next((number for number, token in enumerate(ending) if token in self._stop_ids), len(ending) - 1)
        return tuple(ending[: stop + 1])


@dataclass(frozen=True)
class _Tree:
    """The beginnings of some endings, those that come before others first; what each ending needs of them."""

    ids: list[int]
    depths: list[int]
    sees_TT: np.ndarray
    endings: np.ndarray
    """which ending wants a log-probability, one entry for each of its tokens"""
    after: np.ndarray
    """after which beginning, counted from 1; 0 = after the prompt"""
    wanted: np.ndarray
    """of which token"""


def scored(
    network: Any, rows: Sequence[Row], endings: Sequence[Ids], *, token_bytes: int
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Total log-probability (nats) of each ending after each row, as batches finish.

    Yields:
        (places of the rows in a batch, float64 of shape (rows of the batch, endings)).
    """
    trees = list(_trees(endings))
    largest = max(len(tree.ids) for tree in trees)
    row_bytes = (largest + 1) * network.config.vocab_size * 4
    for part in batches(rows, answer=largest, token_bytes=token_bytes):
        at_once = max(1, LOGIT_BYTES // row_bytes)
        for start in range(0, len(part), at_once):
            numbers, some = zip(*part[start : start + at_once], strict=True)
            yield list(numbers), _scores(Batch(network, some, room=largest), trees, len(endings))


def scored_alone(network: Any, prompt: Ids, endings: Sequence[Ids]) -> np.ndarray:
    """The same for one prompt, each ending in a pass of its own: for networks that cannot share."""
    found = []
    for ending in endings:
        ids_1T = torch.tensor([[*prompt, *ending]], device=network.device)
        logits_TV = network(input_ids=ids_1T, use_cache=False).logits[0, len(prompt) - 1 : -1].float()
        wanted_T1 = ids_1T[0, len(prompt) :, None]
        found.append(float(logits_TV.log_softmax(-1).gather(-1, wanted_T1).double().sum()))
    return np.array(found)


def _scores(batch: Batch, trees: Sequence[_Tree], endings: int) -> np.ndarray:
    last_B1V = batch.read_prompts()[:, None].float()
    scores_BE = np.zeros((len(last_B1V), endings))
    for tree in trees:
        logits_BTV = last_B1V
        if tree.ids:
            after_BTV = batch.read_tree(tree.ids, tree.depths, tree.sees_TT).float()
            logits_BTV = torch.cat([last_B1V, after_BTV], 1)
        after, wanted = (torch.from_numpy(x).to(logits_BTV.device) for x in (tree.after, tree.wanted))
        logprobs_BN = logits_BTV[:, after, wanted] - logits_BTV.logsumexp(-1)[:, after]
        np.add.at(scores_BE.T, tree.endings, logprobs_BN.double().cpu().numpy().T)
    return scores_BE


def _trees(endings: Sequence[Ids]) -> Iterator[_Tree]:
    """Endings in as many trees as their size asks for; neighbours in the alphabet share most."""
    part: list[int] = []
    beginnings: set[tuple[int, ...]] = set()
    for number in sorted(range(len(endings)), key=lambda n: tuple(endings[n])):
        own = {tuple(endings[number][:length]) for length in range(1, len(endings[number]))}
        if part and len(beginnings | own) > TREE_TOKENS:
            yield _tree(endings, part, beginnings)
            part, beginnings = [], set()
        part.append(number)
        beginnings |= own
    yield _tree(endings, part, beginnings)


def _tree(endings: Sequence[Ids], part: Sequence[int], beginnings: set[tuple[int, ...]]) -> _Tree:
    nodes = sorted(beginnings, key=lambda node: (len(node), node))
    place = {node: number for number, node in enumerate(nodes)}
    sees_TT = np.eye(len(nodes), dtype=bool)
    for number, node in enumerate(nodes):
        if len(node) > 1:
            sees_TT[number] |= sees_TT[place[node[:-1]]]
    steps = [
        (number, place[tuple(endings[number][:length])] + 1 if length else 0, endings[number][length])
        for number in part
        for length in range(len(endings[number]))
    ]
    which, after, wanted = (np.array(column, dtype=np.int64) for column in zip(*steps, strict=True))
    return _Tree([node[-1] for node in nodes], [len(node) - 1 for node in nodes], sees_TT, which, after, wanted)


def _answered(tokenizer: Any, messages: Sequence[Message], answer: str) -> str:
    return chat_text(tokenizer, [*messages, Message(role="assistant", content=answer)], generation=False)
