"""Rows to label: whatever the file, a clear error or rows that are new; filled rows come back whole."""

import csv
import io
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tuneworthy.data import read
from tuneworthy.data.unlabelled import ToLabel, read_inputs, take, write
from tuneworthy.errors import DataError
from tuneworthy.project import open_project
from tuneworthy.records import Case, Example

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
USECASE = """
name = "teams"
instruction = "Read the message and name the team."
[input.message]
[input.floor]
type = "integer"
required = false
[output]
kind = "label"
labels = ["plumbing", "power"]
[bar]
metric = "classification"
at_least = 0.8
smallest_difference = 0.05
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "usecase.toml").write_text(USECASE, "utf-8")
    return open_project(tmp_path)


def lines(path, rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return path


def texts(found):
    return [row.input["message"] for row in found.rows]


@pytest.mark.parametrize(
    "row",
    [
        {"input": {"message": "a pipe leaks"}},
        {"message": "a pipe leaks", "id": 7},
        {"input": {"message": "a pipe leaks"}, "expected": None},
    ],
)
def test_inputs_in_the_forms_that_people_have(project, tmp_path, row):
    found = read_inputs(lines(tmp_path / "new.jsonl", [row]), project.usecase)
    assert [row.input for row in found.rows] == [{"message": "a pipe leaks"}]
    assert found.rows[0].source == "new.jsonl:1"


def test_a_table_with_its_own_names(project, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("body,level\nno light,3\nno water,4\n", "utf-8")
    with pytest.raises(DataError, match="none of the input fields message, floor; it has: body, level"):
        read_inputs(path, project.usecase)
    found = read_inputs(path, project.usecase, mapping={"input.message": "body", "floor": "level"})
    assert [row.input for row in found.rows] == [
        {"message": "no light", "floor": 3},
        {"message": "no water", "floor": 4},
    ]
    with pytest.raises(DataError, match="has no column 'text'"):
        read_inputs(path, project.usecase, mapping={"input.message": "text"})


def test_what_is_known_or_judged_is_left_out_and_counted(project, tmp_path):
    known = [Example(input={"message": "The pipe leaks"}, expected="plumbing")]
    cases = [Case(id="1", input={"message": "there is no light in the corridor today"}, expected="power")]
    rows = ["the  PIPE leaks", "no water", "No water", "there is no light in the corridor todya", "keys lost"]
    path = lines(tmp_path / "new.jsonl", [{"message": text} for text in rows])
    found = read_inputs(path, project.usecase, examples=known, cases=cases)
    assert texts(found) == ["no water", "keys lost"]
    assert (found.read, found.known, found.judged) == (5, 2, 1)


def test_every_bad_line_is_listed(project, tmp_path):
    path = tmp_path / "new.jsonl"
    path.write_text('{"message": ""}\n{"message": "fine"}\n{"message": 3}\nnot json\n{"floor": 2}\n', "utf-8")
    with pytest.raises(DataError) as error:
        read_inputs(path, project.usecase)
    assert [problem.where for problem in error.value.problems] == [f"new.jsonl:{n}" for n in (1, 3, 4, 5)]


@quick
@given(st.binary(max_size=300), st.sampled_from(["jsonl", "csv", "json", "tsv", "xlsx", "parquet", "txt"]))
@example(b'{"input": {"message": {"message": 1}}}', "jsonl")
@example(b"[" * 300, "json")
@example(b'{"message": "\\ud800"}', "jsonl")
@example(b'{"input": null, "message": null}', "jsonl")
def test_any_bytes_are_read_or_refused(project, tmp_path, content, ending):
    path = tmp_path / f"new.{ending}"
    path.write_bytes(content)
    try:
        found = read_inputs(path, project.usecase)
    except DataError as refused:
        told = str(refused)
        assert path.name in told
        return
    assert all(set(row.input) <= {"message", "floor"} and row.input["message"].strip() for row in found.rows)
    assert len(found.rows) + found.known + found.judged == found.read


words = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1).filter(lambda text: text.strip())


@quick
@given(st.lists(words, min_size=1, max_size=8), st.booleans())
def test_readable_rows_lose_nothing(project, tmp_path, messages, table):
    if table:
        file = io.StringIO()
        out = csv.writer(file)
        out.writerows([["message"], *([text] for text in messages)])
        path = tmp_path / "new.csv"
        path.write_text(file.getvalue(), "utf-8", newline="")
    else:
        path = lines(tmp_path / "new.jsonl", [{"message": text} for text in messages])
    try:
        found = read_inputs(path, project.usecase)
    except DataError:
        assert table  # one can hold what is no table: an open quote, a lone separator
        return
    assert len(found.rows) + found.known == len(messages)


def fill(project, labels):
    rows = [json.loads(line) for line in project.to_label_file.read_text("utf-8").splitlines()]
    lines(project.to_label_file, [{**row, "expected": label} for row, label in zip(rows, labels, strict=True)])


def suggested(*messages):
    return [ToLabel(input={"message": text}, why="power or plumbing?", source="new.csv:9") for text in messages]


def test_filled_rows_become_examples_and_the_others_stay(project):
    lines(project.native_examples, [{"input": {"message": "old"}, "expected": "power"}])
    write(suggested("one", "two", "three"), project.to_label_file)
    fill(project, ["plumbing", None, "power"])
    found = take(project)
    assert (found.added, found.known, found.left) == (2, 0, 1)
    examples = read.read_examples(project.native_examples, project.usecase).examples
    assert [(e.input["message"], e.expected) for e in examples] == [
        ("old", "power"),
        ("one", "plumbing"),
        ("three", "power"),
    ]
    assert examples[1].provenance.source == "new.csv:9"
    assert [json.loads(line)["input"]["message"] for line in project.to_label_file.read_text().splitlines()] == ["two"]
    assert len(list(project.versions.glob("*.jsonl"))) == 2


def test_taking_twice_adds_once(project):
    write(suggested("one"), project.to_label_file)
    fill(project, ["power"])
    kept = project.to_label_file.read_bytes()
    assert take(project).added == 1
    project.to_label_file.write_bytes(kept)  # as a kill before the last write leaves it
    assert (lambda found: (found.added, found.known))(take(project)) == (0, 1)
    assert len(read.read_examples(project.native_examples, project.usecase).examples) == 1


@pytest.mark.parametrize("wrong", ["nonsense", 7, {"a": 1}, ["power"]])
def test_a_wrong_label_is_named_and_nothing_is_written(project, wrong):
    write(suggested("one", "two"), project.to_label_file)
    fill(project, ["power", wrong])
    before = project.to_label_file.read_bytes()
    with pytest.raises(DataError) as error:
        take(project)
    assert error.value.problems[0].where == "to_label.jsonl:2"
    assert "expected" in error.value.problems[0].reason
    assert project.to_label_file.read_bytes() == before
    assert project.examples_file is None


def test_labels_that_wait_are_never_overwritten(project):
    write(suggested("one"), project.to_label_file)
    write(suggested("two"), project.to_label_file)
    fill(project, ["power"])
    with pytest.raises(DataError, match="1 labels that were not taken over"):
        write(suggested("three"), project.to_label_file)


def test_a_source_of_the_user_is_never_written_to(project):
    (project.folder / "data" / "examples.csv").write_text("message,expected\nold,power\n", "utf-8")
    write(suggested("one"), project.to_label_file)
    fill(project, ["power"])
    with pytest.raises(DataError, match="sources are never changed"):
        take(project)


def test_nothing_to_take_over_is_said(project):
    with pytest.raises(DataError, match="nothing to take over"):
        take(project)


@quick
@given(st.binary(max_size=200))
def test_a_spoiled_file_is_refused_or_taken_whole(project, content):
    project.native_examples.unlink(missing_ok=True)
    project.to_label_file.write_bytes(content)
    try:
        found = take(project)
    except DataError:
        assert project.to_label_file.read_bytes() == content
        assert not project.native_examples.exists()
    else:
        assert found.added == 0 or project.native_examples.exists()
