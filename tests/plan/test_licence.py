"""The licence table: model × use → the expected answer, each with the source that says so."""

import datetime as dt
import json
from pathlib import Path

import pytest

from tuneworthy.plan import licence, terms
from tuneworthy.plan.records import Licence
from tuneworthy.usecase import IntendedUse

TODAY = dt.date(2026, 11, 25)
BOOK = terms.load(TODAY)

COMPANY = IntendedUse()
"""a company in the EU that serves customers and earns money"""
US = IntendedUse(established="US")
INSIDE = IntendedUse(reach="inside")
RESEARCH = IntendedUse(commercial=False)
WEIGHTS = IntendedUse(reach="weights")

OK, DUTIES, NO, ASK = "allowed", "allowed with duties", "not allowed", "unknown"
LLAMA = "https://github.com/meta-llama/llama-models/blob/main/models/"
HUB = "https://huggingface.co/"

TABLE = [
    ("meta-llama/Llama-2-7b-chat-hf", COMPANY, DUTIES, {"notice", "licence_file"}, "https://www.llama.com/faq/"),
    ("meta-llama/Meta-Llama-3-8B-Instruct", COMPANY, DUTIES, {"name_prefix", "display", "notice"},
     "https://github.com/meta-llama/llama3/blob/main/LICENSE"),
    ("meta-llama/Llama-3.1-8B-Instruct", COMPANY, DUTIES, {"name_prefix", "display", "notice", "licence_file"},
     LLAMA + "llama3_1/LICENSE"),
    ("meta-llama/Llama-3.1-8B-Instruct", INSIDE, DUTIES, {"acceptable_use"}, LLAMA + "llama3_1/LICENSE"),
    ("meta-llama/Meta-Llama-3.1-70B-Instruct", IntendedUse(monthly_active_users=700_000_001), NO, set(),
     LLAMA + "llama3_1/LICENSE"),
    ("meta-llama/Llama-3.1-8B", IntendedUse(monthly_active_users=700_000_000), DUTIES, {"display"},
     LLAMA + "llama3_1/LICENSE"),
    ("meta-llama/Llama-3.2-3B-Instruct", COMPANY, DUTIES, {"name_prefix"}, LLAMA + "llama3_2/LICENSE"),
    ("meta-llama/Llama-3.2-11B-Vision-Instruct", COMPANY, NO, set(), LLAMA + "llama3_2/USE_POLICY.md"),
    ("meta-llama/Llama-3.2-11B-Vision-Instruct", US, DUTIES, {"name_prefix"}, LLAMA + "llama3_2/USE_POLICY.md"),
    ("meta-llama/Llama-3.3-70B-Instruct", COMPANY, DUTIES, {"name_prefix"},
     HUB + "meta-llama/Llama-3.3-70B-Instruct/discussions/35"),
    ("meta-llama/Llama-4-Scout-17B-16E-Instruct", COMPANY, NO, set(), "https://www.llama.com/llama4/use-policy/"),
    ("meta-llama/Llama-4-Scout-17B-16E-Instruct", IntendedUse(established="Germany", region="US"), NO, set(),
     "https://www.llama.com/llama4/use-policy/"),
    ("meta-llama/Llama-4-Scout-17B-16E-Instruct", US, DUTIES, {"name_prefix"},
     "https://www.llama.com/llama4/use-policy/"),
    ("google/gemma-3-4b-it", COMPANY, DUTIES, {"acceptable_use", "pass_on_limits", "notice"},
     "https://ai.google.dev/gemma/terms"),
    ("google/gemma-2-9b", WEIGHTS, DUTIES, {"mark_changes", "licence_file"}, "https://ai.google.dev/gemma/terms"),
    ("google/gemma-4-12b-it", COMPANY, OK, set(), "https://ai.google.dev/gemma/apache_2"),
    ("Qwen/Qwen2.5-7B-Instruct", COMPANY, OK, set(), HUB + "Qwen/Qwen2.5-7B-Instruct"),
    ("Qwen/Qwen2.5-7B-Instruct", WEIGHTS, DUTIES, {"licence_file", "mark_changes", "notice"},
     "https://www.apache.org/licenses/LICENSE-2.0"),
    ("Qwen/Qwen2.5-3B-Instruct", COMPANY, NO, set(), HUB + "Qwen/Qwen2.5-3B-Instruct/blob/main/LICENSE"),
    ("Qwen/Qwen2.5-3B-Instruct", RESEARCH, DUTIES, {"display"}, HUB + "Qwen/Qwen2.5-3B-Instruct/blob/main/LICENSE"),
    ("Qwen/Qwen2.5-72B-Instruct", COMPANY, DUTIES, {"display"}, HUB + "Qwen/Qwen2.5-72B-Instruct/discussions/18"),
    ("Qwen/Qwen2.5-72B-Instruct", IntendedUse(monthly_active_users=100_000_001), NO, set(),
     HUB + "Qwen/Qwen2.5-72B-Instruct/discussions/18"),
    ("Qwen/Qwen3-8B", COMPANY, OK, set(), "https://github.com/QwenLM/Qwen3"),
    ("mistralai/Mistral-7B-Instruct-v0.3", COMPANY, OK, set(), HUB + "mistralai/Mistral-7B-Instruct-v0.3"),
    ("mistralai/Mistral-Large-Instruct-2411", COMPANY, NO, set(), HUB + "mistralai/Mistral-Large-Instruct-2411"),
    ("mistralai/Ministral-8B-Instruct-2410", RESEARCH, DUTIES, {"licence_file"},
     HUB + "mistralai/Mistral-Large-Instruct-2411"),
    ("mistralai/Codestral-22B-v0.1", INSIDE, NO, set(), HUB + "mistralai/Codestral-22B-v0.1/discussions/8"),
    ("mistralai/Devstral-2-123B-Instruct-2512", COMPANY, ASK, set(),
     HUB + "mistralai/Devstral-2-123B-Instruct-2512/blob/main/LICENSE"),
    ("mistralai/Devstral-2-123B-Instruct-2512", IntendedUse(group_revenue_eur_per_month=1e6), OK, set(),
     HUB + "mistralai/Devstral-2-123B-Instruct-2512/blob/main/LICENSE"),
    ("mistralai/Devstral-2-123B-Instruct-2512", IntendedUse(group_revenue_eur_per_month=3e7), NO, set(),
     HUB + "mistralai/Devstral-2-123B-Instruct-2512/blob/main/LICENSE"),
    ("microsoft/phi-4", COMPANY, OK, set(), "https://opensource.org/license/mit"),
    ("deepseek-ai/DeepSeek-R1", WEIGHTS, DUTIES, {"notice"}, "https://opensource.org/license/mit"),
    ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", COMPANY, DUTIES, {"name_prefix", "display"},
     LLAMA + "llama3_1/LICENSE"),
    ("tiiuae/falcon-7b-instruct", COMPANY, OK, set(), "https://www.noze.it/en/insights/falcon-open-source"),
    ("tiiuae/falcon-180B-chat", COMPANY, ASK, {"acceptable_use"}, HUB + "tiiuae/falcon-180B/discussions/2"),
    ("tiiuae/falcon-180B-chat", INSIDE, DUTIES, {"acceptable_use"}, HUB + "tiiuae/falcon-180B/discussions/2"),
    ("tiiuae/Falcon3-7B-Instruct", COMPANY, ASK, set(), HUB + "tiiuae/Falcon3-1B-Base/discussions/12"),
    ("nobody/never-heard-of", COMPANY, ASK, set(), ""),
]  # fmt: skip


