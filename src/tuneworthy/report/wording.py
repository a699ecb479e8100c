"""How the report writes numbers and shows text that nobody vouches for."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

from tuneworthy.measure.further import FurtherScore
from tuneworthy.records import Interval

NOT_MEASURED = "not measured"
_THIN = "\u202f"
_KEPT = "\n\t\r\u200c\u200d\u00ad"
"""Joiners and soft hyphens belong to ordinary text (Persian, emoji), so they stay as they are."""


def visible(text: str) -> str:
    """The text with control, bidirectional and other invisible characters spelled out, as in ⟦U+202E⟧.

    Otherwise an output could look like another one: a right-to-left override reverses what follows it, and zero-width
    or tag characters hide content. Lone surrogates, which cannot be written as UTF-8, become visible too.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"⟦U+{ord(c):04X}⟧" if _hidden(c) else c for c in text)


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs") and character not in _KEPT


def as_text(value: Any) -> str:
    """A value of a case as people read it: text as it is, everything else as indented JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, indent=2)


def percent(value: float | None) -> str:
    """A score in [0, 1] as a percentage with one decimal: 84.2 %."""
    return NOT_MEASURED if value is None else f"{100 * value:.1f}{_THIN}%"


def further_score(found: FurtherScore | None) -> str:
    """What a further scorer says: 84.2 % (75.0 – 90.1), and how many cases it could not score."""
    if found is None or found.interval is None:
        return NOT_MEASURED if found is None or not found.n or found.note else "no spread"
    lost = sum(found.unscored.values())
    return f"{percent(found.interval.value)} ({percent_range(found.interval)}){f', {lost} unscored' if lost else ''}"


def percent_range(interval: Interval) -> str:
    """Limits of a score: 70.1 – 92.0 %."""
    return f"{100 * interval.low:.1f} – {100 * interval.high:.1f}{_THIN}%"


def points(value: float | None) -> str:
    """A difference of scores in points, with its sign: +12.5, −3.0, 0.0."""
    if value is None:
        return NOT_MEASURED
    number = f"{100 * value:+.1f}".replace("-", "−")
    return "0.0" if number in ("+0.0", "−0.0") else number


def points_range(interval: Interval | Mapping[str, Any]) -> str:
    """Limits of a difference: −2.1 to +9.4. Takes an Interval or its plain form."""
    limits = interval if isinstance(interval, Mapping) else {"low": interval.low, "high": interval.high}
    return f"{points(limits['low'])} to {points(limits['high'])}"


def p_value(value: float | None) -> str:
    """A p-value: three decimals, and < 0.001 below that."""
    if value is None:
        return "–"
    return f"<{_THIN}0.001" if value < 0.001 else f"{value:.3f}"


def number(value: float | None) -> str:
    """A count or a mean: whole above 100, else one decimal where it has one; thousands apart."""
    if value is None:
        return NOT_MEASURED
    text = f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:,.1f}"
    return text.replace(",", _THIN)


def per_answer(value: float | None) -> str:
    """Seconds of one answer with three significant digits: 0.0123 s, 1.20 s."""
    if value is None:
        return NOT_MEASURED
    decimals = 2 if value >= 1 else 3 if value >= 0.01 else 4
    return f"{value:.{decimals}f}{_THIN}s"


def duration(seconds: float) -> str:
    """Wall time in the two largest units: 42 s, 7 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{_THIN}s"
    if whole < 3600:
        return f"{whole // 60}{_THIN}min {whole % 60}{_THIN}s"
    return f"{whole // 3600}{_THIN}h {whole % 3600 // 60}{_THIN}min"


def cell(value: Any) -> str:
    """A value of a table of settings: digests shortened, fractions rounded, lists and tables as one line of JSON."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, str):
        return f"{value[:12]}…" if len(value) == 64 and set(value) <= set("0123456789abcdef") else value
    return str(value) if isinstance(value, int) else json.dumps(value, ensure_ascii=False)
