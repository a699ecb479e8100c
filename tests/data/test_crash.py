"""The process ends at any write of any verb that changes data: the folder opens, no row is lost, and the same command
finishes what was begun. The end is a real one: os._exit in a child process, before its n-th call that touches the disk.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_engine import DIRTY, make, row, rows_of

from tuneworthy import flow, worth
from tuneworthy.data import decisions, engine, redact
from tuneworthy.data.unlabelled import ToLabel
from tuneworthy.records import Example

WRITES = ("fsync", "replace", "chmod", "unlink", "truncate", "mkdir")
"""What touches the disk, of the module os."""
MOST_WRITES = 60
DONE, KILLED, FAILED = 0, 77, 1


def killed_before(write: int, run: Callable[[], object]) -> bool:
    """Whether the process ended at its n-th write, from 0; False when it was through before."""
    child = os.fork()
    if child == 0:
        os._exit(_counted(write, run))
    _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status)
    assert os.WEXITSTATUS(status) in (DONE, KILLED)
    return os.WEXITSTATUS(status) == KILLED


def _counted(write: int, run: Callable[[], object]) -> int:
    left = write

    def counting(real):
        def call(*args, **kwargs):
            nonlocal left
            if left == 0:
                os._exit(KILLED)
            left -= 1
            return real(*args, **kwargs)

        return call

    for name in WRITES:
        setattr(os, name, counting(getattr(os, name)))
    try:
        run()
    except BaseException:  # the child must not go on with the tests
        return FAILED
    return DONE


@dataclass(frozen=True)
class Verb:
    """A command, the folder that it is given, and the rows that it leaves."""

    run: Callable[[Path], object]
    rows: tuple[dict, ...]
    before: Callable[[Path], object] = lambda folder: None
    repeats: bool = True
    """the same command again has nothing more to do; undo would look for an earlier decision"""


def source(folder: Path) -> Path:
    path = folder.parent / "new.jsonl"
    path.write_text("".join(f"{json.dumps(row(n))}\n" for n in range(30, 45)) + "{\n", "utf-8")
    return path


def name(number: int) -> str:
    return Example.model_validate(row(number)).name


def judge(folder: Path) -> None:
    engine.check(folder, quick=True, review=True)
    path = folder / "data" / "audit.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    lines[0] |= {"verdict": "wrong", "instead": {"queue": "Cash"}}
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")


CLEAN = tuple(row(n) for n in range(12))
SECRET = (*CLEAN, row(50, mail="jane.roe@example.org"))


def keyed(folder: Path) -> None:
    """A key that is there already gives every run the same placeholders."""
    (folder.parent / "key.json").write_text(redact.new_key().model_dump_json(), "utf-8")


def redacted(folder: Path) -> None:
    engine.redact_data(folder, key=folder.parent / "key.json")


def locked_up(folder: Path) -> None:
    keyed(folder)
    redacted(folder)


def filled_in(folder: Path) -> None:
    """Two rows with labels, one that waits."""
    rows = [ToLabel(input=row(n)["input"], source="new.jsonl", expected=row(n)["expected"]) for n in (60, 61)]
    rows.append(ToLabel(input=row(62)["input"], source="new.jsonl"))
    text = "".join(f"{one.model_dump_json()}\n" for one in rows)
    engine.open_project(folder).to_label_file.write_text(text, "utf-8")


VERBS = {
    "import over examples": Verb(
        lambda folder: flow.import_data(source(folder), folder, mapping=None, skip_bad=True), CLEAN
    ),
    "check --review": Verb(lambda folder: engine.check(folder, quick=True, review=True), CLEAN),
    **{
        f"fix --rule {rule}": Verb(lambda folder, rule=rule: engine.repair(folder, rule=rule), (*CLEAN, *DIRTY[rule]))
        for rule in ("exact_duplicates", "trim")
    },
    "fix --drop": Verb(lambda folder: engine.repair(folder, drop=[name(4)]), CLEAN, repeats=False),
    "fix --reviewed": Verb(lambda folder: engine.repair(folder, reviewed=True), CLEAN, before=judge),
    "fix --undo": Verb(engine.undo, CLEAN, before=lambda folder: engine.repair(folder, drop=[name(4)]), repeats=False),
    "redact": Verb(redacted, SECRET, before=keyed),
    "redact --restore": Verb(
        lambda folder: engine.redact_data(folder, key=folder.parent / "key.json", restore=True),
        SECRET,
        before=locked_up,
    ),
    "label --take": Verb(worth.take_labels, CLEAN, before=filled_in),
    "split": Verb(flow.split, CLEAN),
    "statement": Verb(lambda folder: engine.write_statement(folder, None), CLEAN),
}


SLOW = ("check --review", "fix --reviewed", "fix --rule exact_duplicates", "statement")


@pytest.mark.parametrize(
    "verb", [pytest.param(v, id=n, marks=[pytest.mark.slow] * (n in SLOW)) for n, v in VERBS.items()]
)
def test_the_folder_opens_and_no_row_is_lost(tmp_path, verb):
    start = make(tmp_path / "start" / "bookings", verb.rows)
    verb.before(start)
    whole = tmp_path / "whole"
    shutil.copytree(tmp_path / "start", whole)
    before, log = rows_of(start), decisions.read(start / "data" / "decisions.jsonl")
    verb.run(whole / "bookings")
    after = rows_of(whole / "bookings")
    killed = 0
    for write in range(MOST_WRITES):
        place = tmp_path / f"at-{write}"
        shutil.copytree(tmp_path / "start", place)
        folder = place / "bookings"
        if not killed_before(write, lambda folder=folder: verb.run(folder)):
            break
        killed += 1
        now = rows_of(folder)
        assert now in (before, after)
        if now != before and verb is VERBS["import over examples"]:
            assert (folder / "data" / "examples.jsonl.old").read_bytes() == (
                start / "data" / "examples.jsonl"
            ).read_bytes()
        assert not engine.load(engine.open_project(folder)).problems
        assert decisions.read(folder / "data" / "decisions.jsonl")[: len(log)] == log
        assert engine.versions(folder)
        if now == before or verb.repeats:
            verb.run(folder)
            assert rows_of(folder) == after
        shutil.rmtree(place)
    else:
        pytest.fail(f"more than {MOST_WRITES} writes")
    writes_nothing = verb is VERBS["split"]
    assert (killed == 0) == writes_nothing


def test_a_child_that_fails_is_not_taken_for_one_that_was_killed():
    with pytest.raises(AssertionError):
        killed_before(5, lambda: 1 / 0)
    assert not killed_before(5, lambda: None)
    assert killed_before(0, lambda: os.mkdir("/nowhere"))
