"""The files of a model folder, looked at before anything is loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from tuneworthy.errors import ModelError, UnsafeModel
from tuneworthy.usecase import ModelChoice

POCKET = "pocket"
DECIDING = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)
"""Files beside the weights that decide what a model answers."""

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def resolve(choice: ModelChoice, folder: Path) -> Path:
    """The folder of the base model: shipped, local (relative to the use case), or in the hub's local cache.

    Raises:
        ModelError: it is not there; nothing is downloaded behind the user's back.
    """
    if choice.base == POCKET:
        return Path(str(files("tuneworthy") / "models" / POCKET))
    for candidate in (folder / choice.base, Path(choice.base).expanduser()):
        if candidate.is_dir():
            return candidate.resolve()
    if choice.base.startswith((".", "/", "~")):
        raise ModelError("there is no such folder", next="correct model.base in usecase.toml", where=choice.base)
    return _from_cache(choice)


def checked(path: Path, choice: ModelChoice) -> dict[str, Any]:
    """The model's config.json, after everything that must be there was found there.

    Raises:
        ModelError: a file is missing, or there is no chat template.
        UnsafeModel: only pickle weights, or code that would run on loading.
    """
    for name in ("config.json", "tokenizer.json"):
        if not (path / name).is_file():
            raise ModelError(f"the base model lacks {name}", next="copy the complete model folder", where=str(path))
    config = _json(path / "config.json")
    if "auto_map" in config and not choice.trust_remote_code:
        raise UnsafeModel(
            "this model brings its own code, which would run on loading",
            next="choose a model that transformers knows, or set model.trust_remote_code = true after reading the code",
            where=str(path / "config.json"),
        )
    _require_weights(path, choice)
    settings = _json(path / "tokenizer_config.json") if (path / "tokenizer_config.json").is_file() else {}
    if not settings.get("chat_template") and not (path / "chat_template.jinja").is_file():
        raise ModelError(
            "the base model has no chat template",
            why="every arm is asked through the template; guessing one would handicap the model",
            next="use its instruct version, or add chat_template.jinja to the folder",
            where=str(path),
        )
    return config


def weight_files(path: Path) -> list[Path]:
    """The safetensors files, sorted."""
    return sorted(path.glob("*.safetensors"))


def weights_bytes(choice: ModelChoice, folder: Path) -> int:
    """Size of the weights on disk; nothing is loaded. Raises ModelError as `resolve` and `checked` do."""
    path = resolve(choice, folder)
    checked(path, choice)
    return sum(file.stat().st_size for file in weight_files(path))


@contextmanager
def silent_transformers() -> Iterator[None]:
    """No progress bars of transformers while loading and saving; only the command line writes to the terminal."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _require_weights(path: Path, choice: ModelChoice) -> None:
    index = path / "model.safetensors.index.json"
    if index.is_file():
        missing = sorted({name for name in _json(index)["weight_map"].values() if not (path / name).is_file()})
        if missing:
            raise ModelError(f"the base model lacks {missing[0]}", next="copy the complete folder", where=str(path))
    if weight_files(path) or choice.allow_pickle:
        return
    pickles = [file.name for pattern in _PICKLES for file in path.glob(pattern)]
    if pickles:
        raise UnsafeModel(
            f"the weights are a pickle file ({pickles[0]}), which can run code when it is opened",
            next="convert them to safetensors, or set model.allow_pickle = true",
            where=str(path),
        )
    raise ModelError("the base model lacks model.safetensors", next="copy the complete folder", where=str(path))


def _from_cache(choice: ModelChoice) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        offline = bool(os.environ.get("HF_HUB_OFFLINE"))
        patterns = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]
        return Path(
            snapshot_download(
                choice.base, revision=choice.revision or None, allow_patterns=patterns, local_files_only=offline
            )
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise ModelError(
            f"the base model {choice.base!r} is neither a folder, nor in the local cache, nor reachable",
            why=str(error).splitlines()[0][:200],
            next="download it first, or name a folder as model.base",
        ) from None


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot be read as JSON: {error}", next="copy the file again", where=str(path)) from None
    if not isinstance(value, dict):
        raise ModelError("is not a JSON object", next="copy the file again", where=str(path))
    return value
