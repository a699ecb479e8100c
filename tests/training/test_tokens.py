"""Which tokens carry loss: regression tests for failures that others shipped (A1 … A16)."""

import pytest
from pydantic import ValidationError
from toys import CHATML, FAMILIES, MISTRAL, row, toy_rows

from tiny import tiny_tokenizer
from tuneworthy.errors import ModelError, TrainingError
from tuneworthy.records import Message
from tuneworthy.training.batches import IGNORED, collate
from tuneworthy.training.tokens import encode, show_mask


def trained_text(tokenizer, encoded_row):
    return "".join(text for text, carries_loss in show_mask(tokenizer, encoded_row) if carries_loss)


@pytest.fixture(params=FAMILIES)
def tokenizer(request):
    return tiny_tokenizer(FAMILIES[request.param])


def test_a1_the_last_trained_token_of_every_row_is_a_stop_token(tokenizer):
    encoded = encode(tokenizer, toy_rows(5), 128)
    for encoded_row in encoded.rows:
        last = max(place for place, flag in enumerate(encoded_row.carries_loss) if flag)
        assert encoded_row.ids[last] == tokenizer.eos_token_id
    assert encoded.stop_ids == {tokenizer.eos_token_id}
    assert encoded.report.stops_trained == encoded.report.answers == 5


def test_a1_a_template_that_never_closes_the_answer_is_refused():
    tokenizer = tiny_tokenizer(CHATML.replace("<|end|>", ""))
    with pytest.raises(TrainingError, match="no stop token after the expected output"):
        encode(tokenizer, toy_rows(1), 128)


def test_a1_a_stop_token_that_does_not_end_generation_is_refused():
    tokenizer = tiny_tokenizer()
    with pytest.raises(TrainingError, match="would not learn to stop"):
        encode(tokenizer, toy_rows(1), 128, stop_ids={tokenizer.pad_token_id})


def test_a2_pad_equal_to_stop_masks_nothing():
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    encoded = encode(tokenizer, [row("q", "a"), row("q", "a longer answer", name="row-2")], 128)
    targets = collate(encoded.rows, pad_id=tokenizer.pad_token_id).targets_BT
    assert (targets == tokenizer.eos_token_id).sum(dim=1).tolist() == [1, 1]
    assert (targets != IGNORED).sum(dim=1).tolist() == [2, 16]


def test_a3_a8_every_answer_and_its_end_of_turn_carries_loss(tokenizer):
    encoded = encode(tokenizer, [row("one?", "1", "two?", "2 2", "three?", "3")], 256)
    space = " " if tokenizer.chat_template == MISTRAL else ""
    assert trained_text(tokenizer, encoded.rows[0]) == f"{space}1<|end|>{space}2 2<|end|>{space}3<|end|>"
    assert encoded.report.answers == 3


def test_a4_the_first_trained_token_is_the_first_answer_token():
    tokenizer = tiny_tokenizer(CHATML)
    mask = show_mask(tokenizer, encode(tokenizer, [row("q", "answer")], 128).rows[0])
    first = next(place for place, (_, flag) in enumerate(mask) if flag)
    before = "".join(text for text, _ in mask[:first])
    assert before.endswith("<|start|>assistant\n")
    assert mask[first][0] == "a"


def test_a4_a_prompt_that_is_no_prefix_is_refused():
    # like templates that remove the reasoning of earlier turns
    template = CHATML.replace("{{ m.content }}", "{{ m.content if loop.last else m.content | replace('think ', '') }}")
    with pytest.raises(TrainingError, match=r"turn 2.*is not how the whole conversation begins"):
        encode(tiny_tokenizer(template), [row("think q", "a")], 128)


def test_a5_a_row_without_anything_to_learn_is_refused_by_name():
    tokenizer = tiny_tokenizer()
    with pytest.raises(TrainingError, match=r"row-7: no assistant turn"):
        encode(tokenizer, [row("q", "a"), row("only a question", name="row-7")], 128)
    with pytest.raises(TrainingError, match=r"row-8: the expected output .turn 2. is empty"):
        encode(tokenizer, [row("q", "a"), row("q", "  ", name="row-8")], 128)


def test_a5_a6_no_rows_at_all_is_refused():
    with pytest.raises(TrainingError, match="no row is left"):
        encode(tiny_tokenizer(), [], 128)


def test_a6_trained_tokens_are_counted_per_row_and_in_total():
    encoded = encode(tiny_tokenizer(), toy_rows(4), 128)
    assert [encoded_row.trained for encoded_row in encoded.rows] == [4, 6, 5, 5]
    assert encoded.report.trained_tokens == 20
    assert "20 tokens" in str(encoded.report)
    assert "<|end|> trained in 4 of 4 answers" in str(encoded.report)


