"""Consistency: one thing written in several ways by whoever wrote the outputs. The minority is named.

A value that stands in its own input word for word was copied, not written, so its form is not counted.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tuneworthy.data.findings import Batch, Finding, Found, leaves, that

FEWEST = 10
"""Values of one place before its forms are compared."""
RARE = 0.2
"""A form that fewer of the values have is a minority; above that there is no one way to speak of, and all but the
commonest are named."""
SHORT = 60
"""Characters up to which a value counts as a name for something rather than as a text."""
RARE_CASE = 0.05
"""For the first letter and the full stop of free texts, which vary with the sentence: only a small minority counts."""

_MONTH = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez|janv|févr|avr|juil|août|ene|abr|ago|dic)\w*\.?"
)
_FORMS: dict[str, dict[str, re.Pattern[str]]] = {
    "date": {
        "2024-12-31": re.compile(r"\b\d{4}-\d{2}-\d{2}\b"),
        "31.12.2024": re.compile(r"\b\d{1,2}\.\s?\d{1,2}\.\s?\d{2,4}\b"),
        "31/12/2024": re.compile(r"\b\d{1,2}/\d{1,2}/\d{2,4}\b"),
        "2024/12/31": re.compile(r"\b\d{4}/\d{1,2}/\d{1,2}\b"),
        "31 December 2024": re.compile(rf"\b\d{{1,2}}(?:st|nd|rd|th|\.)?\s+(?:of\s+)?{_MONTH}\s*,?\s+\d{{4}}\b", re.I),
        "December 31, 2024": re.compile(rf"\b{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+\d{{4}}\b", re.I),
    },
    "time": {
        "19:30": re.compile(r"\b(?:[01]?\d|2[0-3]):[0-5]\d\b(?!\s*[ap]\.?m)", re.I),
        "7:30 pm": re.compile(r"\b\d{1,2}:\d{2}\s+[ap]\.?m\b", re.I),
        "7:30pm": re.compile(r"\b\d{1,2}:\d{2}[ap]\.?m\b", re.I),
        "7 pm": re.compile(r"(?<![:\d])\b\d{1,2}\s+[ap]\.?m\b", re.I),
        "7pm": re.compile(r"(?<![:\d])\b\d{1,2}[ap]\.?m\b", re.I),
    },
    "number": {
        "1,234.5": re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])"),
        "1.234,5": re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+,\d+(?![\d.])"),
        "1234.5": re.compile(r"(?<![\d.,])\d+\.\d{1,2}(?![\d.,])"),
        "1234,5": re.compile(r"(?<![\d.,])\d+,\d{1,2}(?![\d.,])"),
    },
    "money": {
        "€ 5": re.compile(r"[€$£]\s+\d"),
        "€5": re.compile(r"[€$£]\d"),
        "5 €": re.compile(r"\d\s+[€$£]"),
        "5€": re.compile(r"\d[€$£]"),
        "5 EUR": re.compile(r"\d\s*(?:EUR|USD|GBP)\b"),
        "EUR 5": re.compile(r"\b(?:EUR|USD|GBP)\s*\d"),
        "5 euros": re.compile(r"\d\s*(?:euros?|dollars?|pounds?)\b", re.I),
    },
}
_UNITS = {
    "kilometre": ("km", "kms", "kilometre", "kilometres", "kilometer", "kilometers"),
    "kilogram": ("kg", "kgs", "kilo", "kilos", "kilogram", "kilograms"),
    "hour": ("h", "hr", "hrs", "hour", "hours"),
    "minute": ("min", "mins", "minute", "minutes"),
    "percent": ("%", "percent", "per cent", "pct"),
    "day": ("d", "day", "days"),
}
_UNIT_OF = {word: unit for unit, words in _UNITS.items() for word in words}
_WITH_UNIT = re.compile(rf"\d(\s?)({'|'.join(sorted(map(re.escape, _UNIT_OF), key=len, reverse=True))})(?!\w)")

Values = dict[str, list[tuple[int, str]]]
"""path → (row, value) of what was written, not copied"""


def check(batch: Batch) -> Found:
    """Forms of the outputs. Labels are a closed list, so there is nothing to compare."""
    if batch.usecase.output.kind == "label":
        return
    for path, values in written(batch).items():
        yield from _forms(batch, path, values)
        yield from _spellings(batch, path, values)
    if batch.usecase.output.kind == "json":
        yield from _types(batch)
        yield from _key_order(batch)
    else:
        yield from _sentences(batch)


def written(batch: Batch) -> Values:
    """Every text of the outputs that does not stand in its own input."""
    found: Values = defaultdict(list)
    for number, example in enumerate(batch.examples):
        asked = batch.normal_inputs[number]
        for path, value in leaves(example.expected):
            if isinstance(value, str) and " ".join(value.casefold().split()) not in asked:
                found[path].append((number, value))
    return found


def _forms(batch: Batch, path: str, values: list[tuple[int, str]]) -> Iterator[Finding]:
    for thing, patterns in _FORMS.items():
        forms = {row: form for row, text in values if (form := _first_form(text, patterns))}
        yield from _minority(batch, path, thing, forms)
    units: dict[str, dict[int, str]] = defaultdict(dict)
    for row, text in values:
        for space, word in _WITH_UNIT.findall(text)[:1]:
            units[_UNIT_OF[word]][row] = f"5{space}{word}"
    for unit, forms in units.items():
        yield from _minority(batch, path, f"unit ({unit})", {row: _singular(form) for row, form in forms.items()})


def _singular(form: str) -> str:
    """`hour` and `hours` are one way of writing."""
    return form[:-1] if form.endswith("s") and form[:-1].lstrip("5 ") in _UNIT_OF else form


def _first_form(text: str, patterns: Mapping[str, re.Pattern[str]]) -> str:
    """The form that stands first in the text; the longer one where two begin together."""
    found = [(m.start(), -m.end(), form) for form, pattern in patterns.items() if (m := pattern.search(text))]
    return min(found)[2] if found else ""


def _minority(
    batch: Batch, path: str, thing: str, forms: Mapping[int, str], *, rare: float = RARE, why: str = ""
) -> Iterator[Finding]:
    counts = Counter(forms.values())
    if len(forms) < FEWEST or len(counts) < 2:
        return
    usual = counts.most_common(1)[0][0]
    seldom = {form for form, count in counts.items() if count < rare * len(forms)}
    if not seldom and rare < RARE:
        return
    named = seldom or set(counts) - {usual}
    rows = [(row, form) for row, form in sorted(forms.items()) if form in named]
    place = f"`{path}`: " if path else ""
    told = ", ".join(f"{form} ({count:,})" for form, count in counts.most_common(6))
    yield Finding(
        check="consistency",
        kind=f"{thing.split()[0]}_format",
        severity="review",
        what=f"{place}{thing} is written in {len(counts)} ways: {told}",
        why=why or "the model cannot know which one is wanted, and an exact scorer counts the others as wrong",
        rows=tuple(batch.ref(row, form) for row, form in rows),
        share=batch.share(len(rows)),
        next=f"decide on one (most rows have {usual}) and write the others so",
    )


def folded(text: str) -> str:
    """What is left of a value without case, runs of spaces, dashes and underscores, and a full stop."""
    return re.sub(r"[\s_-]+", " ", text.casefold()).strip(" .")


def usual_spellings(values: Sequence[tuple[int, str]]) -> dict[str, str]:
    """Folded value → its commonest spelling, for short values that stand in several."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for _, text in values:
        if len(text) <= SHORT:
            spellings[folded(text)][text] += 1
    return {key: counts.most_common(1)[0][0] for key, counts in spellings.items() if len(counts) > 1}


