"""usecase.toml: every mistake at once, and nothing but a UseCase or a UseCaseError."""

import json
import math
import re
import tomllib
from copy import deepcopy
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from tuneworthy import init
from tuneworthy.content import canonical_json
from tuneworthy.errors import UseCaseError
from tuneworthy.usecase import UseCase, load

VALID = """
name = "letters"
description = "Letters go to a department."
instruction = "Name the department that answers this letter."
seed = 3
[input.letter]
type = "text"
max_chars = 400
[output]
kind = "label"
labels = ["billing", "shipping"]
[change]
behaviour = ["classification"]
[model]
base = "pocket"
[bar]
metric = "classification"
at_least = 0.8
smallest_difference = 0.05
[value]
right_answer_eur = 1.5
volume_per_month = 10
[budget]
dev_calls = 40
[hardware]
device = "cpu"
[override]
data = "we have no more rows this year"
[[scorers]]
name = "exact"
"""
JSON = (
    VALID.replace('"label"', '"json"')
    .replace('labels = ["billing", "shipping"]', "SCHEMA")
    .replace('"classification"\nat', '"fields"\nat')
)


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "usecase.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        return load(path)

    return read


@pytest.fixture
def mistakes(read):
    """key → (value, reason, suggestion) of everything that is wrong."""

    def mistakes(text):
        with pytest.raises(UseCaseError) as refused:
            read(text)
        assert refused.value.exit_code == 1
        assert refused.value.next
        return {p.where: (p.value, p.reason, p.suggestion) for p in refused.value.problems}

    return mistakes


def test_a_valid_file_is_read(read):
    found = read(VALID)
    assert (found.name, found.bar.at_least, found.budget.seeds) == ("letters", 0.8, 3)
    assert found.override == {"data": "we have no more rows this year"}


def test_every_mistake_is_listed_at_once_with_key_value_reason_and_nearest_key(mistakes):
    wrong = (
        VALID.replace("seed = 3", 'seed = -1\nprivcy = "any"')
        .replace('labels = ["billing", "shipping"]', 'labels = ["billing", "billing", " shipping"]')
        .replace('metric = "classification"', 'metric = "clasification"')
        .replace("at_least = 0.8", "at_least = 1.8")
        .replace("dev_calls", "dev_cals")
        .replace('device = "cpu"', 'device = "cud"')
        .replace("data = ", "date = ")
        .replace('"exact"', '"exact"\nsetings = {}')
        .replace("right_answer_eur = 1.5", "right_answer_eur = inf")
    )
    found = mistakes(wrong)
    assert found["seed"] == ("-1", "Input should be greater than or equal to 0", "")
    assert found["privcy"] == ("", "unknown key", "did you mean 'privacy'?")
    assert found["output.labels"][1] == "listed twice: billing; empty, or with white space around it: ' shipping'"
    assert found["bar.metric"] == ("'clasification'", "cannot judge a label output", "did you mean 'classification'?")
    assert found["bar.at_least"][:2] == ("1.8", "Input should be less than or equal to 1")
    assert found["budget.dev_cals"][2] == "did you mean 'dev_calls'?"
    assert found["hardware.device"][2] == "did you mean 'cuda'?"
    assert found["override.date"][2] == "did you mean 'data'?"
    assert found["scorers.0.setings"][2] == "did you mean 'settings'?"
    assert found["value.right_answer_eur"][:2] == ("inf", "Input should be a finite number")
    assert len(found) == 10


def test_a_key_like_no_other_is_answered_with_the_known_ones(mistakes):
    assert mistakes(VALID.replace("dev_calls = 40", "zzz = 40"))["budget.zzz"][2] == (
        "known: eur, training_hours, dev_calls, seeds"
    )


def test_better_answers_without_output_and_bar_are_refused_with_the_reason(mistakes):
    found = mistakes('name = "x"\ninstruction = "Give better answers."\n[input.question]\n')
    assert "cannot be measured" in found["output, bar"][1]
    assert "[output]" in found["output, bar"][2]
    assert "[bar]" in found["output, bar"][2]


