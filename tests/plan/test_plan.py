"""The verb: what a plan holds, what refuses it, what `--what-if` changes, and what stays `not measured`."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from small import USECASE, small_usecase
from tuneworthy.cli import app
from tuneworthy.errors import TuneworthyError
from tuneworthy.ground import prepare
from tuneworthy.plan import hardware
from tuneworthy.plan.hardware import Found
from tuneworthy.plan.plan import WHAT_IF, make, parse_what_if
from tuneworthy.plan.records import Plan

TODAY = dt.date(2026, 11, 25)
EIGHT = USECASE.replace('base = "scripted"', 'base = "llama-3.1-8b"')
RENTED = EIGHT.replace('name = "small"', 'name = "small"\nprivacy = "eu_cloud"')
NO_GPU = Found(gpus=(), memory_gib=16.0, cores=4, disk_gib=100.0)


@pytest.fixture(autouse=True)
def _laptop(monkeypatch):
    """A laptop with 16 GiB and 0.2 TFLOP/s, whatever this test runs on."""
    monkeypatch.setattr(hardware, "detect", lambda folder: NO_GPU)
    monkeypatch.setattr(hardware, "_speed_here", lambda: (0.2, 20.0))


def _plan(folder, usecase=EIGHT, **what_if):
    ground = prepare(small_usecase(folder, usecase=usecase), strict=False)
    return make(ground, today=TODAY, what_if={k: str(v) for k, v in what_if.items()})


def test_lora_on_8b_fits_an_l4_and_the_eu_offers_are_listed(tmp_path):
    made = _plan(tmp_path, RENTED, gpu="l4", examples=2000, tokens=700)
    assert made.refusals == []
    assert made.memory.of("lora").fits
    assert not made.memory.of("full").fits
    assert made.scenario.tokens.value == 2000 * 700 * made.scenario.epochs
    assert made.hours.one_training.low < made.hours.one_training.value < made.hours.one_training.high
    assert 0 < len(made.hardware.offers) <= 3
    assert {offer.region for offer in made.hardware.offers} == {"EU"}
    costs = [offer.hourly.value for offer in made.hardware.offers]
    assert costs == sorted(costs)
    known = next(offer for offer in made.hardware.offers if offer.sky and offer.gpu == "l4")
    assert f"infra: {known.provider}\n  accelerators: {known.sky}\n" in made.hardware.sky_yaml


def test_hours_agree_with_the_arithmetic_of_the_handbook(tmp_path):
    """4.2 million tokens of LoRA on an A100 are 0.3 to 0.4 hours (evidence/operations, 6.3)."""
    made = _plan(tmp_path, RENTED, gpu="a100-80", examples=2000, tokens=700, epochs=3)
    training = made.hours.tokens_per_second
    assert training.low < 3083 < training.high
    assert made.hours.one_training.low < 0.4 < made.hours.one_training.high


def test_a_laptop_without_gpu_is_told_what_still_runs(tmp_path):
    three = EIGHT.replace("llama-3.1-8b", "qwen2.5-0.5b")
    made = _plan(tmp_path, three, examples=2000)
    assert made.scenario.gpu == "cpu"
    assert {arm.lever for arm in made.hardware.on_cpu} >= {"prompt", "lora"}
    assert made.hardware.offers == ()
    big = _plan(tmp_path, EIGHT, examples=2000)
    assert [refusal.gate for refusal in big.refusals] == ["memory"]
    assert big.hardware.on_cpu == ()


def test_a_second_copy_that_does_not_fit_refuses_training_here(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "detect", lambda folder: replace(NO_GPU, memory_gib=24.0))
    made = _plan(tmp_path, EIGHT.replace("llama-3.1-8b", "qwen2.5-3b"), examples=2000, tokens=700)
    assert made.memory.of("lora").fits  # but the copy that answers while it learns does not
    assert [refusal.gate for refusal in made.refusals] == [
        "memory",
        "licence",
    ]  # research only, and the use is commercial
    assert {arm.lever for arm in made.hardware.on_cpu} == {"prompt", "few_shot", "constrained"}


def test_full_before_lora_is_refused_and_too_few_examples_are(tmp_path):
    made = _plan(tmp_path, RENTED, gpu="h100", gpus=8, method="full", examples=2000)
    assert len([r for r in made.refusals if r.gate == "method"]) == 2
    few = _plan(tmp_path, RENTED, gpu="h100")
    assert any("too few" in refusal.what for refusal in few.refusals)


def test_nothing_is_rented_on_premises(tmp_path):
    made = _plan(tmp_path, EIGHT, gpu="l4", examples=2000)
    assert made.hardware.offers == ()
    assert any("on_premises" in warning for warning in made.hardware.warnings)


def test_an_unknown_model_leaves_memory_and_hours_not_measured(tmp_path):
    made = _plan(tmp_path, EIGHT.replace("llama-3.1-8b", "no-such-model"), gpu="l4", examples=2000)
    assert made.memory is None
    assert made.hours is None
    assert any("no-such-model" in told for told in made.not_known)


def test_a_broken_config_is_named_and_the_rest_of_the_plan_is_made(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": -1}))
    made = _plan(tmp_path / "u", EIGHT.replace("llama-3.1-8b", str(model)), gpu="l4", examples=2000)
    assert made.memory is None
    assert made.method is not None
    assert any("hidden_size" in told for told in made.not_known)


def test_no_examples_leave_hours_not_measured(tmp_path):
    made = make(prepare(small_usecase(tmp_path, usecase=EIGHT, examples=0), strict=False), today=TODAY)
    assert made.hours is None
    assert any("no examples" in told for told in made.not_known)


@pytest.mark.parametrize("pair", ["gpu", "gpu=", "colour=red", "=l4"])
def test_a_what_if_that_is_no_field_is_refused(pair):
    with pytest.raises(TuneworthyError, match="what-if"):
        parse_what_if([pair])


@pytest.mark.parametrize(
    "wrong", [{"gpu": "l5"}, {"examples": "-3"}, {"examples": "many"}, {"gpus": "1.5"}, {"method": "magic"},
              {"privacy": "none"}, {"price": "0"}, {"epochs": "nan"}]
)  # fmt: skip
def test_a_what_if_with_a_bad_value_is_refused_with_what_to_write(tmp_path, wrong):
    with pytest.raises(TuneworthyError) as caught:
        _plan(tmp_path, **wrong)
    assert caught.value.next


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    return prepare(small_usecase(tmp_path_factory.mktemp("any"), usecase=EIGHT), strict=False)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(name=st.sampled_from(WHAT_IF), value=st.text(min_size=1, max_size=12) | st.integers().map(str))
def test_any_what_if_gives_a_plan_or_an_error_that_can_be_acted_on(ground, name, value):
    try:
        made = make(ground, today=TODAY, what_if={name: value})
    except TuneworthyError:
        return
    assert Plan.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize("value", ["1001", "100000000", "999999999999"])
def test_epochs_without_end_are_refused_before_they_are_counted(ground, value):
    with pytest.raises(TuneworthyError, match="more than 1,000"):
        make(ground, today=TODAY, what_if={"epochs": value})


def test_the_verb_prints_json_and_exits_by_what_stands_against_it(tmp_path):
    small_usecase(tmp_path, usecase=RENTED)
    command = ["plan", str(tmp_path), "--what-if", "gpu=l4", "--what-if", "examples=2000", "--json"]
    allowed = CliRunner().invoke(app, command)
    assert allowed.exit_code == 0
    assert json.loads(allowed.stdout)["scenario"]["gpu"] == "l4"
    assert not (tmp_path / ".tuneworthy" / "plan.json").exists()  # a what-if is not kept
    refused = CliRunner().invoke(app, ["plan", str(tmp_path)])
    assert refused.exit_code == 3
    kept = Plan.model_validate_json((tmp_path / ".tuneworthy" / "plan.json").read_bytes())
    assert kept.refusals
