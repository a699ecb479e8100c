"""Tables of facts: every mistake named with its row; old rows flagged."""

from __future__ import annotations

import contextlib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneworthy.errors import DataError
from tuneworthy.plan import facts

TODAY = date(2026, 11, 25)
GOOD = '[[fact]]\nid = "a"\nsource = "https://example.com/a"\ndate = 2026-11-01\n'


def _read(tmp_path, text):
    path = tmp_path / "facts.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return facts.read(path, "fact", facts.Fact, today=TODAY)


def test_rows_come_back_in_order(tmp_path):
    assert [fact.id for fact in _read(tmp_path, GOOD + GOOD.replace('"a"', '"b"'))] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (GOOD.replace("2026-11-01", "2027-01-01"), "fact[a].date"),
        (GOOD.replace("https://example.com/a", "hearsay"), "fact[a].source"),
        (GOOD + "price = 3\n", "fact[a].price"),
        (GOOD + GOOD, "fact[a].id"),
        ("[[fact]]\nid = 'x'\n", "fact[x].source"),
        ("[[fact]]\nid = 3\n", "fact[3].id"),
        ("fact = [1]\n", "fact[1]"),
    ],
)
def test_every_mistake_is_named_with_its_row(tmp_path, text, where):
    with pytest.raises(DataError) as caught:
        _read(tmp_path, text)
    assert where in [problem.where for problem in caught.value.problems]


@pytest.mark.parametrize("text", ["", "[[other]]\nid='a'", "not toml", b"\xff\xfe"])
def test_a_file_without_the_table_says_so(tmp_path, text):
    with pytest.raises(DataError, match=r"facts\.toml"):
        _read(tmp_path, text)


@given(text=st.text() | st.binary())
def test_any_content_is_read_or_refused(tmp_path_factory, text):
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    with contextlib.suppress(DataError):  # anything else would be a bug
        _read(tmp_path_factory.mktemp("facts"), raw)


def test_old_rows_are_flagged_and_fresh_ones_are_not(tmp_path):
    fresh = _read(tmp_path, GOOD)
    assert facts.stale_warning(fresh, TODAY, "prices") == ()
    (told,) = facts.stale_warning(_read(tmp_path, GOOD.replace("2026-11-01", "2026-08-01")), TODAY, "prices")
    assert "1 of 1" in told
    assert "a, was read on 2026-08-01" in told
