"""Local answers: the same in a batch, alone and from plain transformers; enforced outputs are what was asked for."""

import json
import logging

import jsonschema
import pytest
import torch
from tokenizers.processors import TemplateProcessing
from weights import LONG, QUESTIONS, ask, labels, opened, plain_answer, plain_ids, plain_network, prompt_ids, texts

from tiny import tiny_model, tiny_tokenizer
from tuneworthy.errors import ModelError
from tuneworthy.models.local import decoding, prefixes
from tuneworthy.models.local.rendering import chat_ids
from tuneworthy.records import Constraint, Message
from tuneworthy.rendering import render_expected
from tuneworthy.usecase import Output

LABELS = ("refund", "re", "refunds", "c++", "a|b", "größe", "where is it?", "(", ".")
TICKET = {
    "type": "object",
    "properties": {
        "intent": {"enum": ["refund", "größe", 'a "quoted" one']},
        "urgent": {"type": "boolean"},
        "lines": {
            "type": "array",
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {"b": {"type": "boolean"}, "a": {"enum": [1, 22, None]}},
                "required": ["b", "a"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["intent", "urgent", "lines"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def plain(base_folder):
    return plain_network(base_folder)


@pytest.fixture
def with_stops(tmp_path):
    """A model whose generation config names these tokens as the end of an answer."""

    def build(*stop_ids, seed=0):
        folder = tiny_model(tmp_path / f"stops-{seed}", seed=seed)
        path = folder / "generation_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": list(stop_ids)}))
        return opened(folder)

    return build


def test_batched_greedy_answers_equal_those_asked_alone_and_plain_transformers(local, plain):
    requests = [ask(question, max_tokens=24) for question in QUESTIONS]
    batched = texts(local, requests)
    assert batched == [texts(local, [request])[0] for request in requests]
    assert batched == [plain_answer(plain, local.tokenizer, request) for request in requests]
    assert len(set(batched)) == len(batched)


def test_a_shared_beginning_changes_no_answer(local, plain, monkeypatch):
    requests = [ask(question, system=LONG, max_tokens=24) for question in QUESTIONS]
    pieces = []
    laid_out = prefixes.laid_out
    monkeypatch.setattr(prefixes, "laid_out", lambda *asked: (out := laid_out(*asked), pieces.append(out[1]))[0])
    shared = texts(local, requests)
    assert len(pieces[0][0][0].ids) > len(LONG)
    monkeypatch.setattr(prefixes, "SHORTEST", 10**9)
    assert texts(local, requests) == shared
    assert pieces[1] == []
    assert shared == [plain_answer(plain, local.tokenizer, request) for request in requests]


def test_equal_prompts_and_a_prompt_that_begins_another_are_answered_right(local, plain):
    questions = ["abc" * 9, "abc" * 9, "abc" * 12]
    requests = [ask(question) for question in questions]
    assert texts(local, requests) == [plain_answer(plain, local.tokenizer, request) for request in requests]


def test_rows_that_finish_early_leave_the_others_as_they_are(local):
    requests = [ask(question, system=LONG, max_tokens=1 + 5 * n) for n, question in enumerate(QUESTIONS)]
    completions = local.complete(requests)
    assert [c.text for c in completions] == [texts(local, [request])[0] for request in requests]
    assert [c.tokens_out for c in completions] == [1 + 5 * n for n in range(len(QUESTIONS))]


@pytest.mark.parametrize(("rows", "tokens"), [(2, 10**6), (32, 100), (1, 1)])
def test_small_batches_change_no_answer(local, monkeypatch, rows, tokens):
    requests = [ask(question, max_tokens=12) for question in QUESTIONS]
    wanted = texts(local, requests)
    monkeypatch.setattr(prefixes, "BATCH_ROWS", rows)
    monkeypatch.setattr(prefixes, "BATCH_TOKENS", tokens)
    sizes = []
    generate = decoding._generate
    monkeypatch.setattr(
        decoding, "_generate", lambda asked, batch, *more: (sizes.append(len(batch)), generate(asked, batch, *more))
    )
    assert texts(local, requests) == wanted
    assert len(sizes) > 1
    assert max(sizes) <= rows


def test_any_stop_token_of_the_generation_config_ends_the_answer(local, plain, with_stops):
    end = local.tokenizer.eos_token_id
    request = ask(QUESTIONS[0])
    ids = plain_ids(plain, local.tokenizer, request)
    place = next(n for n, token in enumerate(ids) if n >= 2 and token not in ids[:n])
    stopped = with_stops(ids[place], end).complete([request])[0]
    assert stopped.finish == "stop"
    assert stopped.tokens_out == place + 1
    assert stopped.text == local.tokenizer.decode(ids[:place])


def test_a_stop_text_is_cut_off(local):
    free = texts(local, [ask(QUESTIONS[1], max_tokens=24)])[0]
    stop = free[4:6]
    cut = local.complete([ask(QUESTIONS[1], max_tokens=24, stop=(stop,))])[0]
    assert cut.finish == "stop"
    assert cut.text == free[: free.index(stop)]
    assert cut.tokens_out < 24


def test_an_answer_that_reaches_the_limit_says_so(local):
    completion = local.complete([ask("Hi", max_tokens=3)])[0]
    assert (completion.finish, completion.tokens_out) == ("length", 3)
    assert completion.tokens_in == local.count_tokens(ask("Hi").messages)


def test_sampling_is_seeded_and_does_not_depend_on_the_batch(local):
    requests = [ask(question, temperature=1.5, seed=7) for question in QUESTIONS]
    together = texts(local, requests)
    assert texts(local, requests) == together
    torch.manual_seed(99)
    assert [texts(local, [request])[0] for request in requests] == together
    others = [ask(question, temperature=1.5, seed=8) for question in QUESTIONS]
    assert texts(local, others) != together


def test_questions_that_are_asked_together_do_not_share_their_luck(local):
    """Nearly every token is equally likely at this temperature: shared dice would draw one and the same everywhere."""
    requests = [ask(f"Question {number}?", temperature=1000.0, seed=7, max_tokens=1) for number in range(24)]
    assert len({answer.text for answer in local.complete(requests)}) > 8


def test_sampling_leaves_the_random_state_of_the_caller_alone(local):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    local.complete([ask("Hi", temperature=1.0)])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_nucleus_of_one_token_is_greedy(local):
    requests = [ask(question, temperature=3.0, top_p=1e-6) for question in QUESTIONS]
    assert texts(local, requests) == texts(local, [ask(question) for question in QUESTIONS])


def test_sampled_tokens_follow_the_probabilities(local, plain):
    request = ask("Hi", max_tokens=1, temperature=2.0)
    with torch.inference_mode():
        logits = plain(torch.tensor([prompt_ids(local.tokenizer, request.messages)])).logits[0, -1]
    wanted = (logits / 2.0).softmax(-1)
    rows = 300
    drawn = local.complete([ask("Hi", max_tokens=1, temperature=2.0, seed=seed) for seed in range(rows)])
    best = int(wanted.argmax())
    share = sum(c.text == local.tokenizer.decode([best]) for c in drawn) / rows
    assert share == pytest.approx(float(wanted[best]), abs=4 * (0.25 / rows) ** 0.5)


# --- labels scored ---


def logprob_alone(network, tokenizer, messages, label):
    """Log-probability of one label and its stop token, from one plain forward pass."""
    prompt = prompt_ids(tokenizer, messages)
    ending = [*tokenizer(label, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    with torch.inference_mode():
        logits = network(torch.tensor([[*prompt, *ending]])).logits[0]
    logprobs = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return float(logprobs[torch.arange(len(ending)), torch.tensor(ending)].sum())


def test_label_scores_equal_log_probabilities_computed_alone(local, plain):
    messages = ask(QUESTIONS[0], system=LONG).messages
    prompt = chat_ids(local.tokenizer, messages, generation=True)
    with torch.inference_mode():
        scores = decoding.label_logprobs(local._asked(local.network), messages, LABELS, prompt)
    alone = [logprob_alone(plain, local.tokenizer, messages, label) for label in LABELS]
    assert scores == pytest.approx(alone, abs=1e-4)


def test_the_most_probable_label_is_answered(local, plain):
    requests = [ask(question, system=LONG, constraint=labels(*LABELS, how="score")) for question in QUESTIONS]
    best = [
        max(LABELS, key=lambda label: logprob_alone(plain, local.tokenizer, request.messages, label))
        for request in requests
    ]
    assert texts(local, requests) == best
    assert [texts(local, [request])[0] for request in requests] == best


def test_one_letter_labels_are_scored(local, plain):
    names = tuple("abcdefgh")
    request = ask("Hi", constraint=labels(*names, how="score"))
    best = max(names, key=lambda label: logprob_alone(plain, local.tokenizer, request.messages, label))
    assert texts(local, [request]) == [best]


def test_ties_go_to_the_first_label_in_the_order_given(base_folder):
    model = opened(base_folder)
    for weight in model.network.parameters():
        weight.data.zero_()  # every token is equally probable
    asked = [ask("Hi", constraint=labels(*names, how="score")) for names in (("bb", "aa", "cc"), ("cc", "bb"))]
    assert texts(model, asked) == ["bb", "cc"]
    assert texts(model, [ask("Hi", constraint=labels("long label", "b", "a", how="score"))]) == ["b"]


def test_scored_decoded_and_free_answers_can_be_asked_together(local):
    score, decode = labels(*LABELS, how="score"), labels(*LABELS)
    requests = [
        ask(q, constraint=c) for q, c in zip(QUESTIONS, (score, None, decode, score, None, decode), strict=True)
    ]
    assert texts(local, requests) == [texts(local, [request])[0] for request in requests]


def test_a_template_that_writes_answers_elsewhere_cannot_score_labels(base_folder, tmp_path):
    model = opened(base_folder)
    model.tokenizer.chat_template = model.tokenizer.chat_template.replace(
        "<|start|>assistant\n{% endif %}", "<|start|>assistant\nthinking{% endif %}"
    )
    request = ask("Hi", constraint=labels("a", "b", how="score"))
    assert "chat template" in model.constraint_problem(request)
    assert model.constraint_problem(ask("Hi", constraint=labels("a", "b"))) == ""
    with pytest.raises(ModelError, match="chat template"):
        model.complete([request])


# --- enforced while decoding ---


def greedy_label(network, tokenizer, request, names, stop_ids):
    """What greedy decoding gives when only the listed labels, each followed by a stop token, can be written."""
    prompt, written = prompt_ids(tokenizer, request.messages), []
    listed = [tokenizer(name, add_special_tokens=False)["input_ids"] for name in names]
    while True:
        allowed = {ids[len(written)] for ids in listed if len(ids) > len(written) and ids[: len(written)] == written}
        allowed |= set(stop_ids) if written in listed else set()
        with torch.inference_mode():
            logits = network(torch.tensor([[*prompt, *written]])).logits[0, -1]
        token = max(sorted(allowed), key=lambda one: float(logits[one]))
        if token in stop_ids:
            return tokenizer.decode(written)
        written.append(token)


@pytest.mark.parametrize("seed", range(3))
def test_enforced_labels_are_the_greedy_choice_among_the_listed_ones(with_stops, seed):
    names = ("a", "aa", "aaa", "aab", "b", "ba", "bab", "baba")
    tokenizer = tiny_tokenizer()
    stop_ids = [tokenizer.convert_tokens_to_ids(token) for token in ("<|bos|>", "<|start|>", "<|end|>", "<|pad|>")]
    model = with_stops(*stop_ids, seed=seed)
    requests = [ask(question, constraint=labels(*names)) for question in QUESTIONS]
    wanted = [greedy_label(model.network, tokenizer, request, names, stop_ids) for request in requests]
    completions = model.complete(requests)
    assert [c.text for c in completions] == wanted
    assert {c.finish for c in completions} == {"stop"}


@pytest.mark.parametrize("temperature", [0.0, 2.0])
def test_an_enforced_label_is_always_a_listed_one(local, temperature):
    requests = [
        ask(f"{question} {seed}", constraint=labels(*LABELS), temperature=temperature, seed=seed)
        for question in QUESTIONS
        for seed in range(4)
    ]
    found = set(texts(local, requests))
    assert found <= set(LABELS)
    assert temperature == 0 or len(found) > 3


@pytest.mark.parametrize("temperature", [0.0, 2.0])
def test_enforced_json_fits_the_schema_and_stands_as_expected_outputs_do(local, temperature):
    constraint = Constraint(kind="json_schema", json_schema=TICKET)
    output = Output(kind="json", json_schema=TICKET)
    requests = [
        ask(f"{question} {seed}", constraint=constraint, temperature=temperature, seed=seed, max_tokens=200)
        for question in QUESTIONS
        for seed in range(3)
    ]
    for completion in local.complete(requests):
        value = json.loads(completion.text)
        jsonschema.validate(value, TICKET)
        assert completion.text == json.dumps(value, ensure_ascii=False) == render_expected(output, value)
        assert completion.finish == "stop"


def test_a_constraint_that_is_cut_by_the_limit_says_so(local):
    completion = local.complete([ask("Hi", constraint=labels("a long label", "another one"), max_tokens=3)])[0]
    assert completion.finish == "length"
    assert len(completion.text) == 3


def test_a_schema_that_cannot_be_enforced_is_explained(local):
    request = ask("Hi", constraint=Constraint(kind="json_schema", json_schema={"type": "no such type"}))
    assert local.constraint_problem(request)
    assert local.constraint_problem(ask("Hi", constraint=Constraint(kind="json_schema", json_schema=TICKET))) == ""
    assert local.constraint_problem(ask("Hi")) == ""


# --- prompts ---


def test_one_beginning_of_sequence_token_though_template_and_tokenizer_both_write_one(local):
    tokenizer = tiny_tokenizer()
    bos = tokenizer.bos_token_id
    tokenizer._tokenizer.post_processor = TemplateProcessing(single="<|bos|> $A", special_tokens=[("<|bos|>", bos)])
    assert tokenizer("x")["input_ids"].count(bos) == 1
    for generation in (True, False):
        assert chat_ids(tokenizer, ask("Hi", system=LONG).messages, generation=generation).count(bos) == 1
    assert chat_ids(tokenizer, ask("Hi").messages, generation=True) == prompt_ids(tiny_tokenizer(), ask("Hi").messages)


def test_a_prompt_that_does_not_fit_is_not_asked_and_says_so(local):
    done = []
    fits, too_long = local.complete([ask("Hi"), ask("x" * 600)], lambda index, completion: done.append(index))
    assert sorted(done) == [0, 1]
    assert fits == local.complete([ask("Hi")])[0].model_copy(update={"seconds": fits.seconds})
    assert (too_long.text, too_long.finish, too_long.error) == ("", "length", None)
    assert (fits.too_long, too_long.too_long) == (False, True)
    assert "do not fit the context of 512 tokens" in too_long.detail
    assert too_long.tokens_in > 512


def test_a_prompt_that_fits_exactly_is_answered(local):
    length = local.count_tokens(ask("Hi").messages)
    assert not local.complete([ask("Hi", max_tokens=512 - length)])[0].detail
    assert "do not fit" in local.complete([ask("Hi", max_tokens=513 - length)])[0].detail


def test_messages_that_the_template_refuses_are_explained(local, base_folder):
    model = opened(base_folder)
    model.tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(ModelError, match="roles must alternate"):
        model.complete([ask("Hi")])


def test_counting_a_long_prompt_writes_no_line_to_the_terminal(base_folder):
    written = []
    listener = logging.Handler()
    listener.emit = lambda record: written.append(record.getMessage())
    logger = logging.getLogger("transformers")
    logger.addHandler(listener)
    try:
        model = opened(base_folder)
        model.tokenizer.model_max_length = 8
        assert model.count_tokens([Message(role="user", content="x" * 1000)]) > 1000
    finally:
        logger.removeHandler(listener)
    assert written == []


def test_no_request_no_answer(local):
    assert local.complete([]) == []
