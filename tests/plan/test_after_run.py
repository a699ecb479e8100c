import dataclasses
from pathlib import Path

import pytest

from small import USECASE, small_usecase
from tuneworthy.ground import Ground, prepare
from tuneworthy.plan import after_run
from tuneworthy.records import Comparison, Interval

WORTH = "[value]\nright_answer_eur = 2.0\nvolume_per_month = 6000\n[budget]"


def ground(folder: Path, old: str = "[budget]", new: str = WORTH) -> Ground:
    assert old in USECASE
    return prepare(small_usecase(folder, usecase=USECASE.replace('"scripted"', '"pocket"').replace(old, new)))


def over(candidate: str, reference: str, gain: float | None = 0.2) -> Comparison:
    difference = None if gain is None else Interval(value=gain, low=gain - 0.1, high=gain + 0.1)
    told = {"n": 40, "p": 0.01, "test": "x", "wins": 9, "losses": 1, "dropped": 0, "worst_case": 0.0}
    return Comparison(reference=reference, candidate=candidate, difference=difference, **told)  # type: ignore[arg-type]


def test_each_lever_is_held_against_its_first_registered_reference(tmp_path: Path) -> None:
    found = after_run.worth(
        ground(tmp_path), [over("few_shot", "prompt"), over("lora", "few_shot"), over("lora", "prompt")]
    )
    assert [(p.lever, p.reference) for p in found.paybacks] == [("few_shot", "prompt"), ("lora", "few_shot")]


def test_what_is_there_is_not_paid_again(tmp_path: Path) -> None:
    """20 + 24 + 3 × 6 hours at 60 EUR, and the energy of three hours of a processor."""
    found = after_run.worth(ground(tmp_path), [over("lora", "prompt")])
    assert found.paybacks[0].once.value == pytest.approx(62 * 60, abs=0.2)


def test_a_lever_without_an_interval_or_a_cost_is_left_out(tmp_path: Path) -> None:
    found = after_run.worth(
        ground(tmp_path), [over("rag", "prompt", None), over("my_plugin", "prompt"), over("lora", "prompt")]
    )
    assert [p.lever for p in found.paybacks] == ["lora"]
    assert any("my_plugin" in text for text in found.warnings)


def test_the_verdict_is_told_what_is_missing(tmp_path: Path) -> None:
    here = ground(tmp_path, new="[budget]")
    told = after_run.unmeasured(after_run.worth(here, [over("lora", "prompt")]), after_run.licence_of(here))
    assert told == ("the sum in euros (value.right_answer_eur is not said)",)


def test_nothing_is_missing_where_both_are_known(tmp_path: Path) -> None:
    here = ground(tmp_path)
    assert after_run.unmeasured(after_run.worth(here, [over("lora", "prompt")]), after_run.licence_of(here)) == ()


def test_a_model_at_an_endpoint_has_no_licence_to_judge(tmp_path: Path) -> None:
    here = ground(tmp_path)
    endpoint = here.usecase.model.model_copy(update={"endpoint": "http://localhost:1/v1"})
    assert after_run.licence_of(here, choice=endpoint) is None


def test_a_model_that_wrote_rows_is_a_teacher(tmp_path: Path) -> None:
    here = ground(tmp_path)
    first = here.examples[0]
    written = first.model_copy(update={"provenance": first.provenance.model_copy(update={"model": "gpt-4o"})})
    found = after_run.licence_of(dataclasses.replace(here, examples=(written, *here.examples[1:])))
    assert found is not None
    assert found.answer == "unknown"
    assert "answers of gpt-4o" in found.questions[0]


@pytest.mark.parametrize(
    ("base", "answer", "licence"),
    [("llama-3.1-8b", "allowed with duties", "llama3.1"), ("qwen2.5-3b", "not allowed", "qwen-research")],
)
def test_a_model_that_is_planned_by_its_short_name_stands_under_its_own_licence(
    tmp_path: Path, base: str, answer: str, licence: str
) -> None:
    here = ground(tmp_path)
    found = after_run.licence_of(here, choice=here.usecase.model.model_copy(update={"base": base}))
    assert (found.answer, found.links[0].licence) == (answer, licence)
