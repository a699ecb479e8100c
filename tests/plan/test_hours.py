"""Hours: FLOPs as the handbook's table has them, measured speed with its interval, and what is in proportion."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from small import USECASE, small_usecase
from tuneworthy.flow import open_bench
from tuneworthy.ground import prepare
from tuneworthy.levers import rehearsal
from tuneworthy.plan import calibrate, hours
from tuneworthy.plan.architecture import parse_config
from tuneworthy.plan.calibrate import MeasuredSpeed, MethodPace, Pace, measured
from tuneworthy.plan.models import known
from tuneworthy.plan.records import estimate, unknown
from tuneworthy.training.recipe import Recipe

TODAY = dt.date(2026, 11, 25)
KNOWN = known(TODAY)


@pytest.mark.parametrize(
    ("model", "lora", "recomputed", "full"),
    [("qwen2.5-0.5b", 1_526, 2_274, 2_189), ("llama-3.1-8b", 28_400, 42_600, 42_100)],
)
def test_flop_per_token_are_those_of_the_handbook(model, lora, recomputed, full):
    """evidence/performance, section 2: MFLOP per token at 328 tokens, r = 16, head left out."""
    dimensions = parse_config(KNOWN[model].config, source=model)
    found = [
        hours.flop_per_token(dimensions, "lora", 328, recompute=False),
        hours.flop_per_token(dimensions, "lora", 328, recompute=True),
        hours.flop_per_token(dimensions, "full", 328, recompute=False),
    ]
    assert [value / 1e6 for value in found] == pytest.approx([lora, recomputed, full], rel=0.02)


def _amount(**changes):
    fields = {
        "rows": 800, "dev": 100, "cases": 100, "row_tokens": estimate(150, "tokens", "t"),
        "answer_tokens": estimate(10, "tokens", "t"), "recipe": Recipe(epochs=2, batch_size=8, checkpoint_every=0.5),
        "rates": 3, "seeds": 3, "dev_calls": 400, "documents": False,
    }  # fmt: skip
    return hours.Amount(**{**fields, **changes})


def _pace(step=0.5, checkpoint=2.0, answer=0.1):
    return Pace(
        step=estimate(step, "s", "s"), checkpoint=estimate(checkpoint, "s", "c"), answer=estimate(answer, "s", "a")
    )


def test_one_training_is_steps_and_scored_checkpoints():
    amount = _amount()
    assert (amount.steps, amount.scorings) == (200, 4)
    one = hours.one_training(amount, {"lora": _pace()}, "lora")
    assert 3600 * one.value == pytest.approx(200 * 0.5 + 4 * (2.0 + 100 * 0.1))


def test_an_arm_is_rates_finalist_and_seeds():
    paces = {"inference": Pace.answering(estimate(0.1, "s", "a")), "lora": _pace(), "full": _pace(), "qlora": _pace()}
    found = hours.hours(_amount(), paces, "lora", full=False)
    lora = next(arm for arm in found.arms if arm.lever == "lora")
    assert lora.trainings == pytest.approx(0.3 * 3 + 0.7 + 2)
    assert lora.hours.low < lora.trainings * found.one_training.value < lora.hours.high
    assert [arm.lever for arm in found.arms] == ["prompt", "few_shot", "constrained", "lora"]
    assert found.ladder.value == pytest.approx(sum(arm.hours.value for arm in found.arms))


def test_what_was_not_measured_stays_so():
    nothing = Pace(step=unknown("s", "no GPU"), checkpoint=unknown("s", "no GPU"), answer=unknown("s", "no GPU"))
    found = hours.hours(_amount(), dict.fromkeys(("inference", "lora", "qlora", "full"), nothing), "lora", full=True)
    assert found.ladder.basis == "not measured"
    assert found.ladder.source == "no GPU"


@given(st.lists(st.floats(0.001, 1e4), min_size=1, max_size=30))
def test_an_interval_holds_its_mean_and_is_never_narrower_than_other_load(seconds):
    figure = measured(seconds, TODAY, "steps")
    assert figure.low <= figure.value * 0.9000001
    assert figure.high >= figure.value * 1.0999999
    assert figure.basis == "measured"


def _speed(**changes):
    machine = calibrate.this_machine("cpu", 2)
    held = MethodPace(method="lora", pace=_pace(), steps=9, batch_size=8, tokens_per_step=1200.0)
    fields = {"machine": machine, "model": "m", "made": TODAY, "seconds": 50.0, "answer": estimate(0.1, "s", "a")}
    return MeasuredSpeed(**{**fields, "methods": (held,), **changes})


def test_a_method_that_was_not_measured_is_in_proportion_of_its_flop():
    model = parse_config(KNOWN["llama-3.1-8b"].config, source="m")
    paces = hours.from_calibration(_speed(), model, _amount())
    assert paces["lora"].step.value == 0.5
    assert paces["full"].step.value == pytest.approx(0.5 * 1.48, rel=0.02)
    assert paces["full"].step.basis == "estimated"


def test_a_calibration_of_another_model_or_machine_is_not_used(tmp_path):
    path = tmp_path / "calibration.json"
    assert calibrate.load(path, model="m") == (None, "")
    calibrate.save(_speed(), path)
    assert calibrate.load(path, model="m") == (_speed(), "")
    assert "another model" in calibrate.load(path, model="other")[1]
    elsewhere = calibrate.this_machine("cpu", 2).model_copy(update={"processor": "abacus"})
    calibrate.save(_speed(machine=elsewhere), path)
    assert "another machine" in calibrate.load(path, model="m")[1]
    path.write_text("{")
    assert "cannot be read" in calibrate.load(path, model="m")[1]


@pytest.mark.slow
def test_a_calibration_times_the_real_loop_and_leaves_nothing_behind(tmp_path):
    ground = prepare(small_usecase(tmp_path, usecase=USECASE.replace("scripted", "pocket"), examples=120), strict=False)
    found = rehearsal.calibrate(open_bench(ground), today=TODAY, seconds=6.0)
    assert [held.method for held in found.methods] == ["lora", "full"]
    assert all(held.steps >= 3 and held.pace.step.basis == "measured" for held in found.methods)
    assert found.answer.basis == "measured"
    assert not (ground.project.store / "calibration").exists() or not any(
        (ground.project.store / "calibration").iterdir()
    )
    assert not ground.project.adapters.exists()