def judged(base: str, use: IntendedUse = COMPANY, folders: dict[str, Path] | None = None, **more: object) -> Licence:
    find = (folders or {}).get
    return licence.resolve(base, use, find=find, book=BOOK, today=TODAY, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("model", "use", "answer", "duties", "source"), TABLE)
def test_a_model_and_a_use_have_an_answer(model, use, answer, duties, source) -> None:
    found = judged(model, use)
    assert found.answer == answer
    assert duties <= {duty.kind for duty in found.duties}
    if answer == OK:
        assert not found.duties
    if answer == ASK:
        assert found.questions
    if answer == NO:
        assert found.refusals
        assert not found.duties
    known = {link.source for link in found.links} | {fact.source for fact in BOOK.models}
    assert not source or source in known


def test_the_table_is_large_enough() -> None:
    assert len(TABLE) >= 25


TEACHERS = [
    ("Qwen/Qwen3-8B", "meta-llama/Llama-2-70b-chat-hf", NO, "https://www.llama.com/faq/"),
    ("Qwen/Qwen3-8B", "meta-llama/Meta-Llama-3-70B-Instruct", NO,
     "https://github.com/meta-llama/llama3/blob/main/LICENSE"),
    ("meta-llama/Meta-Llama-3-8B", "meta-llama/Meta-Llama-3-70B-Instruct", DUTIES,
     "https://github.com/meta-llama/llama3/blob/main/LICENSE"),
    ("Qwen/Qwen3-8B", "meta-llama/Llama-3.1-405B-Instruct", DUTIES, LLAMA + "llama3_1/LICENSE"),
    ("Qwen/Qwen3-8B", "Qwen/Qwen2.5-72B-Instruct", DUTIES, HUB + "Qwen/Qwen2.5-72B-Instruct/discussions/18"),
    ("Qwen/Qwen3-8B", "google/gemma-3-27b-it", ASK, "https://ai.google.dev/gemma/terms"),
    ("Qwen/Qwen3-8B", "mistralai/Mistral-Large-Instruct-2411", NO, HUB + "mistralai/Mistral-Large-Instruct-2411"),
    ("Qwen/Qwen3-8B", "deepseek-ai/DeepSeek-R1", OK, "https://opensource.org/license/mit"),
    ("Qwen/Qwen3-8B", "openai", ASK, "https://ospo.co/blog/be-careful-with-openais-terms-of-use/"),
    ("Qwen/Qwen3-8B", "claude-sonnet-4", ASK,
     "https://support.claude.com/en/articles/12326764-can-i-use-my-outputs-to-train-an-ai-model"),
    ("Qwen/Qwen3-8B", "somebody/else", ASK, ""),
]  # fmt: skip


