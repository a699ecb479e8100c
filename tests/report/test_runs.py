"""The record of a run survives the disk, refuses what it does not know, and can be compared without times."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sample import sample

from tuneworthy.errors import DataError
from tuneworthy.runs import RunRecord, Timing, load, save


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    record = sample()
    save(record, tmp_path / "verdict.json")
    assert load(tmp_path / "verdict.json") == record


def test_answers_keep_their_characters(tmp_path: Path) -> None:
    record = sample(cases=1)
    text = "e\u0301 is two characters"
    row = record.cases[0]
    outputs = {"prompt": row.outputs["prompt"].model_copy(update={"text": text})}
    changed = record.model_copy(update={"cases": (row.model_copy(update={"outputs": outputs}),)})
    save(changed, tmp_path / "verdict.json")
    assert load(tmp_path / "verdict.json").cases[0].outputs["prompt"].text == text


def test_the_file_names_its_schema_version(tmp_path: Path) -> None:
    save(sample(), tmp_path / "verdict.json")
    plain = json.loads((tmp_path / "verdict.json").read_text())
    assert plain["schema_version"] == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "schema version 1"),
        ("{", "schema version 1"),
        ('{"schema_version": 2}', "schema_version"),
        ('{"run_id": 5}', "run_id"),
    ],
)
def test_other_files_are_refused_with_what_is_wrong(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "verdict.json"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        load(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="tuneworthy run"):
        load(tmp_path / "verdict.json")


def _later(record: RunRecord) -> RunRecord:
    arms = tuple(arm.model_copy(update={"seconds": 9.9}) for arm in record.arms)
    levers = tuple(x.model_copy(update={"cost": {**x.cost, "seconds": 1e3}} if x.cost else {}) for x in record.levers)
    openings = tuple({**opening, "at": "2030-01-01T00:00:00+00:00"} for opening in record.openings)
    timing = Timing(started="2030-01-01T00:00:00+00:00", seconds=1.0)
    update = {"arms": arms, "levers": levers, "openings": openings, "timing": timing, "run_id": "later"}
    return record.model_copy(update=update)


def test_two_runs_with_the_same_findings_are_equal_without_times() -> None:
    record = sample()
    assert _later(record) != record
    assert _later(record).without_times() == record.without_times()


def test_a_different_score_stays_different_without_times() -> None:
    record = sample()
    arm = record.arms[0].model_copy(update={"n": 39})
    changed = record.model_copy(update={"arms": (arm, *record.arms[1:])})
    assert changed.without_times() != record.without_times()


def test_a_field_of_the_users_own_called_time_stays() -> None:
    record = sample(cases=1)
    row = record.cases[0].model_copy(update={"input": {"time": "10:30", "seconds": 5}})
    plain = record.model_copy(update={"cases": (row,)}).without_times()
    assert plain["cases"][0]["input"] == {"time": "10:30", "seconds": 5}
