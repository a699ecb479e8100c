"""The sums: held to the ranges that practice reports, and to arithmetic done by hand."""

import datetime as dt
from pathlib import Path

import pytest

from tuneworthy.plan import prices
from tuneworthy.plan.euros import Have, Traffic, euros, extra_per_month
from tuneworthy.plan.records import Euros, Figure, Scenario, estimate, unknown

TODAY = dt.date(2026, 11, 25)
SHIPPED = prices.load(None, today=TODAY)
PEAK = {"l4": 121e12, "a100-80": 312e12, "h100": 989e12}
"""FLOP/s, dense bf16 (handbook, operations 6.3)"""


def scenario(**changes: object) -> Scenario:
    told = {
        "base": "a model",
        "method": "lora",
        "gpu": "l4",
        "gpus": 1,
        "examples": estimate(2_000, "examples", "the scenario"),
        "epochs": 3,
        "tokens_per_example": estimate(700, "tokens", "the scenario"),
    }
    return Scenario.model_validate({**told, **changes})


def hours(s: Scenario, parameters: float, *, per_token: int, mfu: float) -> Figure:
    """One training from FLOP alone: per_token × parameters × tokens."""
    flop = per_token * parameters * (s.tokens.value or 0)
    return estimate(flop / (3600 * PEAK[s.gpu] * mfu * s.gpus), "h", "FLOP ÷ (GPUs × peak × MFU)")


def billed(s: Scenario, one_training: Figure, **more: object) -> Euros:
    offer = SHIPPED.offers_for(s.gpu, region="EU")[0]
    return euros(s, one_training, SHIPPED, price=SHIPPED.hourly(offer), used=[offer], **more)  # type: ignore[arg-type]


def lora(**changes: object) -> Euros:
    s = scenario(**changes)
    return billed(s, hours(s, 8.03e9, per_token=4, mfu=0.3))


FULL = scenario(base="70B", method="full", gpu="h100", gpus=8, examples=estimate(30_000, "examples", "the scenario"))


def full() -> Euros:
    return billed(FULL, hours(FULL, 70.6e9, per_token=8, mfu=0.35))


@pytest.mark.parametrize("gpu", ["l4", "a100-80"])
def test_an_iteration_of_lora_on_8b_costs_10_to_100_euros_of_gpu(gpu: str) -> None:
    assert 10 <= (lora(gpu=gpu).per_iteration.value or 0) <= 100


def test_an_iteration_of_full_70b_costs_1000_to_10000_euros_of_gpu() -> None:
    assert 1_000 <= (full().per_iteration.value or 0) <= 10_000


@pytest.mark.parametrize("rows", [500, 2_000, 5_000])
def test_a_first_lora_costs_5000_to_25000_euros(rows: int) -> None:
    assert 5_000 <= (lora(examples=estimate(rows, "examples", "the scenario")).once.value or 0) <= 25_000


def test_a_full_70b_project_costs_80000_to_300000_euros() -> None:
    assert 80_000 <= (full().once.value or 0) <= 300_000


def test_data_is_60_to_80_percent_of_it() -> None:
    assert 0.6 <= (lora().data_share.value or 0) <= 0.8
    assert 0.6 <= (full().data_share.value or 0) <= 0.8


def test_by_hand() -> None:
    """2,000 rows × 3 min, 200 cases × 6 min, 24 + 20 + 24 + 3 × 6 h at 60 EUR; 3 × ((12 + 1) × 2 + 0.25) h of GPU."""
    found = euros(scenario(), estimate(1.0, "h", "x"), SHIPPED, price=estimate(2.0, "EUR/h", "x"))
    by_name = {post.name: post.amount.value for post in found.posts}
    assert by_name["rows still missing: 2,000"] == pytest.approx(6_000)
    assert by_name["cases of the suite still missing: 200"] == pytest.approx(1_200)
    assert by_name["GPU, 3 iterations"] == pytest.approx(3 * 26.25 * 2)
    assert found.once.value == pytest.approx(6_000 + 1_200 + 1_440 + 1_200 + 1_440 + 1_080 + 157.5)


def test_what_is_there_is_not_paid_again() -> None:
    s, one = scenario(), estimate(1.0, "h", "x")
    here = billed(s, one, have=Have(rows=2_000, doubtful=30, cases=200))
    data = {post.name: post.amount.value for post in here.posts if post.group == "data"}
    assert data["rows still missing: 0"] == 0
    assert data["sources, guideline, import"] == 0
    assert data["rows that the checks doubt: 30"] == pytest.approx(60)


