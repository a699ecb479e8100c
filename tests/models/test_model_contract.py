"""What every model keeps, whatever stands behind it. The endpoint is asked over real HTTP."""

import json
import re

import pytest
from talking import Server, chat
from weights import ask, labels, opened

from tiny import tiny_model
from tuneworthy import plugins
from tuneworthy.errors import ModelError, PrivacyRefused, TuneworthyError
from tuneworthy.models.open import open_model
from tuneworthy.models.openai_compatible import Patience, open_endpoint
from tuneworthy.models.scripted import Scripted, open_scripted
from tuneworthy.records import Completion, Constraint
from tuneworthy.seams import Model, Tunable
from tuneworthy.usecase import Bar, InputField, ModelChoice, Output, UseCase

NAMES = ("scripted", "local", "openai_compatible")
FRUIT = ("apple", "pear", "plum")
SHORT = Patience(attempts=1, timeout=5)


def honest(body):
    """An endpoint that enforces labels: the one that the prompt names, or the first."""
    asked = body["messages"][-1]["content"]
    if "FAIL" in asked:
        return 500, {}, {}
    if "response_format" in body:
        listed = body["response_format"]["json_schema"]["schema"]["properties"]["answer"]["enum"]
        return 200, {}, chat(json.dumps({"answer": next((name for name in listed if name in asked), listed[0])}))
    return 200, {}, chat(f"You said: {asked}")


@pytest.fixture(scope="module")
def endpoint_url():
    with Server() as running:
        running.reply = honest
        yield running.url


@pytest.fixture(scope="module")
def other_folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("other"), seed=1)


@pytest.fixture(scope="module")
def build(base_folder, other_folder, endpoint_url):
    """(name, variant) → a freshly opened model; variants differ in what they answer."""

    def fresh(name, variant=0):
        if name == "scripted":
            return Scripted(
                lambda request: f"You said: {request.messages[-1].content}",
                name=f"scripted {variant}",
                failing={"FAIL": "timeout"},
            )
        if name == "local":
            return opened([base_folder, other_folder][variant])
        choice = ModelChoice(base=f"tiny {variant}", endpoint=endpoint_url)
        return open_endpoint(choice, privacy="on_premises", patience=SHORT)

    return fresh


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def model(build, name):
    return build(name)


def test_it_is_a_model(model, name):
    assert isinstance(model, Model)
    assert isinstance(model, Tunable) == (name == "local")
    assert model.name
    assert model.context is None or model.context > 0


def test_every_model_of_the_package_is_tested_here():
    assert set(plugins.BUILT_IN["models"]) == set(NAMES)
    assert all(callable(plugins.load("models", name)) for name in NAMES)


def test_answers_stand_in_the_order_of_the_questions(model):
    requests = [ask(f"question {number} {'long ' * (number * 7 % 5)}") for number in range(12)]
    together = model.complete(requests)
    assert [c.text for c in together] == [model.complete([request])[0].text for request in requests]
    assert len({c.text for c in together}) == len(requests)
    assert {c.error for c in together} == {None}


def test_each_answer_is_told_once_and_is_the_one_that_is_returned(model):
    told = []
    completions = model.complete([ask(f"question {n}") for n in range(9)], lambda index, c: told.append((index, c)))
    assert sorted(index for index, _ in told) == list(range(9))
    assert all(completions[index] is completion for index, completion in told)


def test_no_question_no_answer(model):
    assert model.complete([]) == []


def test_completions_are_filled_in(model, name):
    completion = model.complete([ask("How are you?", max_tokens=8)])[0]
    assert completion.text
    assert completion.tokens_in > 0
    assert completion.tokens_out > 0
    assert completion.seconds >= 0
    assert completion.finish in ("stop", "length")
    assert Completion.model_validate_json(completion.model_dump_json()) == completion


def test_an_enforced_label_is_a_listed_one(model):
    requests = [ask(f"a {fruit}?", constraint=labels(*FRUIT)) for fruit in (*FRUIT, "stone")]
    assert {request.constraint.how for request in requests} == {"decode"}
    assert all(model.constraint_problem(request) == "" for request in requests)
    assert {c.text for c in model.complete(requests)} <= set(FRUIT)


