"""How numbers and untrusted text are written."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneworthy.records import Interval
from tuneworthy.report import wording


@pytest.mark.parametrize(
    ("write", "value", "expected"),
    [
        (wording.percent, 0.8421, "84.2\u202f%"),
        (wording.percent, None, "not measured"),
        (wording.points, 0.125, "+12.5"),
        (wording.points, -0.03, "−3.0"),
        (wording.points, -0.0001, "0.0"),
        (wording.points, None, "not measured"),
        (wording.p_value, 0.0502, "0.050"),
        (wording.p_value, 0.0004, "<\u202f0.001"),
        (wording.p_value, None, "–"),
        (wording.number, 1412.4, "1\u202f412"),
        (wording.number, 3.14, "3.1"),
        (wording.number, 0, "0"),
        (wording.number, None, "not measured"),
        (wording.per_answer, 0.0021, "0.0021\u202fs"),
        (wording.per_answer, 0.184, "0.184\u202fs"),
        (wording.per_answer, 12.3, "12.30\u202fs"),
        (wording.duration, 59.4, "59\u202fs"),
        (wording.duration, 451.2, "7\u202fmin 31\u202fs"),
        (wording.duration, 7260, "2\u202fh 1\u202fmin"),
        (wording.points_range, Interval(value=0, low=-0.021, high=0.094), "−2.1 to +9.4"),
        (wording.percent_range, Interval(value=0.8, low=0.701, high=0.92), "70.1 – 92.0\u202f%"),
        (wording.cell, "ab" * 32, "abababababab…"),
        (wording.cell, 0.123456, "0.1235"),
        (wording.cell, True, "yes"),
        (wording.cell, ["a", 1], '["a", 1]'),
        (wording.as_text, {"a": "ü"}, '{\n  "a": "ü"\n}'),
    ],
)
def test_writing(write: Callable[[object], str], value: object, expected: str) -> None:
    assert write(value) == expected


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_visible_text_holds_no_invisible_character_and_loses_nothing_else(text: str) -> None:
    shown = wording.visible(text)
    allowed = set("\n\t\r\u200c\u200d\u00ad")
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in allowed]
    assert [c for c in text if unicodedata.category(c) not in ("Cc", "Cf", "Cs")] == [
        c for c in _without_tags(shown, text) if unicodedata.category(c) not in ("Cc", "Cf", "Cs")
    ]


def _without_tags(shown: str, text: str) -> str:
    for character in set(text):
        if unicodedata.category(character) in ("Cc", "Cf", "Cs"):
            shown = shown.replace(f"⟦U+{ord(character):04X}⟧", "")
    return shown


def test_a_lone_surrogate_can_be_written_as_utf8() -> None:
    assert wording.visible("a\ud800b").encode("utf-8") == "a⟦U+D800⟧b".encode()