@pytest.mark.parametrize(("model", "teacher", "answer", "source"), TEACHERS)
def test_answers_of_another_model_carry_its_terms(model, teacher, answer, source) -> None:
    found = judged(model, COMPANY.model_copy(update={"teachers": (teacher,)}))
    assert found.answer == answer
    assert found.links[-1].role == "teacher"
    assert not source or found.links[-1].source == source


def test_a_student_of_llama_is_called_llama() -> None:
    found = judged("Qwen/Qwen3-8B", COMPANY.model_copy(update={"teachers": ("meta-llama/Llama-3.1-70B-Instruct",)}))
    assert licence.name_problem("ticket-triage", found)
    assert not licence.name_problem("Llama-ticket-triage", found)


DATA = [
    ("cc0-1.0", OK), ("CC-BY-4.0", DUTIES), ("odc-by", DUTIES), ("cc-by-sa-4.0", ASK), ("odbl", ASK),
    ("cc-by-nc-4.0", NO), ("cc-by-nc-sa-4.0", NO), ("own", OK), ("house rules", ASK), ("", OK),
]  # fmt: skip


@pytest.mark.parametrize(("noted", "answer"), DATA)
def test_rows_carry_their_licence(noted: str, answer: str) -> None:
    assert judged("Qwen/Qwen3-8B", data_licences={noted: 12}).answer == answer


def test_non_commercial_rows_are_free_for_research() -> None:
    assert judged("Qwen/Qwen3-8B", RESEARCH, data_licences={"cc-by-nc-4.0": 12}).answer == OK


def test_rows_without_a_licence_are_told() -> None:
    assert any("note no licence" in text for text in judged("Qwen/Qwen3-8B", data_licences={"": 7}).warnings)


# --- files ---------------------------------------------------------------------------------------


def folder(at: Path, card: str = "", **files: str) -> Path:
    at.mkdir(parents=True)
    if card:
        (at / "README.md").write_text(f"---\n{card}\n---\n# A model\n", "utf-8")
    for name, text in files.items():
        (at / name.replace("__", ".")).write_text(text, "utf-8")
    return at


def test_an_adapter_stands_under_the_licence_of_its_bases_base(tmp_path: Path) -> None:
    adapter = folder(tmp_path / "adapter", adapter_config__json=json.dumps({"base_model_name_or_path": "me/tuned"}))
    tuned = folder(tmp_path / "tuned", "license: mit\nbase_model: Qwen/Qwen2.5-3B-Instruct")
    found = judged("me/adapter", folders={"me/adapter": adapter, "me/tuned": tuned})
    assert [link.name for link in found.links] == ["me/adapter", "me/tuned", "Qwen/Qwen2.5-3B-Instruct"]
    assert found.answer == NO