def _spellings(batch: Batch, path: str, values: list[tuple[int, str]]) -> Iterator[Finding]:
    """One short value in several spellings: `Card`, `card`, `card `."""
    usual = usual_spellings(values)
    rows = [(row, text, usual[folded(text)]) for row, text in values if len(text) <= SHORT and folded(text) in usual]
    refs = tuple(batch.ref(row, f"{text!r}, elsewhere {best!r}") for row, text, best in rows if text != best)
    if refs:
        yield Finding(
            check="consistency",
            kind="spelling",
            severity="review",
            what=f"{f'`{path}`: ' if path else ''}{that(len(usual), 'stand', 'value')} in several spellings",
            why="to an exact scorer they are different answers",
            rows=refs,
            share=batch.share(len(refs)),
            next="tuneworthy data fix --rule spelling (writes each as most rows do)",
        )


def _types(batch: Batch) -> Iterator[Finding]:
    kinds: dict[str, dict[int, str]] = defaultdict(dict)
    for number, example in enumerate(batch.examples):
        for path, value in leaves(example.expected):
            if value is not None:
                kinds[path][number] = {bool: "true/false", int: "number", float: "number"}.get(type(value), "text")
    for path, forms in kinds.items():
        yield from _minority(batch, path, "type of value", forms)


def _key_order(batch: Batch) -> Iterator[Finding]:
    """Two rows that put the same two keys in different orders; keys that are left out do not matter."""
    orders = {n: tuple(e.expected) for n, e in enumerate(batch.examples) if isinstance(e.expected, dict)}
    before: Counter[tuple[str, str]] = Counter()
    for keys, count in Counter(orders.values()).items():
        before.update({(a, b): count for i, a in enumerate(keys) for b in keys[i + 1 :]})
    against = {(a, b) for (a, b), count in before.items() if count < before[(b, a)]}
    rows = [
        (number, keys)
        for number, keys in orders.items()
        if any((a, b) in against for i, a in enumerate(keys) for b in keys[i + 1 :])
    ]
    if rows:
        yield Finding(
            check="consistency",
            kind="key_order",
            severity="note",
            what=f"{that(len(rows), 'have')} keys in another order than most",
            why="the order is noise that the model has to learn",
            rows=tuple(batch.ref(number, json.dumps(keys, ensure_ascii=False)[:80]) for number, keys in rows),
            share=batch.share(len(rows)),
            next="tuneworthy data fix --rule key_order",
        )


def _sentences(batch: Batch) -> Iterator[Finding]:
    texts = {n: text.strip() for n, text in enumerate(batch.outputs) if text.strip() and "\n" not in text.strip()}
    first = {n: ("Capital" if t[0].isupper() else "small") for n, t in texts.items() if t[0].isalpha()}
    why = "the model cannot know which one is wanted"
    yield from _minority(batch, "", "casing of the first letter", first, rare=RARE_CASE, why=why)
    ends = {n: ("full stop" if t[-1] in ".!?…" else "none") for n, t in texts.items() if len(t.split()) > 3}
    yield from _minority(batch, "", "end of the sentence", ends, rare=RARE_CASE, why=why)
