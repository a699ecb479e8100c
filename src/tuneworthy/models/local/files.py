"""The files of a model folder, looked at before anything is loaded."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from tuneworthy.content import file_digest, folder_digest
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

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
TUNED_FILES = ("config.json", "generation_config.json", "model.safetensors")

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
    config = read_object(path / "config.json")
    read_object(path / "tokenizer.json")
    settings = read_object(path / "tokenizer_config.json") if (path / "tokenizer_config.json").is_file() else {}
    for name, held in (("config.json", config), ("tokenizer_config.json", settings)):
        if "auto_map" in held and not choice.trust_remote_code:
            raise UnsafeModel(
                "this model brings its own code, which would run on loading",
                next="choose a model that transformers knows, or set model.trust_remote_code = true after reading the "
                "code",
                where=str(path / name),
            )
    if (path / "adapter_config.json").is_file():
        raise ModelError(
            "an adapter lies among the files of the base model",
            why="transformers would put it in unasked, and the tuned model would stand as the base",
            next="move adapter_config.json to a folder of its own",
            where=str(path),
        )
    _require_weights(path, choice)
    if not settings.get("chat_template") and not (path / "chat_template.jinja").is_file():
        raise ModelError(
            "the base model has no chat template",
            why="every arm is asked through the template; guessing one would handicap the model",
            next="use its instruct version, or add chat_template.jinja to the folder",
            where=str(path),
        )
    return config


def weights_digest(folder: Path) -> str:
    """Names trained weights: configuration and safetensors of an adapter, or of a fully tuned model."""
    return folder_digest(folder, ADAPTER_FILES if (folder / ADAPTER_FILES[0]).is_file() else TUNED_FILES)


def weight_files(path: Path) -> list[Path]:
    """The files that hold the weights, sorted: safetensors, or pickles where there are no others."""
    return sorted(path.glob("*.safetensors")) or sorted(path.glob("pytorch_model*.bin"))


def file_digests(path: Path) -> dict[str, str]:
    """File name → SHA-256 of every file that decides what the model answers, sorted by name."""
    names = [name for name in DECIDING if (path / name).is_file()] + [file.name for file in weight_files(path)]
    return {name: file_digest(path / name) for name in sorted(names)}


def only_pickles(path: Path) -> bool:
    """Whether there are weights, and none of them as safetensors."""
    return any(file.suffix != ".safetensors" for file in weight_files(path))


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


@contextmanager
def silent_peft() -> Iterator[None]:
    """Without two warnings: peft 0.21 asks transformers 5.24 for a property that was renamed, which no user can help;
    and the base lies in another folder than the name in the adapter, while here digests say which base it is."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        warnings.filterwarnings("ignore", message="The PEFT config's `base_model_name_or_path`", category=UserWarning)
        yield


def _require_weights(path: Path, choice: ModelChoice) -> None:
    index = path / "model.safetensors.index.json"
    if index.is_file():
        shards = read_object(index).get("weight_map")
        if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
            raise ModelError("does not say where the weights are", next="copy the file again", where=str(index))
        missing = sorted({name for name in shards.values() if not (path / name).is_file()})
        if missing:
            raise ModelError(f"the base model lacks {missing[0]}", next="copy the complete folder", where=str(path))
    if weight_files(path) and (choice.allow_pickle or not only_pickles(path)):
        return
    pickles = [file.name for pattern in _PICKLES for file in path.glob(pattern)]
    if pickles and not choice.allow_pickle:
        raise UnsafeModel(
            f"the weights are a pickle file ({pickles[0]}), which can run code when it is opened",
            next="convert them to safetensors, or set model.allow_pickle = true",
            where=str(path),
        )
    raise ModelError("the base model lacks model.safetensors", next="copy the complete folder", where=str(path))


def _from_cache(choice: ModelChoice) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(choice.base, revision=choice.revision or None, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError) as error:
        revision = f" --revision {choice.revision}" if choice.revision else ""
        raise ModelError(
            f"the base model {choice.base!r} is neither a folder nor in the local cache of the hub",
            why=str(error).splitlines()[0][:200],
            next=f"download it (hf download {choice.base}{revision}), or name a folder as model.base",
        ) from None


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object in a file. Raises ModelError where it is none."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"cannot be read as JSON: {error}", next="copy the file again", where=str(path)) from None
    if not isinstance(value, dict):
        raise ModelError("is not a JSON object", next="copy the file again", where=str(path))
    return value
