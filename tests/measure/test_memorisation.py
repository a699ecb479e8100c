"""Training inputs given away: a parrot is caught, a model that merely writes well is not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tuneworthy.errors import ModelError
from tuneworthy.measure.memorisation import FEWEST, MOST, compare, continues, probe, texts_to_begin
from tuneworthy.models.scripted import Scripted
from tuneworthy.records import Request


@pytest.fixture(autouse=True)
def _quick_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuneworthy.content.os.fsync", lambda file: None)


def invented(count: int, seed: int, words: int = 16) -> list[str]:
    draw = random.Random(seed)
    syllables = ["ba", "do", "fi", "gu", "ke", "la", "mo", "ne", "ri", "su"]
    return [" ".join("".join(draw.choices(syllables, k=3)) for _ in range(words)) for _ in range(count)]


TRAINED, HELD_OUT = invented(40, seed=1), invented(30, seed=2)


def parrot(known: list[str]) -> Scripted:
    """Knows some texts by heart."""

    def reply(request: Request) -> str:
        begun = request.messages[0].content.split("word for word: ")[1]
        return next((text.removeprefix(begun).strip() for text in known if text.startswith(begun)), "I do not know.")

    return Scripted(reply, name=f"parrot of {len(known)}")


def test_a_parrot_is_caught(tmp_path: Path) -> None:
    base, tuned = parrot([]), parrot(TRAINED[:10])
    found = compare(probe(base, TRAINED, tmp_path), probe(tuned, TRAINED, tmp_path), probe(tuned, HELD_OUT, tmp_path))
    assert found is not None
    assert (found.n, found.trained.value, found.base.value) == (40, 0.25, 0.0)
    assert found.held_out is not None
    assert found.held_out.value == 0.0
    assert found.p < 0.01


def test_what_the_base_continues_too_is_no_memory(tmp_path: Path) -> None:
    answers = probe(parrot(TRAINED), TRAINED, tmp_path)
    found = compare(answers, answers, [])
    assert found is not None
    assert (found.trained.value, found.p, found.held_out) == (1.0, 1.0, None)


@pytest.mark.parametrize(
    ("answer", "given_away"),
    [
        ("seven eight nine ten eleven twelve", True),
        ("Seven  EIGHT nine\nten eleven and so on", True),
        ("one two three four five six seven eight nine ten eleven", True),  # the beginning repeated
        ("seven eight nine ten", False),
        ("it goes on: seven eight nine ten eleven", False),
        ("", False),
    ],
)
def test_five_words_in_a_row_from_where_it_was_begun(answer: str, given_away: bool) -> None:
    text = "one two three four five six seven eight nine ten eleven twelve"
    assert continues(text, answer) is given_away


def test_long_texts_alone_at_most_a_hundred_always_the_same() -> None:
    many = [*invented(150, seed=3), *invented(20, seed=4, words=6)]
    drawn = texts_to_begin(many, seed=0)
    assert len(drawn) == MOST
    assert all(len(text.split()) == 16 for text in drawn)
    assert texts_to_begin(many[::-1], seed=0) == drawn != texts_to_begin(many, seed=1)


def test_too_few_texts_are_not_measured() -> None:
    few = [True] * (FEWEST - 1)
    assert compare(few, few, []) is None


def test_a_failed_request_is_no_forgotten_text(tmp_path: Path) -> None:
    down = Scripted(lambda request: "", failing={"": "timeout"})
    with pytest.raises(ModelError, match="could not be asked"):
        probe(down, TRAINED, tmp_path)
