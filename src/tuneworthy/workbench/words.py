"""The words of the pages: English as written in the templates, German from words.de.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache
from importlib.resources import files

LANGUAGES = {"en": "English", "de": "Deutsch"}


def speaker(language: str) -> Callable[..., str]:
    """English text → the same in the language, `{fields}` filled in; what has no translation stays English."""
    words = german() if language == "de" else {}

    def say(text: str, **fields: object) -> str:
        said = words.get(text, text)
        return said.format(**fields) if fields else said

    return say


@cache
def german() -> dict[str, str]:
    """English → German."""
    found: dict[str, str] = tomllib.loads(files("tuneworthy.workbench").joinpath("words.de.toml").read_text("utf-8"))
    return found


def preferred(header: str) -> str:
    """The first language of an Accept-Language header that the pages have."""
    for part in header.split(","):
        name = part.split(";")[0].strip().lower()[:2]
        if name in LANGUAGES:
            return name
    return "en"
