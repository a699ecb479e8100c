"""The queue and the log of labels: nothing confirmed is lost, people do not see or overwrite each other's answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from desk import queue
from small import LABELS, small_usecase
from tuneworthy import worth
from tuneworthy.data import labelled
from tuneworthy.data.labelled import TWICE, Desk
from tuneworthy.data.read import read_examples
from tuneworthy.errors import DataError, StorageError
from tuneworthy.project import Project

ACTS = ("label", "skip", "undo", "decide")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    found = small_usecase(tmp_path / "small", examples=0)
    queue(found, rows=30)
    return found


def name_of(desk: Desk, by: str) -> str:
    found = desk.next_row(by)
    assert found is not None
    return found[0]


def label_all(desk: Desk, by: str, label: str) -> int:
    done = 0
    while (found := desk.next_row(by)) is not None:
        desk.put(labelled.label(found[0], by, expected=label))
        done += 1
    return done


def test_a_label_is_on_the_disk_before_it_counts(project: Project) -> None:
    desk = Desk(project)
    name = name_of(desk, "ann")
    desk.put(labelled.label(name, "ann", expected="keys", note="clear"))
    assert json.loads(project.labels_file.read_text("utf-8"))["expected"] == "keys"
    assert Desk(project).settled(name) is None, "nothing is known before the files are looked at"
    assert Desk(project).standing().done == 1


def test_a_full_disk_confirms_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(project)
    name = name_of(desk, "ann")

    def full(*_: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(labelled, "append_line", full)
    with pytest.raises(StorageError):
        desk.put(labelled.label(name, "ann", expected="keys"))
    assert desk.standing().done == 0


def test_two_people_get_different_rows_and_lose_nothing(project: Project) -> None:
    ann, bo = Desk(project), Desk(project)  # two servers on one folder, even
    one = Desk(project)
    first, second = name_of(one, "ann"), name_of(one, "bo")
    assert first != second, "a row that somebody looks at is not shown to others"
    ann.put(labelled.label(first, "ann", expected="keys"))
    bo.put(labelled.label(second, "bo", expected="power"))
    assert ann.standing().people == bo.standing().people == (("ann", 1), ("bo", 1))


def test_every_fifth_row_is_labelled_twice_and_agreement_is_measured(project: Project) -> None:
    desk = Desk(project)
    assert label_all(desk, "ann", "keys") == 30
    twice = sum(int(name, 16) % TWICE == 0 for name in desk._rows)
    assert label_all(desk, "bo", "power") == twice > 0
    assert label_all(desk, "cem", "power") == 0
    found = desk.agreement()
    assert found.rows == twice
    assert found.same is not None
    assert found.same.value == 0
    assert len(desk.differences()) == twice
    assert desk.standing().done == 30 - twice
    for difference in desk.differences():
        desk.put(labelled.decide(difference.row, "dora", "plumbing"))
    assert desk.differences() == []
    assert desk.standing().done == 30
    assert desk.agreement().rows == twice, "a decision changes nothing about who agreed"


def test_kappa_of_a_table_worked_out_by_hand(project: Project) -> None:
    """Two raters over two labels, in counts: 20 both the first, 5 and 10 one each, 15 both the second: kappa .4."""
    queue(project, rows=400)
    desk = Desk(project)
    desk.next_row("ann")
    rows = [name for name in desk._rows if int(name, 16) % TWICE == 0][:50]
    assert len(rows) == 50
    pairs = [("keys", "keys")] * 20 + [("keys", "power")] * 5 + [("power", "keys")] * 10 + [("power", "power")] * 15
    for name, (a, b) in zip(rows, pairs, strict=True):
        desk.put(labelled.label(name, "ann", expected=a))
        desk.put(labelled.label(name, "bo", expected=b))
    found = desk.agreement()
    assert found.kappa is not None
    assert found.kappa.value == pytest.approx(0.4)


def test_undo_goes_back_step_by_step(project: Project) -> None:
    desk = Desk(project)
    first = name_of(desk, "ann")
    desk.put(labelled.label(first, "ann", expected="keys"))
    second = name_of(desk, "ann")
    desk.put(labelled.skip(second, "ann"))
    undone = desk.undo("ann")
    assert undone is not None
    assert (undone.row, undone.action) == (second, "skip")
    undone = desk.undo("ann")
    assert undone is not None
    assert (undone.row, undone.expected) == (first, "keys")
    assert desk.undo("ann") is None
    assert name_of(desk, "ann") == first
    assert len(project.labels_file.read_text("utf-8").splitlines()) == 4, "the log holds what was taken back as well"


def test_nobody_takes_back_what_another_did(project: Project) -> None:
    desk = Desk(project)
    desk.put(labelled.label(name_of(desk, "ann"), "ann", expected="keys"))
    assert desk.undo("bo") is None
    assert desk.standing().done == 1


def test_a_person_may_be_called_anything(project: Project) -> None:
    desk = Desk(project)
    for by in ("decision of ann", "ann", "", "‮evil", "x" * 500):
        name = name_of(desk, by)
        desk.put(labelled.label(name, by, expected="keys"))
        desk.put(labelled.decide(name, by, "power"))
        assert desk.settled(name) == "power"
        assert desk.undo(by) is not None
        assert desk.settled(name) == "keys"


def test_a_label_that_does_not_fit_is_refused(project: Project) -> None:
    desk = Desk(project)
    name = name_of(desk, "ann")
    for wrong in ("garden", "", None, 3.5, ["keys"]):
        with pytest.raises(DataError):
            desk.put(labelled.label(name, "ann", expected=wrong))
    with pytest.raises(DataError, match="not in the queue"):
        desk.put(labelled.label("0" * 16, "ann", expected="keys"))
    assert not project.labels_file.exists()


def test_settled_rows_become_examples_and_the_others_stay(project: Project) -> None:
    desk = Desk(project)
    for label in LABELS:
        desk.put(labelled.label(name_of(desk, "ann"), "ann", expected=label))
    desk.put(labelled.skip(name_of(desk, "ann"), "ann"))
    taken = desk.take_over()
    assert (taken.added, taken.left) == (3, 27)
    examples = read_examples(project.native_examples, project.usecase).examples
    assert sorted(str(example.expected) for example in examples) == sorted(LABELS)
    assert desk.standing().rows == 27
    assert desk.take_over().added == 0


def test_what_was_filled_in_by_hand_is_taken_over_as_well(project: Project) -> None:
    rows = [json.loads(line) for line in project.to_label_file.read_text("utf-8").splitlines()]
    rows[3]["expected"] = "power"
    project.to_label_file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    desk = Desk(project)
    desk.put(labelled.label(name_of(desk, "ann"), "ann", expected="keys"))
    assert desk.take_over().added == 2
    examples = read_examples(project.native_examples, project.usecase).examples
    assert sorted(str(example.expected) for example in examples) == ["keys", "power"]


def test_agreement_counts_rows_that_were_taken_over(project: Project) -> None:
    desk = Desk(project)
    label_all(desk, "ann", "keys")
    both = label_all(desk, "bo", "keys")
    desk.take_over()
    found = desk.agreement()
    assert found.same is not None
    assert (found.rows, found.same.value) == (both, 1.0)


def test_another_queue_never_replaces_labelled_rows(project: Project) -> None:
    desk = Desk(project)
    desk.put(labelled.label(name_of(desk, "ann"), "ann", expected="keys"))
    with pytest.raises(DataError, match="labelled and not taken over"):
        desk.require_taken_over()
    desk.undo("ann")
    desk.require_taken_over()
    desk.put(labelled.label(name_of(desk, "ann"), "ann", expected="keys"))
    assert worth.take_labels(project.folder).added == 1, "the command takes over what was labelled in the browser"
    desk.require_taken_over()


def test_a_torn_last_line_is_closed_and_skipped(project: Project) -> None:
    desk = Desk(project)
    desk.put(labelled.label(name_of(desk, "ann"), "ann", expected="keys"))
    with project.labels_file.open("ab") as file:
        file.write(b'{"row": "0123')
    desk.put(labelled.label(name_of(desk, "ann"), "ann", expected="power"))
    assert desk.standing().done == Desk(project).standing().done == 2


def test_an_edited_log_is_told(project: Project) -> None:
    desk = Desk(project)
    desk.put(labelled.label(name_of(desk, "ann"), "ann", expected="keys"))
    text = project.labels_file.read_text("utf-8")
    project.labels_file.write_text(text.replace('"label"', '"erase"'), "utf-8")
    with pytest.raises(DataError, match=r"labels\.jsonl:1"):
        Desk(project).standing()


def test_killed_while_writing_the_last_confirmed_label_is_there(project: Project) -> None:
    code = """
