"""Personal data: forms with their checksums, and what looks like them."""

import itertools
import json

import pytest
from conftest import SHARED
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_rows import make_usecase

from tuneworthy.data.checks import personal
from tuneworthy.data.findings import Batch, NotMeasured
from tuneworthy.data.redact import Redaction, new_key, redactions, restorations
from tuneworthy.records import Example


def kinds(text):
    return [hit.kind for hit in personal.find(text)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("e-mail", "jane.doe+x@mail.example.org"),
        ("iban", "DE89 3704 0044 0532 0130 00"),
        ("iban", "GB82WEST12345698765432"),
        ("card", "4111 1111 1111 1111"),
        ("card", "5500-0000-0000-0004"),
        ("ip_address", "192.168.10.24"),
        ("ip_address", "2001:db8::8a2e:370:7334"),
        ("german_tax_number", "86095742719"),
        ("german_social_number", "15 070649 C 103"),
        ("french_social_number", "2 69 05 49 588 157 80"),
        ("french_tax_number", "30 23 217 600 053"),
        ("spanish_tax_number", "12345678Z"),
        ("spanish_tax_number", "X1234567L"),
        ("spanish_social_number", "28/12345678/40"),
        ("italian_tax_number", "RSSMRA85T10A562S"),
        ("uk_social_number", "AB 12 34 56 C"),
        ("uk_health_number", "943 476 5919"),
        ("us_social_number", "536-90-4399"),
        ("phone", "+49 30 901820"),
        ("phone", "(212) 555-0188"),
        ("phone", "01 23 45 67 89"),
        ("secret", "sk-abcdefghijklmnopqrstuvwx"),
        ("secret", "AKIAIOSFODNN7EXAMPLE"),
    ],
)
class TestForms:
    def test_a_valid_value_is_found_whole_wherever_it_stands(self, kind, value):
        for text in (value, f"It is {value}.", f"({value}), thanks"):
            (hit,) = personal.find(text)
            assert (hit.kind, hit.text) == (kind, value)

    def test_it_is_shown_masked_and_replaced_back_only_with_the_key(self, kind, value):
        row = Example(input={"text": f"It is {value}."}, expected="card")
        (hit,) = personal.find(row.input["text"])
        assert value not in hit.masked
        redaction = Redaction(new_key())
        (change,) = redactions([row], redaction)
        assert value not in change.after.model_dump_json()
        (back,) = restorations([change.after], redaction.kept())
        assert back.after == row
        assert restorations([change.after], new_key()) == []


@pytest.mark.parametrize(
    "text",
    [
        "GB82WEST12345698765433",  # one digit wrong
        "4111 1111 1111 1112",
        "86095742718",
        "RSSMRA85T10A562T",
        "12345678A",
        "000-12-3456",
        "999.1.1.1",
        "on 12.10.2024 and 2024-10-12, in 2019-2021",
        "order 78378, invoice 2024/0815",
        "version 1.2.3.4.5",
        "it costs 1,234.50 or 1 234 567",
        "a@b, @home, 10:30:00",
    ],
)
def test_what_only_looks_like_it_is_not_found(text):
    assert kinds(text) == []


def test_the_same_value_has_the_same_placeholder_and_another_key_another_one():
    rows = [Example(input={"text": f"{greeting} a@b.org"}, expected="card") for greeting in ("hi", "hello")]
    first, second = Redaction(new_key()), Redaction(new_key())
    texts = [change.after.input["text"].split()[-1] for change in redactions(rows, first)]
    assert texts[0] == texts[1]
    assert redactions(rows[:1], second)[0].after.input["text"].split()[-1] != texts[0]


def test_a_secret_is_refused_and_what_is_not_looked_for_is_said():
    rows = (Example(input={"text": "key AKIAIOSFODNN7EXAMPLE"}, expected="card"),)
    finding, gap = personal.check(Batch(make_usecase(), rows))
    assert finding.severity == "refuse"
    assert isinstance(gap, NotMeasured)
    assert "names" in gap.what


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.one_of(st.sampled_from("0123456789 +-./@:ABCabc"), st.characters()), max_size=60))
def test_any_text_is_read_and_hits_do_not_overlap(text):
    hits = personal.find(text)
    assert all(text[hit.start : hit.end] == hit.text for hit in hits)
    assert all(a.end <= b.start for a, b in itertools.pairwise(hits))


def test_found_and_false_alarms_on_1500_synthetic_texts():
    """Values as measured, see docs/guides/data.md."""
    path = SHARED / "data" / "presidio" / "data" / "synth_dataset_v2.json"
    if not path.is_file():
        pytest.skip(f"the synthetic texts are not at hand (looked in {SHARED})")
    names = {
        "EMAIL_ADDRESS": "e-mail", "US_SSN": "us_social_number", "IBAN_CODE": "iban", "CREDIT_CARD": "card",
        "IP_ADDRESS": "ip_address", "PHONE_NUMBER": "phone",
    }  # fmt: skip
    found = dict.fromkeys(names.values(), 0)
    gold, right, all_hits = dict(found), dict(found), dict(found)
    for row in json.loads(path.read_text("utf-8")):
        hits = personal.find(row["full_text"])
        spans = [(s["start_position"], s["end_position"], names.get(s["entity_type"])) for s in row["spans"]]
        for start, end, kind in spans:
            if kind:
                gold[kind] += 1
                covered = [min(end, h.end) - max(start, h.start) for h in hits if h.kind == kind]
                found[kind] += max(covered, default=0) > (end - start) / 2
        for hit in hits:
            all_hits[hit.kind] = all_hits.get(hit.kind, 0) + 1
            right[hit.kind] = right.get(hit.kind, 0) + any(
                k == hit.kind and min(e, hit.end) > max(s, hit.start) for s, e, k in spans
            )
    exact = {"e-mail": 49, "us_social_number": 16, "iban": 21, "card": 136, "ip_address": 14}
    assert {kind: found[kind] for kind in exact} == {kind: all_hits[kind] for kind in exact} == exact
    assert found["phone"] >= 70
    assert right["phone"] >= 0.95 * all_hits["phone"]