@pytest.mark.parametrize(
    ("old", "new", "key", "reason"),
    [
        ('"shipping"]', '"billing"]', "output.labels", "listed twice: billing"),
        (', "shipping"]', "]", "output", "at least two different labels"),
        ('labels = ["billing", "shipping"]', "", "output", "at least two different labels"),
        ('kind = "label"', 'kind = "text"', "output", 'labels belong to kind = "label"'),
        ('"billing"', '""', "output.labels", "empty, or with white space"),
        ("[input.letter]\ntype", "[input]\n[hardware.x]\ntype", "input", "the input has no field"),
        ('name = "letters"', 'name = "Letters!"', "name", "pattern"),
        ('name = "letters"', f'name = "{"a" * 81}"', "name", "at most 80"),
        ("we have no more rows this year", "because", "override.data", "a reason that a colleague would accept"),
        ("at_least = 0.8", "at_least = nan", "bar.at_least", "less than or equal to 1"),
        ("[[scorers]]", "[metric_settings]\nwhen = 2024-01-01\n[[scorers]]", "metric_settings.when", "valid JSON"),
        ("[[scorers]]", "[metric_settings]\na = [inf]\n[[scorers]]", "metric_settings.a", "not JSON compliant"),
        ("[input.letter]", "input = 3\n[x]", "input", "dictionary"),
    ],
)
def test_one_mistake(mistakes, old, new, key, reason):
    assert old in VALID
    assert reason in mistakes(VALID.replace(old, new))[key][1]


def test_a_further_scorer_may_carry_the_bar(read):
    text = VALID.replace('metric = "classification"', 'metric = "mine"').replace('name = "exact"', 'name = "mine"')
    assert read(text).bar.metric == "mine"


@pytest.mark.parametrize(
    ("raw", "says", "then"),
    [
        (VALID.encode("utf-16"), "is not UTF-8", "save it as UTF-8"),
        (VALID.replace("letters", "lettérs").encode("latin-1"), "is not UTF-8", "save it as UTF-8"),
        (b"name = ", "cannot be read", "repair"),
        (b"x = " + b"[" * 5000, "cannot be read", "repair"),
        (b"x = " + b"9" * 5000, "cannot be read", "repair"),
        (b"", "mistakes", "explain"),
    ],
)
def test_a_file_that_is_no_toml_text(read, raw, says, then):
    with pytest.raises(UseCaseError, match=says) as refused:
        read(raw)
    assert then in refused.value.next
    assert refused.value.where.endswith("usecase.toml")


def test_a_byte_order_mark_is_no_mistake(read):
    assert read(b"\xef\xbb\xbf" + VALID.encode()).name == "letters"


def test_a_missing_file_says_how_to_begin(tmp_path):
    with pytest.raises(UseCaseError, match=r"no usecase\.toml") as refused:
        load(tmp_path / "my-case" / "usecase.toml")
    assert refused.value.next == "run: tuneworthy init my-case"


def test_a_folder_or_a_file_in_the_way(tmp_path):
    (tmp_path / "usecase.toml").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "usecase.toml", tmp_path / "file" / "usecase.toml"):
        with pytest.raises(UseCaseError, match="cannot be read"):
            load(path)


# --- the schema -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"enum": []}, "no answer can keep it"),
        ({"type": "string", "enum": [1]}, "no answer can keep it"),
        ({"type": "object", "required": ["a"], "properties": {"a": False}}, "required property 'a' is unsatisfiable"),
        ({"type": "integer", "minimum": 3, "maximum": 1}, "minimum (3) is greater than maximum (1)"),
        ({"allOf": [{"type": "string"}, {"type": "object"}]}, "no answer can keep it"),
    ],
)
def test_a_schema_that_no_answer_can_keep_is_refused(mistakes, tmp_path, schema, reason):
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    assert reason in mistakes(JSON.replace("SCHEMA", 'schema = "schema.json"'))["output.schema"][1]


def test_a_schema_that_the_check_does_not_know_is_let_through(read):
    assert read(JSON.replace("SCHEMA", 'schema = {not = {type = "string"}}')).output.json_schema


def test_a_broken_schema_is_named_at_its_place(mistakes):
    found = mistakes(JSON.replace("SCHEMA", 'schema = {type = "object", properties = {a = {type = "strin"}}}'))
    assert "'strin'" in found["output.schema.properties.a.type"][1]


