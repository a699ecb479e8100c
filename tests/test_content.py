"""Names of content, and files that are either old or new, never half."""

import errno
import math
import os
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneworthy.content import append_line, canonical_json, digest, folder_digest, write_whole
from tuneworthy.errors import StorageError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10).map(lambda t: unicodedata.normalize("NFC", t))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def reordered(value):
    if isinstance(value, dict):
        return {key: reordered(item) for key, item in reversed(value.items())}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(value=VALUES)
def test_the_order_of_keys_does_not_count(value):
    assert digest(reordered(value)) == digest(value)


@given(one=VALUES, two=VALUES)
def test_other_content_has_another_name(one, two):
    assert (digest(one) == digest(two)) == (canonical_json(one) == canonical_json(two))


def test_a_name_is_what_sha256sum_says_of_the_canonical_text():
    assert digest({"b": [1, 2.5, None, True], "a": "ä"}) == (
        "26d99402c903f4cd8796458b9c84dff664e230343754991756438993a710b66a"
    )


def test_composed_and_decomposed_letters_are_the_same_content():
    composed, decomposed = "Müller", unicodedata.normalize("NFD", "Müller")
    assert composed != decomposed
    assert digest({composed: [composed]}) == digest({decomposed: [decomposed]})


def test_the_order_of_a_list_and_the_type_of_a_value_count():
    assert len({digest(value) for value in ([1, 2], [2, 1], "1", 1, True, 1.0, None, "", [], {})}) == 10


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_json_does_not_know_has_no_name(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest({"a": [number]})


def test_half_a_surrogate_pair_has_a_name():
    assert digest("\ud83d") != digest("\ud83e")


def test_a_folder_is_named_by_names_and_contents(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder / "sub").mkdir(parents=True)
    (tmp_path / "one" / "a.md").write_text("A")
    (tmp_path / "one" / "sub" / "b.md").write_text("B")
    (tmp_path / "two" / "sub" / "b.md").write_text("B")
    (tmp_path / "two" / "a.md").write_text("A")
    first = folder_digest(tmp_path / "one")
    assert folder_digest(tmp_path / "two") == first
    (tmp_path / "two" / "a.md").rename(tmp_path / "two" / "c.md")
    assert folder_digest(tmp_path / "two") != first
    assert folder_digest(tmp_path / "one", ["a.md", "missing.md"]) == folder_digest(tmp_path / "one", ["a.md"]) != first


# --- writing --------------------------------------------------------------------------------------

FAILURES = [
    (errno.ENOSPC, "the disk is full", "free some space"),
    (errno.EROFS, "the file system is read-only", "copy the folder"),
    (errno.EACCES, "the folder cannot be written", "change its permissions"),
    (errno.EIO, "Input/output error", "check the disk"),
]


def failing(code):
    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize(("code", "says", "then"), FAILURES)
@pytest.mark.parametrize("step", ["os.replace", "os.fsync", "os.chmod", "tempfile.mkstemp"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, code, says, then, step):
    path = tmp_path / "file.json"
    write_whole(path, "old")
    monkeypatch.setattr(f"tuneworthy.content.{step}", failing(code))
    with pytest.raises(StorageError, match=says) as refused:
        write_whole(path, "new")
    monkeypatch.undo()
    assert (refused.value.next.startswith(then), refused.value.where) == (True, str(path))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.json"]


def test_a_write_that_is_interrupted_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    write_whole(path, "old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tuneworthy.content.os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.json"]


def test_readers_never_see_half_a_file(tmp_path):
    path = tmp_path / "deep" / "file.json"
    write_whole(path, b"a" * 100_000)
    script = (
        "import sys; from pathlib import Path; from tuneworthy.content import write_whole\n"
        "for n in range(200): write_whole(Path(sys.argv[1]), (b'ab'[n % 2:n % 2 + 1]) * 100_000)"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, str(path)])
    seen = set()
    while writer.poll() is None:
        content = path.read_bytes()
        assert len(content) == 100_000
        seen.add(content[:1] + content[-1:])
    assert writer.returncode == 0
    assert seen <= {b"aa", b"bb"}


@pytest.mark.parametrize("torn", [b"", b'{"whole": 1}\n', b'{"whole": 1}\n{"to'])
def test_a_line_after_a_torn_one_stands_alone(tmp_path, torn):
    path = tmp_path / "log.jsonl"
    path.write_bytes(torn)
    append_line(path, '{"next": 2}')
    append_line(path, '{"last": 3}')
    assert path.read_bytes().startswith(torn)
    assert path.read_bytes().split(b"\n")[-3:] == [b'{"next": 2}', b'{"last": 3}', b""]


@pytest.mark.parametrize(("code", "says", "then"), FAILURES)
def test_a_failed_append_says_why(tmp_path, monkeypatch, code, says, then):
    monkeypatch.setattr("tuneworthy.content.os.fsync", failing(code))
    with pytest.raises(StorageError, match=says):
        append_line(tmp_path / "log.jsonl", "line")
