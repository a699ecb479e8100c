import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuneworthy.errors import PrivacyRefused
from tuneworthy.plan import prices, privacy
from tuneworthy.plan.privacy import compute_ratio, contacts, require_posture
from tuneworthy.plan.records import Privacy, estimate, unknown
from tuneworthy.usecase import UseCase

TODAY = dt.date(2026, 11, 25)
LAW = privacy.load(TODAY)
FLOP = estimate(1.35e17, "FLOP", "4 × 8.03e9 × 4.2e6")

TABLE: dict[str, Any] = {
    "name": "triage",
    "instruction": "See https://example.com/guide and fill in the ticket.",
    "input": {"email": {}},
    "output": {"kind": "label", "labels": ["https://a.example", "b"]},
    "bar": {"metric": "exact", "at_least": 0.8, "smallest_difference": 0.05},
}


def usecase(**changes: Any) -> UseCase:
    return UseCase.model_validate({**TABLE, **changes})


def at(endpoint: str, **changes: Any) -> UseCase:
    return usecase(model={"base": "m", "endpoint": endpoint}, **changes)


def section(of: UseCase, **more: Any) -> Privacy:
    told: dict[str, Any] = {"parameters": 8_030_000_000, "tuning_flop": FLOP, "personal": {}}
    return privacy.privacy(of, LAW, today=TODAY, **{**told, **more})


@pytest.mark.parametrize(
    ("posture", "address", "answer"),
    [
        ("on_premises", "http://localhost:8000/v1", "kept"),
        ("on_premises", "http://10.0.0.7/v1", "kept"),
        ("on_premises", "http://[::1]:8000/v1", "kept"),
        ("on_premises", "https://api.openai.com/v1", "refused"),
        ("on_premises", "https://api.mistral.ai/v1", "refused"),
        ("on_premises", "https://nobody-knows.example/v1", "refused"),
        ("on_premises", "http://8.8.8.8/v1", "refused"),
        ("on_premises", "http://134744072/v1", "refused"),
        ("on_premises", "http://169.254.169.254/latest", "refused"),
        ("on_premises", "https://localhost.attacker.example/v1", "refused"),
        ("on_premises", "https://", "refused"),
        ("eu_cloud", "https://api.mistral.ai/v1", "kept"),
        ("eu_cloud", "https://api.openai.com/v1", "refused"),
        ("eu_cloud", "https://eu.api.openai.com/v1", "unknown"),
        ("eu_cloud", "https://nobody-knows.example/v1", "unknown"),
        ("eu_cloud", "http://llm.internal/v1", "kept"),
        ("any", "https://api.openai.com/v1", "kept"),
    ],
)
def test_an_endpoint_is_judged_by_the_posture(posture: str, address: str, answer: str) -> None:
    found = contacts(at(address, privacy=posture), LAW)
    assert [(c.key, c.answer) for c in found] == [("model.endpoint", answer)]


OUTSIDE = "https://judge.example/v1"


def test_a_judge_at_an_outside_url_is_refused_with_exit_3() -> None:
    judge = {"rubric": "Right when the ticket names the order.", "model": {"base": "gpt", "endpoint": OUTSIDE}}
    with pytest.raises(PrivacyRefused, match=r"judge\.model\.endpoint") as refused:
        require_posture(usecase(judge=judge), LAW)
    assert refused.value.exit_code == 3


def test_every_field_is_walked_whatever_it_is_called() -> None:
    settings = {"deep": [{"anything": OUTSIDE}], "server": "judge.example", "tracking_uri": "http://mlflow.example"}
    found = contacts(usecase(metric_settings=settings), LAW)
    assert {c.key.removeprefix("metric_settings.") for c in found if c.answer == "refused"} == {
        "deep[0].anything",
        "server",
        "tracking_uri",
    }


def test_a_link_in_a_text_is_no_connection() -> None:
    assert contacts(usecase(metric_settings={"pattern": r"https://\S+"}), LAW) == ()
    require_posture(usecase(), LAW)


