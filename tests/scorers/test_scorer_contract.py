"""What every scorer keeps, whatever a model writes."""

import ast
import inspect
import json
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import rouge_score.rouge_scorer  # noqa: F401  # takes a second: not within the deadline of one example
from hypothesis import given
from hypothesis import strategies as st

from judging import TABLE
from tuneworthy import plugins
from tuneworthy.models.scripted import Scripted
from tuneworthy.records import Case, Score
from tuneworthy.rendering import render_expected
from tuneworthy.scorers.judge import Judge
from tuneworthy.scorers.reading import DEEPEST
from tuneworthy.seams import Scorer
from tuneworthy.usecase import Output, UseCase

LABELS = ("billing", "Billing", "card_arrival", "card arrival", "not billing", "-1", "1", "c++")
SCHEMA = {
    "type": "object",
    "properties": {
        "intent": {"enum": ["refund", "other"]},
        "order": {"type": ["string", "integer", "null"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "more": {"$ref": "#"},
    },
    "required": ["intent"],
}
LABEL = Output(kind="label", labels=LABELS)
JSON = Output(kind="json", json_schema=SCHEMA)
TEXT = Output(kind="text", max_chars=5_000)

FIT = {
    "exact": [LABEL, JSON, TEXT],
    "classification": [LABEL],
    "fields": [JSON],
    "json_exact": [JSON],
    "json_schema": [JSON],
    "regex": [TEXT],
    "contains": [TEXT],
    "squad_f1": [TEXT],
    "squad_em": [TEXT],
    "bleu": [TEXT],
    "chrf": [TEXT],
    "rouge_l": [TEXT],
    "similarity": [TEXT],
    "forbidden_words": [TEXT],
    "length": [TEXT],
    "vocabulary": [TEXT],
    "groundedness": [TEXT],
    "refusal": [TEXT],
    "judge": [TEXT],
    "reading_level": [TEXT],
    "style_closeness": [TEXT],
}
JUDGE_NO_TEXT = {"latency", "tokens", "cost"}
"""what these keep: test_spending.py"""
SETTINGS = {
    "reading_level": {"at_most": 1_000_000.0},
    "style_closeness": {
        "texts": (
            tuple(f"Dear {n}, yours." for n in "abcdefghijklmnopqrstuvwxyzABCD"),
            tuple(f"hey {n}!! lol" for n in "abcdefghijklmnopqrstuvwxyzABCD"),
        )
    },
    "regex": {"pattern": r"(?s).*"},
    "forbidden_words": {"words": ["synergy"]},
    "vocabulary": {"words": ["seven"]},
}
NEED_NO_EXPECTED = {"json_schema", "regex", "forbidden_words", "length", "judge", "reading_level", "style_closeness"}
NEED_A_WORD = {"contains", "squad_f1", "squad_em", *list(FIT)[9:]}
"""nothing is left of "…" or "the" to be found, and an empty text is no answer"""
PAIRS = [pytest.param(name, output, id=f"{name}-{output.kind}") for name in FIT for output in FIT[name]]


FOLDER = tempfile.TemporaryDirectory()


def says_right(output):
    """A judge that finds every answer right: its own contract is about what it does with a reply."""
    table = {**TABLE, "output": output.model_dump(exclude_none=True), "input": {"text": {}}}
    spec = UseCase.model_validate(table)
    return Judge(output, spec.judge, spec, Path(FOLDER.name), model=Scripted(lambda request: "right"))


@cache
def trained(output):
    return plugins.load("scorers", "style_closeness")(output, **SETTINGS["style_closeness"])


def opened(name, output):
    if name == "judge":
        return says_right(output)
    if name == "style_closeness":
        return trained(output)
    return plugins.load("scorers", name)(output, **SETTINGS.get(name, {}))


def case(expected):
    texts = expected if isinstance(expected, list) else [expected]
    evidence = " ".join(text for text in texts if isinstance(text, str))
    return Case(id="1", input={"text": "?"}, expected=expected, evidence=evidence)


def with_word(expected):
    """The text, or each of several, with a word at the end."""
    return f"{expected} seven" if isinstance(expected, str) else [f"{text} seven" for text in expected]


class Letters:
    """An embedder that needs no model: how often each letter occurs."""

    name = digest = "letters"

    def embed(self, texts):
        counts = np.array([[text.count(letter) for letter in "abcdefghij"] + [1] for text in texts], dtype=np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def _no_model(monkeypatch):
    monkeypatch.setitem(plugins.BUILT_IN["embedders"], "minilm", f"{__name__}:Letters")


words = st.sampled_from(["Paris", "14", "14.5", "the", "a", "…", "ß", "İ", "e\u0301", "é", "billing", "\u0345", "_"])
prose = st.one_of(st.text(max_size=60), st.lists(words, min_size=1, max_size=5).map(" ".join))
leaf = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**300, 10**310),
    st.floats(allow_nan=False, allow_infinity=False),
    prose,
)
trees = st.recursive(
    leaf, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(prose, inner, max_size=3)), max_leaves=6
)
tickets = st.fixed_dictionaries(
    {"intent": st.sampled_from(["refund", "other"])},
    optional={"order": st.one_of(st.none(), st.integers(-9, 10**20), prose), "tags": st.lists(prose, max_size=2)},
)
EXPECTED = {
    "label": st.sampled_from(LABELS),
    "json": tickets,
    "text": st.one_of(prose, st.lists(prose, min_size=1, max_size=3)),
}
broken_json = ['{"intent": ', '"refund"', "}", "{", "[", "]", ",", "\n", "NaN", "1e999", "9" * 400, '{"a": 1, "a": 2}']
odd = ["```", "```json\n", '"\\ud800"', "\ud800", "\x00", "\\", '"', "billing", "Card Arrival", "not "]
fragments = st.sampled_from([*broken_json, *odd])
outputs = st.one_of(
    st.text(max_size=80),
    st.lists(st.one_of(fragments, words), max_size=8).map("".join),
    trees.map(json.dumps),
    tickets.map(lambda ticket: f"Sure!\n```json\n{json.dumps(ticket)}\n```"),
)


