"""Rows that the base model cannot take whole are named, with what a cut would lose."""

import pytest
from sample_rows import make_usecase

from tuneworthy.data import engine
from tuneworthy.data.checks import tokens
from tuneworthy.data.findings import Batch, NotMeasured, Tokens
from tuneworthy.models.open import answer_tokens, context_tokens
from tuneworthy.records import Example


def words(text):
    return len(text.split()) + 1


def batch(*rows, context=40, **output):
    usecase = make_usecase(kind="text", labels=(), **output)  # instruction: 6 tokens; `Text:` and a stop: 2
    examples = tuple(Example(input={"text": "a " * asked}, expected="b " * answered) for asked, answered in rows)
    return Batch(usecase, examples, tokens=Tokens(words, context))


def found(batch):
    return {item.kind: item for item in tokens.check(batch) if not isinstance(item, NotMeasured)}


def test_a_row_beyond_the_context_is_refused_with_what_a_cut_would_take():
    finding = found(batch((5, 3), (20, 14), (40, 3)))["beyond_the_context"]
    assert finding.severity == "refuse"
    assert [row.note for row in finding.rows] == [
        "43 tokens; a cut would take 3 of 15 of the output",
        "52 tokens; a cut would take 4 of 4 of the output",
    ]


def test_a_row_that_just_fits_is_fine_and_a_long_tail_is_a_note():
    assert set(found(batch((20, 11)))) == {"nearly_the_context"}
    assert found(batch((5, 3))) == {}


def test_an_output_that_cannot_be_generated_whole_is_refused():
    finding = found(batch((1, 5), (1, 4), max_tokens=5))["cut_when_generated"]
    assert [row.note for row in finding.rows] == ["6 tokens"]


@pytest.mark.parametrize("given", [None, Tokens(words, None)])
def test_what_is_not_known_is_not_measured(given):
    held = Batch(make_usecase(kind="text", labels=()), batch((5, 3)).examples, tokens=given)
    assert [type(item) for item in tokens.check(held)] == [NotMeasured]


def test_the_model_that_is_shipped_counts_and_knows_its_context(tmp_path):
    usecase = make_usecase()
    pocket = usecase.model_copy(update={"model": usecase.model.model_copy(update={"base": "pocket"})})
    count = answer_tokens(pocket, tmp_path)
    assert count("one two") >= 3
    assert context_tokens(pocket, tmp_path) > 100
    away = usecase.model_copy(update={"model": usecase.model.model_copy(update={"endpoint": "http://localhost:1"})})
    assert answer_tokens(away, tmp_path) is context_tokens(away, tmp_path) is None


def test_quick_loads_no_tokenizer(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "usecase.toml").write_text(
        'name = "a"\ninstruction = "Say when and where."\n[input.text]\n[output]\nkind = "label"\nlabels = ["b", "c"]\n'
        '[bar]\nmetric = "classification"\nat_least = 0.8\nsmallest_difference = 0.05\n',
        "utf-8",
    )
    (tmp_path / "data" / "examples.jsonl").write_text('{"input": {"text": "a"}, "expected": "b"}\n', "utf-8")
    monkeypatch.setattr(engine, "answer_tokens", lambda *given: pytest.fail("loaded"))
    report = engine.check(tmp_path, quick=True).report
    assert "tokens" in {gap.check for gap in report.not_measured}
