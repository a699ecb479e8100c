"""Files in which people judged: every bad line is named, and nothing else is taken for a verdict."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judging import usecase
from tuneworthy.data import judged
from tuneworthy.errors import DataError, TuneworthyError
from tuneworthy.project import Project
from tuneworthy.records import JudgedAnswer, Vote

ROW = {"input": {"question": "When?"}, "output": "At nine.", "right": True, "by": "ann"}
VOTE = {"input": {"question": "When?"}, "one": "At nine.", "two": "Soon.", "better": "one", "by": "ann"}


def written(folder, *rows):
    path = folder / "judged.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), "utf-8")
    return path


def test_judged_answers_are_read_and_unjudged_ones_left_out(tmp_path):
    path = written(tmp_path, ROW, {**ROW, "right": None}, {**ROW, "right": False, "expected": "At nine", "arm": "lora"})
    rows = judged.read_judged(path, usecase())
    assert [row.right for row in rows] == [True, False]
    assert rows[1].arm == "lora"


def test_votes_are_read_and_open_ones_left_out(tmp_path):
    rows = judged.read_votes(written(tmp_path, VOTE, {**VOTE, "better": None}), usecase("pairwise"))
    assert [row.better for row in rows] == ["one"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("{", "is not JSON"),
        ({**ROW, "right": "yes"}, "right: Input should be a valid boolean"),
        ({**ROW, "right": 1}, "right: Input should be a valid boolean"),
        ({k: v for k, v in ROW.items() if k != "right"}, "right: Field required"),
        ({**ROW, "rigth": True}, "rigth: Extra inputs are not permitted"),
        ({**ROW, "input": "When?"}, "an object with the fields of the input"),
        ({**ROW, "input": {"qestion": "When?"}}, "did you mean 'question'"),
        ({**ROW, "output": None}, "output: Input should be a valid string"),
    ],
)
def test_a_bad_line_is_named(tmp_path, row, says):
    path = written(tmp_path, ROW, row)
    with pytest.raises(DataError) as refused:
        judged.read_judged(path, usecase())
    assert "judged.jsonl:2" in str(refused.value)
    assert says in str(refused.value)


def test_a_vote_for_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"(?s)better: Input should be 'one', 'two' or 'tie'"):
        judged.read_votes(written(tmp_path, {**VOTE, "better": "both"}), usecase("pairwise"))


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
keys = st.sampled_from([*ROW, *VOTE, "why", "pair", "evidence", "expected", "arm"])


@given(
    st.lists(
        st.dictionaries(keys, trees, max_size=6).map(json.dumps)
        | trees.map(json.dumps)
        | st.binary(max_size=40).map(lambda raw: raw.decode("latin-1"))
        | st.sampled_from([json.dumps(ROW), json.dumps(VOTE)]),
        min_size=1,
        max_size=4,
    )
)
def test_any_file_is_read_whole_or_refused_by_line(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("judged") / "judged.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    for read, kind in ((judged.read_judged, JudgedAnswer), (judged.read_votes, Vote)):
        refused = None
        try:
            assert all(isinstance(row, kind) for row in read(path, usecase()))
        except DataError as error:
            refused = str(error)
        assert refused is None or str(path) in refused


def project(folder, mode="rubric"):
    found = Project(folder)
    found.__dict__["usecase"] = usecase(mode)
    return found


def test_labels_are_taken_once_and_never_replaced(tmp_path):
    mine = project(tmp_path / "mine")
    file = written(tmp_path, ROW)
    judged.take(file, mine)
    judged.take(file, mine)
    assert judged.read(mine) == judged.read_judged(file, usecase())
    with pytest.raises(DataError, match="other labels lie there already"):
        judged.take(written(tmp_path, ROW, ROW), mine)


def test_labels_that_cannot_be_read_are_not_taken(tmp_path):
    mine = project(tmp_path / "mine")
    with pytest.raises(DataError):
        judged.take(written(tmp_path, {**ROW, "right": "yes"}), mine)
    with pytest.raises(DataError, match="JSON Lines"):
        judged.take(tmp_path / "labels.csv", mine)
    assert not mine.judged_file.exists()
    with pytest.raises(DataError, match="no labels of people"):
        judged.read(mine)


def test_votes_without_their_key_are_refused(tmp_path):
    vote = Vote.model_validate({**VOTE, "pair": "../../etc/passwd-001"})
    with pytest.raises(TuneworthyError, match="no key to these votes"):
        judged.key_to([vote], project(tmp_path), "prompt", "lora")