def test_a7_the_answer_may_hold_the_text_of_markers(tokenizer):
    content = "say [/INST] and <|end|> and assistant"
    encoded = encode(tokenizer, [row("q <|end|>", content)], 256)
    assert trained_text(tokenizer, encoded.rows[0]).strip() == f"{content}<|end|>"


def test_a7_spans_equal_the_generation_markers_of_a_template():
    marked = CHATML.replace(
        "{{ m.content }}<|end|>",
        "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|end|>{% endgeneration %}"
        "{% else %}{{ m.content }}<|end|>{% endif %}",
    )
    tokenizer = tiny_tokenizer(marked)
    conversation = row("one?", "1", "two?", "2 2")
    turns = [message.model_dump() for message in conversation.messages]
    told = tokenizer.apply_chat_template(turns, return_dict=True, return_assistant_tokens_mask=True)
    encoded = encode(tokenizer, [conversation], 128).rows[0]
    assert list(encoded.ids) == told["input_ids"]
    assert [int(flag) for flag in encoded.carries_loss] == told["assistant_masks"]


def test_a9_an_unknown_role_is_refused_and_the_known_ones_are_named():
    with pytest.raises(ValidationError, match="'system', 'user' or 'assistant'"):
        Message(role="gpt", content="a")


def test_a9_a_template_that_drops_a_role_is_refused():
    template = CHATML.replace("<|start|>{{", "{% if m.role != 'system' %}<|start|>{{").replace(
        "<|end|>\n{% endfor", "<|end|>\n{% endif %}{% endfor"
    )
    with pytest.raises(TrainingError, match="drops messages of role 'system'"):
        encode(tiny_tokenizer(template), [row("q", "a", system="be brief")], 128)


def test_a9_a_template_that_raises_on_a_role_is_explained():
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHATML
    with pytest.raises(ModelError, match="no system role"):
        encode(tiny_tokenizer(template), [row("q", "a", system="be brief")], 128)


def test_a11_golden_mask():
    tokenizer = tiny_tokenizer(MISTRAL)
    mask = show_mask(tokenizer, encode(tokenizer, [row("hi", "yo", "2?", "4")], 128).rows[0])
    text = "".join(token for token, _ in mask)
    signs = "".join(("^" if flag else ".") * len(token) for token, flag in mask)
    assert text == "<|bos|>[INST] hi [/INST] yo<|end|>[INST] 2? [/INST] 4<|end|>"
    assert signs == (
        "." * len("<|bos|>[INST] hi [/INST]")
        + "^" * len(" yo<|end|>")
        + "." * len("[INST] 2? [/INST]")
        + "^" * len(" 4<|end|>")
    )


def test_a13_two_beginning_of_sequence_tokens_are_refused():
    tokenizer = tiny_tokenizer("{{ bos_token }}{{ bos_token }}" + CHATML)
    with pytest.raises(TrainingError, match="more than one beginning-of-sequence token"):
        encode(tokenizer, toy_rows(1), 128)


def test_a13_exactly_one_where_the_template_writes_it():
    tokenizer = tiny_tokenizer()
    ids = encode(tokenizer, toy_rows(1), 128).rows[0].ids
    assert ids.count(tokenizer.bos_token_id) == 1
    assert ids[0] == tokenizer.bos_token_id


def test_a15_a16_limit_plus_one_is_refused_and_says_what_a_cut_would_remove():
    tokenizer = tiny_tokenizer()
    length = len(encode(tokenizer, toy_rows(1), 512).rows[0].ids)
    assert encode(tokenizer, toy_rows(1), length).report.truncated == 0
    with pytest.raises(
        TrainingError, match=r"row-0: \d+ tokens, limit .* remove 3 tokens of the expected output and 1"
    ):
        encode(tokenizer, toy_rows(1), length - 4)


def test_a16_skipping_leaves_the_whole_row_out_and_tells():
    tokenizer = tiny_tokenizer()
    rows = [row("q", "a"), row("q" * 200, "b", name="long")]
    encoded = encode(tokenizer, rows, 100, on_too_long="skip")
    assert [kept.name for kept in encoded.rows] == ["row-1"]
    assert encoded.report.skipped == ("long",)
    assert "1 left out as too long" in str(encoded.report)


def test_every_bad_row_is_listed_at_once():
    rows = [row("q", "", name=f"bad-{number}") for number in range(25)]
    with pytest.raises(TrainingError, match="25 of 25 rows") as refused:
        encode(tiny_tokenizer(), rows, 128)
    assert "bad-0" in str(refused.value)
    assert "and 5 more" in str(refused.value)


def test_the_digest_names_tokens_and_mask():
    tokenizer = tiny_tokenizer()
    one, same, other = (encode(tokenizer, rows, 128).digest for rows in (toy_rows(3), toy_rows(3), toy_rows(4)))
    assert one == same != other


def test_no_chat_template_is_refused():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        encode(tokenizer, toy_rows(1), 128)
