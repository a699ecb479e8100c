"""Probabilities read from a local model equal those of its network, also for very many answers at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tuneworthy.errors import ModelError
from tuneworthy.models.local.rendering import chat_ids
from tuneworthy.models.scripted import Scripted
from tuneworthy.records import Message
from tuneworthy.seams import Transparent

ASKED = (Message(role="user", content="code?"),)


def chat(text):
    return (*ASKED, Message(role="assistant", content=text))


def naive(local, ids, start):
    """Summed log-probability of ids[start:], token by token."""
    with torch.no_grad():
        logprobs_TV = local.network(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
    return sum(float(logprobs_TV[place - 1, ids[place]]) for place in range(start, len(ids)))


def test_a_local_model_shows_its_probabilities_and_a_scripted_one_does_not(local):
    assert isinstance(local, Transparent)
    assert not isinstance(Scripted(lambda request: ""), Transparent)


def test_distributions_are_those_of_the_network_for_chats_of_any_length(local):
    chats = [chat("a"), chat("a longer answer"), chat("b")] * 4  # more than are read at once
    found = list(local.distributions(chats))
    for messages, logprobs_TV in zip(chats, found, strict=True):
        ids = chat_ids(local.tokenizer, messages, generation=False)
        with torch.no_grad():
            right = local.network(input_ids=torch.tensor([ids])).logits[0, :-1].float().log_softmax(-1).numpy()
        assert logprobs_TV.shape == right.shape
        np.testing.assert_allclose(logprobs_TV, right, atol=1e-4)
        np.testing.assert_allclose(np.exp(logprobs_TV).sum(-1), 1.0, atol=1e-4)


def test_answers_weighed_together_weigh_what_they_weigh_alone(local):
    texts = ["12", "13", "2", "214", "yes", "1"]
    found = local.answer_logprobs([ASKED, (Message(role="user", content="another"),)], texts)
    assert found.shape == (2, 6)
    prompt = chat_ids(local.tokenizer, ASKED, generation=True)
    for text, weight in zip(texts, found[0], strict=True):
        ids = prompt + local.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert weight == pytest.approx(naive(local, ids, len(prompt)), abs=1e-3)


def test_a_continuation_is_weighed_as_plain_text(local):
    weight, _ = local.continuation("one two", " three")
    start = [local.tokenizer.bos_token_id]
    before = start + local.tokenizer("one two", add_special_tokens=False)["input_ids"]
    whole = start + local.tokenizer("one two three", add_special_tokens=False)["input_ids"]
    assert weight == pytest.approx(naive(local, whole, len(before)), abs=1e-3)
    with pytest.raises(ModelError, match="cannot be weighed"):
        local.continuation("one two", "")


def test_the_likeliest_continuation_is_told(local):
    start = [local.tokenizer.bos_token_id] + local.tokenizer("abc", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        best = int(local.network(input_ids=torch.tensor([start])).logits[0, -1].argmax())
    text = local.tokenizer.decode([best])
    other = "x" if text != "x" else "y"
    if len(local.tokenizer(text, add_special_tokens=False)["input_ids"]) == 1 and text.isascii():
        assert local.continuation("abc", text)[1]
    assert not local.continuation("abc", other)[1]
