"""The formats that people have are recognised, mapped and, where they are not clear, refused."""

import json

import pytest
from sample_rows import make_usecase

from tuneworthy.data.read import read_examples
from tuneworthy.errors import DataError


def reading(folder, rows, usecase, *, name="rows.jsonl", **options):
    path = folder / name
    text = rows if isinstance(rows, str) else "".join(f"{json.dumps(row)}\n" for row in rows)
    path.write_text(text, encoding="utf-8", newline="")
    return read_examples(path, usecase, **options)


def refused(folder, rows, usecase, **options):
    with pytest.raises(DataError) as caught:
        reading(folder, rows, usecase, **options).require_whole()
    assert "rows." in str(caught.value)
    assert "Next:" in str(caught.value)
    return str(caught.value)


def turns(*said, role="role", text="content", column="messages"):
    return {column: [{role: who, text: what} for who, what in said]}


CHAT = turns(("system", "Sort."), ("user", "lost it"), ("assistant", "card"))
SHARE = turns(
    ("system", "Sort."), ("human", "lost it"), ("gpt", "card"), role="from", text="value", column="conversations"
)
PARTS = {
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "lost "}, {"type": "text", "text": "it"}]},
        CHAT["messages"][2],
    ]
}


NATIVE = {"input": "input", "expected": "expected"}


def to(text, expected):
    return {"input.text": text, "expected": expected}


class TestDetection:
    @pytest.mark.parametrize(
        ("row", "name", "mapping"),
        [
            ({"input": {"text": "lost it"}, "expected": "card"}, "native", NATIVE),
            ({"input": "lost it", "expected": "card", "output": "x"}, "native", NATIVE),
            ({"prompt": "lost it", "completion": "card"}, "prompt/completion", to("prompt", "completion")),
            (CHAT, "OpenAI messages", to("messages[user]", "messages[assistant]")),
            (PARTS, "OpenAI messages", to("messages[user]", "messages[assistant]")),
            (SHARE, "ShareGPT", to("conversations[user]", "conversations[assistant]")),
            ({"instruction": "lost it", "input": "", "output": "card"}, "Alpaca", to("instruction", "output")),
            ({"instruction": "Sort.", "input": "lost it", "output": "card"}, "Alpaca", to("input", "output")),
            ({"input": "lost it", "output": "card", "reasoning": "r"}, "Kiln", to("input", "output")),
            ({"text": "lost it", "category": "card"}, "plain columns", to("text", "category")),
            ({"Text": "lost it", "Label": "card"}, "plain columns", to("Text", "Label")),
            ({"body": "lost it", "label": "card", "id": 7}, "plain columns", to("body", "label")),
        ],
    )
    def test_each_format_is_found_and_told(self, tmp_path, usecase, row, name, mapping):
        found = reading(tmp_path, [row, row], usecase)
        assert (found.format, found.mapping) == (name, mapping)
        assert found.problems == ()
        for example, line in zip(found.examples, (1, 2), strict=True):
            assert (example.input, example.expected) == ({"text": "lost it"}, "card")
            origin = example.provenance
            assert (origin.source, origin.line, origin.format) == ("rows.jsonl", line, name)

    def test_what_is_left_out_is_told(self, tmp_path, usecase):
        assert reading(tmp_path, [{**CHAT, "model": "m"}], usecase).unused[0] == "model"
        assert "system" in reading(tmp_path, [CHAT], usecase).unused[0]
        assert (
            "instruction"
            in reading(tmp_path, [{"instruction": "Sort.", "input": "a", "output": "card"}], usecase).unused[0]
        )

    def test_instructions_that_differ_are_part_of_the_input(self, tmp_path, usecase):
        rows = [{"instruction": f"Sort {n}.", "input": "lost it", "output": "card"} for n in (1, 2)]
        assert reading(tmp_path, rows, usecase).examples[1].input == {"text": "Sort 2.\n\nlost it"}

    def test_declared_fields_come_before_formats(self, tmp_path):
        usecase = make_usecase(fields=("instruction", "input"))
        found = reading(tmp_path, [{"instruction": "Sort.", "input": "lost", "output": "card"}], usecase)
        assert found.examples[0].input == {"instruction": "Sort.", "input": "lost"}
        found = reading(tmp_path, [{"input": {"input": "lost"}, "expected": "card"}], make_usecase(fields=("input",)))
        assert found.examples[0].input == {"input": "lost"}

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ({**CHAT, "prompt": "a", "completion": "card"}, "OpenAI messages or prompt/completion"),
            ({**CHAT, **SHARE}, "OpenAI messages or ShareGPT"),
            ({"text": "a", "label": "card", "category": "cash"}, "label or category"),
            ({"question": "a", "context": "b", "label": "card"}, "question"),
            ({"text": "a"}, "nothing stands for expected"),
            ({"label": "card"}, "nothing stands for input.text"),
        ],
    )
    def test_what_is_not_clear_is_refused_with_what_was_seen(self, tmp_path, usecase, row, said):
        assert said in refused(tmp_path, [row], usecase)

    def test_a_file_of_two_formats_lists_the_fewer_rows(self, tmp_path, usecase):
        rows = [CHAT, CHAT, CHAT, {"instruction": "a", "output": "card"}]
        told = refused(tmp_path, rows, usecase)
        assert "rows.jsonl:4: messages: is missing" in told
        assert "1 row cannot" in told

    def test_a_file_without_a_readable_row_lists_them_all(self, tmp_path, usecase):
        told = refused(tmp_path, "{\n[}\n", usecase)
        assert "rows.jsonl:1" in told
        assert "rows.jsonl:2" in told


