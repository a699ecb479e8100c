"""Checkpoints: a killed training continues from the last one as if it had not been killed.

    out/checkpoints/checkpoint-120/
      adapter_config.json, adapter_model.safetensors   a PEFT folder (full tuning: config.json, model.safetensors)
      optimizer.safetensors                            AdamW moments by weight; only in the last checkpoint
      state.json                                       where training stands, and what it is a training of
      score.json                                       development score, once measured

A folder is written under another name and then renamed, so a checkpoint is whole or absent. The learning rate, the
order of rows and the random state are functions of (seed, step) and need no file.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tuneworthy.content import file_digest, storage_error, write_whole
from tuneworthy.errors import StorageError, TrainingError
from tuneworthy.records import Record
from tuneworthy.training.choice import DevScore, Point
from tuneworthy.training.network import check_names, load_weights, save_weights, trainable
from tuneworthy.training.recipe import Recipe

OPTIMIZER = "optimizer.safetensors"
OWN_FILES = (OPTIMIZER, "state.json", "score.json")
"""files of a checkpoint that are not part of what is delivered"""
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""what torch's AdamW keeps per weight"""


class Identity(Record):
    """What a training is a training of. Continuing demands that all of it is unchanged."""

    recipe: Recipe
    data: str
    """digest of the encoded rows"""
    base: str
    """digest of the base model"""
    versions: dict[str, str]
    """library → version: another version may round differently or name weights differently"""


class Standing(Record):
    """Where a training stands after `step` optimiser steps."""

    step: int = 0
    losses: tuple[float, ...] = ()
    """mean loss per trained token of every step so far, in nats"""
    points: tuple[Point, ...] = ()
    """checkpoints that have been scored or passed"""
    tokens: int = 0
    """tokens trained on, padding not counted"""
    trained_tokens: int = 0
    prefix: int | None = None
    """tokens that all rows begin with and that are computed once a step; None = not decided yet"""
    sharing: str = ""
    """why so many"""
    micro_batch: int | None = None
    """longest forward pass in tokens, once the recipe's did not fit into memory"""
    seconds: float = 0.0
    """time in steps and scoring, interruptions not counted"""


class _Saved(Record):
    identity: Identity
    standing: Standing
    files: dict[str, str] = Field(min_length=1)
    """file name → SHA-256"""


def checkpoint_folder(out: Path, step: int) -> Path:
    """Where the checkpoint after `step` optimiser steps lies: a folder that plain peft loads."""
    return out / "checkpoints" / f"checkpoint-{step}"


@dataclass(frozen=True)
class Learning:
    """What learns in one training: the weights of an adapter (full tuning: all), and their optimiser."""

    network: Any
    optimizer: torch.optim.Optimizer
    adapter: str = "default"

    @property
    def weights(self) -> dict[str, torch.nn.Parameter]:
        """By name."""
        return trainable(self.network, self.adapter)


def save(out: Path, learning: Learning, *, standing: Standing, identity: Identity) -> None:
    """Write a checkpoint whole.

    Raises:
        StorageError: disk full or folder read-only; earlier checkpoints are untouched.
    """
    folder = checkpoint_folder(out, standing.step)
    writing = folder.with_name(f".{folder.name}.writing")
    try:
        shutil.rmtree(writing, ignore_errors=True)
        writing.mkdir(parents=True)
        save_weights(learning.network, writing, identity.recipe, learning.adapter)
        save_file(_moments(learning), writing / OPTIMIZER)
        files = {path.name: file_digest(path) for path in sorted(writing.iterdir())}
        saved = _Saved(identity=identity, standing=standing, files=files)
        write_whole(writing / "state.json", saved.model_dump_json(indent=1))
        for path in (*writing.iterdir(), writing):
            _flush(path)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(writing, folder)
        _flush(folder.parent)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(writing, ignore_errors=True)
        raise _storage(error, folder) from error


def last_step(out: Path) -> int:
    """Of the last checkpoint; 0 = there is none."""
    return max(_steps(out), default=0)


