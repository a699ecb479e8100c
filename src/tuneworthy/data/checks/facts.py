"""Examples that teach facts instead of behaviour: names, figures, dates and prices that stand only in the output.

Nothing in the input or the instruction says them, so the model can only learn them by heart: slowly, with more made-up
facts as a side effect (Gekhman et al., EMNLP 2024, arXiv 2405.05904), and wrong on the day they change. They belong
into the documents for retrieval. What stands in a tenth of all outputs is a habit of writing, not a fact; a capital
makes a name only of words that are nowhere written small.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from tuneworthy.data.findings import Batch, Finding, Found, NotMeasured, leaves, that
from tuneworthy.data.near import normal
from tuneworthy.usecase import UseCase

HABIT = 0.1
"""Share of the outputs from which a word is a habit."""
NOUNS_IN_CAPITALS = 0.3
"""Share of the words inside sentences that begin with a capital from which the language writes nouns so (German), and
a capital does not mean a name; English texts have some 5 to 15 %."""
MANY = 0.05
"""Share of rows with dated facts from which a person has to look."""
KINDS = ("date", "price", "figure", "name")
"""The order of the list: what changes soonest first."""

_MONTHS = (
    "january february march april may june july august september october november december januar februar märz mai "
    "juni juli oktober dezember janvier février mars avril juin juillet août septembre octobre novembre décembre enero "
    "febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"
).split()
_DATE = re.compile(
    r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b"
    rf"|\b(?:\d{{1,2}}(?:st|nd|rd|th|\.)?\s+(?:of\s+)?)?(?:{'|'.join(_MONTHS)})\s+(?:\d{{1,2}}(?:st|nd|rd|th)?,?\s+)?\d{{2,4}}\b"
    r"|\b(?:19|20)\d{2}\b",
    re.IGNORECASE,
)
_PRICE = re.compile(
    r"[€$£¥]\s?\d[\d.,]*|\b(?:EUR|USD|GBP|CHF)\s?\d[\d.,]*|\b\d[\d.,]*\s?(?:[€$£¥]|(?:EUR|USD|GBP|CHF|euros?|dollars?|pounds?|cents?)\b)",
    re.IGNORECASE,
)
_FIGURE = re.compile(r"(?<![\w.,-])\d+(?:[.,]\d+)*(?![\w-]|[.,]\d)\s?%?")
_LISTED = re.compile(r"^\s*\d{1,2}[.)]\s|\(\d{1,2}\)", re.MULTILINE)
_CAPITAL = r"[A-ZÄÖÜÉÈÀÇÑ][\w'’-]*"
_NAME = re.compile(
    r"(?<![.!?:…\n•*\-\"“(>] )(?<![\n])(?<=[\w,;'’)] )"  # inside a sentence
    rf"{_CAPITAL}(?:\s+(?:(?:of|de|von|van|la|du|the|and|&)\s+)?{_CAPITAL})*"
)
_NOW = re.compile(
    r"\b(?:currently|as of|latest|at the moment|this year|last year|new(?:est)? version|derzeit|aktuell|actuellement"
    r"|actualmente)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")
_NO_NAMES = frozenset(
    "i i'm i'll i've i'd ok english german french spanish italian monday tuesday wednesday thursday friday saturday "
    "sunday".split()
)
_NUMBERS = dict(
    zip("zero one two three four five six seven eight nine ten eleven twelve".split(), map(str, range(13)), strict=True)
)

Fact = tuple[str, str]
"""(kind, what stands only in the output)"""


def check(batch: Batch) -> Found:
    """Two findings, the dated ones first. Labels teach no facts."""
    if batch.usecase.output.kind == "label":
        return
    if not _names_are_told(batch):
        yield NotMeasured(
            check="facts", what="names in the outputs", reason="this language begins every noun with a capital"
        )
    found = _taught(batch)
    dated = [
        n for n, facts in found.items() if any(kind in ("date", "price") for kind, _ in facts) or _is_now(batch, n)
    ]
    others = sorted(set(found) - set(dated))
    many = len(dated) / max(1, len(batch.examples)) > MANY
    where = (
        "documents" if batch.usecase.docs_folder else "documents (a folder, named in usecase.toml: change.knowledge)"
    )
    for kind, rows, what in (
        ("dated", _ranked(dated, found), "dates or prices, or what holds `currently`,"),
        ("fact", _ranked(others, found), "names or figures"),
    ):
        if rows:
            yield Finding(
                check="facts",
                kind=kind,
                severity="review" if kind == "dated" and many else "note",
                what=f"{that(len(rows), 'teach')} {what} that stand in the output only",
                why="facts are learnt slowly and by heart, and are wrong when they change; retrieval finds them",
                rows=tuple(batch.ref(n, "; ".join(f"{k}: {v}" for k, v in found[n][:4])) for n in rows),
                share=batch.share(len(rows)),
                next=f"move these facts to the {where}, and give the passage as input",
            )


def share(batch: Batch) -> float | None:
    """Share of the rows that teach a fact; None for labels, which teach none, and without rows."""
    if batch.usecase.output.kind == "label" or not batch.examples:
        return None
    return len(_taught(batch)) / len(batch.examples)


def _taught(batch: Batch) -> dict[int, list[Fact]]:
    """Row → the facts that it teaches; rows that teach none are absent."""
    given = normal(_given(batch.usecase))
    small = _written_small(batch) if _names_are_told(batch) else None
    found = {
        n: f for n in range(len(batch.examples)) if (f := list(dict.fromkeys(_only_in_output(batch, n, given, small))))
    }
    usual = _habits(batch, found)
    return {n: rest for n, facts in found.items() if (rest := [f for f in facts if f not in usual])}


def _names_are_told(batch: Batch) -> bool:
    """Does a capital mean a name in this language?"""
    return _capitals(batch.outputs) < NOUNS_IN_CAPITALS


def _ranked(rows: Sequence[int], found: dict[int, list[Fact]]) -> list[int]:
    """Most facts of the soonest kind first."""
    return sorted(rows, key=lambda n: [-sum(1 for kind, _ in found[n] if kind == wanted) for wanted in KINDS] + [n])


def _given(usecase: UseCase) -> str:
    """What every row is told: the instruction, and the words of the schema."""
    return f"{usecase.instruction} {json.dumps(usecase.output.json_schema or {}, ensure_ascii=False)}"


def _is_now(batch: Batch, number: int) -> bool:
    return bool(_NOW.search(batch.outputs[number]))


def _habits(batch: Batch, found: dict[int, list[Fact]]) -> set[Fact]:
    counts = Counter(fact for facts in found.values() for fact in set(facts))
    return {fact for fact, count in counts.items() if count > max(5, HABIT * len(batch.examples))}


def _written_small(batch: Batch) -> frozenset[str]:
    """Words that stand somewhere without a capital: no names."""
    small = re.compile(r"(?<!\w)[^\W\d_A-ZÄÖÜ]\w*")
    texts = (text for side in (batch.inputs, batch.outputs) for text in side if not text.isupper())
    return frozenset(word for text in texts for word in small.findall(text)) | _NO_NAMES | frozenset(_MONTHS)


def _only_in_output(batch: Batch, number: int, given: str, small: frozenset[str] | None) -> Iterator[Fact]:
    """`small`: words that are no names; None = names are not looked for."""
    text = _said(batch, number)
    if not any(sign.isdigit() or sign.isupper() for sign in text):
        return
    told = f"{batch.normal_inputs[number]} {given} {normal(batch.examples[number].evidence)}"
    words = _words(told)
    rest = _LISTED.sub(" ", text)
    for kind, pattern in (("date", _DATE), ("price", _PRICE), ("figure", _FIGURE)):
        for match in pattern.finditer(rest):
            if not _told(match.group(), told, words):
                yield kind, match.group().strip()
        rest = pattern.sub(" ", rest)
    for match in _NAME.finditer(text) if small is not None else ():
        new = [word for word in _WORD.findall(match.group().casefold()) if len(word) > 1 and word not in words]
        if any(word not in (small or ()) for word in new) and not match.group().isupper():
            yield "name", match.group()


def _said(batch: Batch, number: int) -> str:
    """The output as text; of several acceptable ones the first; of JSON its values, one a line."""
    expected = batch.examples[number].expected
    if isinstance(expected, list) and expected and isinstance(expected[0], str):
        return expected[0]
    if isinstance(expected, str):
        return expected
    return "\n".join(
        f"is {value}" for _, value in leaves(expected) if not isinstance(value, bool) and value is not None
    )


def _words(text: str) -> frozenset[str]:
    words = _WORD.findall(text)
    return frozenset(words) | {_NUMBERS[word] for word in words if word in _NUMBERS}


def _told(value: str, told: str, words: frozenset[str]) -> bool:
    """Whether all numbers and words of a value were given, in whatever order and with whatever separators."""
    if normal(value) in told:
        return True
    parts = _WORD.findall(normal(value))
    digits = re.sub(r"\D", "", value)
    return all(part in words or part.lstrip("0") in words for part in parts) or (
        len(digits) > 2 and digits in re.sub(r"(?<=\d)[.,\s](?=\d)", "", told)
    )


def _capitals(outputs: Sequence[str], most: int = 2_000) -> float:
    """Share of the words inside sentences that begin with a capital, in up to `most` outputs."""
    step = max(1, len(outputs) // most)
    inside = re.compile(r"(?<=[a-zäöüß,] )[^\W\d_]{3,}")
    words = [word for text in outputs[::step] for word in inside.findall(text)]
    return sum(word[0].isupper() and not word.isupper() for word in words) / len(words) if len(words) > 50 else 0.0
