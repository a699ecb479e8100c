"""Which model is planned with: a folder, a model in the hub's local cache, or a well-known name."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from tuneworthy.errors import ModelError
from tuneworthy.models.local.files import resolve
from tuneworthy.plan import facts
from tuneworthy.plan.architecture import parse_config, read_config
from tuneworthy.plan.facts import Fact
from tuneworthy.plan.records import Architecture
from tuneworthy.usecase import ModelChoice


class KnownModel(Fact):
    """The dimensions of a published model."""

    config: dict[str, Any]
    parameters: int | None = None
    """as published"""


def known(today: dt.date) -> dict[str, KnownModel]:
    """id → model, from facts/models.toml."""
    return {row.id: row for row in facts.read(facts.shipped("models"), "model", KnownModel, today=today)}


def architecture_of(choice: ModelChoice, folder: Path, today: dt.date) -> Architecture:
    """The base model's architecture; nothing is loaded and nothing is downloaded.

    Args:
        folder: of the use case; a relative model folder is relative to it.

    Raises:
        ModelError: neither a folder, nor in the cache, nor a known name.
        DataError: its config.json cannot be used.
    """
    try:
        return read_config(resolve(choice, folder))
    except ModelError as error:
        models = known(today)
        row = models.get(_plain(choice.base))
        if row is None:
            raise ModelError(
                f"the dimensions of {choice.base!r} are not known: {error.what}",
                next=f"download it, name the folder with its config.json as model.base, or use a known name: "
                f"{', '.join(models)}",
            ) from None
        return parse_config(row.config, source=row.source)


def hub_name(base: str, today: dt.date) -> str:
    """`llama-3.1-8b` → `meta-llama/Llama-3.1-8B`, as its source names it; any other name as it is."""
    row = known(today).get(base)
    path = row.source.partition("huggingface.co/")[2].split("/") if row is not None else []
    return "/".join(path[:2]) if len(path) >= 2 else base


def _plain(name: str) -> str:
    """`meta-llama/Llama-3.1-8B-Instruct` → `llama-3.1-8b`: an instruct version has the dimensions of its base."""
    plain = name.rsplit("/", 1)[-1].casefold().removeprefix("meta-")
    for ending in ("-instruct", "-chat", "-it", "-hf", "-chat-v1.0"):
        plain = plain.removesuffix(ending)
    return plain
