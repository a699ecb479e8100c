"""Versions: named by content, kept when data change, refused when tampered with."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_rows import rows

from tuneworthy.content import write_whole
from tuneworthy.data import version
from tuneworthy.errors import DataError
from tuneworthy.records import Example, Provenance

texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), min_size=1, max_size=8)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts, st.randoms(use_true_random=False))
def test_order_and_copies_do_not_change_the_version(tmp_path, words, dice):
    examples = list(rows(*words))
    stored = version.store(examples, tmp_path / "one")
    mixed = [*examples, dice.choice(examples)]
    dice.shuffle(mixed)
    again = version.store(mixed, tmp_path / "two")
    assert (again.version, again.rows) == (stored.version, stored.rows)
    assert again.exact_duplicates == stored.exact_duplicates + 1
    name = f"{stored.version}.jsonl"
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert [row.name for row in version.load(stored.version, tmp_path / "one")] == sorted({e.name for e in examples})


def test_an_edited_row_makes_a_new_version_and_the_old_still_reads(tmp_path):
    before = rows("one", "two")
    old = version.store(before, tmp_path)
    new = version.store([before[0], *rows("two", expected="cash")], tmp_path)
    assert old.version != new.version
    assert {row.expected for row in version.load(old.version, tmp_path)} == {"card"}
    assert {row.expected for row in version.load(new.version, tmp_path)} == {"card", "cash"}


def test_a_changed_copy_of_a_row_has_a_name_of_its_own(tmp_path):
    (row,) = rows("one")
    assert row.name  # worked out before it is copied
    changed = row.model_copy(update={"expected": "cash"})
    assert changed.name == rows("one", expected="cash")[0].name != row.name
    assert changed.digest == rows("one", expected="cash")[0].digest


def test_equal_rows_of_two_sources_keep_one_provenance_whatever_the_order(tmp_path):
    twice = [
        Example(input={"text": "a"}, expected="card", provenance=Provenance(source=name)) for name in ("b.csv", "a.csv")
    ]
    stored = version.store(twice, tmp_path / "one")
    version.store(twice[::-1], tmp_path / "two")
    (one,), (two,) = (version.load(stored.version, tmp_path / folder) for folder in ("one", "two"))
    assert one == two
    assert stored.sources == ("a.csv", "b.csv")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw.replace(b"one", b"One"),
        lambda raw: raw.split(b"\n", 1)[1],
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw + b"\xff",
        lambda raw: b"",
    ],
)
def test_a_version_that_was_tampered_with_is_refused(tmp_path, spoil):
    stored = version.store(rows("one", "two"), tmp_path)
    path = tmp_path / f"{stored.version}.jsonl"
    write_whole(path, spoil(path.read_bytes()))
    with pytest.raises(DataError, match=r"(?s)edited.*Next:") as caught:
        version.load(stored.version, tmp_path)
    assert path.name in str(caught.value)


def test_a_version_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        version.load("0" * 64, tmp_path)


def test_a_manifest_that_a_killed_run_left_out_is_written(tmp_path):
    stored = version.store(rows("one"), tmp_path)
    (tmp_path / f"{stored.version}.json").unlink()
    version.store(rows("one"), tmp_path)
    assert (tmp_path / f"{stored.version}.json").exists()
