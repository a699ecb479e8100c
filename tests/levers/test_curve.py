"""Learning curves of small arms: nested parts, the record that is kept, and the command."""

import itertools
import json

import pytest
from test_price import Watcher, folder_of, noisy
from typer.testing import CliRunner

from small import small_usecase
from tuneworthy import cli, flow, worth
from tuneworthy.errors import TuneworthyError
from tuneworthy.ground import prepare
from tuneworthy.levers import curve as curves
from tuneworthy.levers.small_arms import Plain
from tuneworthy.measure.learning_curve import LearningCurve


@pytest.fixture(autouse=True)
def no_embeddings(monkeypatch):
    monkeypatch.setattr(worth, "minilm_at_hand", lambda: False)
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)


def test_parts_are_nested_whole_clusters_and_of_the_sizes_that_are_said(tmp_path):
    folder, _ = noisy(tmp_path / "u", rows=100)
    rows = [json.loads(line) for line in (folder / "data" / "examples.jsonl").read_text().splitlines()]
    copies = [{**r, "input": {"message": f"{r['input']['message']} {r['input']['message']}"}} for r in rows[:20]]
    ground = prepare(flow.open_project(folder_of(folder, rows + copies)))
    learner = Plain(ground, None)
    train = learner.folds(0)[0].train
    parts = [{row.name for row in part} for part in curves.nested(train, learner, 1)]
    assert all(small < large for small, large in itertools.pairwise(parts))
    assert parts[-1] == {row.name for row in train}
    for part, share in zip(parts, curves.SHARES, strict=True):
        assert share * len(train) <= len(part) <= share * len(train) + 2
        assert not {learner.clusters[n] for n in part} & {learner.clusters[n] for n in parts[-1] - part}
    assert parts == [{row.name for row in part} for part in curves.nested(train[::-1], learner, 1)]
    assert parts != [{row.name for row in part} for part in curves.nested(train, learner, 2)]


def test_the_command_measures_keeps_and_tells(tmp_path):
    folder, _ = noisy(tmp_path / "u", rows=160, share=0.0, signs=30)
    words = ["eval", str(folder), "--curve", "--minutes-per-example", "3", "--json"]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code in (0, 4), done.stderr
    told = LearningCurve.model_validate_json(done.stdout)
    kept = LearningCurve.model_validate_json((folder / ".tuneworthy" / "curves" / "classifier.json").read_bytes())
    assert kept == told
    assert (told.trainings, told.cases, len(told.points)) == (5 * 3 * 4, 160, 5)
    assert told.points[-1].size == 120
    assert told.points[0].score.value < told.points[-1].score.value
    assert told.hours(220) == pytest.approx(5)
    assert told.answer == "helps"
    assert "More examples help" in told.sentences[0]
    assert "60 trainings" in done.stderr
    assert "predicted" in done.stderr


def test_without_minutes_the_cost_is_not_measured(tmp_path):
    folder, _ = noisy(tmp_path / "u", rows=160, share=0.0)
    found, _ = worth.learning_curve(folder, Watcher())
    assert found.minutes_per_example is None
    bar = found.to_the_bar.model_copy(update={"met": False, "examples": 240.0, "low": 200.0, "high": None})
    told = " ".join(curves.sentences(found.model_copy(update={"to_the_bar": bar})))
    assert found.hours(500) is None
    assert "takes about 240 examples to learn from (200 to more than 480)" in told
    assert "What they cost is not measured" in told
    timed = found.model_copy(update={"to_the_bar": bar, "minutes_per_example": 2.0})
    assert "about 4.0 hours of a person at 2 minutes each (2.7 to not told)" in " ".join(curves.sentences(timed))


def test_few_examples_of_each_label_are_a_reason_for_caution(tmp_path):
    folder, _ = noisy(tmp_path / "u", rows=60, share=0.0)
    ground = prepare(flow.open_project(folder))
    found, _ = worth.learning_curve(folder, Watcher())
    assert not any("too low" in sentence for sentence in found.sentences)
    few = found.model_copy(update={"points": (*found.points[:-1], found.points[-1].model_copy(update={"size": 14.0}))})
    assert "Fewer than 5 examples of each label" in next(curves._caution(ground, few))


def test_too_few_examples_make_no_curve(tmp_path):
    folder, _ = noisy(tmp_path / "u", rows=45)
    with pytest.raises(TuneworthyError, match="fewer than 40"):
        worth.learning_curve(folder, Watcher())


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--curve", "--diagnose"], "one --lever"),
        (["--curve", "--lever", "lora", "--lever", "classifier"], "one --lever"),
        (["--minutes-per-example", "2"], "belongs to --curve"),
    ],
)
def test_wrong_usage(tmp_path, words, reason):
    small_usecase(tmp_path / "u")
    done = CliRunner().invoke(cli.app, ["eval", str(tmp_path / "u"), *words])
    assert done.exit_code == 2
    assert reason in " ".join(done.stderr.replace("│", " ").split())


def test_other_levers_have_no_curve(tmp_path):
    small_usecase(tmp_path / "u")
    with pytest.raises(TuneworthyError, match="no small arm of 'prompt'"):
        worth.learning_curve(tmp_path / "u", Watcher(), lever="prompt")