import os, sys
from pathlib import Path
from tuneworthy.data import labelled
from tuneworthy.project import open_project
desk = labelled.Desk(open_project(Path(sys.argv[1])))
while (found := desk.next_row("ann")) is not None:
    desk.put(labelled.label(found[0], "ann", expected="keys"))
    os.write(1, found[0].encode() + b"\\n")
"""
    with subprocess.Popen([sys.executable, "-c", code, str(project.folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        confirmed = [process.stdout.readline().decode().strip() for _ in range(10)]
        process.kill()
    found, _ = labelled.read(project.labels_file)
    assert [entry.row for entry in found][:10] == confirmed


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=400))
def test_the_log_is_read_or_refused_whatever_stands_in_it(project: Project, raw: bytes) -> None:
    project.labels_file.write_bytes(raw)
    try:
        found, end = labelled.read(project.labels_file)
    except DataError:
        return
    assert end <= len(raw)
    assert all(isinstance(entry, labelled.Label) for entry in found)
    project.labels_file.unlink()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["ann", "bo"]), st.sampled_from(["label", "skip", "undo", "decide"])), max_size=25
    )
)
def test_any_history_reads_back_as_it_stood(project: Project, acts: list[tuple[str, str]]) -> None:
    project.labels_file.unlink(missing_ok=True)
    desk = Desk(project)
    for number, (by, act) in enumerate(acts):
        found = desk.next_row(by)
        if act == "undo":
            desk.undo(by)
        elif found is not None:
            made = {
                "label": labelled.label(found[0], by, expected=LABELS[number % 3]),
                "skip": labelled.skip(found[0], by),
                "decide": labelled.decide(found[0], by, LABELS[number % 3]),
            }[act]
            desk.put(made)
    again = Desk(project)
    assert again.standing().model_copy(update={"seconds_each": None}) == desk.standing().model_copy(
        update={"seconds_each": None}
    )
    assert [again.settled(name) for name in desk._rows] == [desk.settled(name) for name in desk._rows]
