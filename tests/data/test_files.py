"""Every kind of file, whole and damaged: a row or a reason, with its line; never anything but DataError."""

import csv
import io
import json

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuneworthy.data.files import read_rows
from tuneworthy.data.rows import LONGEST_ROW
from tuneworthy.errors import DataError

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")


def read(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return read_rows(path)


def read_or_error(folder, name, content):
    try:
        return read(folder, name, content)
    except DataError as error:
        return error


def refused(folder, name, content):
    with pytest.raises(DataError) as caught:
        read(folder, name, content)
    assert name in str(caught.value)
    assert "Next:" in str(caught.value)
    return str(caught.value)


class TestJsonLines:
    def test_a_mark_crlf_and_blank_lines_are_taken_and_lines_counted(self, tmp_path):
        found = read(tmp_path, "a.jsonl", b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": 2}\r\n')
        assert [(row.line, row.values, row.problem) for row in found] == [(1, {"a": 1}, ""), (3, {"a": 2}, "")]

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b'{"a": 1, "a": 2}', "'a' stands twice"),
            (b'{"a": {"b": 1, "b": 1}}', "'b' stands twice"),
            (b'{"a": NaN}', "NaN is not JSON"),
            (b'{"a": -Infinity}', "-Infinity is not JSON"),
            (b'{"a": 1e999}', "too large"),
            (b'{"a": ' + b"9" * 5000 + b"}", "5,000 digits"),
            (b'{"a": "\x00"}', "is not JSON"),
            (b'{"a": 1', "is not JSON"),
            (b"[" * 3 + b"]" * 3, "is a list"),
            (b'"text"', "is a text"),
            (b"null", "is null"),
            (b'{"a":' * 100_000, "deeply"),
            (b'{"a": "caf\xe9"}', "byte 11 of the line is 0xe9: not UTF-8"),
            (b'{"a": "' + b"x" * 10_000_000 + b'"}', "10,000,009 characters long (at most 1,000,000)"),
        ],
    )
    def test_a_bad_line_is_told_and_the_others_are_read(self, tmp_path, line, reason):
        found = read(tmp_path, "a.jsonl", b'{"a": 1}\n' + line + b'\n{"a": 3}\n')
        assert [row.line for row in found] == [1, 2, 3]
        assert reason in found[1].problem
        assert len(found[1].text) <= LONGEST_ROW
        assert [found[0].problem, found[2].problem] == ["", ""]

    def test_a_list_under_this_name_is_read_as_a_list(self, tmp_path):
        found = read(tmp_path, "a.jsonl", '[{"a": 1},\n{"a": 2}]')
        assert [(row.line, row.values) for row in found] == [(1, {"a": 1}), (2, {"a": 2})]


class TestJsonList:
    def test_each_row_knows_the_line_where_it_begins(self, tmp_path):
        found = read(tmp_path, "a.json", '[\n  {\n "a": 1\n  },\n  {"a": 2}, 7,\n {"a": 1, "a": 1}\n]\n')
        assert [row.line for row in found] == [2, 5, 5, 6]
        assert [row.problem != "" for row in found] == [False, False, True, True]

    @pytest.mark.parametrize(
        "content", ['[{"a": 1},]', '[{"a": 1} {"a": 2}]', '[{"a": 1}', "[", '[{"a": 1}] x', '[{"a": 1},']
    )
    def test_a_broken_list_is_refused_with_the_line(self, tmp_path, content):
        assert "a.json:1" in refused(tmp_path, "a.json", content)

    def test_an_object_around_the_list_is_named(self, tmp_path):
        assert "one object ('data')" in refused(tmp_path, "a.json", '{"data":\n [{"a": 1}]}')

    def test_lines_of_objects_are_read_too(self, tmp_path):
        assert len(read(tmp_path, "a.json", '{"a": 1}\n{"a": 2}\n')) == 2


