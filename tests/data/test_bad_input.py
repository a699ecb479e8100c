"""What nobody means to import: it is read row by row, listed, or refused with a next step, within seconds, and the
source stays as it was."""

import csv
import gzip
import io
import json
import time
import zipfile

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_rows import make_usecase

from tuneworthy.data import decisions
from tuneworthy.data.files import read_rows
from tuneworthy.data.read import import_file, read_cases, read_examples
from tuneworthy.errors import DataError
from tuneworthy.project import Project
from tuneworthy.records import Example

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANY = 1_000_000
SHORT_MESSAGE = 3_000
"""characters of an error that a person reads"""


def project(folder, **shape):
    found = Project(folder / "case")
    found.folder.mkdir(exist_ok=True)
    found.__dict__["usecase"] = make_usecase(**shape)
    return found


def told(path, **options):
    """What the import says, and that it left the source alone and took no minutes."""
    before, start = path.read_bytes(), time.perf_counter()
    try:
        found = import_file(path, project(path.parent), skip_bad=True, **options)
    except DataError as error:
        found = str(error)
        assert "Next:" in found
        assert len(found) < SHORT_MESSAGE
    assert path.read_bytes() == before
    assert time.perf_counter() - start < 60
    return found


def or_error(read):
    try:
        return read()
    except DataError as error:
        return error


def columns(name, many):
    """A file of one row with so many columns."""
    names = [f"c{n}" for n in range(many)]
    if name.endswith(".csv"):
        return f"{','.join(names)}\n{','.join('x' * many)}\n".encode()
    if name.endswith(".parquet"):
        target = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table({column: ["x"] for column in names}), target)
        return target.getvalue()
    return json.dumps(dict.fromkeys(names, "x")).encode()


class TestManyColumns:
    @pytest.mark.parametrize(("name", "many"), [("a.csv", MANY), ("a.jsonl", MANY), ("a.parquet", 2_000)])
    def test_they_are_refused_in_a_few_words(self, tmp_path, name, many):
        path = tmp_path / name
        path.write_bytes(columns(name, many))
        said = told(path)
        assert "long (at most 1,000,000)" in said or "nothing stands for" in said

    def test_a_wrong_name_among_them_too(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_bytes(columns("a.csv", 100_000))
        said = told(path, mapping={"input.text": "d7", "expected": "c1"})
        assert "there is no column 'd7'" in said


class TestNumbers:
    @pytest.mark.parametrize("number", ["9" * 10_000, "1e400", "-1e400", "1" + "0" * 299, "0." + "1" * 5_000, "NaN"])
    def test_a_huge_number_is_listed_or_read_as_it_is(self, tmp_path, number):
        path = tmp_path / "a.jsonl"
        path.write_text(f'{{"n": {number}, "label": "card"}}\n{{"n": 1, "label": "card"}}\n', "utf-8")
        found = read_examples(path, make_usecase(fields=("n",), types={"n": "number"}))
        assert len(found.examples) + len(found.problems) == 2
        assert json.dumps([example.input for example in found.examples], allow_nan=False)


class TestNewlines:
    def test_every_kind_within_one_table(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_bytes(b'text,label\r\n"one\ntwo\r\nthree",card\nfour,cash\r"five; six",card\n')
        found = read_rows(path)
        assert [row.values["text"] for row in found] == ["one\ntwo\r\nthree", "four", "five; six"]

    def test_line_separators_of_unicode_are_part_of_a_row(self, tmp_path):
        path = tmp_path / "a.jsonl"
        path.write_text('{"text": "a\u2028b\u0085c", "label": "card"}\r\n{"text": "d", "label": "cash"}\n', "utf-8")
        assert len(read_examples(path, make_usecase()).examples) == 2

    @quick
    @given(
        rows=st.lists(st.lists(st.text(alphabet='a;,"\t\r\n é', max_size=9), min_size=2, max_size=2), max_size=6),
        delimiter=st.sampled_from(",;\t"),
        ending=st.sampled_from(["\n", "\r\n"]),
    )
    def test_embedded_newlines_quotes_and_delimiters_come_back(self, tmp_path, rows, delimiter, ending):
        table = io.StringIO()
        csv.writer(table, delimiter=delimiter, lineterminator=ending, quoting=csv.QUOTE_ALL).writerows(
            [("text", "label"), *rows]
        )
        path = tmp_path / "a.csv"
        path.write_bytes(table.getvalue().encode())
        wanted = [dict(zip(("text", "label"), row, strict=True)) for row in rows if any(cell.strip() for cell in row)]
        try:
            assert [row.values for row in read_rows(path)] == wanted
        except DataError:
            assert not wanted


def workbook():
    openpyxl = pytest.importorskip("openpyxl")
    book, target = openpyxl.Workbook(), io.BytesIO()
    for row in (("text", "label"), ("a", "card")):
        book.active.append(row)
    book.save(target)
    return target.getvalue()


def archive():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as parts:
        parts.writestr("rows.jsonl", '{"text": "a", "label": "card"}\n')
    return target.getvalue()


def parquet():
    target = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"], "label": ["card"]}), target)
    return target.getvalue()


WRONG = {
    "Excel": workbook,
    "zip": archive,
    "Parquet": parquet,
    "gzip": lambda: gzip.compress(b'{"text": "a"}\n'),
    "CSV": lambda: b"text,label\na,card\n",
    "PNG": lambda: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
}


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".tsv", ".xlsx", ".parquet", ".zip", ".xls", ""])
@pytest.mark.parametrize("kind", WRONG)
def test_a_file_under_a_wrong_name_is_refused_or_read_for_what_it_is(tmp_path, kind, ending):
    right = {"Excel": ".xlsx", "Parquet": ".parquet", "CSV": ".csv"}
    path = tmp_path / f"a{ending}"
    path.write_bytes(WRONG[kind]())
    said = told(path)
    if isinstance(said, str):
        assert ending != right.get(kind)
    else:
        assert ending == right.get(kind)


