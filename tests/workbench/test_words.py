"""Every text of the pages has a German one, and no German text is left over."""

from __future__ import annotations

import re
from importlib.resources import files

from tuneworthy.workbench.words import german, preferred, speaker

ROOM = files("tuneworthy.workbench")


def spoken() -> set[str]:
    """Texts that templates and pages hand to `say`, directly or out of a table of theirs."""
    pages = [p.read_text("utf-8") for p in ROOM.joinpath("pages").iterdir()]
    code = [p.read_text("utf-8") for p in ROOM.iterdir() if p.name.endswith(".py")]
    found = {text for page in [*pages, *code] for text in re.findall(r"""\bsay\(\s*"((?:[^"\\]|\\.)*)\"""", page)}
    found |= {text for page in pages for text in re.findall(r"\bsay\('([^']*)'", page)}
    tables = [part for page in pages for part in re.findall(r"say\(\{(.*?)\}\[", page)]
    return found | {text for table in tables for text in re.findall(r': "([^"]*)"', table)}


def test_every_text_has_a_german_one() -> None:
    assert spoken() - set(german()) == set()


def test_no_german_text_is_left_over() -> None:
    places = [*ROOM.joinpath("pages").iterdir(), *(p for p in ROOM.iterdir() if p.name.endswith(".py"))]
    everything = "".join(place.read_text("utf-8") for place in places)
    assert [text for text in german() if text not in everything] == []


def test_both_name_the_same_fields() -> None:
    for english, text in german().items():
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", text)), english


def test_the_language_of_the_browser_is_taken() -> None:
    assert preferred("de-AT,de;q=0.9,en;q=0.8") == "de"
    assert preferred("fr,en;q=0.5") == "en"
    assert preferred("") == "en"
    assert speaker("de")("Saved.") == "Gespeichert."
    assert speaker("en")("{n} cases", n=3) == "3 cases"
