"""Reading outputs: what counts as the expected answer, normalisation, and the lenient reading that strips fences,
quotes and prose. Everything that two scorers share stands here, so that the code hash of a scorer covers it."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from tuneworthy.records import Case, Score
from tuneworthy.rendering import render_expected
from tuneworthy.usecase import Output

MISSING = Score(unscored="missing_expected", explanation="the case has no expected output")

DEEPEST = 40
"""Levels of nesting that are read. Deeper JSON is no answer but an accident of generation."""

_LONGEST_NUMBER = 300
"""Digits; more would not fit a float, and comparing would overflow."""

_OPENINGS_TRIED = 100
"""Braces from which the lenient reading tries to parse; bounds the time that a hostile answer can cost."""

_FENCED = re.compile(r"```(?:[\w.+-]*\n)?(.*?)```", re.DOTALL)
_SPACE = re.compile(r"\s+")
_EDGES = " \t\n\"'`“”‘’«».,;:!?*_()[]"


def accepted(case: Case, output: Output) -> list[str]:
    """The texts that count as right: the expected one, or each of a list. Empty where the case has none."""
    values = case.expected if isinstance(case.expected, list) and output.kind != "json" else [case.expected]
    return [render_expected(output, value) for value in values if value is not None]


def normal(text: str) -> str:
    """NFC, white space collapsed, ends stripped: differences that nobody means."""
    return _SPACE.sub(" ", unicodedata.normalize("NFC", text)).strip()


def loose(text: str) -> str:
    """Without fences, quotes and punctuation at the ends, casefolded."""
    return normal(unfenced(text)).casefold().strip(_EDGES)


def alike(found: str, wanted: str, *, lenient: bool) -> bool:
    """Equal after normalisation; lenient: or equal when read loosely. An expected text that is nothing but
    punctuation is never read loosely: every empty answer would equal it."""
    if normal(found) == normal(wanted):
        return True
    return lenient and bool(loose(wanted)) and loose(found) == loose(wanted)


def unfenced(text: str) -> str:
    """The inside of the one code fence in a text; the text itself where there is none, or several."""
    inside = _FENCED.findall(text)
    return str(inside[0] if len(inside) == 1 else text).strip()


def readings(output: str, lenient: bool) -> list[str]:
    """The ways in which an output may be read: as it is; leniently, also as the text inside a code fence."""
    return [output, unfenced(output)] if lenient else [output]


BEGINNING = 200
"""Characters in which a refusal shows itself; later "I cannot say whether …" is part of an answer."""

PHRASES = (
    r"\bi(?: am|'m) (?:sorry|afraid)\b.{0,40}\b(?:can't|cannot|can not|unable|not able|won't|don't)\b",
    r"\bi (?:can't|cannot|can not|won't|will not|must decline)\b",
    r"\bi(?:'m| am) (?:unable|not able|not allowed) to\b",
    r"\b(?:as an ai|as a language model)\b",
    r"\bich kann (?:dir|ihnen|das|dabei|dazu|hierzu|diese|nicht)\b.{0,40}\b(?:nicht|keine?n?)\b",
    r"\bich kann (?:leider )?nicht\b",
    r"\bje ne (?:peux|suis) pas\b",
    r"\bno puedo\b.{0,30}\b(?:ayudar|responder|hacer|proporcionar)",
)
"""English, German, French and Spanish; more through the setting `phrases`."""


def refuses(text: str, phrases: Iterable[str] = ()) -> bool:
    """Is this text a refusal, by its beginning? `phrases` are further plain texts that are one."""
    return _refusals(tuple(phrases)).search(_apostrophes(text)[:BEGINNING]) is not None


@lru_cache(maxsize=32)
def _refusals(phrases: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join([*PHRASES, *(re.escape(_apostrophes(phrase)) for phrase in phrases)]))


def _apostrophes(text: str) -> str:
    return normal(text).replace("’", "'").casefold()


def strict_json(text: str) -> Any:
    """The whole text as JSON.

    Raises:
        ValueError: anything else. Doubled keys, NaN, Infinity and numbers beyond a float are refused too: two readers
            would not agree on their value.
    """
    return _decoded(text, _STRICT)


def lenient_json(text: str) -> Any:
    """The whole text as JSON, else the inside of its fence, else the first JSON object in it. Line breaks inside
    strings are accepted; doubled keys and NaN are not.

    Raises:
        ValueError: there is none.
    """
    inside = unfenced(text)
    for whole in (text, inside):
        try:
            return _decoded(whole, _LENIENT)
        except ValueError:
            continue  # not JSON as a whole: the next reading is tried
    for match in list(re.finditer(r"\{", inside))[:_OPENINGS_TRIED]:
        try:
            return _decoded(inside, _LENIENT, match.start())
        except ValueError:
            continue  # not the beginning of an object
    raise ValueError("no JSON object in the answer")


def _decoded(text: str, decoder: json.JSONDecoder, start: int | None = None) -> Any:
    try:
        value = decoder.decode(text) if start is None else decoder.raw_decode(text, start)[0]
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for item in level for inner in _inside(item)]
    if level:
        raise ValueError("nested too deeply")
    return value


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("a number beyond all measure")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number beyond all measure")
    return value


def _decoder(*, strict: bool) -> json.JSONDecoder:
    return json.JSONDecoder(
        strict=strict,
        object_pairs_hook=_no_doubles,
        parse_constant=_no_constant,
        parse_int=_integer,
        parse_float=_finite,
    )


_STRICT, _LENIENT = _decoder(strict=True), _decoder(strict=False)
