"""Reading outputs: normalisation, and the lenient reading that strips fences, quotes and prose."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

_FENCE = re.compile(r"^```[\w-]*\n?(.*?)\n?```$", re.DOTALL)
_SPACE = re.compile(r"\s+")
_EDGES = " \t\n\"'`“”‘’«».,;:!?*_()[]"


def normal(text: str) -> str:
    """NFC, white space collapsed, ends stripped: differences that nobody means."""
    return _SPACE.sub(" ", unicodedata.normalize("NFC", text)).strip()


def loose(text: str) -> str:
    """Without fences, quotes and punctuation at the ends, casefolded."""
    return normal(unfenced(text)).casefold().strip(_EDGES)


def unfenced(text: str) -> str:
    """The inside of a code fence that wraps the whole text."""
    found = _FENCE.match(text.strip())
    return found[1] if found else text.strip()


def strict_json(text: str) -> Any:
    """The whole text as JSON. Raises ValueError on anything else: doubled keys and NaN are not JSON values that two
    readers would agree on."""
    try:
        return json.loads(text, object_pairs_hook=_no_doubles, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def first_json_object(text: str) -> Any:
    """The first JSON object inside fences or prose. Raises ValueError where there is none."""
    decoder = json.JSONDecoder(object_pairs_hook=_no_doubles, parse_constant=_no_constant)
    for match in re.finditer(r"\{", text[:100_000]):
        try:
            return decoder.raw_decode(text, match.start())[0]
        except (ValueError, RecursionError):
            continue
    raise ValueError("no JSON object in the answer")


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
