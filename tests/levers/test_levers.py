"""Levers without training, on a scripted model: each finds its best variant on the development split, only there."""

import json

import pytest

from small import LABELS, SIGNS, USECASE, asked, knowing, right, small_usecase
from tuneworthy import flow
from tuneworthy.answering import Answerer
from tuneworthy.data.version import manifest
from tuneworthy.ground import prepare
from tuneworthy.levers.classifier import ClassifierLever
from tuneworthy.levers.constrained import ConstrainedLever
from tuneworthy.levers.few_shot import FewShotLever
from tuneworthy.levers.prompt import PromptLever
from tuneworthy.levers.rag import RagLever, without_shots
from tuneworthy.models.scripted import Scripted

LEVERS = (PromptLever, FewShotLever, ConstrainedLever, ClassifierLever, RagLever)
UNIT = {"plumbing": "Pipes", "power": "Fuses", "keys": "Doors"}


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A bench at which a scripted model answers."""

    def bench(reply, *, examples=60, change=(), context=None, failing=None, **files):
        usecase = USECASE
        for old, new in change:
            assert old in usecase
            usecase = usecase.replace(old, new)
        project = small_usecase(tmp_path, examples=examples, usecase=usecase)
        for name, text in files.items():
            (tmp_path / "docs").mkdir(exist_ok=True)
            (tmp_path / "docs" / f"{name}.md").write_text(text)
        model = Scripted(reply, context=context, failing=failing)
        monkeypatch.setattr(flow, "open_model", lambda usecase, folder: model)
        monkeypatch.setattr(flow, "minilm_at_hand", lambda: False)
        monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)  # answers are kept one by one
        return flow.open_bench(prepare(project))

    return bench


def propose(bench, *levers):
    """What became of the last of these levers."""
    for lever in levers:
        candidate, result = lever().propose(bench)
        assert (candidate is None) == (result.state != "measured")
        assert result.lever == lever.name
    return result


def scores(result):
    return {trial["variant"]: trial["score"] for trial in result.trials}


# --- prompt ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("best", ["reminded", "after"])
def test_prompt_takes_the_phrasing_that_does_best(bench, best):
    def reply(request):
        text = request.messages[-1].content
        reminded = text.endswith("Label:")
        after = not reminded and text.index("Labels:") > text.index("Message:")
        return right(request) if {"reminded": reminded, "after": after}[best] else "none"

    at = bench(reply)
    result = propose(at, PromptLever)
    assert (result.reason, result.dev_score) == (best, 1.0)
    assert scores(result) == {"plain": 0.0, "reminded": 0.0, "after": 0.0} | {best: 1.0}
    assert at.found["prompt"].prompt.name == best
    assert at.dev_arms["prompt"].cases == f"dev:{at.sources.data_version}"
    assert {r.case for r in at.dev_arms["prompt"].results} == {case.id for case in at.dev}


def test_wordings_that_the_user_gave_are_tried_and_built_on(bench):
    given = [f"Say in your own way {n}: whose task is it?" for n in range(7)]
    change = [("[input.message]", f"wordings = {json.dumps(given)}\n[input.message]")]
    at = bench(lambda request: right(request) if "own way 5" in request.messages[0].content else "none", change=change)
    result = propose(at, PromptLever)
    assert (result.reason, len(result.trials)) == ("wording 6", 10)
    assert at.found["prompt"].prompt.instruction.startswith(given[5])
    assert "Labels: plumbing" in at.found["prompt"].prompt.instruction


def test_equal_phrasings_go_to_the_plain_one(bench):
    assert propose(bench(right), PromptLever).reason == "plain"


def test_the_trials_say_what_an_answer_costs(bench):
    trials = propose(bench(right), PromptLever).trials
    assert all(trial["tokens_out"] == 1 and trial["tokens_in"] > 10 and trial["cases"] == 20 for trial in trials)
    assert trials[1]["tokens_in"] == trials[0]["tokens_in"] + 1  # “Label:”


# --- few-shot -------------------------------------------------------------------------------------


def shown(request):
    """(input, answer) of every example in the prompt."""
    turns = [(m.role, m.content) for m in request.messages if m.role != "system"]
    asks = [text.split("Message: ")[1].split("\n")[0] for role, text in turns[:-1] if role == "user"]
    told = [text for role, text in turns[:-1] if role == "assistant"]
    if not told and "Input:" in turns[-1][1]:
        blocks = turns[-1][1].split("Input:\n")[1:-1]
        asks = [block.split("Message: ")[1].split("\n")[0] for block in blocks]
        told = [block.split("Output: ")[1].strip() for block in blocks]
    return list(zip(asks, told, strict=True))


@pytest.mark.parametrize("count", [2, 4, 8, 16])
def test_few_shot_finds_the_number_of_examples_that_helps(bench, count):
    result = propose(
        bench(lambda r: right(r) if len(shown(r)) == count else "none", examples=80), PromptLever, FewShotLever
    )
    assert result.dev_score == 1.0
    assert result.reason == {2: "2 nearest", 4: "4 fixed", 8: "8 fixed", 16: "16 nearest"}[count]


def test_few_shot_finds_that_near_examples_help(bench):
    def reply(request):
        near = any(SIGNS[right(request)] in text.split() for text, _ in shown(request)[-1:])
        return right(request) if near and len(shown(request)) == 4 else "none"

    result = propose(bench(reply), PromptLever, FewShotLever)
    assert result.reason == "4 nearest"
    assert scores(result)["4 nearest"] > scores(result)["4 fixed"]


def test_few_shot_tries_the_other_layout_for_the_winner(bench):
    def reply(request):
        inline = len(request.messages) == 1
        return right(request) if len(shown(request)) == 2 and (inline or asked(request) < "m") else "none"

    at = bench(reply)
    result = propose(at, PromptLever, FewShotLever)
    assert (result.reason, at.found["few_shot"].shots.layout) == ("2 nearest, inline", "inline")
    assert result.dev_score == 1.0


def test_equal_examples_go_to_the_cheapest(bench):
    result = propose(bench(lambda r: right(r) if shown(r) else "none"), PromptLever, FewShotLever)
    assert result.reason == "2 nearest"
    costs = [trial["tokens_in"] for trial in result.trials[:-1]]
    assert costs == sorted(costs)


def test_no_row_is_shown_its_own_answer(bench):
    seen = []

    def reply(request):
        seen.append((asked(request), shown(request)))
        return right(request)

    at = bench(reply)
    propose(at, PromptLever, FewShotLever)
    pool = {example.input["message"]: example.expected for example in at.train}
    with_examples = [(question, examples) for question, examples in seen if examples]
    assert len(with_examples) > 100
    for question, examples in with_examples:
        assert question not in dict(examples)
        assert dict(examples).items() <= pool.items()
    assert pool.keys().isdisjoint(case.input["message"] for case in at.dev)


@pytest.mark.parametrize("pick", ["nearest", "fixed"])
def test_a_row_that_is_learnt_from_is_not_its_own_example(bench, pick):
    at = bench(right)
    propose(at, PromptLever, FewShotLever)
    shots = at.found["few_shot"].shots.model_copy(
        update={"pick": pick, "k": 4, "names": tuple(e.name for e in at.train[:4]) if pick == "fixed" else ()}
    )
    answerer = Answerer(at.found["few_shot"].model_copy(update={"shots": shots}), at.sources)
    for example in at.train[:4]:
        told = [m.content for m in answerer.messages(example.input, exclude=example.name)[:-1]]
        assert told
        assert not any(example.input["message"] in text for text in told)
        assert any(example.input["message"] in m.content for m in answerer.messages(example.input)[:-1])


def test_a_fixed_set_is_balanced(bench):
    at = bench(lambda r: right(r) if len(shown(r)) == 8 else "none")
    propose(at, PromptLever, FewShotLever)
    names = at.found["few_shot"].shots.names
    labels = [at.sources.by_name[name].expected for name in names]
    assert len(set(names)) == 8
    assert {labels.count(label) for label in LABELS} == {2, 3}


def test_examples_that_do_not_fit_the_context_are_not_tried(bench):
    result = propose(bench(right, context=94), PromptLever, FewShotLever)
    assert set(scores(result)) == {"2 nearest", "4 fixed", "4 nearest", "2 nearest, inline"}
    short = propose(bench(right, context=44), PromptLever, FewShotLever)
    assert (short.state, short.reason) == ("not_applicable", "not even two examples fit the model's context")


def test_few_shot_without_examples(bench):
    result = propose(bench(right, examples=0), PromptLever, FewShotLever)
    assert (result.state, result.reason) == ("not_applicable", "there are no examples to show")


# --- constrained ----------------------------------------------------------------------------------


def chatty(request):
    """Right, but not in the form that is asked for."""
    return f"I think it is {right(request)}, is it not?"


def test_the_constraint_mends_the_form(bench):
    at = bench(chatty)
    result = propose(at, PromptLever, FewShotLever, ConstrainedLever)
    assert set(at.dev_arms["prompt"].scores().values()) == {0.0}
    assert (result.dev_score, result.reason) == (1.0, "labels scored; on top of prompt")
    assert at.found["constrained"].constraint.labels == LABELS


def test_the_constraint_stands_on_the_better_of_prompt_and_few_shot(bench):
    at = bench(knowing(0.3, with_shots=0.9))
    result = propose(at, PromptLever, FewShotLever, ConstrainedLever)
    assert result.reason == "labels scored; on top of few_shot"
    assert at.found["constrained"].shots == at.found["few_shot"].shots


def test_free_text_has_nothing_to_enforce(bench):
    text = [('kind = "label"\nlabels = ["plumbing", "power", "keys"]', 'kind = "text"'), ("classification", "exact")]
    at = bench(right, change=text)
    for lever in (ConstrainedLever, ClassifierLever):
        assert propose(at, PromptLever, lever).state == "not_applicable"


def test_a_constraint_that_the_model_cannot_enforce_is_told(bench, monkeypatch):
    at = bench(right)
    monkeypatch.setattr(type(at.sources.model), "constraint_problem", lambda self, request: "it cannot")
    result = propose(at, PromptLever, ConstrainedLever)
    assert (result.state, result.reason) == ("not_tried", "labels scored: it cannot; labels decoded: it cannot")


# --- classifier -----------------------------------------------------------------------------------


def test_the_classifier_beats_a_model_that_guesses(bench):
    at = bench(knowing(0.3))
    prompt = propose(at, PromptLever)
    result = propose(at, ClassifierLever)
    assert result.dev_score > 0.9 > 0.6 > prompt.dev_score
    assert result.reason.startswith("tfidf, C=")
    assert "tuneworthy[embed]" in result.reason
    assert at.found["classifier"].model == "none"
    assert all("tokens_in" in trial for trial in result.trials)


def test_one_label_in_the_data_is_nothing_to_tell_apart(bench, tmp_path):
    at = bench(right)
    at.train = tuple(example for example in at.train if example.expected == "power")
    result = propose(at, ClassifierLever)
    assert (result.state, result.reason) == ("not_applicable", "the examples show fewer than two labels")


# --- retrieval ------------------------------------------------------------------------------------

DOCS = {
    label: f"# {UNIT[label]}\n\nWhoever writes of a {SIGNS[label]} is served by the team {label}.\n" for label in LABELS
}


def reads(request):
    """Answers from the passages only."""
    text = request.messages[-1].content
    passages = [line for line in text.split("\n") if line.startswith("Passage ")]
    known = [line.split("the team ")[1].rstrip(".") for line in passages if f" {SIGNS[right(request)]} " in line]
    return known[0] if known else "none"


def test_retrieval_finds_the_document(bench):
    at = bench(reads, change=[("[model]", '[change]\nknowledge = "docs"\n[model]')], **DOCS)
    prompt = propose(at, PromptLever)
    result = propose(at, RagLever)
    assert prompt.dev_score == 0.0
    assert (result.dev_score, result.reason) == (1.0, "bm25, 1 passages")
    passages = {"bm25, 1 passages", "bm25, 2 passages", "bm25, 4 passages"}
    assert set(scores(result)) == passages | {"bm25, 1 passages, 2 nearest", "bm25, 1 passages, 4 fixed"}
    for answer in (r.answer for r in at.dev_arms["rag"].results):
        assert answer.passages == (f"{answer.text}.md#1",)


def test_retrieval_without_documents(bench):
    result = propose(bench(right), PromptLever, RagLever)
    assert (result.state, "no documents" in result.reason) == ("not_applicable", True)


# --- little or nothing to go by -------------------------------------------------------------------


def test_without_development_rows_the_first_variant_is_taken_and_that_is_said(bench):
    at = bench(right, examples=0)
    result = propose(at, PromptLever)
    assert (result.state, result.dev_score, result.trials) == ("measured", None, ())
    assert result.reason == "plain, the first of 3: no development rows to choose on"
    assert propose(at, ConstrainedLever).reason.startswith("labels scored, the first of 2: no development rows")
    assert propose(at, ClassifierLever).state == "not_applicable"
    assert at.better_of("prompt", "constrained") == "prompt"


def test_few_shot_without_development_rows(bench):
    at = bench(right, examples=12)
    at.dev = ()
    result = propose(at, PromptLever, FewShotLever)
    assert (result.dev_score, result.reason) == (
        None,
        "2 nearest, the first of 3: no development rows to choose on",
    )


def test_when_nothing_is_scored_the_lever_failed_and_says_why(bench):
    at = bench(right, failing={"": "transport"})
    result = propose(at, PromptLever)
    assert (result.state, result.dev_score) == ("failed", None)
    assert result.reason == "no answer could be scored: transport: scripted to fail"
    assert [trial["score"] for trial in result.trials] == [None] * 3
    assert all("tokens_in" not in trial for trial in result.trials)
    assert at.found == {}
    for lever in (FewShotLever, ConstrainedLever):
        assert propose(at, lever).state == "not_tried"
    assert propose(at, ClassifierLever).state == "measured"  # it asks no model


def test_an_input_that_fails_is_no_wrong_answer(bench):
    at = bench(right, failing={"pipe": "timeout"})
    result = propose(at, PromptLever)
    arm = at.dev_arms["prompt"]
    assert result.dev_score == 1.0
    assert set(arm.unscored.values()) == {"timeout"}
    assert len(arm.unscored) == sum("pipe" in case.input["message"].split() for case in at.dev) > 0


def test_a_lever_never_sees_a_locked_case(bench, tmp_path):
    seen = set()
    at = bench(lambda r: seen.add(asked(r)) or right(r))
    for lever in LEVERS:
        propose(at, lever)
    lines = (tmp_path / "suite" / "cases.jsonl").read_text().splitlines()
    assert seen.isdisjoint(json.loads(line)["input"]["message"] for line in lines)
    assert seen <= {example.input["message"] for example in prepare(at.project).examples}
    assert at.sources.data_version == manifest(prepare(at.project).examples).version


def test_retrieval_is_tried_with_worked_examples_that_carry_their_own_passages(bench):
    def reads_when_shown(request):
        told = [m.content for m in request.messages if m.role == "assistant"]
        asks = [m.content for m in request.messages if m.role == "user"][:-1]
        return reads(request) if told and all("Passage 1: " in text for text in asks) else "none"

    at = bench(reads_when_shown, change=[("[model]", '[change]\nknowledge = "docs"\n[model]')], **DOCS)
    result = propose(at, PromptLever, RagLever)
    assert (result.dev_score, result.reason) == (1.0, "bm25, 1 passages, 2 nearest")
    assert len(result.trials) == 5  # three numbers of passages, two sets of examples
    calls = sum(trial["cases"] for trial in result.trials)
    assert calls <= max(at.usecase.budget.dev_calls, 20 * len(result.trials))
    assert without_shots(at.found["rag"]).shots is None