@quick
@given(st.binary(max_size=200), st.integers(0, 2_000), st.sampled_from(["Excel", "Parquet", "zip"]))
def test_damaged_containers_never_escape(tmp_path, noise, at, kind):
    whole = WRONG[kind]()
    path = tmp_path / ("a.xlsx" if kind != "Parquet" else "a.parquet")
    path.write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    found = or_error(lambda: read_rows(path))
    assert found if isinstance(found, list) else "Next:" in str(found)


class TestBombs:
    @pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
    @pytest.mark.parametrize("ending", [".jsonl", ".json"])
    def test_nesting_without_end(self, tmp_path, opening, ending):
        path = tmp_path / f"a{ending}"
        path.write_text(opening * 200_000, "utf-8")
        assert isinstance(told(path), str)

    def test_a_small_file_that_unpacks_to_a_huge_one(self, tmp_path):
        pytest.importorskip("openpyxl")
        path = tmp_path / "a.xlsx"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as parts, parts.open("xl/huge.xml", "w") as part:
            for _ in range(501):
                part.write(b"\0" * 1_000_000)
        assert path.stat().st_size < 1_000_000
        assert "unpacks to" in told(path)

    @quick
    @given(st.integers(50, 70), st.sampled_from([list, dict]))
    def test_nesting_near_the_limit_is_one_row_or_one_problem(self, tmp_path, levels, kind):
        value = "x"
        for _ in range(levels):
            value = [value] if kind is list else {"a": value}
        path = tmp_path / "a.jsonl"
        path.write_text(json.dumps({"text": "t", "expected": {"v": value}}) + "\n", "utf-8")
        usecase = make_usecase(schema={"type": "object"})
        found = read_examples(path, usecase)
        assert len(found.examples) + len(found.problems) == 1


class TestNames:
    def test_an_id_that_stands_twice_is_refused_for_cases(self, tmp_path):
        path = tmp_path / "cases.jsonl"
        path.write_text('{"id": 1, "input": "a", "expected": "card"}\n{"id": "1", "input": "b", "expected": "card"}\n')
        with pytest.raises(DataError, match=r"cases.jsonl:2: id: '1' stands in line 1 too"):
            read_cases(path, make_usecase())

    def test_a_log_whose_rows_descend_from_each_other_ends(self):
        one, two, three = (Example(input={"text": text}, expected="card") for text in "abc")
        changes = [(one, two), (two, three), (three, one)]
        log = [
            decisions.decide([a], [b], [decisions.Change(at=0, before=a, after=b)], rule="trim", why="", who="x")
            for a, b in changes
        ]
        assert set(decisions.descent(log, two.name)) == {one.name, two.name, three.name}
        assert decisions.last_in_effect(log, [one]) is not None

    def test_a_folder_that_holds_itself(self, tmp_path):
        folder = tmp_path / "mails"
        (folder / "card").mkdir(parents=True)
        (folder / "card" / "1.txt").write_text("a", "utf-8")
        (folder / "card" / "loop").symlink_to(folder, target_is_directory=True)
        (folder / "card" / "self.txt").symlink_to(folder / "card" / "self.txt")
        found = read_examples(folder, make_usecase())
        assert len(found.examples) == 1
        assert {problem.where for problem in found.problems} == {"card/loop:1", "card/self.txt:1"}


@quick
@given(st.text(st.characters(), max_size=30), st.sampled_from(["a.jsonl", "a.csv"]))
def test_any_text_with_halves_of_surrogates(tmp_path, text, name):
    path = tmp_path / name
    row = {"text": text, "label": "card"}
    content = json.dumps(row) if name.endswith("l") else f"text,label\n{json.dumps(text)[1:-1]},card\n"
    path.write_text(content, "utf-8", errors="surrogatepass")
    found = or_error(lambda: read_examples(path, make_usecase()))
    if isinstance(found, DataError):
        assert "Next:" in str(found)
    else:
        assert len(found.examples) + len(found.problems) >= 1
        for example in found.examples:
            assert str(example.input["text"]).encode("utf-8")
