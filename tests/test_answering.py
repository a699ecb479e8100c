"""The one path that answers: how prompts are laid out, and that a candidate answers with what it was made from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneworthy.answering import Answerer, Sources, candidate_digest, render
from tuneworthy.errors import ModelError
from tuneworthy.models.local.files import ADAPTER_FILES, TUNED_FILES, weights_digest
from tuneworthy.models.scripted import Scripted
from tuneworthy.records import (
    AdapterRef,
    Candidate,
    ClassifierRef,
    Constraint,
    Decoding,
    Example,
    Message,
    Passage,
    Prompt,
    RetrieverRef,
    Shots,
    TunedRef,
)
from tuneworthy.usecase import Bar, Change, InputField, Output, UseCase

LABELS = ("billing", "delivery")
PROMPT = Prompt(name="plain", instruction="Sort the letter.", system="You are a clerk.", reminder="One word.")
BARE = Prompt(name="bare", instruction="Sort the letter.")
POOL = tuple(
    Example(input={"text": text}, expected=expected)
    for text, expected in [
        ("my invoice is wrong", "billing"),
        ("the parcel is late", "delivery"),
        ("the invoice is too high", "billing"),
        ("where is the parcel", "delivery"),
        ("the parcel came broken", "delivery"),
    ]
)
PASSAGES = [
    Passage(id="a.md#1", title="Prices", text="All prices hold VAT."),
    Passage(id="b.md#2", title="Parcels", text="Parcels take 3 days."),
]
LETTER = {"text": "the parcel is late"}


def usecase(knowledge="none", **fields):
    return UseCase(
        name="letters",
        instruction="Sort these letters.",
        input=fields or {"text": InputField()},
        output=Output(kind="label", labels=LABELS),
        change=Change(knowledge=knowledge),
        bar=Bar(metric="classification", at_least=0.9, smallest_difference=0.05),
    )


def echo(request):
    return "\n---\n".join(f"{m.role}: {m.content}" for m in request.messages)


MODEL = Scripted(echo, failing={"unanswerable": "timeout"})


def sources(tmp_path, model=MODEL, **changed):
    return Sources(
        **{"usecase": usecase(), "folder": tmp_path, "model": model, "pool": POOL, "data_version": "v1", **changed}
    )


def candidate(**fields):
    return Candidate(**{"lever": "prompt", "model": MODEL.digest, "prompt": PROMPT, **fields})


def laid_out(prompt=PROMPT, row=None, **parts):
    return [(m.role, m.content) for m in render(prompt, row or LETTER, usecase=usecase(), **parts)]


# --- the layout ---


def test_instruction_input_reminder():
    assert laid_out() == [
        ("system", "You are a clerk."),
        ("user", "Sort the letter.\n\nText: the parcel is late\n\nOne word."),
    ]


def test_what_is_not_there_leaves_no_gap():
    assert laid_out(BARE) == [("user", "Sort the letter.\n\nText: the parcel is late")]


def test_passages_stand_between_instruction_and_input():
    assert laid_out(passages=PASSAGES)[1:] == [
        (
            "user",
            "Sort the letter.\n\n"
            "Passage 1: Prices. All prices hold VAT.\nPassage 2: Parcels. Parcels take 3 days.\n\n"
            "Text: the parcel is late\n\nOne word.",
        )
    ]


def test_examples_as_turns():
    assert laid_out(shots=[(POOL[0], ()), (POOL[1], ())], passages=PASSAGES[:1]) == [
        ("system", "You are a clerk."),
        ("user", "Sort the letter.\n\nText: my invoice is wrong"),
        ("assistant", "billing"),
        ("user", "Text: the parcel is late"),
        ("assistant", "delivery"),
        ("user", "Passage 1: Prices. All prices hold VAT.\n\nText: the parcel is late\n\nOne word."),
    ]


def test_examples_inside_the_one_message():
    assert laid_out(shots=[(POOL[0], ()), (POOL[1], ())], layout="inline", passages=PASSAGES[:1]) == [
        ("system", "You are a clerk."),
        (
            "user",
            "Sort the letter.\n\n"
            "Input:\nText: my invoice is wrong\nOutput: billing\n\n"
            "Input:\nText: the parcel is late\nOutput: delivery\n\n"
            "Input:\nPassage 1: Prices. All prices hold VAT.\n\nText: the parcel is late\n\nOne word.\nOutput:",
        ),
    ]


@pytest.mark.parametrize("layout", ["turns", "inline"])
def test_without_examples_both_layouts_are_the_same(layout):
    assert laid_out(layout=layout) == laid_out()


def test_a_shot_is_written_as_the_expected_output_is():
    output = Output(kind="json", json_schema={"properties": {"b": {}, "a": {}}})
    of_json = usecase().model_copy(update={"output": output})
    shot = Example(input={"text": "x"}, expected={"a": "größe", "b": 1})
    messages = render(BARE, LETTER, usecase=of_json, shots=[(shot, ())])
    assert messages[1] == Message(role="assistant", content='{"b": 1, "a": "größe"}')


fields = st.fixed_dictionaries({"text": st.text(max_size=40)})


@given(
    row=fields,
    shots=st.lists(st.sampled_from(POOL), max_size=4),
    layout=st.sampled_from(["turns", "inline"]),
    prompt=st.sampled_from([PROMPT, BARE]),
    passages=st.lists(st.sampled_from(PASSAGES), max_size=2),
)
def test_every_prompt_ends_with_the_question_and_turns_alternate(row, shots, layout, prompt, passages):
    messages = render(
        prompt, row, usecase=usecase(), shots=[(shot, ()) for shot in shots], layout=layout, passages=passages
    )
    roles = [message.role for message in messages if message.role != "system"]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
    assert f"Text: {row['text']}" in messages[-1].content
    assert sum(message.content.count(prompt.instruction) for message in messages) == 1
    assert all(f". {passage.text}" in messages[-1].content for passage in passages)
    written = "\n".join(message.content for message in messages)
    assert all(f"Text: {shot.input['text']}" in written for shot in shots)


# --- shots ---


def shown(answerer, row, **more):
    """Texts of the examples in the prompt, in order."""
    users = [m.content for m in answerer.messages(row, **more) if m.role == "user"][:-1]
    return [content.split("Text: ", 1)[1] for content in users]


def test_fixed_shots_stand_in_their_order(tmp_path):
    names = (POOL[3].name, POOL[0].name)
    answerer = Answerer(candidate(shots=Shots(pick="fixed", k=2, names=names, data_version="v1")), sources(tmp_path))
    assert shown(answerer, LETTER) == ["where is the parcel", "my invoice is wrong"]


@pytest.mark.parametrize("pick", ["fixed", "nearest"])
@pytest.mark.parametrize("row", POOL)
def test_a_row_is_never_its_own_example(tmp_path, pick, row):
    names = tuple(example.name for example in POOL) if pick == "fixed" else ()
    shots = Shots(pick=pick, k=len(POOL), names=names, data_version="v1")
    answerer = Answerer(candidate(shots=shots), sources(tmp_path))
    assert row.input["text"] in shown(answerer, row.input)
    left = shown(answerer, row.input, exclude=row.name)
    assert sorted(left) == sorted(example.input["text"] for example in POOL if example.name != row.name)


def test_nearest_shots_are_as_many_as_asked_with_the_nearest_last(tmp_path):
    answerer = Answerer(candidate(shots=Shots(pick="nearest", k=2, data_version="v1")), sources(tmp_path))
    assert shown(answerer, {"text": "the invoice is too high!"})[-1] == "the invoice is too high"
    assert len(shown(answerer, LETTER)) == len(shown(answerer, LETTER, exclude=POOL[1].name)) == 2


def test_no_shots_are_shown_where_none_are_asked_for(tmp_path):
    answerer = Answerer(candidate(shots=Shots(pick="nearest", k=0, data_version="v1")), sources(tmp_path))
    assert answerer.messages(LETTER) == Answerer(candidate(), sources(tmp_path)).messages(LETTER)


# --- answering ---


def test_the_model_is_asked_exactly_what_was_rendered(tmp_path):
    rows = [{"text": f"letter {number}"} for number in range(5)]
    answerer = Answerer(candidate(), sources(tmp_path))
    told = {}
    answers = answerer.answer(rows, told.__setitem__)
    expected = [echo(answerer.request(row, ())) for row in rows]
    assert [answer.text for answer in answers] == expected
    assert told == dict(enumerate(answers))


def test_decoding_and_constraint_go_with_the_request(tmp_path):
    asked = []
    model = Scripted(lambda request: (asked.append(request), "it is delivery")[1])
    constraint = Constraint(kind="labels", labels=LABELS)
    made = candidate(model=model.digest, decoding=Decoding(max_tokens=3, seed=4), constraint=constraint)
    assert Answerer(made, sources(tmp_path, model)).answer([LETTER])[0].text == "delivery"
    assert (asked[0].decoding, asked[0].constraint) == (Decoding(max_tokens=3, seed=4), constraint)


def test_a_failure_is_an_answer_with_its_reason(tmp_path):
    answers = Answerer(candidate(), sources(tmp_path)).answer([LETTER, {"text": "unanswerable"}, LETTER])
    assert [answer.error for answer in answers] == [None, "timeout", None]
    assert (answers[1].text, answers[1].finish) == ("", "error")


def test_passages_are_found_put_before_the_model_and_named(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "parcels.md").write_text("# Parcels\n\nParcels take three days.\n")
    (tmp_path / "docs" / "prices.md").write_text("# Prices\n\nAll invoices hold VAT.\n")
    made = candidate(lever="rag", retriever=RetrieverRef(name="bm25", docs="d", top_k=1))
    with_docs = sources(tmp_path, usecase=usecase(knowledge="docs"))
    answer = Answerer(made, with_docs).answer([{"text": "how long do parcels take"}])[0]
    assert [passage.split("#")[0] for passage in answer.passages] == ["parcels.md"]
    assert "Passage 1: " in answer.text
    assert "Parcels take three days." in answer.text
    assert Answerer(candidate(), with_docs).answer([LETTER])[0].passages == ()


def test_a_classifier_asks_no_model(tmp_path):
    refusing = Scripted(lambda request: pytest.fail("a model was asked"))
    ref = ClassifierRef(features="tfidf", c=10.0, data_version="v1")
    made = candidate(lever="classifier", model="none", prompt=None, classifier=ref)
    answerer = Answerer(made, sources(tmp_path, refusing))
    told = {}
    answers = answerer.answer([example.input for example in POOL], told.__setitem__)
    assert [answer.text for answer in answers] == [example.expected for example in POOL]
    assert told == dict(enumerate(answers))
    assert answerer.answer([]) == []
    with pytest.raises(ModelError, match="no prompt"):
        answerer.messages(LETTER)


# --- what a candidate was made from ---


@pytest.mark.parametrize(
    "made",
    [
        candidate(shots=Shots(pick="nearest", k=2, data_version="v0")),
        candidate(prompt=None, model="none", classifier=ClassifierRef(features="tfidf", c=1.0, data_version="v0")),
    ],
)
def test_other_data_are_refused(tmp_path, made):
    with pytest.raises(ModelError, match="another data version") as refused:
        Answerer(made, sources(tmp_path))
    assert refused.value.next


def test_another_base_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="another base model") as refused:
        Answerer(candidate(), sources(tmp_path, Scripted(echo, name="other")))
    assert refused.value.next


@pytest.mark.parametrize(
    "weights", [{"adapter": AdapterRef(weights="w", path="a")}, {"tuned": TunedRef(weights="w", path="a")}]
)
def test_a_model_without_weights_takes_no_trained_ones(tmp_path, weights):
    with pytest.raises(ModelError, match="cannot load trained weights") as refused:
        Answerer(candidate(lever="lora", **weights), sources(tmp_path))
    assert refused.value.next


class Tunable(Scripted):
    """Says which weights it was asked to load."""

    folder, device = None, "cpu"

    def with_adapter(self, path, scale=1.0):
        return Scripted(lambda request: f"adapter {path} x {scale}")

    def with_weights(self, path):
        return Scripted(lambda request: f"weights {path}")


@pytest.mark.parametrize(("ref", "said"), [("adapter", "adapter {} x 0.5"), ("tuned", "weights {}")])
def test_trained_weights_are_loaded_from_the_project_and_must_be_the_named_ones(tmp_path, ref, said):
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    files = ADAPTER_FILES if ref == "adapter" else TUNED_FILES
    for name in files:
        (folder / name).write_text(name)
    named = {"weights": weights_digest(folder), "path": "runs/a"}
    made = {"adapter": AdapterRef(**named, scale=0.5)} if ref == "adapter" else {"tuned": TunedRef(**named)}
    model = Tunable(echo)
    trained = candidate(lever="lora", model=model.digest, **made)
    assert Answerer(trained, sources(tmp_path, model)).answer([LETTER])[0].text == said.format(folder)
    (folder / files[-1]).write_text("other weights")
    with pytest.raises(ModelError, match="not the weights"):
        Answerer(trained, sources(tmp_path, model))


def test_shots_that_leave_the_context_are_left_out_the_nearest_stay(tmp_path):
    wide, narrow = Scripted(echo), Scripted(echo, context=34)
    shots = Shots(pick="nearest", k=4, data_version="v1")
    made = candidate(prompt=BARE, shots=shots, decoding=Decoding(max_tokens=4))
    everything = Answerer(made, sources(tmp_path, wide)).messages(LETTER)
    fitting = Answerer(made, sources(tmp_path, narrow)).messages(LETTER)
    assert 1 < len(fitting) < len(everything)
    assert narrow.count_tokens(fitting) + 4 <= 34
    assert fitting[-3:] == everything[-3:]


def test_a_candidate_is_named_by_what_decides_its_answers():
    moved, other = (
        candidate(adapter=AdapterRef(weights=weights, path=path)) for weights, path in [("w", "elsewhere"), ("v", "a")]
    )
    here = candidate(adapter=AdapterRef(weights="w", path="a"))
    assert candidate_digest(here) == candidate_digest(moved) != candidate_digest(other)
    assert candidate_digest(candidate(lever="few_shot")) == candidate_digest(candidate())
    weaker = candidate(adapter=AdapterRef(weights="w", path="a", scale=0.5))
    assert candidate_digest(weaker) != candidate_digest(here)


def test_the_key_changes_with_the_documents(tmp_path):
    (tmp_path / "docs").mkdir()
    made = candidate(retriever=RetrieverRef(name="bm25", docs="d", top_k=1))
    keys = set()
    for text in ("Parcels take three days.", "Parcels take four days."):
        (tmp_path / "docs" / "a.md").write_text(text)
        keys.add(Answerer(made, sources(tmp_path, usecase=usecase(knowledge="docs"))).key)
    assert len(keys | {Answerer(candidate(), sources(tmp_path)).key}) == 3


def test_the_key_changes_with_the_order_of_fields_and_of_the_schema(tmp_path):
    """Both decide what the prompt looks like; a digest sorts keys."""
    fields = {"text": InputField(), "sender": InputField()}
    there, back = usecase(**fields), usecase(**dict(reversed(fields.items())))
    schemas = [{"properties": {name: {"type": "string"} for name in names}} for names in ("ab", "ba")]
    shaped = [
        there.model_copy(update={"output": there.output.model_copy(update={"kind": "json", "json_schema": schema})})
        for schema in schemas
    ]
    keys = {Answerer(candidate(), sources(tmp_path, usecase=one)).key for one in (there, back, *shaped)}
    assert len(keys) == 4
