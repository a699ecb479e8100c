"""The folder of a use case: one process at a time, and errors that say what to do."""

import errno
import json
import os
import signal
import subprocess
import sys

import pytest

from tuneworthy.errors import DataError, ProjectBusy, StorageError, UseCaseError
from tuneworthy.project import Project, open_project

HOLD = """
import sys, time
from pathlib import Path
from tuneworthy.project import Project
with Project(Path(sys.argv[1])).busy("run"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_told_who_works_here(project, holder):
    with pytest.raises(ProjectBusy) as refused, project.busy("eval"):
        pass
    owner = json.loads(refused.value.what.split(": ", 1)[1])
    assert (owner["pid"], owner["doing"]) == (holder.pid, "run")
    assert owner["user"]
    assert owner["host"]
    assert "wait for it" in refused.value.next
    assert refused.value.exit_code == 1


def test_being_refused_does_not_take_the_owner_away(project, holder):
    for _ in range(2):
        with pytest.raises(ProjectBusy, match=str(holder.pid)), project.busy("eval"):
            pass


def test_a_killed_process_leaves_no_lock(project, holder):
    holder.send_signal(signal.SIGKILL)
    assert holder.wait() == -signal.SIGKILL
    with project.busy("eval"):
        assert json.loads((project.store / "lock").read_text())["pid"] == os.getpid()


def test_the_folder_is_free_after_an_error(project):
    with pytest.raises(ZeroDivisionError), project.busy("run"):
        raise ZeroDivisionError
    with project.busy("run"):
        pass


def test_a_user_without_a_name_can_work(project, monkeypatch):
    def nameless():
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nameless)
    with project.busy("run"):
        assert json.loads((project.store / "lock").read_text())["user"] == str(os.getuid())


@pytest.mark.parametrize("step", ["os.open", "os.write", "fcntl.flock"])
@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "the folder cannot be written"),
        (errno.ENOSPC, "the disk is full"),
        (errno.ENOLCK, "No locks available"),
    ],
)
def test_a_folder_that_cannot_be_written(project, monkeypatch, step, code, says):
    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(f"tuneworthy.project.{step}", fail)
    with pytest.raises(StorageError, match=says) as refused, project.busy("run"):
        pass
    assert refused.value.next
    monkeypatch.undo()
    with project.busy("run"):
        pass


def test_two_files_of_examples_are_refused(project):
    (project.folder / "data").mkdir()
    assert project.examples_file is None
    (project.folder / "data" / "examples.csv").touch()
    assert project.examples_file.name == "examples.csv"
    (project.folder / "data" / "examples.jsonl").touch()
    with pytest.raises(DataError, match=r"examples\.jsonl, examples\.csv"):
        _ = project.examples_file


def test_the_latest_run_is_the_one_written_last(project):
    assert project.latest_run() is None
    for number, name in enumerate(("b", "a", "unfinished")):
        folder = project.run(name)
        folder.mkdir(parents=True)
        if name != "unfinished":
            (folder / "verdict.json").touch()
            os.utime(folder / "verdict.json", ns=(number, number))
    assert project.latest_run() == project.run("a")


def test_a_folder_without_a_use_case(tmp_path):
    with pytest.raises(UseCaseError, match="there is no usecase") as refused:
        open_project(tmp_path / "nowhere")
    assert refused.value.next == "run: tuneworthy init nowhere"