def test_a_constraint_is_enforced_or_explained(model, name):
    assert model.constraint_problem(ask("?")) == ""
    schema = ask("?", constraint=Constraint(kind="json_schema", json_schema={"type": "object"}))
    assert bool(model.constraint_problem(schema)) == (name == "scripted")
    scored = ask("?", constraint=labels(*FRUIT, how="score"))
    assert bool(model.constraint_problem(scored)) == (name == "openai_compatible")


def test_the_digest_is_stable_and_names_the_model(build, model, name):
    assert re.fullmatch("[0-9a-f]{64}", model.digest)
    before = model.digest
    model.complete([ask("Hi")])
    assert model.digest == before == build(name).digest != build(name, 1).digest


def test_digests_of_different_models_differ(build):
    assert len({build(name, variant).digest for name in NAMES for variant in (0, 1)}) == 2 * len(NAMES)


def test_tokens_are_counted_or_not_known(model, name):
    short, long = (model.count_tokens(ask(text).messages) for text in ("one two", "one two three four"))
    if name == "openai_compatible":
        assert short is long is None
    else:
        assert 0 < short < long
        assert model.complete([ask("one two")])[0].tokens_in == short


@pytest.mark.parametrize(("failing", "reason"), [("scripted", "timeout"), ("openai_compatible", "transport")])
def test_a_failure_is_told_in_its_place_and_the_others_are_answered(build, failing, reason):
    completions = build(failing).complete([ask("one"), ask("FAIL"), ask("three")])
    assert [c.error for c in completions] == [None, reason, None]
    assert [c.text for c in completions] == ["You said: one", "", "You said: three"]
    assert completions[1].finish == "error"
    assert completions[1].detail


# --- scripted ---


def test_the_longest_rule_of_the_script_wins(tmp_path):
    (tmp_path / "scripted.json").write_text('{"": "other", "refund": "short", "refund of a gift": "long"}')
    model = open_scripted(tmp_path)
    asked = [ask(text) for text in ("a refund of a gift", "a refund", "hello")]
    assert [c.text for c in model.complete(asked)] == ["long", "short", "other"]


def test_the_digest_of_a_script_names_its_rules(tmp_path):
    digests = set()
    for rules in ({"a": "b"}, {"a": "c"}, {"": "b"}):
        (tmp_path / "scripted.json").write_text(json.dumps(rules))
        digests.add(open_scripted(tmp_path).digest)
    assert len(digests) == 3


@pytest.mark.parametrize("text", [None, "", "[]", '{"a": 1}', "{", '"a"', "[" * 100_000])
def test_a_script_that_cannot_be_read_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "scripted.json").write_text(text)
    with pytest.raises(ModelError, match="no rules") as refused:
        open_scripted(tmp_path)
    assert refused.value.where == str(tmp_path / "scripted.json")
    assert refused.value.next


# --- the base model of a use case ---


def usecase(privacy="on_premises", **model):
    return UseCase(
        name="mail",
        instruction="Sort these letters.",
        privacy=privacy,
        input={"text": InputField()},
        output=Output(kind="label", labels=FRUIT),
        model=ModelChoice(**model),
        bar=Bar(metric="classification", at_least=0.9, smallest_difference=0.05),
    )


def test_a_use_case_opens_what_it_names(base_folder, endpoint_url, tmp_path, local):
    (tmp_path / "scripted.json").write_text('{"": "pear"}')
    assert open_model(usecase(base="scripted"), tmp_path).complete([ask("?")])[0].text == "pear"
    assert open_model(usecase(base=str(base_folder)), tmp_path).digest == local.digest
    asked = open_model(usecase(base="tiny", endpoint=endpoint_url), tmp_path).complete([ask("hi")])
    assert asked[0].text == "You said: hi"


def test_the_privacy_posture_reaches_the_endpoint(tmp_path):
    choice = {"base": "gpt", "endpoint": "https://api.openai.com/v1"}
    with pytest.raises(PrivacyRefused):
        open_model(usecase(**choice), tmp_path)
    assert open_model(usecase(privacy="any", **choice), tmp_path).name == "gpt"


def test_every_error_of_opening_says_what_to_do_next(tmp_path):
    for choice in ({"base": "scripted"}, {"base": "./nowhere"}, {"base": "x", "endpoint": "localhost"}):
        with pytest.raises(TuneworthyError) as refused:
            open_model(usecase(**choice), tmp_path)
        assert refused.value.next
