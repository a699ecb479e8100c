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
    return grounded(tmp_path / "small")


def grounded(folder):
    """The use case with a tiny base, its suite locked."""
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


@pytest.mark.slow
def test_rates_and_seeds_side_by_side_choose_what_is_chosen_one_by_one(tmp_path, monkeypatch):
    """The screening of a lever, on two copies of a use case: the same rate, and seeds with the same weights."""
    from safetensors.torch import load_file
    from torch import cat, cosine_similarity

    from tuneworthy.training import loop

    found = []
    monkeypatch.setattr(worth, "minilm_at_hand", lambda: False)
    for way in ("together", "apart"):
        monkeypatch.setattr(loop, "pays_side_by_side", lambda *_, way=way: way == "together")
        bench = worth.open_small_arm(grounded(tmp_path / way), Watcher(), "lora").bench
        tuning = tuned.Tuning(bench, "lora", bench.found["prompt"], "lora")
        rate, _ = tuning.screened()
        done = tuning._train_all([(2e-3, seed, f"seed {seed}") for seed in (0, 1)])
        weights = [load_file(f"{trained.folder}/adapter_model.safetensors") for trained in done]
        found.append((rate, tuning.trials, [cat([w.flatten() for _, w in sorted(held.items())]) for held in weights]))
    (rate, trials, together), (rate_apart, trials_apart, apart) = found
    assert rate == rate_apart
    for one, other in zip(trials, trials_apart, strict=True):
        assert (one["rate"], one["step"], one["score"]) == (other["rate"], other["step"], other["score"])
        assert one["loss"] == pytest.approx(other["loss"], abs=2e-4)
    for one, other in zip(together, apart, strict=True):
        assert float(cosine_similarity(one, other, dim=0)) >= 0.9999
