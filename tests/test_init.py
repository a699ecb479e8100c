"""`tuneworthy init`: folders that run, or nothing."""

import errno
import os

import pytest

from tuneworthy import flow, init
from tuneworthy.data import read
from tuneworthy.errors import StorageError, TuneworthyError
from tuneworthy.project import open_project
from tuneworthy.usecase import GATES


@pytest.mark.parametrize("template", init.TEMPLATES)
def test_a_template_is_read_whole_checked_and_locked(tmp_path, template):
    folder = tmp_path / "my-case"
    written = init.create(folder, template)
    assert {path for path in folder.rglob("*") if path.is_file()} == set(written)
    assert folder / ".gitignore" in written
    project = open_project(folder)
    assert project.usecase.name == "my-case"
    reading = read.read_examples(project.examples_file, project.usecase)
    reading.require_whole()
    assert len(reading.examples) >= 30
    gates = {gate.gate: gate for gate in flow.check(folder)}
    assert tuple(gates) == GATES
    assert {name for name, gate in gates.items() if gate.state == "failed"} == {"data", "suite"}
    assert gates["suite"].next == "run: tuneworthy suite lock"
    locked = flow.lock_suite(folder, again=False)
    assert locked.lock
    assert locked.cases >= 30
    assert {gate.gate: gate.state for gate in flow.check(folder)}["suite"] == "passed"


def test_checking_writes_nothing(tmp_path):
    init.create(tmp_path / "x", "classification")
    before = sorted(tmp_path.rglob("*"))
    flow.check(tmp_path / "x")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "x").mkdir()
    assert init.create(tmp_path / "x", "style")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine.txt").write_text("mine")
    with pytest.raises(TuneworthyError, match="holds something already") as refused:
        init.create(tmp_path / "x", "style")
    assert refused.value.next == "choose a new name"
    assert os.listdir(tmp_path / "x") == ["mine.txt"]


def test_a_file_in_the_way_is_left_alone(tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(TuneworthyError, match="holds something already"):
        init.create(tmp_path / "x", "style")
    assert (tmp_path / "x").read_text() == "mine"


@pytest.mark.parametrize("name", ["My-Case", "größe", "a b", "-a", "a_b", "a.b", "a" * 81])
def test_a_folder_whose_name_cannot_be_a_name(tmp_path, name):
    with pytest.raises(TuneworthyError, match="cannot be a name") as refused:
        init.create(tmp_path / name, "style")
    assert "lower-case letters" in refused.value.why
    assert list(tmp_path.iterdir()) == []


def test_every_name_that_init_takes_is_one_that_usecase_takes(tmp_path):
    init.create(tmp_path / ("a" * 80), "style")
    assert open_project(tmp_path / ("a" * 80)).usecase.name == "a" * 80


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("fails_at", [1, 3, 4])
def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch, present, fails_at):
    folder = tmp_path / "x"
    if present:
        folder.mkdir()
    calls = []
    real = os.replace

    def replace(*paths):
        calls.append(paths)
        if len(calls) == fails_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*paths)

    monkeypatch.setattr("tuneworthy.content.os.replace", replace)
    with pytest.raises(StorageError, match="the disk is full"):
        init.create(folder, "answers")
    monkeypatch.undo()
    assert folder.exists() == present
    assert list(tmp_path.rglob("*")) == ([folder] if present else [])
    assert init.create(folder, "answers")
