"""Excel files: one sheet of rows, every cell as text; wrong files are named as such."""

import contextlib
import datetime
import io
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_rows import make_usecase

from tuneworthy.data import table_rows
from tuneworthy.data.files import read_rows
from tuneworthy.data.read import read_examples
from tuneworthy.errors import DataError

openpyxl = pytest.importorskip("openpyxl")


def book(path, **sheets):
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(row)
    workbook.save(path)
    return path


def test_rows_become_examples_with_their_row_numbers(tmp_path):
    path = book(
        tmp_path / "a.xlsx", one=[["text", "label"], ["hello", "card"], [], ["bye", "cash"], ["so", "coin"]], two=[]
    )
    found = read_examples(path, make_usecase())
    assert [(e.input["text"], e.expected, e.provenance.line) for e in found.examples] == [
        ("hello", "card", 2),
        ("bye", "cash", 4),
    ]
    assert [problem.where for problem in found.problems] == ["a.xlsx:5"]


def test_cells_are_text_as_a_table_would_have_it(tmp_path):
    day, moment = datetime.date(2024, 12, 31), datetime.datetime(2024, 12, 31, 7, 30)
    path = book(tmp_path / "a.xlsx", one=[list("abcdefg"), [7, 7.0, 7.5, True, day, moment, None]])
    (row,) = read_rows(path)
    assert list(row.values.values()) == ["7", "7", "7.5", "true", "2024-12-31", "2024-12-31 07:30:00", ""]


@pytest.mark.parametrize(
    ("sheets", "said"),
    [
        ({"one": [["a"], ["x"]], "two": [["a"], ["y"]]}, "several sheets hold rows: 'one', 'two'"),
        ({"one": [["a", "a"], ["x", "y"]]}, "the header cannot be used"),
        ({"one": []}, "holds no rows"),
    ],
)
def test_what_is_not_one_table_is_refused(tmp_path, sheets, said):
    with pytest.raises(DataError, match=said):
        read_rows(book(tmp_path / "a.xlsx", **sheets))


def test_a_cell_beyond_the_header_is_a_problem_of_its_row(tmp_path):
    first, second = read_rows(book(tmp_path / "a.xlsx", one=[["a"], ["x", "y"], ["z"]]))
    assert first.problem
    assert second.values == {"a": "z"}


def packed(**files):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return raw.getvalue()


@pytest.mark.parametrize(
    "raw", [b"text,label\nhello,card\n", packed(x="no workbook"), b"\xd0\xcf\x11\xe0" * 99], ids=str
)
def test_another_file_under_this_name_is_refused(tmp_path, raw):
    path = tmp_path / "a.xlsx"
    path.write_bytes(raw)
    with pytest.raises(DataError, match="not a readable Excel file"):
        read_rows(path)


def test_a_file_that_unpacks_to_too_much_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(table_rows, "LARGEST_WORKBOOK", 100)
    with pytest.raises(DataError, match="unpacks to"):
        read_rows(book(tmp_path / "a.xlsx", one=[["a"], ["x"]]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.integers(0, 3_000), st.integers(0, 255))
def test_any_bytes_are_read_or_refused(tmp_path, raw, place, byte):
    whole = bytearray(book(tmp_path / "whole.xlsx", one=[["a"], ["x"]]).read_bytes())
    whole[place % len(whole)] = byte
    for content in (raw or b"x", bytes(whole)):
        path = tmp_path / "a.xlsx"
        path.write_bytes(content)
        with contextlib.suppress(DataError):
            assert read_rows(path)