class TestConversations:
    @pytest.mark.parametrize(
        ("row", "said"),
        [
            (
                turns(("user", "a"), ("bot", "card")),
                "unknown role 'bot'; known: system, developer, user, human, assistant, gpt",
            ),
            (
                turns(("user", "a"), ("user", "b"), ("assistant", "card")),
                "user, user, assistant; user and assistant",
            ),
            (turns(("user", "a"), ("assistant", "card"), ("assistant", "cash")), "user, assistant, assistant"),
            (turns(("assistant", "card"), ("user", "a")), "has the turns assistant;"),
            (turns(("user", "a")), "has the turns user"),
            ({"messages": "a"}, "not a list of turns"),
            ({"messages": []}, "not a list of turns"),
            (
                {"messages": [{"role": "user", "content": [{"type": "image_url"}]}, CHAT["messages"][2]]},
                "something else than text",
            ),
            ({"messages": [CHAT["messages"][1], {**CHAT["messages"][2], "weight": 0}]}, "not to be learned"),
            (turns(("user", None), ("assistant", "card")), "input.text: is missing"),
        ],
    )
    def test_a_conversation_that_is_no_row_is_refused_with_the_reason(self, tmp_path, usecase, row, said):
        told = refused(tmp_path, [CHAT, row], usecase)
        assert "rows.jsonl:2: " in told
        assert said in told

    def test_system_messages_that_differ_are_refused(self, tmp_path, usecase):
        other = turns(("system", "Count."), ("user", "a"), ("assistant", "card"))
        assert "2 different system messages" in refused(tmp_path, [CHAT, other], usecase)


class TestSeveralFields:
    fields = ("subject", "body")

    def test_one_text_must_be_an_object(self, tmp_path):
        usecase = make_usecase(fields=self.fields)
        good = turns(("user", json.dumps({"subject": "s", "body": "b"})), ("assistant", "card"))
        assert reading(tmp_path, [good], usecase).examples[0].input == {"subject": "s", "body": "b"}
        assert "fields subject, body" in refused(tmp_path, [good, CHAT], usecase)

    def test_one_text_is_the_only_required_field(self, tmp_path):
        usecase = make_usecase(fields=self.fields, optional=("subject",))
        assert reading(tmp_path, [CHAT], usecase).examples[0].input == {"body": "lost it"}


class TestMapping:
    def test_a_mapping_is_followed_and_told(self, tmp_path, usecase):
        mapping = {"input.text": "mail", "expected": "queue"}
        found = reading(tmp_path, "mail;queue;rest\nlost it;card;x\n", usecase, name="rows.csv", mapping=mapping)
        assert (found.examples[0].input, found.examples[0].expected) == ({"text": "lost it"}, "card")
        assert (found.mapping, found.unused) == (mapping, ("rest",))

    def test_a_column_that_few_rows_have_can_be_mapped(self, tmp_path):
        usecase = make_usecase(fields=("text", "note"), optional=("note",))
        rows = [{"a": "lost", "b": "card"}] * 3 + [{"a": "lost", "b": "card", "c": "new"}]
        found = reading(tmp_path, rows, usecase, mapping={"input.text": "a", "input.note": "c", "expected": "b"})
        assert found.examples[3].input == {"text": "lost", "note": "new"}

    @pytest.mark.parametrize(
        ("mapping", "said"),
        [
            (
                {"input.txt": "mail", "expected": "queue"},
                "'input.txt' is not a field of the use case; did you mean 'input.text'?",
            ),
            ({"text": "mail", "expected": "queue"}, "'text' is not a field"),
            ({"input.text": "mial", "expected": "queue"}, "there is no column 'mial'; did you mean 'mail'?"),
            ({"input.text": "mail"}, "nothing stands for expected"),
            ({"expected": "queue"}, "nothing stands for input.text"),
        ],
    )
    def test_a_mapping_that_does_not_fit_is_refused(self, tmp_path, usecase, mapping, said):
        assert said in refused(tmp_path, "mail,queue\na,card\n", usecase, name="rows.csv", mapping=mapping)
