"""Probe files of the user's own, in `probes/` beside usecase.toml: other abilities that must stay.

    own         {"ask": "What is 2 + 2?", "right": "4", "others": ["5"], "kind": "arithmetic", "max_tokens": 8}
    BLiMP       {"sentence_good": "…", "sentence_bad": "…", "UID": "…"}      right = the good one is likelier
    LAMBADA     {"text": "… the last word"}                                  right = the last word is the likeliest

BLiMP (Warstadt et al., TACL 2020, arXiv 1912.00582) holds a few pairs whose sentences are equal: nothing can be told
from these, and they are left out. The last word of LAMBADA (Paperno et al., ACL 2016, arXiv 1606.06031) is what follows
the last white space; all its tokens have to be the likeliest ones.

One JSON object a line; the keys of the first line say which it is. BLiMP and LAMBADA read probabilities, so they take a
model whose weights are here.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import JsonValue

from tuneworthy.content import digest
from tuneworthy.errors import DataError, ModelError, Problem
from tuneworthy.measure.retention import Item, answered
from tuneworthy.models.answers import AnswerStore
from tuneworthy.records import Answer
from tuneworthy.seams import Model, Transparent

MOST = 500
"""items of a file that are asked, drawn with the seed of the use case"""
FEWEST = 20
_TOKENS = 24

Form = Literal["own", "BLiMP", "LAMBADA"]


class Pair(NamedTuple):
    """A minimal pair: two sentences that differ in what makes one of them wrong."""

    kind: str
    good: str
    bad: str


class LastWord(NamedTuple):
    """A text and the word that ends it."""

    kind: str
    text: str
    word: str


class ProbeFile(NamedTuple):
    """One file, read."""

    name: str
    form: Form
    items: tuple[Item, ...] | tuple[Pair, ...] | tuple[LastWord, ...]
    of: int
    """items in the file; `items` is what was drawn of them"""
    equal: int = 0
    """BLiMP: pairs of equal sentences, left out"""

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(item.kind for item in self.items)


def read(path: Path, *, seed: int) -> ProbeFile:
    """Read one probe file whole, then draw at most 500 items.

    Raises:
        DataError: the file cannot be read, holds too little, or lines are wrong; every wrong line is listed.
    """
    rows = list(_lines(path))
    form = _form(rows[0][1]) if rows else None
    if form is None:
        known = "ask and right, sentence_good and sentence_bad, or text"
        raise DataError("this is no probe file", [], next=f"one JSON object a line, with {known}", where=str(path))
    items: list[Any] = []
    problems: list[Problem] = []
    equal = 0
    for number, row in rows:
        try:
            item = _READ[form](row)
            if isinstance(item, Pair) and item.good == item.bad:
                equal += 1
            else:
                items.append(item)
        except (KeyError, TypeError, ValueError) as error:
            key = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
            problems.append(Problem(f"{path.name}:{number}", "", f"is not a line of {form}: {key}"))
    if problems:
        raise DataError(f"{len(problems)} wrong lines", problems, next="correct these lines", where=str(path))
    if len(items) < FEWEST:
        raise DataError(
            f"{len(items)} items: too few to say anything", [], next=f"write at least {FEWEST}", where=str(path)
        )
    chosen = items if len(items) <= MOST else random.Random(f"{seed} {path.name}").sample(items, MOST)
    return ProbeFile(path.name, form, tuple(chosen), len(items), equal)


def probe(model: Model, file: ProbeFile, store: Path) -> tuple[bool, ...]:
    """Right or wrong for every item; what was found is kept.

    Raises:
        ModelError: an item could not be asked, or its probabilities cannot be read.
    """
    if file.form == "own":
        return answered(model, [item for item in file.items if isinstance(item, Item)], store, "probe-file")
    if not isinstance(model, Transparent):
        raise ModelError(
            f"{file.name} reads probabilities, which {model.name} does not show", next="use a local base model"
        )
    kept = AnswerStore(store, digest(["probe-file", file.form, 1, model.digest]))
    return tuple(_weighed(model, item, kept) for item in file.items if not isinstance(item, Item))


def _weighed(model: Transparent, item: Pair | LastWord, kept: AnswerStore) -> bool:
    name: dict[str, JsonValue] = {"item": "\n".join(item)}
    known = kept.get(name)
    if known is None:
        if isinstance(item, Pair):
            right = model.continuation("", item.good)[0] > model.continuation("", item.bad)[0]
        else:
            right = model.continuation(item.text, item.word)[1]
        known = Answer(text="right" if right else "wrong")
        kept.keep(name, known)
    return known.text == "right"


# --- lines ----------------------------------------------------------------------------------------


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {error}", [], next="save it as UTF-8 text", where=str(path)) from None
    problems = []
    rows: list[tuple[int, dict[str, Any]]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("not an object")
            rows.append((number, row))
        except (ValueError, RecursionError) as error:
            problems.append(Problem(f"{path.name}:{number}", "", f"is no JSON object: {error}"))
    if problems:
        raise DataError(f"{len(problems)} wrong lines", problems, next="correct these lines", where=str(path))
    yield from rows


def _form(row: dict[str, Any]) -> Form | None:
    if "sentence_good" in row:
        return "BLiMP"
    if "ask" in row:
        return "own"
    return "LAMBADA" if "text" in row else None


def _own(row: dict[str, Any]) -> Item:
    unknown = sorted(row.keys() - {"ask", "right", "others", "kind", "max_tokens"})
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}")
    others, tokens = row.get("others", []), row.get("max_tokens", _TOKENS)
    if not isinstance(others, list) or not all(isinstance(other, str) and other for other in others):
        raise ValueError("others is not a list of texts")
    if not isinstance(tokens, int) or isinstance(tokens, bool) or not 1 <= tokens <= 4096:
        raise ValueError("max_tokens is not a whole number from 1 to 4096")
    return Item(_text(row.get("kind", "own"), "kind"), _text(row["ask"]), _text(row["right"]), tuple(others), tokens)


def _pair(row: dict[str, Any]) -> Pair:
    return Pair(_text(row.get("UID", "BLiMP"), "UID"), _text(row["sentence_good"]), _text(row["sentence_bad"]))


def _last_word(row: dict[str, Any]) -> LastWord:
    text = _text(row["text"]).strip()
    word = text.split()[-1]
    given = text.removesuffix(word)
    start = given.rstrip()
    if not start:
        raise ValueError("a text of one word has nothing to go by")
    return LastWord("last word", start, given.removeprefix(start) + word)


_READ: dict[Form, Callable[[dict[str, Any]], Any]] = {"own": _own, "BLiMP": _pair, "LAMBADA": _last_word}


def _text(value: Any, name: str = "") -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name or 'a text'} is empty or not a text")
    return value
