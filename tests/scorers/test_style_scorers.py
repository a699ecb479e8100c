"""Reading level and closeness of style: published values, held-out accounts, refusals."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneworthy.errors import GateRefused, TuneworthyError, UseCaseError
from tuneworthy.records import Case
from tuneworthy.scorers.open import open_scorers, scorer_record
from tuneworthy.scorers.reading_level import ReadingLevel, lix
from tuneworthy.scorers.style_closeness import StyleCloseness
from tuneworthy.usecase import Output, UseCase

TEXT = Output(kind="text")
CASE = Case(id="1", input={"q": "?"})


def value(scorer, text):
    return scorer.score(CASE, text).value


# --- reading level ---


def test_lix_of_a_counted_text():
    """12 words in 3 sentences, 3 of them longer than six letters: 12/3 + 100 · 3/12."""
    text = "The cat sat. Elephants remember everything that they saw! Is it true?"
    assert lix(text) == pytest.approx(12 / 3 + 100 * 3 / 12)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("Sieben lange Wörter", 3 + 0),
        ("Donaudampfschifffahrt", 1 + 100),
        ("It costs 14.50 euros. Pay now.", 5 / 2),
        ("One. Two. Three.", 1),
        ("no full stop at all", 5),
        ("well-known", 1 + 100),
        ("42", None),
        ("", None),
    ],
)
def test_lix_counts_words_of_letters_and_long_ones(text, level):
    assert lix(text) == (None if level is None else pytest.approx(level))


def test_the_level_must_lie_within_limits():
    scorer = ReadingLevel(TEXT, at_least=0, at_most=30)
    assert value(scorer, "We come at nine. Please leave the key with us.") == 1
    hard = scorer.score(CASE, "Notwithstanding contractual stipulations, reimbursement presupposes documentation.")
    assert (hard.value, hard.explanation[:4]) == (0, "LIX ")
    assert value(scorer, "123") == 0


@pytest.mark.parametrize(
    "limits", [{"at_most": -1}, {"at_least": 9, "at_most": 3}, {"at_most": "30"}, {"at_most": True}]
)
def test_limits_that_are_none_are_refused(limits):
    with pytest.raises(TuneworthyError, match="reading_level takes numbers"):
        ReadingLevel(TEXT, **limits)


@given(st.text())
def test_any_text_has_a_level_or_no_words(text):
    level = lix(text)
    assert level is None or level >= 1


# --- closeness of style ---

THINGS = ("boiler", "window", "lift", "door", "heating", "garden gate", "letter box", "cellar light", "roof", "bell")


def formal(i):
    return f"Dear tenant, the {THINGS[i % 10]} will be repaired on day {i}. Yours sincerely, the office."


def chatty(i):
    return f"hey!! gonna fix ur {THINGS[i % 10]} on day {i} lol :)"


def texts(write, n=40):
    return tuple(write(i) for i in range(n))


def test_style_is_learned_and_told_on_held_out_texts():
    scorer = StyleCloseness(TEXT, "like.txt", "unlike.txt", (texts(formal), texts(chatty)))
    assert scorer.auc > 0.99
    assert scorer.signature["n"] == 80
    assert value(scorer, "Dear tenant, the tap will be repaired on Monday. Yours sincerely, the office.") > 0.8
    assert value(scorer, "hey!! tap is fine now lol :)") < 0.2
    assert value(scorer, "") == 0


def test_styles_that_are_not_told_apart_are_refused():
    draw = random.Random(0)
    mixed = [" ".join(draw.choice(THINGS) for _ in range(8)) for _ in range(120)]
    with pytest.raises(GateRefused, match=r"not told apart: AUC 0\.\d\d on held-out texts, n = 120") as refused:
        StyleCloseness(TEXT, "like.txt", "unlike.txt", (tuple(mixed[:60]), tuple(mixed[60:])))
    assert refused.value.exit_code == 3


def test_the_same_text_again_and_again_is_one_text():
    with pytest.raises(GateRefused, match="has 1 different texts"):
        StyleCloseness(TEXT, "like.txt", "unlike.txt", (("same",) * 50, texts(chatty)))


def usecase(**settings):
    return UseCase.model_validate(
        {
            "name": "letters",
            "instruction": "Answer the tenant's letter.",
            "input": {"letter": {}},
            "output": {"kind": "text"},
            "bar": {"metric": "exact", "at_least": 0.8, "smallest_difference": 0.05},
            "scorers": [{"name": "style_closeness", "settings": settings}],
        }
    )


def test_texts_come_from_files_and_are_named_by_their_content(tmp_path):
    (tmp_path / "like.txt").write_text("\n".join(texts(formal)), "utf-8")
    rows = [f'{{"expected": "{text}"}}' for text in texts(chatty)]
    (tmp_path / "unlike.jsonl").write_text("\n".join(rows), "utf-8")
    wanted = usecase(like="like.txt", unlike="unlike.jsonl")
    (scorer,) = open_scorers(wanted, tmp_path)[1]
    record = scorer_record(scorer)
    assert record["settings"] == {"like": "like.txt", "unlike": "unlike.jsonl"}
    assert record["signature"]["auc"] > 0.99
    (tmp_path / "like.txt").write_text("\n".join(texts(formal, 41)), "utf-8")
    (again,) = open_scorers(wanted, tmp_path)[1]
    assert scorer_record(again)["signature"]["texts"] != record["signature"]["texts"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("", "", "names no file"),
        ("absent.txt", None, "names no file"),
        ("odd.jsonl", '{"words": 3}', "holds no text under"),
        ("odd.jsonl", "{", "cannot be read"),
        ("odd.txt", b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_files_without_texts_are_refused(tmp_path, name, content, says):
    if content is not None and name:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UseCaseError, match=says):
        open_scorers(usecase(like=name, unlike=name), tmp_path)