def test_every_built_in_scorer_is_under_this_contract():
    assert set(FIT) | JUDGE_NO_TEXT == set(plugins.names("scorers"))


@pytest.mark.parametrize(("name", "output"), PAIRS)
def test_is_a_scorer(name, output):
    scorer = opened(name, output)
    assert isinstance(scorer, Scorer)
    assert scorer.name == name


@pytest.mark.parametrize(("name", "output"), PAIRS)
@given(data=st.data())
def test_any_text_gets_a_value_and_the_same_one_again(name, output, data):
    expected = data.draw(EXPECTED[output.kind])
    judged = case(with_word(expected) if name in NEED_A_WORD else expected)
    scorer, text = opened(name, output), data.draw(outputs)
    strict, lenient = scorer.score(judged, text), scorer.score(judged, text, lenient=True)
    for score in (strict, lenient):
        assert score.value is not None
        assert 0.0 <= score.value <= 1.0
        assert not scorer.binary or score.value in (0.0, 1.0)
    assert lenient.value >= strict.value
    assert opened(name, output).score(judged, text) == strict
    assert opened(name, output).score(judged, text, lenient=True) == lenient
    assert Score.model_validate_json(strict.model_dump_json()) == strict


@pytest.mark.parametrize(("name", "output"), PAIRS)
@given(data=st.data())
def test_the_expected_output_as_rendered_is_right(name, output, data):
    expected = data.draw(EXPECTED[output.kind])
    if name in NEED_A_WORD:
        expected = with_word(expected)
    score = opened(name, output).score(case(expected), render_expected(output, expected))
    assert score.value == 1.0, score.explanation


@pytest.mark.parametrize(("name", "output"), PAIRS)
def test_an_empty_answer_is_wrong_not_unscored(name, output):
    scorer = plugins.load("scorers", name)(output, pattern=r"\w+") if name == "regex" else opened(name, output)
    expected = {"label": "billing", "json": {"intent": "refund"}, "text": "Paris seven"}[output.kind]
    assert scorer.score(case(expected), "").value == 0.0
    assert scorer.score(case(expected), "", lenient=True).value == 0.0


@pytest.mark.parametrize(("name", "output"), PAIRS)
def test_without_an_expected_output_a_case_is_unscored(name, output):
    score = opened(name, output).score(case(None), "billing")
    assert score.unscored == (None if name in NEED_NO_EXPECTED else "missing_expected")


@pytest.mark.parametrize("text", ['{"a":' * 5_000, "[" * 100_000, "{" * 100_000, '{"more":' * 200 + "{}" + "}" * 200])
@pytest.mark.parametrize(("name", "output"), [p for p in PAIRS if p.values[1].kind == "json"])
def test_deep_nesting_is_a_wrong_answer_soon(name, output, text):
    for lenient in (False, True):
        assert opened(name, output).score(case({"intent": "refund"}), text, lenient=lenient).value == 0.0


def test_the_deepest_answer_that_is_read_does_not_exhaust_a_recursive_schema():
    deep = {"intent": "refund"}
    for _ in range(DEEPEST - 2):
        deep = {"intent": "refund", "more": deep}
    assert opened("json_schema", JSON).score(case(deep), json.dumps(deep)).value == 1.0
    assert opened("json_exact", JSON).score(case(deep), json.dumps(deep)).value == 1.0


@pytest.mark.parametrize("name", list(FIT))
def test_the_code_hash_covers_what_a_scorer_stands_on(name):
    """A scorer may import, within the package, only what `scorer_record` hashes, and plain records."""
    module = sys.modules[plugins.load("scorers", name).__module__]
    imported = {
        node.module
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tuneworthy")
    }
    hashed = {"tuneworthy.scorers.reading", "tuneworthy.rendering"}
    plain = {"tuneworthy.records", "tuneworthy.usecase", "tuneworthy.errors"}
    # what comes through the door of plug-ins is named by the signature
    scorer = plugins.load("scorers", name)
    beside = {"tuneworthy"} if "signature" in dir(scorer) else set()
    if hasattr(scorer, "for_usecase"):  # what it is given by its surroundings is named by its signature too
        beside |= {f"tuneworthy.{part}" for part in ("content", "models.answers", "models.open", "project", "seams")}
    assert imported - hashed <= plain | beside
