"""What prompts share is computed once, and nothing else changes: every shape of network, alone and together."""

from __future__ import annotations

import functools
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoModelForCausalLM,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)
from weights import LONG, QUESTIONS, ask, opened, plain_answer, plain_network, texts

from tiny import tiny_tokenizer
from tuneworthy.models.local import decoding, labels, prefixes
from tuneworthy.models.local.prefixes import Batch, Row, laid_out, read_shared, trial
from tuneworthy.records import Completion, Decoding, Request

VOCABULARY = 97
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "initializer_range": 0.4,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
SHAPES = {
    "llama": lambda: LlamaConfig(**SIZES, num_key_value_heads=4, tie_word_embeddings=False),
    "llama, grouped queries, tied": lambda: LlamaConfig(**SIZES, num_key_value_heads=2, tie_word_embeddings=True),
    "qwen2, one key for all, tied": lambda: Qwen2Config(**SIZES, num_key_value_heads=1, tie_word_embeddings=True),
    "qwen3": lambda: Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=16, tie_word_embeddings=False),
    "gpt-neox": lambda: GPTNeoXConfig(**SIZES, rotary_pct=0.5),
}
STOP = 5


@functools.cache
def network(name, dtype=torch.float32):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return AutoModelForCausalLM.from_config(SHAPES[name]()).to(dtype).eval()


def prompts_of(n, seed=0):
    """A tree: all share 21 tokens, groups share 19 more, three have a third piece, lengths are odd and mixed."""
    draw = random.Random(seed)

    def some(length):
        return [draw.randrange(6, VOCABULARY) for _ in range(length)]

    all_share, groups = some(21), [some(19) for _ in range(3)]
    deeper = groups[0] + some(17)
    found = [all_share + [*groups, deeper][number % 4] + some(draw.randrange(1, 30)) for number in range(n)]
    return [*found, all_share[:], all_share + some(1), some(3)][:n] if n < 4 else [*found[:-2], all_share[:], some(3)]


def asked(name, dtype=torch.float32):
    net = network(name, dtype)
    size, problem = trial(net)
    assert problem == ""
    return decoding.Asked(net, tiny_tokenizer(), frozenset([STOP]), None, size)


def greedy(asked, prompts, max_tokens=12):
    """Token texts as this package answers them."""
    done: dict[int, Completion] = {}
    requests = [Request(messages=(), decoding=Decoding(max_tokens=max_tokens)) for _ in prompts]
    with torch.inference_mode():
        decoding.complete(asked, prompts, requests, lambda index, completion: done.update({index: completion}))
    return [done[index].text for index in range(len(prompts))]


def greedy_alone(asked, prompts, max_tokens=12):
    """The same by `generate`, one prompt at a time."""
    found = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        out = asked.network.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=max_tokens,
            eos_token_id=STOP,
            pad_token_id=0,
        )[0, len(prompt) :].tolist()
        kept = [token for token in out if token != STOP]
        found.append(asked.tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False))
    return found


def logits_alone(net, prompt):
    with torch.inference_mode():
        return net(torch.tensor([prompt]), use_cache=False).logits[0, -1].float()


def logits_together(net, prompts):
    with torch.inference_mode():
        rows = read_shared(net, prompts, token_bytes=trial(net)[0])
        return Batch(net, rows, room=0).read_prompts().float()


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("n", [1, 2, 13])
def test_logits_after_shared_beginnings_are_those_of_each_prompt_alone(name, n):
    prompts = prompts_of(n)
    together = logits_together(network(name), prompts)
    for row, prompt in zip(together, prompts, strict=True):
        torch.testing.assert_close(row, logits_alone(network(name), prompt), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", SHAPES)
def test_greedy_answers_are_those_of_generate_one_by_one(name):
    prompts = prompts_of(11, seed=1)
    answers = greedy(asked(name), prompts)
    assert answers == greedy_alone(asked(name), prompts)
    assert len(set(answers)) > 5


@pytest.mark.parametrize("name", SHAPES)
def test_in_bf16_logits_agree_within_its_rounding(name):
    """bf16 keeps 8 bits: after two layers of these wide weights logits of spread 1 differ by up to some hundredths."""
    prompts = prompts_of(13)
    net = network(name, torch.bfloat16)
    for row, prompt in zip(logits_together(net, prompts), prompts, strict=True):
        alone = logits_alone(net, prompt)
        assert float((row - alone).abs().max() / alone.std()) < 0.15
        if float(alone.topk(2).values.diff().abs()) > 0.15 * float(alone.std()):
            assert int(row.argmax()) == int(alone.argmax())


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_two_hundred_greedy_answers_are_those_of_generate(name):
    prompts = prompts_of(200, seed=2)
    assert greedy(asked(name), prompts, 32) == greedy_alone(asked(name), prompts, 32)


def test_what_one_row_asks_does_not_reach_the_others():
    net, prompts = network("qwen3"), prompts_of(6)
    other = [*prompts[:2], [*prompts[2][:-1], (prompts[2][-1] + 1) % VOCABULARY], *prompts[3:]]
    before, after = logits_together(net, prompts), logits_together(net, other)
    unchanged = [n for n in range(6) if n != 2]
    torch.testing.assert_close(before[unchanged], after[unchanged], atol=1e-7, rtol=0)
    assert float((before[2] - after[2]).abs().max()) > 1e-3


# --- the tree ---


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.lists(st.integers(0, 1), min_size=1, max_size=40)),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 120),
)
def test_pieces_and_own_tokens_are_the_prompts_whatever_they_share(drawn, room):
    prompts = [[7] * (9 * a) + [8] * (11 * b) + own for a, b, own in drawn]
    rows, levels = laid_out(prompts, room)
    for row, prompt in zip(rows, prompts, strict=True):
        before = [token for piece in (row.shared.way if row.shared else []) for token in piece.ids]
        assert [*before, *row.own] == prompt
        assert len(row.own) >= 1
        assert row.length == len(prompt)
    pieces = [piece for level in levels for piece in level]
    assert sum(len(piece.ids) for piece in pieces) <= room
    for depth, level in enumerate(levels):
        for piece in level:
            assert len(piece.way) == depth + 1
            assert len(piece.ids) >= prefixes.SHORTEST
            assert sum(piece in (row.shared.way if row.shared else []) for row in rows) >= 2