def test_a_card_cannot_give_away_what_its_base_does_not(tmp_path: Path) -> None:
    """As a model on the hub did: https://huggingface.co/MadeAgents/Hammer2.0-3b/discussions/1"""
    hammer = folder(tmp_path / "hammer", "license: cc-by-4.0\nbase_model: Qwen/Qwen2.5-3B-Instruct")
    found = judged("me/hammer", folders={"me/hammer": hammer})
    assert found.answer == NO
    assert any("binds what is made from it" in text for text in found.contradictions)


def test_a_card_against_its_licence_file_is_told_and_the_stricter_counts(tmp_path: Path) -> None:
    both = folder(tmp_path / "m", "license: apache-2.0", LICENSE="Qwen RESEARCH\nLICENSE   AGREEMENT\n…")
    found = judged("me/m", folders={"me/m": both})
    assert found.answer == NO
    assert "README.md: Apache License 2.0" in found.contradictions[0]
    assert "LICENSE: Qwen Research" in found.contradictions[0]


def test_every_parent_of_a_merge_counts(tmp_path: Path) -> None:
    parents = "license: apache-2.0\nbase_model_relation: merge\nbase_model:\n- Qwen/Qwen3-8B\n- google/gemma-3-4b-it"
    found = judged("me/m", folders={"me/m": folder(tmp_path / "m", parents)})
    assert {link.role for link in found.links} == {"model", "merged"}
    assert found.answer == DUTIES


def test_the_name_in_the_configuration_leads_to_the_base(tmp_path: Path) -> None:
    config = json.dumps({"_name_or_path": "mistralai/Codestral-22B-v0.1"})
    found = judged("me/m", folders={"me/m": folder(tmp_path / "m", config__json=config)})
    assert found.answer == NO


def test_a_model_that_sees_is_told_by_its_configuration(tmp_path: Path) -> None:
    seeing = folder(tmp_path / "s", "license: llama3.2", config__json=json.dumps({"vision_config": {}}))
    reading = folder(tmp_path / "r", "license: llama3.2", config__json="{}")
    folders = {"me/s": seeing, "me/r": reading, "me/u": folder(tmp_path / "u", "license: llama3.2")}
    assert [judged(name, folders=folders).answer for name in folders] == [NO, DUTIES, ASK]


def test_without_card_and_licence_nothing_is_allowed(tmp_path: Path) -> None:
    found = judged("me/m", folders={"me/m": folder(tmp_path / "m", config__json="{}")})
    assert found.answer == ASK
    assert found.links[0].reason == "no licence was found"


def test_a_licence_called_other_is_read_from_its_file(tmp_path: Path) -> None:
    text = "TII Falcon LLM License Version 2.0, in part based on the Apache License Version 2.0, January 2004"
    found = judged("me/m", folders={"me/m": folder(tmp_path / "m", "license: other", LICENSE=text)})
    assert found.links[0].licence == "falcon-llm-license"


def test_an_unknown_licence_file_is_a_question(tmp_path: Path) -> None:
    found = judged("me/m", folders={"me/m": folder(tmp_path / "m", "license: other", LICENSE="Ask Bob.")})
    assert found.answer == ASK


def test_a_known_card_does_not_hide_an_unknown_licence_file(tmp_path: Path) -> None:
    found = judged("me/m", folders={"me/m": folder(tmp_path / "m", "license: mit", LICENSE="Ask Bob.")})
    assert found.answer == ASK
    assert "none that is known here" in found.questions[0]


def test_cards_that_name_each_other_end(tmp_path: Path) -> None:
    folders = {
        "me/a": folder(tmp_path / "a", "license: mit\nbase_model: me/b"),
        "me/b": folder(tmp_path / "b", "license: mit\nbase_model: me/a"),
    }
    assert len(judged("me/a", folders=folders).links) == 2


def test_unverified_terms_say_so() -> None:
    assert any(text.startswith("not verified: llama4") for text in judged("meta-llama/Llama-4-Scout", US).warnings)


def test_terms_that_were_read_long_ago_say_so() -> None:
    later = licence.resolve("Qwen/Qwen3-8B", COMPANY, find={}.get, book=BOOK, today=dt.date(2027, 6, 1))
    assert any("older than 90 days" in text for text in later.warnings)


def test_a_base_without_a_commit_is_told() -> None:
    assert any("names no commit" in text for text in judged("Qwen/Qwen3-8B").warnings)
    assert not any("names no commit" in text for text in judged("Qwen/Qwen3-8B", revision="0" * 40).warnings)


def test_every_licence_of_a_known_model_is_known() -> None:
    assert all(BOOK.licence(known.licence) is not None for known in BOOK.models)
