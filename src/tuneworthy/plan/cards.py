"""What the files of a model say about where it comes from: the card's front matter, the licence, the configuration.

Everything here is read from files that nobody vouches for: a card may be missing, broken, or wrong, and says so in
`problems` instead of stopping the plan.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneworthy.records import Record

LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "LICENCE.md", "COPYING")
_MOST_BYTES = 400_000
"""A licence text has some 10,000 characters; what is much larger is none."""
_MOST_FRONT_MATTER = 200_000
_SEES = ("vision_config", "audio_config", "image_token_id", "image_token_index", "vision_tower", "mm_vision_tower")
"""Keys of a config.json that only models have which see or hear."""


class Card(Record):
    """What a model's own files state. Empty where they say nothing."""

    licence: str = ""
    """as declared, lower case; `license_name` where the card says `other`"""
    bases: tuple[str, ...] = ()
    """models it was made from: hub names or folders"""
    relation: str = ""
    """adapter, finetune, quantized, merge, as declared"""
    datasets: tuple[str, ...] = ()
    text: str = ""
    """the licence file, as it is"""
    text_file: str = ""
    multimodal: bool | None = None
    """whether it takes images or sound; None = no config.json"""
    problems: tuple[str, ...] = ()


def read_card(folder: Path) -> Card:
    """Read README.md, the licence file, config.json and adapter_config.json of a model folder, whichever exist."""
    problems: list[str] = []
    readme, text, name = _text(folder / "README.md", problems), "", ""
    for file in LICENCE_FILES:
        if (folder / file).is_file():
            name, text = file, _text(folder / file, problems)
            break
    declared, trouble = front_matter(readme)
    problems += [f"README.md: {trouble}"] if trouble else []
    config = _json(folder / "config.json", problems)
    adapter = _json(folder / "adapter_config.json", problems)
    bases = [*_texts(declared.get("base_model")), *_texts(adapter.get("base_model_name_or_path") if adapter else None)]
    return Card(
        licence=_licence(declared),
        bases=tuple(dict.fromkeys(base for base in bases if base != str(folder))) or _before(config, folder),
        relation=_first(declared.get("base_model_relation")) or ("adapter" if adapter else ""),
        datasets=tuple(dict.fromkeys(_texts(declared.get("datasets")))),
        text=text,
        text_file=name,
        multimodal=None if config is None else any(key in config for key in _SEES),
        problems=tuple(problems),
    )


def front_matter(text: str) -> tuple[dict[str, Any], str]:
    """The YAML block at the start of a model card, and what is wrong with it; ({}, "") where a card has none."""
    import yaml

    match = re.match(r"\ufeff?\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", text, re.DOTALL)
    if match is None:
        return {}, ""
    if len(match.group(1)) > _MOST_FRONT_MATTER:
        return {}, "the front matter is larger than any card's"
    try:
        value = yaml.safe_load(match.group(1))
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError, TypeError, AttributeError) as error:
        return {}, f"the front matter is not YAML: {str(error).splitlines()[0][:120] if str(error) else 'unreadable'}"
    if value is None:
        return {}, ""
    if not isinstance(value, dict):
        return {}, "the front matter is no table"
    return {str(key): item for key, item in value.items()}, ""


def _licence(declared: Mapping[str, Any]) -> str:
    licence = _first(declared.get("license"))
    if licence.lower() in ("other", "unknown", ""):
        licence = _first(declared.get("license_name")) or licence
    return licence.strip().lower()


def _before(config: Mapping[str, Any] | None, folder: Path) -> tuple[str, ...]:
    """`_name_or_path` of a config.json: what the weights were loaded from before they were saved here."""
    name = _first(config.get("_name_or_path")) if config else ""
    told = re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None and not (folder / name).exists()
    return (name,) if told and name.lower().split("/")[-1] != folder.name.lower() else ()


def _texts(value: Any) -> list[str]:
    """A text, or those in a list, without empty ones: cards write both."""
    items = value if isinstance(value, list) else [value]
    return [item.strip() for item in items if isinstance(item, str) and item.strip()]


def _first(value: Any) -> str:
    return next(iter(_texts(value)), "")


def _text(path: Path, problems: list[str]) -> str:
    if not path.is_file():
        return ""
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        problems.append(f"{path.name}: cannot be read: {error.strerror}")
        return ""
    if len(raw) > _MOST_BYTES:
        problems.append(f"{path.name}: only its first {_MOST_BYTES:,} bytes were read")
    return raw[:_MOST_BYTES].decode("utf-8", "replace")


def _json(path: Path, problems: list[str]) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{path.name}: cannot be read as JSON: {str(error)[:120]}")
        return None
    if not isinstance(value, dict):
        problems.append(f"{path.name}: is not a JSON object")
        return None
    return value