def test_documents_and_examples_that_some_share_are_read_once():
    prompts = prompts_of(40)
    rows, levels = laid_out(prompts, 10**6)
    assert [len(level) for level in levels] == [1, 3, 1]
    read = sum(len(row.own) for row in rows) + sum(len(piece.ids) for level in levels for piece in level)
    assert read < 0.4 * sum(map(len, prompts))


@pytest.mark.parametrize(("rows", "tokens", "size"), [(3, 10**6, 10**9), (64, 60, 10**9), (64, 10**6, 200), (1, 1, 1)])
def test_batches_hold_every_row_once_and_keep_their_bounds(monkeypatch, rows, tokens, size):
    monkeypatch.setattr(prefixes, "BATCH_ROWS", rows)
    monkeypatch.setattr(prefixes, "BATCH_TOKENS", tokens)
    monkeypatch.setattr(prefixes, "BATCH_BYTES", size)
    laid, _ = laid_out(prompts_of(30), 10**6)
    found = list(prefixes.batches(laid, answer=4, token_bytes=1))
    assert sorted(number for part in found for number, _ in part) == list(range(30))
    for part in (part for part in found if len(part) > 1):
        assert len(part) <= rows
        width = max(len(row.own) for _, row in part)
        assert len(part) * width <= tokens
        assert len(part) * (width + max(row.length - len(row.own) for _, row in part) + 4) <= size


# --- labels ---

ENDINGS = [[9, STOP], [9, 10, STOP], [9, 10, 11, 12, STOP], [20, STOP], [20], [30, 31, 32, 33], [9, 10, 50, STOP]]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("tree", [512, 4])
def test_scored_labels_weigh_what_each_weighs_alone(name, tree, monkeypatch):
    monkeypatch.setattr(labels, "TREE_TOKENS", tree)
    net, prompts = network(name), prompts_of(9)
    with torch.inference_mode():
        rows = read_shared(net, prompts, token_bytes=trial(net)[0])
        found = np.full((len(prompts), len(ENDINGS)), np.nan)
        for places, scores in labels.scored(net, rows, ENDINGS, token_bytes=64):
            found[places] = scores
        alone = np.stack([labels.scored_alone(net, prompt, ENDINGS) for prompt in prompts])
    np.testing.assert_allclose(found, alone, atol=1e-4)
    assert (found.argmax(1) == alone.argmax(1)).all()


def test_many_labels_in_small_batches_of_logits(monkeypatch):
    monkeypatch.setattr(labels, "LOGIT_BYTES", 1)
    net, prompts = network("llama"), prompts_of(5)
    endings = [[a, b, STOP] for a in range(6, 18) for b in range(6, 18)]
    with torch.inference_mode():
        parts = list(labels.scored(net, [Row(None, p) for p in prompts], endings, token_bytes=64))
        alone = labels.scored_alone(net, prompts[3], endings)
    assert [len(places) for places, _ in parts] == [1] * 5
    found = next(scores[0] for places, scores in parts if places == [3])
    np.testing.assert_allclose(found, alone, atol=1e-4)


# --- networks that cannot share ---


@pytest.fixture(scope="module")
def windowed(tmp_path_factory):
    """A folder of a model whose layers see eight tokens only."""
    folder = tmp_path_factory.mktemp("windowed")
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(folder)
    sizes = {**SIZES, "vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = AutoModelForCausalLM.from_config(MistralConfig(**sizes, num_key_value_heads=2, sliding_window=8))
    net.save_pretrained(folder)
    return folder


def test_a_network_with_a_window_is_asked_row_by_row_and_says_why(windowed):
    model = opened(windowed)
    assert "keep a window" in model.sharing_problem
    requests = [ask(question, system=LONG) for question in QUESTIONS]
    plain = plain_network(windowed)
    assert texts(model, requests) == [plain_answer(plain, model.tokenizer, request) for request in requests]


def test_labels_of_a_network_with_a_window_are_scored_one_by_one(windowed):
    from weights import labels as one_of

    model = opened(windowed)
    request = ask("Hi", system=LONG, constraint=one_of("refund", "refunds", "x", how="score"))
    scores = [model.answer_logprob(request, label) for label in ("refund", "refunds", "x")]
    assert texts(model, [request]) == [("refund", "refunds", "x")[int(np.argmax(scores))]]


def test_a_network_that_takes_no_such_mask_is_found_out(monkeypatch):
    net = AutoModelForCausalLM.from_config(SHAPES["llama"]()).eval()
    forward = net.forward
    net.forward = lambda **asked: forward(**{**asked, "attention_mask": None})
    size, problem = trial(net)
    assert size == 0
    assert "differ" in problem


def test_a_network_that_fails_in_shared_pieces_is_found_out():
    net = AutoModelForCausalLM.from_config(SHAPES["llama"]()).eval()
    forward = net.forward

    def refuses(*, attention_mask=None, **asked):
        if attention_mask is not None:
            raise TypeError("no masks here")
        return forward(**asked)

    net.forward = refuses
    assert trial(net) == (0, "TypeError: no masks here")