def test_a_schema_names_addresses_that_nobody_asks_but_its_references() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.com/ticket",
        "properties": {"url": {"enum": ["https://a.example"]}, "b": {"$ref": "https://schemas.example/b.json"}},
    }
    found = contacts(
        usecase(output={"kind": "json", "schema": schema}, bar={**TABLE["bar"], "metric": "json_exact"}), LAW
    )
    assert [c.key for c in found] == ["output.schema.properties.b.$ref"]


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_address_ends_in_another_error(address: str) -> None:
    for contact in contacts(usecase(metric_settings={"endpoint": address}), LAW):
        assert contact.answer in ("kept", "refused")


@settings(deadline=None)
@given(st.ip_addresses().filter(lambda a: a.is_global))
def test_no_public_address_is_on_premises(address: Any) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    found = contacts(usecase(metric_settings={"endpoint": f"http://{host}:80/x"}), LAW)
    assert [c.answer for c in found] == ["refused"]


def test_a_price_offer_is_judged() -> None:
    table = prices.load(None, today=TODAY)
    offers = {o.id: o for o in table.offers}
    wanted = [offers["verda-h100"], offers["runpod-h100"], offers["lambda-h100"]]
    found = section(usecase(privacy="eu_cloud"), offers=wanted).contacts
    assert [c.answer for c in found] == ["kept", "unknown", "refused"]
    assert len(section(usecase(), offers=wanted).refusals) == 3


# --- law -----------------------------------------------------------------------------------------


def test_the_compute_ratio_of_the_handbook() -> None:
    """1.35e17 FLOP against 7.2e23 for an 8B model on 15T tokens: 2e-7 of it, so 6e-7 of a third of it."""
    share, told = compute_ratio("meta-llama/Llama-3.1-8B-Instruct", 8_030_000_000, FLOP, LAW)
    assert share.value == pytest.approx(1.35e17 / (6 * 8.03e9 * 15e12 / 3))
    assert share.value == pytest.approx(3 * 1.87e-7, rel=0.01)
    assert "below the compute criterion" in told
    assert "7.2e+23" in told


def test_an_unknown_original_falls_back_to_a_third_of_1e23() -> None:
    share, told = compute_ratio("nobody/knows", 8_030_000_000, FLOP, LAW)
    assert share.value == pytest.approx(1.35e17 / (1e23 / 3))
    assert "not known" in told


def test_690_billion_tokens_of_full_training_reach_the_fallback() -> None:
    full = estimate(6 * 8.03e9 * 7.0e11, "FLOP", "6ND")
    share, told = compute_ratio("nobody/knows", 8_030_000_000, full, LAW)
    assert share.value == pytest.approx(1.0, abs=0.02)
    assert "above" in told


def test_without_flop_there_is_no_ratio() -> None:
    found = section(usecase(), tuning_flop=unknown("FLOP", "no tokenizer"))
    assert found.compute_share.basis == "not measured"


def test_personal_data_that_was_found_asks_for_what_gdpr_asks() -> None:
    found = section(usecase(), personal={"e-mail": 12})
    asked = {point.id for point in found.law}
    assert {"gdpr basis", "gdpr dpia", "gdpr erasure"} <= asked
    assert any("e-mail in 12 rows" in text for text in found.warnings)


def test_without_personal_data_gdpr_is_not_told() -> None:
    assert not any(point.id.startswith("gdpr") for point in section(usecase()).law)


def test_unlooked_rows_say_so() -> None:
    assert any("not measured" in text for text in section(usecase(), personal=None).warnings)


def test_transparency_is_for_those_who_serve_customers() -> None:
    inside = section(usecase(use={"reach": "inside"}))
    assert "article 50" not in {point.id for point in inside.law}
    assert "article 50" in {point.id for point in section(usecase()).law}


def test_other_law_is_not_made_up() -> None:
    found = section(usecase(use={"region": "US"}))
    assert found.law == ()
    assert any("law of US" in text for text in found.warnings)


def test_every_point_has_a_source() -> None:
    assert all(point.source.startswith("https://") for point in section(usecase(), personal={"iban": 1}).law)
