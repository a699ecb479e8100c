"""Language and script per row: rows that are not in the language of the others."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import Any

from tuneworthy.data.findings import Batch, Finding, Found, NotMeasured, excerpt, many

SHORTEST = 40
"""Letters of a row that a language is told from. On shorter ones py3langid guesses: see docs/guides/data.md."""
SURE = 0.9
"""Probability from which a language is believed."""
MOST = 5_000
"""Rows whose language is told (some 3,000 a second); of more, every n-th by name. The script is told of all."""

_LETTERS = re.compile(r"[^\W\d_]")


def check(batch: Batch) -> Found:
    """Scripts of all rows, languages of those that are long enough."""
    yield from _scripts(batch)
    yield from _languages(batch)


def _scripts(batch: Batch) -> Found:
    scripts = {n: s for n, text in enumerate(_texts(batch)) if (s := script(text))}
    yield from _others(batch, "script", scripts)


def _texts(batch: Batch) -> list[str]:
    labels = batch.usecase.output.kind == "label"
    return [a if labels else f"{a} {b}" for a, b in zip(batch.inputs, batch.outputs, strict=True)]


def script(text: str) -> str:
    """The script of most letters: LATIN, CYRILLIC, …; empty without letters."""
    letters = _LETTERS.findall(text[:400])
    if not letters:
        return ""
    if all(letter.isascii() for letter in letters):
        return "LATIN"
    return Counter(map(_script_of, letters)).most_common(1)[0][0]


@lru_cache(maxsize=10_000)
def _script_of(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").split()[0]


def _languages(batch: Batch) -> Found:
    by_name = sorted(range(len(batch.examples)), key=lambda number: batch.examples[number].name)
    step = max(1, -(-len(by_name) // MOST))
    long = [n for n in by_name[::step] if len(_LETTERS.findall(batch.inputs[n])) >= SHORTEST]
    short = len(by_name[::step]) - len(long)
    if short:
        reason = f"shorter than {SHORTEST} letters"
        yield NotMeasured(check="language", what=f"language of {many(short)}", reason=reason)
    if step > 1:
        yield NotMeasured(check="language", what="language of most rows", reason=f"1 row in {step} was looked at")
    if long:
        identifier = _identifier()
        told = {n: identifier.classify(batch.inputs[n][:1000]) for n in long}
        yield from _others(batch, "language", {n: str(lang) for n, (lang, sure) in told.items() if sure >= SURE})


def language(text: str) -> str:
    """Two letters where a language is believed (SHORTEST, SURE), else the script; empty without letters."""
    if len(_LETTERS.findall(text)) >= SHORTEST:
        told, sure = _identifier().classify(text)
        if sure >= SURE:
            return str(told)
    return script(text).lower()


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _others(batch: Batch, what: str, of_row: dict[int, str]) -> Found:
    counts = Counter(of_row.values())
    if len(counts) < 2:
        return
    usual = counts.most_common(1)[0][0]
    rows = sorted((n for n, value in of_row.items() if value != usual), key=lambda n: (of_row[n], n))
    told = ", ".join(f"{value} {count:,}" for value, count in counts.most_common(6))
    yield Finding(
        check="language",
        kind=what,
        severity="review" if len(rows) > 0.01 * len(of_row) else "note",
        what=f"{many(len(rows))} in another {what} than most ({told})",
        why="a few rows of a language teach little of it, and confuse the rest; many need cases of their own",
        rows=tuple(batch.ref(n, f"{of_row[n]}: {excerpt(batch.inputs[n])}") for n in rows),
        share=batch.share(len(rows)),
        next="confirm that these are wanted; else leave them out: tuneworthy data fix --drop",
    )