def test_unchecked_rows_are_told() -> None:
    found = billed(scenario(), estimate(1.0, "h", "x"), have=Have(rows=100))
    assert any("data check" in text for text in found.warnings)


def test_without_hours_the_sum_is_not_measured() -> None:
    found = billed(scenario(), unknown("h", "no such GPU"))
    assert found.once.basis == "not measured"
    assert found.once.source == "no such GPU"


def test_without_rows_the_data_work_is_not_measured() -> None:
    found = billed(scenario(examples=unknown("examples", "there are no examples")), estimate(1.0, "h", "x"))
    assert found.data_share.value is None
    assert found.posts[0].amount.basis == "not measured"


def test_ones_own_machine_costs_energy() -> None:
    found = euros(scenario(gpu="cpu", gpus=0), estimate(2.0, "h", "x"), SHIPPED)
    assert found.per_iteration.value == pytest.approx((2 * 12 + 1) * 0.065 * 0.1902 * 1.3)
    assert not any(post.group == "serving" for post in found.monthly)


def test_an_unknown_machine_says_that_energy_is_missing() -> None:
    found = euros(scenario(gpu="abacus", gpus=0), estimate(2.0, "h", "x"), SHIPPED)
    assert any("abacus" in text for text in found.warnings)


TRAFFIC = Traffic(6_000, estimate(300, "tokens", "x"), estimate(40, "tokens", "x"), 8_000_000_000)


def test_little_traffic_is_cheaper_by_the_token() -> None:
    serving = billed(scenario(), estimate(1.0, "h", "x"), traffic=TRAFFIC).serving
    assert serving is not None
    assert serving.machines.value == 1
    assert serving.own.value == pytest.approx(0.65314 * 730)
    small = next(post for post in serving.services if post.name == "mistral-small")
    assert small.amount.value == pytest.approx(6_000 * (300 * 0.15 + 40 * 0.60) / 1e6 * 0.9605)
    assert (serving.break_even.value or 0) > (serving.tokens_per_month.value or 0)


def test_much_traffic_needs_more_machines() -> None:
    much = Traffic(600_000_000, TRAFFIC.tokens_in, TRAFFIC.tokens_out, 8_000_000_000)
    serving = billed(scenario(), estimate(1.0, "h", "x"), traffic=much).serving
    assert serving is not None
    per_second = 600_000_000 * 40 / (730 * 3600)
    assert serving.machines.value == pytest.approx(-(-per_second * 4 // 390))
    assert 0 < (serving.utilisation.value or 0) <= 1


def test_a_large_model_needs_the_gpus_that_hold_it() -> None:
    held = Traffic(6_000, TRAFFIC.tokens_in, TRAFFIC.tokens_out, 70_000_000_000, least_gpus=2)
    serving = billed(FULL, estimate(1.0, "h", "x"), traffic=held).serving
    assert serving is not None
    assert serving.machines.value == 2


@pytest.mark.parametrize("traffic", [Traffic(), Traffic(0, TRAFFIC.tokens_in, TRAFFIC.tokens_out, 8_000_000_000)])
def test_without_traffic_nothing_is_made_up(traffic: Traffic) -> None:
    serving = billed(scenario(), estimate(1.0, "h", "x"), traffic=traffic).serving
    assert serving is not None
    assert serving.break_even.basis == "not measured"
    assert serving.utilisation.basis == "not measured"


def test_ones_own_rate_moves_the_sum(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text("[rate]\nvalue = 120\n", "utf-8")
    dear = prices.load(tmp_path, today=TODAY)
    s, one, price = scenario(), estimate(1.0, "h", "x"), estimate(0.0, "EUR/h", "x")
    assert euros(s, one, dear, price=price).once.value == pytest.approx(
        2 * (euros(s, one, SHIPPED, price=price).once.value or 0)
    )


def test_a_tuned_model_costs_its_upkeep_more() -> None:
    found = billed(scenario(), estimate(1.0, "h", "x"))
    parts = [post.amount.value or 0 for post in found.monthly if post.group == "operations"]
    assert extra_per_month(found).value == pytest.approx(sum(parts))


def test_the_age_of_a_price_is_told() -> None:
    s = scenario(gpu="t4")
    offer = next(o for o in SHIPPED.offers if o.id == "modal-t4")
    found = euros(s, estimate(1.0, "h", "x"), SHIPPED, price=SHIPPED.hourly(offer), used=[offer])
    assert any("older than 90 days" in text for text in found.warnings)