def resume(out: Path, learning: Learning, identity: Identity, *, at: int) -> Standing | None:
    """Continue from a checkpoint: weights and optimiser are put back. None where there is no checkpoint.

    Args:
        at: the step from which trainings side by side go on together; where this one cannot, it goes on from its last.

    Raises:
        TrainingError: the checkpoint is of other data, another recipe, base model or library version, or it is damaged.
    """
    if not _steps(out):
        return None
    folder = checkpoint_folder(out, at)
    if not (folder / OPTIMIZER).is_file():
        folder = checkpoint_folder(out, last_step(out))
    saved = _read(folder)
    refuse_other(saved.identity, identity, folder)
    for name, wanted in saved.files.items():
        if not (folder / name).is_file() or file_digest(folder / name) != wanted:
            raise TrainingError(
                f"{name} is missing or not as it was written",
                next=f"delete {folder.parent} to start this training again",
                where=str(folder),
            )
    load_weights(learning.network, folder, identity.recipe, learning.adapter)
    _load_moments(learning, folder)
    return saved.standing


def write_score(out: Path, step: int, score: DevScore | None) -> None:
    """Keep the development score of a checkpoint; None = could not be measured."""
    write_whole(checkpoint_folder(out, step) / "score.json", json.dumps(score))


def read_score(out: Path, step: int) -> tuple[bool, DevScore | None]:
    """(has it been scored, the score)."""
    path = checkpoint_folder(out, step) / "score.json"
    if not path.is_file():
        return False, None
    score = json.loads(path.read_text(encoding="utf-8"))
    return True, None if score is None else DevScore(*score)


def prune(out: Path, keep: Collection[int], *, last: int) -> None:
    """Remove checkpoints that can no longer be chosen, and the optimiser state of all but the last.

    Args:
        last: the step at which the training stands. Later ones were written before a kill, by a training that has gone
            on from here since: they come again.
    """
    for step in _steps(out):
        folder = checkpoint_folder(out, step)
        if step not in keep and step != last:
            doomed = folder.with_name(f".{folder.name}.removed")  # renamed first: never a half checkpoint
            shutil.rmtree(doomed, ignore_errors=True)
            os.replace(folder, doomed)
            shutil.rmtree(doomed)
        elif step != last:
            (folder / OPTIMIZER).unlink(missing_ok=True)


def refuse_other(saved: Identity, now: Identity, folder: Path) -> None:
    """Raises TrainingError naming what differs between the training that was begun and the one asked for."""
    if saved == now:
        return
    old, new = _flat(saved), _flat(now)
    changed = [f"{key}: {old.get(key)} → {new.get(key)}" for key in sorted(old | new) if old.get(key) != new.get(key)]
    raise TrainingError(
        f"this folder holds another training; changed: {'; '.join(changed)}",
        why="continuing would mix two trainings",
        next="give another folder, or delete this one to start again",
        where=str(folder),
    )


def _flat(identity: Identity) -> dict[str, str]:
    record = identity.model_dump(mode="json")
    nested = {f"{key}.{name}": str(value) for key in ("recipe", "versions") for name, value in record[key].items()}
    return {**nested, "data": identity.data, "base": identity.base}


def _read(folder: Path) -> _Saved:
    try:
        return _Saved.model_validate_json((folder / "state.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise TrainingError(
            "the checkpoint's state.json is missing or cannot be read",
            why=str(error).splitlines()[0],
            next=f"delete {folder.parent} to start this training again",
            where=str(folder),
        ) from error


def _steps(out: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("checkpoint-")) for path in (out / "checkpoints").glob("checkpoint-*"))


def _moments(learning: Learning) -> dict[str, torch.Tensor]:
    held = {"empty": torch.zeros(0)}  # step 0: AdamW has no state yet, and the file must exist all the same
    state = learning.optimizer.state
    for name, weight in learning.weights.items():
        for moment, value in state[weight].items() if weight in state else ():
            held[f"{name}.{moment}"] = value.detach().cpu().contiguous()
    return held


def _load_moments(learning: Learning, folder: Path) -> None:
    if not (folder / OPTIMIZER).is_file():
        raise TrainingError(f"{OPTIMIZER} is missing", next=f"delete {folder.parent} to start again", where=str(folder))
    held = load_file(folder / OPTIMIZER)
    del held["empty"]
    if not held:
        return
    weights = learning.weights
    wanted = {
        f"{name}.{moment}": torch.zeros(()) if moment == "step" else weight
        for name, weight in weights.items()
        for moment in MOMENTS
    }
    check_names(held, wanted, folder)
    for name, weight in weights.items():
        learning.optimizer.state[weight] = {
            moment: held[f"{name}.{moment}"].to(weight.device).clone() for moment in MOMENTS
        }


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _storage(error: OSError | SafetensorError, folder: Path) -> StorageError:
    if isinstance(error, OSError):
        return storage_error(error, folder)
    return StorageError(
        f"cannot write the weights: {error}",
        next="free some space, then run the same command again: it continues",
        where=str(folder),
    )
