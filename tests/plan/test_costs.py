"""The sections that `tuneworthy plan` adds about money, licence and law."""

import datetime as dt
import json
from pathlib import Path

import pytest

from small import USECASE, small_usecase
from tuneworthy.cli import main
from tuneworthy.ground import prepare
from tuneworthy.plan import plan as planning
from tuneworthy.plan.costs import gpus_that_hold
from tuneworthy.plan.models import architecture_of
from tuneworthy.plan.records import Plan
from tuneworthy.usecase import ModelChoice

TODAY = dt.date(2026, 11, 25)
WORTH = "[value]\nright_answer_eur = 2.0\nvolume_per_month = 6000\n[budget]"


def planned(folder: Path, *changes: tuple[str, str], **what_if: str) -> Plan:
    text = USECASE.replace('"scripted"', '"pocket"')
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    project = small_usecase(folder, usecase=text)
    return planning.make(prepare(project, strict=False), today=TODAY, what_if=what_if)


def test_the_plan_has_the_sections_about_money_and_law(tmp_path: Path) -> None:
    made = planned(tmp_path, ("[budget]", WORTH))
    assert made.euros is not None
    assert made.euros.once.value
    assert made.break_even is not None
    assert made.break_even.needed is not None
    assert made.break_even.needed.value
    assert made.licence is not None
    assert made.licence.answer == "allowed"
    assert made.privacy is not None
    assert made.privacy.compute_share.value is not None
    assert Plan.model_validate_json(made.model_dump_json()) == made


def in_the_cloud(folder: Path, **what_if: str) -> Plan:
    what_if = {"privacy": "eu_cloud", "tokens": "700", "epochs": "3", **what_if}
    return planned(folder, **what_if)


def test_lora_on_8b_on_an_l4_in_the_eu_costs_what_practice_reports(tmp_path: Path) -> None:
    bill = in_the_cloud(tmp_path, base="meta-llama/Llama-3.1-8B", gpu="l4", examples="2000").euros
    assert bill is not None
    assert 10 <= (bill.per_iteration.value or 0) <= 100
    assert 5_000 <= (bill.once.value or 0) <= 25_000
    assert 0.6 <= (bill.data_share.value or 0) <= 0.8


def test_full_70b_on_8_h100_costs_what_practice_reports(tmp_path: Path) -> None:
    what_if = {"base": "meta-llama/Llama-3.1-70B", "gpu": "h100", "gpus": "8", "method": "full", "examples": "30000"}
    bill = in_the_cloud(tmp_path, **what_if).euros
    assert bill is not None
    assert 1_000 <= (bill.per_iteration.value or 0) <= 10_000
    assert 80_000 <= (bill.once.value or 0) <= 300_000
    assert 0.6 <= (bill.data_share.value or 0) <= 0.8


def test_without_a_value_the_plan_says_what_to_measure(tmp_path: Path) -> None:
    made = planned(tmp_path)
    assert made.break_even is not None
    assert "value.right_answer_eur" in made.break_even.why_not
    assert made.break_even.needed is not None
    assert made.break_even.needed.basis == "not measured"


def test_ones_own_price_is_taken(tmp_path: Path) -> None:
    one, two = (planned(tmp_path, gpu="l4", price=price).euros for price in ("1", "2"))
    assert one is not None
    assert two is not None
    assert two.per_iteration.value == pytest.approx(2 * (one.per_iteration.value or 0))


def test_on_premises_has_no_price_for_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    made = planned(tmp_path, gpu="h200")
    assert made.euros is not None
    assert made.euros.once.basis == "not measured"
    assert "on_premises" in made.euros.once.source


def test_a_budget_below_the_low_end_refuses(tmp_path: Path) -> None:
    made = planned(tmp_path, ("[budget]", "[budget]\neur = 10"))
    assert [refusal.gate for refusal in made.refusals if refusal.gate == "budget"] == ["budget"]


def test_a_budget_below_the_middle_is_told(tmp_path: Path) -> None:
    made = planned(tmp_path, ("[budget]", "[budget]\neur = 4000"))
    assert made.euros is not None
    assert any("budget.eur is 4,000" in text for text in made.euros.warnings)
    assert not made.refusals or all(refusal.gate != "budget" for refusal in made.refusals)


def test_a_base_that_may_not_be_used_refuses(tmp_path: Path) -> None:
    made = planned(tmp_path, base="Qwen/Qwen2.5-3B-Instruct")
    assert any(refusal.gate == "licence" for refusal in made.refusals)


def test_a_judge_outside_of_the_posture_refuses_the_plan_with_exit_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = (
        '[judge]\nrubric = "Right when the team has to act."\n[judge.model]\nbase = "g"\n'
        'endpoint = "https://judge.example/v1"\n[budget]'
    )
    text = USECASE.replace('"scripted"', '"pocket"').replace("[budget]", judge)
    small_usecase(tmp_path, usecase=text)
    monkeypatch.setattr("sys.argv", ["tuneworthy", "plan", str(tmp_path), "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    told = json.loads(capsys.readouterr().out)
    assert [refusal["gate"] for refusal in told["privacy"]["refusals"]] == ["privacy"]


def test_the_plan_is_printed_with_its_money(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = USECASE.replace('"scripted"', '"pocket"').replace("[budget]", WORTH)
    small_usecase(tmp_path, usecase=text)
    monkeypatch.setattr("sys.argv", ["tuneworthy", "plan", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    told = capsys.readouterr().out
    for part in ("once for a first version that works", "within 12 months from a gain of", "apache-2.0", "AI Act"):
        assert part in told


def test_personal_data_in_the_rows_asks_for_what_gdpr_asks(tmp_path: Path) -> None:
    project = small_usecase(tmp_path, usecase=USECASE.replace('"scripted"', '"pocket"'))
    rows = (tmp_path / "data/examples.jsonl").read_text("utf-8").splitlines()
    rows[0] = json.dumps({"input": {"message": "pipe: write to jane.doe@example.org"}, "expected": "plumbing"})
    (tmp_path / "data/examples.jsonl").write_text("\n".join(rows), "utf-8")
    made = planning.make(prepare(project), today=TODAY)
    assert made.privacy is not None
    assert made.privacy.personal == {"e-mail": 1}
    assert "gdpr erasure" in {point.id for point in made.privacy.law}


def test_70b_needs_three_gpus_of_80_gib_and_two_of_141() -> None:
    model = architecture_of(ModelChoice(base="meta-llama/Llama-3.1-70B"), Path(), TODAY)
    assert gpus_that_hold(model, 80.0) == 3
    assert gpus_that_hold(model, 141.0) == 2
    assert gpus_that_hold(None, 80.0) == 1