class TestTables:
    def test_quoted_line_breaks_keep_the_line_numbers(self, tmp_path):
        found = read(tmp_path, "a.csv", 'text,label\n"two\nlines",x\n\nplain,y\nragged\n')
        assert [(row.line, row.values) for row in found[:2]] == [
            (2, {"text": "two\nlines", "label": "x"}),
            (5, {"text": "plain", "label": "y"}),
        ]
        assert found[2].line == 6
        assert "has 1 cells, the header has 2" in found[2].problem

    @pytest.mark.parametrize(("name", "sign"), [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", "\t")])
    def test_the_delimiter_is_found(self, tmp_path, name, sign):
        content = f'text{sign}"label, or; so"\na{sign}b\n'
        assert read(tmp_path, name, content)[0].values == {"text": "a", "label, or; so": "b"}

    def test_a_delimiter_that_is_not_clear_is_refused(self, tmp_path):
        assert "not clear" in refused(tmp_path, "a.csv", "a,b;c\n1,2;3\n")

    def test_a_long_cell_is_one_bad_row(self, tmp_path):
        found = read(tmp_path, "a.csv", "text,label\n" + "x" * 1_500_000 + ",y\nshort,y\n")
        assert "characters long" in found[0].problem
        assert found[1].problem == ""
        assert csv.field_size_limit() == 131_072  # the process keeps its own limit

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ("a,a\n1,2\n", "'a' stands twice"),
            ("a,\n1,2\n", "column 2 has no name"),
            ('a,b\n1,"open\n2,3\n', "a.csv:2"),
            ("a,b\n1,\0\n", "a.csv:2: NUL"),
            (b"a,b\n1,2\n1,\x92\n", "a.csv:3: byte 11 of the file is 0x92: not UTF-8"),
            ("a,b\n", "holds no rows"),
        ],
    )
    def test_a_table_that_cannot_be_read_is_refused(self, tmp_path, content, reason):
        assert reason in refused(tmp_path, "a.csv", content)

    def test_parquet_rows_come_with_their_number(self, tmp_path):
        table = pyarrow.table({"text": ["a", "b"], "turns": [[{"role": "user"}], []]})
        pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
        found = read_rows(tmp_path / "a.parquet")
        assert [(row.line, row.values["text"]) for row in found] == [(1, "a"), (2, "b")]
        assert found[0].values["turns"] == [{"role": "user"}]

    def test_parquet_columns_of_one_name_are_refused(self, tmp_path):
        table = pyarrow.table([["a"], ["b"]], names=["text", "text"])
        pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
        with pytest.raises(DataError, match="header"):
            read_rows(tmp_path / "a.parquet")

    def test_a_cut_parquet_file_is_refused(self, tmp_path):
        pyarrow.parquet.write_table(pyarrow.table({"text": ["a"] * 100}), tmp_path / "a.parquet")
        whole = (tmp_path / "a.parquet").read_bytes()
        assert "Parquet" in refused(tmp_path, "a.parquet", whole[: len(whole) // 2])


class TestWholeFiles:
    @pytest.mark.parametrize("ending", ENDINGS)
    @pytest.mark.parametrize("content", [b"", b"  \n\n"])
    def test_empty_files_are_refused(self, tmp_path, ending, content):
        assert "empty" in refused(tmp_path, f"a{ending}", content)

    @pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv"])
    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
    def test_other_encodings_are_named(self, tmp_path, ending, encoding):
        text = "\ufeff" * (encoding == "utf-16-be") + '{"a": 1}\n'
        assert "UTF-16 or UTF-32" in refused(tmp_path, f"a{ending}", text.encode(encoding))

    def test_a_folder_a_missing_file_and_an_unknown_ending_are_refused(self, tmp_path):
        for path, reason in [
            (tmp_path, "folder"),
            (tmp_path / "no.csv", "No such file"),
            (tmp_path / "a.xlsx", ".xlsx"),
        ]:
            with pytest.raises(DataError, match=reason):
                read_rows(path)

    @pytest.mark.parametrize("ending", ENDINGS)
    @quick
    @given(
        content=st.one_of(
            st.binary(max_size=300), st.text(alphabet='[]{}",:;\n\t\0\ufeffaé1\\u', max_size=80).map(str.encode)
        )
    )
    def test_random_bytes_give_rows_with_lines_or_a_data_error(self, tmp_path, ending, content):
        found = read_or_error(tmp_path, f"a{ending}", content)
        if isinstance(found, DataError):
            assert f"a{ending}" in str(found)
        else:
            lines = [row.line for row in found]
            assert found
            assert lines == sorted(lines)
            assert lines[0] >= 1
            assert all(row.problem or isinstance(row.values, dict) for row in found)

    @quick
    @given(st.binary(max_size=60), st.integers(0, 400))
    def test_damaged_parquet_never_escapes(self, tmp_path, noise, at):
        target = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table({"text": ["a", "b"], "n": [1.5, None]}), target)
        whole = target.getvalue()
        found = read_or_error(tmp_path, "a.parquet", whole[:at] + noise + whole[at + len(noise) :])
        assert found if isinstance(found, list) else "Next:" in str(found)

    @quick
    @given(
        st.lists(
            st.dictionaries(
                st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
                st.recursive(
                    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
                    lambda inner: st.lists(inner, max_size=3),
                ),
                max_size=4,
            ),
            min_size=1,
            max_size=5,
        )
    )
    def test_json_comes_back_as_written_line_by_line_and_as_a_list(self, tmp_path, written):
        lines = read(tmp_path, "a.jsonl", "".join(f"{json.dumps(row)}\n" for row in written))
        listed = read(tmp_path, "a.json", json.dumps(written, indent=1))
        assert [row.values for row in lines] == [row.values for row in listed] == written

    @quick
    @given(
        st.lists(
            st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)] * 2)
        )
    )
    def test_csv_comes_back_as_written(self, tmp_path, written):
        table = io.StringIO()
        csv.writer(table).writerows([("text", "label"), *written])
        wanted = [{"text": a, "label": b} for a, b in written if a.strip() or b.strip()]
        try:
            found = read(tmp_path, "a.csv", table.getvalue())
        except DataError:
            assert not wanted
        else:
            assert [row.values for row in found] == wanted
