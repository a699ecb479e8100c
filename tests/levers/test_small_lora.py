"""A small LoRA on a real, tiny model: trained on a part of the rows, judged on the development split, kept."""

import pytest
from test_price import Watcher

from small import OVERRIDDEN, USECASE, small_usecase
from tiny import tiny_model
from tuneworthy import flow, worth
from tuneworthy.ground import prepare
from tuneworthy.levers import curve as curves
from tuneworthy.levers import tuned


@pytest.fixture
def ground(tmp_path, monkeypatch):
    monkeypatch.setattr(worth, "minilm_at_hand", lambda: False)
    monkeypatch.setattr(tuned, "screened_rate", lambda bench: (1e-3, ""))
    folder = tmp_path / "small"
    usecase = USECASE.replace('"scripted"', '"./base"').replace("max_tokens = 8", "max_tokens = 12") + OVERRIDDEN
    small_usecase(folder, usecase=usecase, cases=30, examples=60)
    tiny_model(folder / "base")
    flow.lock_suite(folder, again=False)
    return prepare(flow.open_project(folder))


@pytest.mark.slow
def test_a_part_of_the_rows_is_learnt_judged_and_kept(ground, monkeypatch):
    watcher = Watcher()
    learner = worth.open_small_arm(ground, watcher, "lora")
    (fold,) = learner.folds(0)
    assert (fold.train, [case.id for case in fold.cases]) == (ground.train, [case.id for case in ground.dev])
    part = next(curves.nested(fold.train, learner, 0))
    scores = learner.learn(part, fold.cases, seed=3, label="a part")
    assert scores.keys() == {case.id for case in ground.dev}
    trainings = list(ground.project.small_arms.glob("*/training.json"))
    assert len(trainings) == 1
    assert not ground.project.adapters.exists(), "the lever's own trainings choose their weights on these cases"
    assert any("a part" in what for what, _, _ in watcher.steps)

    from tuneworthy.training.delivery import Trained

    done = Trained.model_validate_json(trainings[0].read_bytes())
    assert done.identity.recipe.seed == 3
    assert done.chosen.step == done.steps
    assert done.chosen.dev is None

    from tuneworthy.training import loop

    monkeypatch.setattr(loop._Together, "_step", None)
    assert learner.learn(part, fold.cases, seed=3, label="again") == scores
    openings = ground.project.openings_file
    assert not openings.exists() or not openings.read_text()