@pytest.mark.parametrize("content", [None, "{", '{"a": ' * 5000, "\ud800".encode("utf-8", "surrogatepass")])
def test_a_schema_file_that_cannot_be_read_is_one_mistake(mistakes, tmp_path, content):
    if content is not None:
        (tmp_path / "s.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    found = mistakes(JSON.replace("SCHEMA", 'schema = "s.json"'))
    assert list(found) == ["output.schema"]
    assert "cannot be read as JSON" in found["output.schema"][1]


@pytest.mark.parametrize("content", ["[1]", "3", "null", '"text"'])
def test_a_schema_file_that_is_no_object(mistakes, tmp_path, content):
    (tmp_path / "s.json").write_text(content)
    assert any(key.startswith("output") for key in mistakes(JSON.replace("SCHEMA", 'schema = "s.json"')))


def test_a_json_output_needs_a_schema(mistakes):
    assert "needs a schema" in mistakes(JSON.replace("SCHEMA", ""))["output"][1]


@pytest.mark.parametrize("depth", [50, 120, 200, 300, 450, 900])
@pytest.mark.parametrize("part", ['{"not": ', '{"items": ', '{"x": ', '{"allOf": ['])
def test_a_schema_nested_deeply_is_read_or_refused(read, tmp_path, part, depth):
    close = "]}" if part.endswith("[") else "}"
    (tmp_path / "s.json").write_text(part * depth + '{"type": "string"}' + close * depth)
    read_or_refuse(read, JSON.replace("SCHEMA", 'schema = "s.json"'))


# --- anything at all ------------------------------------------------------------------------------

TABLE = tomllib.loads(VALID)
SCALARS = st.one_of(
    st.text(max_size=8), st.integers(), st.just(10**400), st.floats(), st.booleans(), st.just([]), st.just({}),
    st.just(["a", "a"]), st.just([1]), st.just({"a": 1}), st.just("none"), st.just("json"), st.just([[{}]]),
)  # fmt: skip


def toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if value != value else "inf" if value > 0 else "-inf"
    return json.dumps(value).replace("\x7f", "\\u007f")


def places(value, path=()):
    for key, item in value.items():
        yield (*path, key)
        if isinstance(item, dict):
            yield from places(item, (*path, key))


@st.composite
def mutated(draw):
    """A valid file after one to three changes: keys dropped, renamed, added, values replaced."""
    table = json.loads(json.dumps(TABLE))
    for _ in range(draw(st.integers(1, 3))):
        *above, key = draw(st.sampled_from(list(places(table)) or [("name",)]))
        inner = table
        for part in above:
            inner = inner[part]
        change = draw(st.sampled_from(["drop", "rename", "replace", "add"]))
        if change == "drop":
            inner.pop(key, None)
        elif change == "rename":
            inner[draw(st.text(max_size=6))] = inner.pop(key, 1)
        elif change == "add":
            inner[draw(st.sampled_from(["schema", "json_schema", "labels", "max_chars", "x"]))] = deepcopy(
                draw(SCALARS)
            )
        else:
            inner[key] = deepcopy(draw(SCALARS))
    return "\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in table.items())


QUICK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)


def read_or_refuse(read, text):
    try:
        found = read(text)
    except UseCaseError:
        return
    assert isinstance(found, UseCase)
    assert UseCase.model_validate(json.loads(canonical_json(found.model_dump(mode="json", by_alias=True)))) == found


@given(text=mutated())
@QUICK
def test_a_changed_file_is_read_or_refused(read, text):
    read_or_refuse(read, text)


@given(place=st.integers(0, len(VALID) - 1), raw=st.binary(max_size=6), cut=st.integers(0, 20))
@QUICK
def test_a_damaged_file_is_read_or_refused(read, place, raw, cut):
    whole = VALID.encode()
    read_or_refuse(read, whole[:place] + raw + whole[place + cut :])


@given(raw=st.binary(max_size=200))
@QUICK
def test_any_bytes_are_read_or_refused(read, raw):
    read_or_refuse(read, raw)


# --- explained ------------------------------------------------------------------------------------


def keys(model):
    for name, field in model.model_fields.items():
        yield model, field.alias or name, field
        for part in [field.annotation, *get_args(field.annotation)]:
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from keys(part)


ALL_KEYS = list(keys(UseCase))


def test_every_key_is_explained_with_its_default():
    told = init.explain()
    lines = told.split("\n")
    for model, key, field in ALL_KEYS:
        if re.search(rf"^\[+([a-z.]+\.)?{key}[\].]", told, re.MULTILINE):
            continue  # a table of its own
        places = [number for number, line in enumerate(lines) if line.startswith(f"{key} = ")]
        assert places, f"{model.__name__}.{key} is not in the explanation"
        assert any(lines[number - 1].startswith("# ") for number in places), f"{model.__name__}.{key} has no meaning"
        if not field.is_required() and isinstance(field.default, str | int | float):
            assert f"{key} = {json.dumps(field.default)}" in lines


def test_every_plain_key_says_what_it_means():
    tables = {"input", "output", "change", "model", "use", "bar", "value", "budget", "hardware", "scorers"}
    silent = [key for model, key, field in ALL_KEYS if not field.description and key not in tables]
    assert silent == []


def test_the_explanation_of_a_required_key_and_of_the_values_it_may_have():
    told = init.explain()
    assert 'device = "auto"' in told
    assert "# auto: the GPU where there is one; one of: auto, cpu, cuda\n" in told
    assert "at_least = «required»" in told
    assert "[input.«name»]" in told
    assert "[[scorers]]" in told
