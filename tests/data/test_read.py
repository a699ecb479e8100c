"""Rows become examples and cases of the declared shape; every bad one is listed; nothing is lost."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_rows import make_usecase

from tuneworthy.data.read import import_file, read_cases, read_examples
from tuneworthy.errors import DataError, StorageError
from tuneworthy.project import Project

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

SCHEMA = {
    "type": "object",
    "properties": {"queue": {"enum": ["card", "cash"]}, "order": {"type": "integer"}},
    "required": ["queue"],
    "additionalProperties": False,
}


def write(path, rows):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def native(expected, /, **fields):
    return {"input": fields, "expected": expected}


def reasons(path, usecase):
    return [str(problem) for problem in read_examples(path, usecase).problems]


class TestInput:
    @pytest.mark.parametrize(
        ("kind", "given", "read"),
        [
            ("text", "1", "1"),
            ("integer", 7, 7),
            ("integer", " 7 ", 7),
            ("number", "7.5", 7.5),
            ("number", 7, 7),
            ("boolean", "TRUE", True),
            ("boolean", False, False),
        ],
    )
    def test_a_value_of_the_declared_type_is_read(self, tmp_path, kind, given, read):
        path = write(tmp_path / "a.jsonl", [native("card", x=given)])
        (example,) = read_examples(path, make_usecase(fields=("x",), types={"x": kind})).examples
        assert (example.input, type(example.input["x"])) == ({"x": read}, type(read))

    @pytest.mark.parametrize(
        ("kind", "given", "said"),
        [
            ("text", 7, "is a number, not text"),
            ("text", ["a"], "is a list, not text"),
            ("text", "  ", "missing or empty"),
            ("text", None, "missing or empty"),
            ("text", "x" * 201, "has 201 characters, at most 200"),
            ("text", "a\0b", "character 2 is a NUL"),
            ("text", "a\ud800", "half of a surrogate pair"),
            ("integer", 7.0, "not a whole number"),
            ("integer", True, "not a whole number"),
            ("integer", "7 pieces", "not a whole number"),
            ("number", "Infinity", "not a number"),
            ("number", "1e999", "not a number"),
            ("number", "nan", "not a number"),
            ("boolean", "yes", "not true or false"),
            ("boolean", 1, "not true or false"),
        ],
    )
    def test_any_other_value_is_listed_with_file_line_and_field(self, tmp_path, kind, given, said):
        path = write(tmp_path / "a.jsonl", [native("card", x=given)])
        (told,) = reasons(path, make_usecase(fields=("x",), types={"x": kind}))
        assert told.startswith("a.jsonl:1: input.x: ")
        assert said in told

    def test_an_unknown_field_is_listed_with_the_nearest(self, tmp_path, usecase):
        (told,) = reasons(write(tmp_path / "a.jsonl", [native("card", text="a", txet="b")]), usecase)
        assert "input.txet: the use case declares no such field; did you mean 'text'?" in told

    def test_an_empty_optional_field_is_left_out_but_one_must_be_there(self, tmp_path):
        usecase = make_usecase(fields=("a", "b"), optional=("a", "b"))
        path = write(tmp_path / "a.jsonl", [native("card", a="x", b=""), native("card", a="", b=None)])
        found = read_examples(path, usecase)
        assert found.examples[0].input == {"a": "x"}
        assert "every field is empty" in found.problems[0].reason


class TestExpected:
    def test_an_unknown_label_is_listed_with_the_nearest(self, tmp_path, usecase):
        path = write(
            tmp_path / "a.jsonl", [native(label, text="a") for label in ("card ", "crad", "zzz", True, None, " ")]
        )
        told = reasons(path, usecase)
        assert "output.labels lacks 'crad'; did you mean 'card'?" in told[0]
        assert "output.labels lacks 'zzz'; known: card, cash" in told[1]
        assert "true or false, not a label" in told[2]
        assert "missing or empty" in told[3]
        assert "missing or empty" in told[4]

    def test_json_is_parsed_and_validated(self, tmp_path):
        usecase = make_usecase(schema=SCHEMA)
        good = [{"queue": "card"}, '{"queue": "cash", "order": 3}']
        bad = [
            {"queue": "bank"},
            '{"queue": "card", "queue": "cash"}',
            "card",
            {"queue": "card", "order": "3"},
            '{"queue": NaN}',
            [],
        ]
        path = write(tmp_path / "a.jsonl", [native(value, text="a") for value in [*good, *bad]])
        found = read_examples(path, usecase)
        assert [example.expected for example in found.examples] == [{"queue": "card"}, {"queue": "cash", "order": 3}]
        told = [problem.reason for problem in found.problems]
        assert told[0].startswith("expected.queue: does not keep the schema")
        assert "'queue' stands twice" in told[1]
        assert "is not JSON" in told[2]
        assert told[3].startswith("expected.order")
        assert len(told) == len(bad)

    def test_a_schema_never_asks_the_network(self, tmp_path, monkeypatch):
        asked = []
        monkeypatch.setattr("urllib.request.urlopen", lambda *given, **options: asked.append(given))
        usecase = make_usecase(schema={"$ref": "http://example.invalid/schema.json"})
        (told,) = reasons(write(tmp_path / "a.jsonl", [native({"a": 1}, text="a")]), usecase)
        assert not asked
        assert "refers to what is not in it" in told

    def test_nesting_beyond_reason_is_listed(self, tmp_path):
        usecase = make_usecase(schema={"type": "object"})
        deep = '{"input": {"text": "a"}, "expected": ' + '{"a":' * 300 + "1" + "}" * 301
        assert "nested deeper" in reasons(write(tmp_path / "a.jsonl", [deep]), usecase)[0]

    def test_text_is_limited_and_may_have_several_answers(self, tmp_path):
        usecase = make_usecase(kind="text", labels=(), max_chars=5)
        path = write(
            tmp_path / "a.jsonl",
            [native(value, text="a") for value in ("short", 7, ["a", "b"], "longer", [], {"a": 1})],
        )
        found = read_examples(path, usecase)
        assert [example.expected for example in found.examples] == ["short", "7", ["a", "b"]]
        assert "has 6 characters, at most 5 (output.max_chars)" in found.problems[0].reason
        assert len(found.problems) == 3

    def test_text_is_read_in_one_unicode_form(self, tmp_path):
        usecase = make_usecase(labels=("caf\u00e9", "cash"))
        path = write(tmp_path / "a.jsonl", [native("cafe\u0301", text="cafe\u0301")])
        (example,) = read_examples(path, usecase).examples
        assert (example.input["text"], example.expected) == ("caf\u00e9", "caf\u00e9")


class TestCases:
    def test_ids_tags_evidence_and_clusters_are_taken(self, tmp_path, usecase):
        rows = [
            {**native("card", text="b"), "id": 0, "tags": ["x", "y"], "evidence": "page 3", "cluster": "doc"},
            native("cash", text="a"),
        ]
        cases = read_cases(write(tmp_path / "cases.jsonl", rows), usecase)
        by_text = {case.input["text"]: case for case in cases}
        first = by_text["b"]
        assert (first.id, first.tags, first.evidence, first.cluster) == ("0", ("x", "y"), "page 3", "doc")
        assert len(by_text["a"].id) == 16
        assert [case.id for case in cases] == sorted(case.id for case in cases)

    def test_a_table_of_cases_is_read(self, tmp_path, usecase):
        path = tmp_path / "cases.csv"
        path.write_text('id,text,label,tags\nc1,lost it,card,"x, y"\n', encoding="utf-8")
        (case,) = read_cases(path, usecase)
        assert (case.id, case.expected, case.tags) == ("c1", "card", ("x", "y"))

    def test_a_case_may_have_no_expected_output(self, tmp_path, usecase):
        (case,) = read_cases(write(tmp_path / "cases.jsonl", [{"input": {"text": "a"}}]), usecase)
        assert case.expected is None

    def test_all_problems_come_at_once(self, tmp_path, usecase):
        rows = [
            {**native("card", text="a"), "id": "one"},
            {**native("card", text="b"), "id": "one"},
            native("crad", text="c"),
            "{",
            native("card", text="d"),
            native("card", text="d"),
            {**native("card", text="e"), "tags": 3},
            {**native("card", text="f"), "id": {"a": 1}},
        ]
        with pytest.raises(DataError) as caught:
            read_cases(write(tmp_path / "cases.jsonl", rows), usecase)
        told = [str(problem) for problem in caught.value.problems]
        assert [problem.split(": ")[0] for problem in told] == [f"cases.jsonl:{line}" for line in (2, 3, 4, 6, 7, 8)]
        assert "stands in line 1 too" in told[0]
        assert "stands in line 5 too (cases without an id are named by their content)" in told[3]


@pytest.fixture
def project(tmp_path, usecase):
    project = Project(tmp_path / "case")
    project.folder.mkdir()
    project.__dict__["usecase"] = usecase  # the cached property, without a usecase.toml
    return project


class TestImport:
    def test_what_was_imported_reads_back_equal(self, tmp_path, project):
        source = write(
            tmp_path / "a.jsonl", [{"prompt": text, "completion": "card"} for text in ("one", "zwei \u2028 ü", "three")]
        )
        written = import_file(source, project)
        again = read_examples(project.native_examples, project.usecase)
        assert again.examples == written.examples
        assert again.format == "native"
        assert again.examples[1].provenance.line == 2
        assert again.examples[1].provenance.source == "a.jsonl"

    def test_bad_rows_stop_it_and_nothing_is_written(self, tmp_path, project):
        source = write(
            tmp_path / "a.jsonl", [{"prompt": "one", "completion": "card"}, {"prompt": "two", "completion": "x"}]
        )
        with pytest.raises(DataError, match=r"(?s)1 row cannot be used.*a\.jsonl:2.*--skip-bad"):
            import_file(source, project)
        assert not project.native_examples.exists()

    def test_skipped_rows_go_to_the_rejects_with_the_reason(self, tmp_path, project):
        rows = [{"prompt": "one", "completion": "card"}, {"prompt": "two \ud800", "completion": "card"}, "{"]
        found = import_file(write(tmp_path / "a.jsonl", rows), project, skip_bad=True)
        rejects = project.native_examples.with_name("rejects.jsonl")
        told = [json.loads(line) for line in rejects.read_text("utf-8").splitlines()]
        assert [(row["file"], row["line"]) for row in told] == [("a.jsonl", 2), ("a.jsonl", 3)]
        assert "surrogate" in told[0]["why"]
        assert json.loads(told[0]["row"]) == rows[1]
        assert len(found.examples) + len(told) == len(rows)
        import_file(write(tmp_path / "b.jsonl", rows[:1]), project, skip_bad=True)
        assert not rejects.exists()

    def test_no_row_left_is_refused(self, tmp_path, project):
        source = write(tmp_path / "a.jsonl", [{"prompt": "one", "completion": "x"}])
        with pytest.raises(DataError, match="no row can be used"):
            import_file(source, project, skip_bad=True)

    def test_examples_that_stood_there_are_kept_aside(self, tmp_path, project):
        first = write(tmp_path / "a.jsonl", [{"prompt": "one", "completion": "card"}])
        second = write(tmp_path / "b.jsonl", [{"prompt": "two", "completion": "card"}])
        assert import_file(first, project).replaced is None
        assert import_file(first, project).replaced is None
        before = project.native_examples.read_bytes()
        kept = import_file(second, project).replaced
        assert kept is not None
        assert kept.read_bytes() == before

    def test_examples_in_another_file_are_not_shadowed(self, tmp_path, project):
        (project.folder / "data").mkdir()
        (project.folder / "data" / "examples.csv").write_text("text,label\na,card\n", encoding="utf-8")
        source = write(tmp_path / "a.jsonl", [{"prompt": "one", "completion": "card"}])
        with pytest.raises(DataError, match=r"examples\.csv holds the examples already"):
            import_file(source, project)

    def test_a_place_that_cannot_be_written_is_told(self, tmp_path, project):
        (project.folder / "data").write_text("a file where the folder should be", encoding="utf-8")
        source = write(tmp_path / "a.jsonl", [{"prompt": "one", "completion": "card"}])
        with pytest.raises(StorageError):
            import_file(source, project)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "from", "value", "text", "a"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def read_or_error(reader, path, usecase):
    try:
        return reader(path, usecase)
    except DataError as error:
        return error


columns = st.sampled_from(
    [
        "input",
        "expected",
        "output",
        "prompt",
        "completion",
        "messages",
        "conversations",
        "instruction",
        "text",
        "label",
        "id",
        "tags",
    ]
)


class TestAnything:
    @quick
    @given(
        st.lists(st.dictionaries(columns, json_values, max_size=4), min_size=1, max_size=6),
        st.sampled_from(["label", "json", "text"]),
        st.booleans(),
    )
    def test_any_json_is_read_or_listed_or_refused(self, tmp_path, rows, kind, many):
        usecase = make_usecase(
            fields=("text", "input") if many else ("text",),
            labels=("card", "cash") if kind == "label" else (),
            kind=kind,
            schema={"type": "object"} if kind == "json" else None,
        )
        path = write(tmp_path / "a.jsonl", rows)
        found = read_or_error(read_examples, path, usecase)
        if isinstance(found, DataError):
            assert "a.jsonl" in str(found)
        else:
            assert len(found.examples) + len(found.problems) == len(rows)
            assert all(problem.where.startswith("a.jsonl:") for problem in found.problems)
            assert len({example.name for example in found.examples}) <= len(found.examples)
        judged = read_or_error(read_cases, path, usecase)
        assert "a.jsonl" in str(judged) if isinstance(judged, DataError) else len(judged) == len(rows)

    @quick
    @given(
        st.lists(st.tuples(st.text(max_size=12), st.sampled_from(["card", "cash", "card\n"])), min_size=1, max_size=6)
    )
    def test_every_text_is_imported_as_it_is_or_listed(self, tmp_path, usecase, pairs):
        project = Project(tmp_path)
        project.__dict__["usecase"] = usecase
        source = write(tmp_path / "a.jsonl", [{"prompt": text, "completion": label} for text, label in pairs])
        try:
            written = import_file(source, project, skip_bad=True)
        except DataError:
            return
        assert read_examples(project.native_examples, usecase).examples == written.examples


@pytest.mark.timeout(60)
def test_banking77_is_imported_and_its_leaks_are_found(banking77, tmp_path):
    from tuneworthy.data.near import leaks

    labels = json.loads((banking77 / "categories.json").read_text("utf-8"))
    usecase = make_usecase(labels=labels).model_copy(update={"input": make_usecase(fields=("text",)).input})
    usecase.input["text"].__dict__["max_chars"] = 2_000
    train = read_examples(banking77 / "train.csv", usecase)
    assert (train.format, train.mapping) == ("plain columns", {"input.text": "text", "expected": "category"})
    assert (len(train.examples), train.problems) == (10_003, ())
    cases = read_cases(banking77 / "test.csv", usecase)
    assert len(cases) == 3_080
    exact = [leak for leak in leaks(train.examples, cases) if leak.kind == "exact"]
    assert len(exact) == 7  # equal but for case and white space
