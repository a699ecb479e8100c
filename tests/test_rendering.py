"""Inputs and expected outputs as text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneworthy.rendering import field_title, input_block, render_expected
from tuneworthy.usecase import InputField, Output

FIELDS = {"order_number": InputField(type="integer"), "email": InputField(), "urgent": InputField(type="boolean")}
TICKET = {
    "type": "object",
    "properties": {
        "intent": {"type": "string"},
        "lines": {"type": "array", "items": {"properties": {"b": {}, "a": {}}}},
        "customer": {"properties": {"name": {}, "id": {}}},
    },
}


def test_input_stands_in_the_declared_order_one_line_per_field():
    row = {"urgent": True, "email": "Hi\nthere", "order_number": 7}
    assert input_block(FIELDS, row) == "Order number: 7\nEmail: Hi\nthere\nUrgent: true"


def test_absent_fields_are_left_out_and_empty_ones_are_not():
    assert input_block(FIELDS, {"email": "", "urgent": None}) == "Email: "


@pytest.mark.parametrize(("name", "title"), [("order_number", "Order number"), ("e-mail", "E mail"), ("VAT", "VAT")])
def test_field_title(name, title):
    assert field_title(name) == title


@pytest.mark.parametrize(
    ("expected", "text"), [("billing", "billing"), (["Paris", "Lutetia"], "Paris"), (7, "7"), (True, "true")]
)
def test_texts_and_labels_stand_as_they_are(expected, text):
    assert render_expected(Output(kind="text"), expected) == text


def test_json_keys_stand_in_the_order_of_the_schema():
    value = {"z": 1, "customer": {"id": 1, "name": "Zoë"}, "lines": [{"a": 1, "b": 2}], "intent": "refund"}
    assert render_expected(Output(kind="json", json_schema=TICKET), value) == (
        '{"intent": "refund", "lines": [{"b": 2, "a": 1}], "customer": {"name": "Zoë", "id": 1}, "z": 1}'
    )


def nested(inner):
    return st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["intent", "a", "lines"]), inner))


@given(st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=9)), nested, max_leaves=8))
def test_json_is_read_back_and_stands_on_one_line(value):
    text = render_expected(Output(kind="json", json_schema=TICKET), value)
    assert json.loads(text) == value
    assert "\n" not in text
