"""What each scorer calls right."""

import json

import pytest

from tuneworthy.errors import TuneworthyError, UseCaseError
from tuneworthy.records import Case
from tuneworthy.scorers.classification import Classification, classification_report
from tuneworthy.scorers.exact import Contains, Exact
from tuneworthy.scorers.fields import Fields, JsonExact
from tuneworthy.scorers.json_schema import JsonSchema
from tuneworthy.scorers.open import open_scorers, scorer_record
from tuneworthy.scorers.reading import lenient_json, strict_json, unfenced
from tuneworthy.scorers.regex import Regex
from tuneworthy.usecase import Output, UseCase

TEXT = Output(kind="text", max_chars=60)
LABEL = Output(kind="label", labels=("cat", "category", "card_arrival", "refund"))
JSON = Output(kind="json", json_schema={"type": "object"})


def value(scorer, expected, output, *, lenient=False):
    return scorer.score(Case(id="1", input={"q": "?"}, expected=expected), output, lenient=lenient).value


def both(scorer, expected, output):
    return value(scorer, expected, output), value(scorer, expected, output, lenient=True)


@pytest.mark.parametrize(
    ("output", "strict_lenient"),
    [
        ("Paris", (1, 1)),
        ("  Paris\n", (1, 1)),
        ("paris.", (0, 1)),
        ('"Paris"', (0, 1)),
        ("```\nParis\n```", (0, 1)),
        ("```Paris```", (0, 1)),
        ("Here it is:\n```text\nParis\n```", (0, 1)),
        ("It is Paris", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_exact(output, strict_lenient):
    assert both(Exact(TEXT), "Paris", output) == strict_lenient


def test_exact_takes_composed_and_decomposed_letters_as_one():
    assert value(Exact(TEXT), "Café", "Cafe\u0301") == 1


def test_exact_accepts_any_of_a_list():
    assert value(Exact(TEXT), ["Paris", "City of Light"], "City of Light") == 1


def test_punctuation_alone_is_not_read_loosely():
    assert both(Exact(TEXT), "?", "") == (0, 0)


@pytest.mark.parametrize(
    ("expected", "output", "strict_lenient"),
    [
        ("Paris", "The capital is Paris.", (1, 1)),
        ("Paris", "The capital is paris.", (0, 1)),
        ("Paris", "Parisian", (0, 0)),
        ("14", "It takes 14 days.", (1, 1)),
        ("14", "It takes 14.", (1, 1)),
        ("14", "It costs 14.50 euros", (0, 0)),
        ("400", "It costs 1,400 euros", (0, 0)),
        ("c++", "Written in c++, mostly", (1, 1)),
        (["two weeks", "14 days"], "14 days", (1, 1)),
        ("Paris", "Paris, or else " + "London, " * 10, (0, 0)),
    ],
)
def test_contains(expected, output, strict_lenient):
    assert both(Contains(TEXT), expected, output) == strict_lenient


@pytest.mark.parametrize(
    ("expected", "output", "strict_lenient"),
    [
        ("refund", "refund", (1, 1)),
        ("refund", " refund\n", (1, 1)),
        ("refund", "Refund", (0, 1)),
        ("refund", "Label: refund.", (0, 1)),
        ("refund", "I think this is a refund", (0, 1)),
        ("card_arrival", "card arrival", (0, 1)),
        ("card_arrival", "The intent is Card-Arrival.", (0, 1)),
        ("category", "a category", (0, 1)),
        ("cat", "a category", (0, 0)),
        ("category", "category, cat", (0, 0)),
        ("refund", "refund refund", (0, 1)),
        ("refund", "refund or category", (0, 0)),
        ("refund", "refunds", (0, 0)),
        ("refund", "billing", (0, 0)),
    ],
)
def test_classification(expected, output, strict_lenient):
    assert both(Classification(LABEL), expected, output) == strict_lenient


def test_the_classification_report_agrees_with_scikit_learn():
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

    labels = ["a", "b", "c", "never"]
    pairs = [("a", "a"), ("a", "b"), ("b", "b"), ("b", "b"), ("c", "a"), ("c", "never"), ("c", "c"), ("a", "a")]
    truth, answers = zip(*pairs, strict=True)
    report = classification_report(iter(pairs), iter(labels))
    assert report.accuracy == accuracy_score(truth, answers)
    assert report.macro_f1 == pytest.approx(f1_score(truth, answers, labels=["a", "b", "c"], average="macro"))
    matrix = [[report.confusion[row][column] for column in labels] for row in labels]
    assert matrix == confusion_matrix(truth, answers, labels=labels).tolist()


def test_the_classification_report_counts_answers_that_are_no_label():
    report = classification_report([("a", None), ("a", "a")], ["a", "b"])
    assert (report.accuracy, report.confusion["a"][""]) == (0.5, 1)


@pytest.mark.parametrize("pairs", [[], [("z", "a")], [("a", "z")]])
def test_the_classification_report_refuses_what_it_cannot_count(pairs):
    with pytest.raises(ValueError, match=r"at least one case|not among the labels: z"):
        classification_report(pairs, ["a", "b"])


TICKET = {"intent": "refund", "order": 3, "customer": {"name": "Ann", "vip": True}}


def test_fields_gives_a_share_per_leaf():
    answer = json.dumps({"intent": "refund", "order": 4, "customer": {"name": "Ann", "vip": True}})
    score = Fields(JSON).score(Case(id="1", input={}, expected=TICKET), answer)
    assert score.value == 0.75
    assert score.parts == {"intent": 1, "order": 0, "customer.name": 1, "customer.vip": 1}
    assert score.explanation == "wrong: order"


@pytest.mark.parametrize(
    ("output", "strict_lenient"),
    [
        (json.dumps(TICKET), (1, 1)),
        (json.dumps(TICKET, indent=2), (1, 1)),
        (f"```json\n{json.dumps(TICKET)}\n```", (0, 1)),
        (f"Sure, here it is: {json.dumps(TICKET)} I hope that helps {{:-)}}", (0, 1)),
        (json.dumps({**TICKET, "order": "3"}), (0.75, 1)),
        (json.dumps({**TICKET, "order": 3.0}), (1, 1)),
        (json.dumps({**TICKET, "intent": "Refund."}), (0.75, 1)),
        (json.dumps({**TICKET, "customer": {"name": "Ann", "vip": "true"}}), (0.75, 1)),
        (json.dumps({**TICKET, "customer": {"name": "Ann", "vip": 1}}), (0.75, 0.75)),
        (json.dumps({**TICKET, "extra": 1}), (0.8, 0.8)),
        ("[]", (0, 0)),
        ("no idea", (0, 0)),
        (json.dumps(TICKET)[:-1], (0, 0)),
    ],
)
def test_fields(output, strict_lenient):
    strict, lenient = both(Fields(JSON), TICKET, output)
    assert (strict, lenient) == strict_lenient
    assert both(JsonExact(JSON), TICKET, output) == (float(strict == 1), float(lenient == 1))


def test_a_key_with_a_dot_is_not_a_nested_key():
    assert value(JsonExact(JSON), {"a": {"b": 1}}, '{"a.b": 1}') == 0


def test_large_numbers_are_not_rounded_into_equality():
    assert both(JsonExact(JSON), {"id": 2**60}, json.dumps({"id": str(2**60 + 1)})) == (0, 0)


@pytest.mark.parametrize("output", ['{"a": 1, "a": 1}', '{"a": NaN}', '{"a": 1e999}', '{"a": Infinity}', '{"a": 1} x'])
def test_strict_json_refuses_what_two_readers_would_read_differently(output):
    with pytest.raises(ValueError, match=r"twice|not JSON|beyond|Extra data"):
        strict_json(output)
    assert value(Fields(JSON), {"a": 1}, output) == 0


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ('{"a": "```x```"}', {"a": "```x```"}),
        ('the set {1, 2} is {"a": 1}', {"a": 1}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        ('```\n{"a": 1}\n```\nor\n```\n{"a": 2}\n```', {"a": 1}),
    ],
)
def test_lenient_json(output, found):
    assert lenient_json(output) == found


def test_several_fences_are_left_alone():
    assert unfenced("```a``` and ```b```") == "```a``` and ```b```"


def test_json_schema_names_what_is_broken():
    output = Output(kind="json", json_schema={"properties": {"n": {"type": "integer"}}})
    score = JsonSchema(output).score(Case(id="1", input={}), '{"n": "x"}')
    assert (score.value, score.explanation) == (0.0, "n: 'x' is not of type 'integer'")


@pytest.mark.parametrize("reference", ["https://example.org/schema.json", "other.json#/a", "#/$defs/missing"])
def test_json_schema_refuses_references_that_it_would_have_to_fetch_or_guess(reference):
    schema = {"properties": {"a": {"$ref": reference}}}
    with pytest.raises(UseCaseError, match=r"nothing is fetched|leads nowhere"):
        JsonSchema(Output(kind="json", json_schema=schema))


def test_json_schema_takes_other_documents_from_its_settings_and_the_metaschemas_from_the_library():
    schema = {"properties": {"a": {"$ref": "https://example.org/part.json"}}}
    scorer = JsonSchema(
        Output(kind="json", json_schema=schema), documents={"https://example.org/part.json": {"type": "string"}}
    )
    assert value(scorer, None, '{"a": "x"}') == 1
    assert value(scorer, None, '{"a": 1}') == 0
    meta = Output(kind="json", json_schema={"$ref": "https://json-schema.org/draft/2020-12/schema"})
    assert value(JsonSchema(meta), None, '{"type": "string"}') == 1
    assert value(JsonSchema(meta), None, '{"type": 1}') == 0


def test_json_schema_reads_an_older_draft_as_that_draft():
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}
    assert value(JsonSchema(Output(kind="json", json_schema=schema)), None, "[1]") == 0


@pytest.mark.parametrize(
    ("schema", "documents", "says"),
    [
        ({"$schema": "https://example.org/mine"}, {}, "a dialect that is not known"),
        ({"pattern": r"^\p{Letter}+$"}, {}, "none that Python knows"),
        ({"patternProperties": {"(": {}}}, {}, "none that Python knows"),
        ({}, {"https://example.org/x": {"type": 7}}, "is no schema"),
        ({}, ["x"], "a table of schemas"),
    ],
)
def test_json_schema_refuses_what_it_would_misread(schema, documents, says):
    with pytest.raises(UseCaseError, match=says):
        JsonSchema(Output(kind="json", json_schema=schema), documents=documents)


def test_json_schema_names_a_circle():
    schema = {"properties": {"a": {"$ref": "#/properties/a"}}}
    with pytest.raises(UseCaseError, match="circle"):
        JsonSchema(Output(kind="json", json_schema=schema)).score(Case(id="1", input={}), '{"a": 1}')


def test_regex():
    scorer = Regex(TEXT, pattern=r"Dear .+\. Yours")
    assert both(scorer, None, "Dear Ann.\n\nYours") == (1, 1)
    assert both(scorer, None, "```\nDear Ann. Yours\n``` ok?") == (0, 1)
    assert both(scorer, None, "Hi") == (0, 0)


@pytest.mark.parametrize("pattern", ["", "(", 3])
def test_regex_refuses_a_pattern_that_is_none(pattern):
    with pytest.raises(TuneworthyError, match="pattern"):
        Regex(TEXT, pattern=pattern)


def test_a_pattern_that_explodes_is_stopped_and_the_case_unscored(monkeypatch):
    monkeypatch.setattr("tuneworthy.scorers.regex.SECONDS", 0.05)
    score = Regex(TEXT, pattern=r"(a|a)*b").score(Case(id="1", input={}), "a" * 60 + "cb")
    assert score.unscored == "timeout"


def usecase(**changes):
    table = {
        "name": "capitals",
        "instruction": "Answer with the name of the city.",
        "input": {"question": {}},
        "output": {"kind": "text"},
        "bar": {"metric": "exact", "at_least": 0.8, "smallest_difference": 0.05},
    }
    return UseCase.model_validate({**table, **changes})


def test_the_scorer_of_the_bar_comes_first_and_once():
    primary, others = open_scorers(usecase(scorers=[{"name": "squad_f1"}, {"name": "exact"}]))
    assert (primary.name, [scorer.name for scorer in others]) == ("exact", ["squad_f1"])


def test_settings_of_the_bar_may_stand_with_its_scorer():
    table = {"bar": {"metric": "regex", "at_least": 0.8, "smallest_difference": 0.05}}
    primary, _ = open_scorers(usecase(**table, scorers=[{"name": "regex", "settings": {"pattern": "x"}}]))
    assert scorer_record(primary)["settings"] == {"pattern": "x"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"metric_settings": {"lower": True}}, "metric_settings.lower = True: the scorer exact has no such setting"),
        ({"scorers": [{"name": "regex", "settings": {"patern": "x"}}]}, "did you mean 'pattern'"),
        ({"scorers": [{"name": "exakt"}]}, "did you mean 'exact'"),
        ({"scorers": [{"name": "contains"}, {"name": "contains"}]}, "stands twice"),
        (
            {"scorers": [{"name": "exact", "settings": {"a": 1}}], "metric_settings": {"b": 1}},
            "stand in [[scorers]] as well",
        ),
    ],
)
def test_wrong_scorers_are_refused(changes, says):
    with pytest.raises(TuneworthyError) as refused:
        open_scorers(usecase(**changes))
    assert says in str(refused.value)


def test_the_record_of_a_scorer_changes_with_its_code(monkeypatch):
    import inspect

    scorer = Exact(TEXT)
    before = scorer_record(scorer)
    assert before == scorer_record(Exact(LABEL))
    source = inspect.getsource
    monkeypatch.setattr(inspect, "getsource", lambda module: source(module) + "#")
    after = scorer_record(scorer)
    assert {key for key in before if before[key] != after[key]} == {"code"}
