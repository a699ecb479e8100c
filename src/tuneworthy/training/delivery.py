"""What a finished training leaves: a standard folder that others load, and a record of how it came about."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from tuneworthy.content import storage_error, write_whole
from tuneworthy.errors import TrainingError
from tuneworthy.models.local.files import ADAPTER_FILES, weights_digest
from tuneworthy.records import Record
from tuneworthy.training.checkpoints import OWN_FILES, Identity, Standing, checkpoint_folder, refuse_other
from tuneworthy.training.choice import Point
from tuneworthy.training.network import Base
from tuneworthy.training.recipe import Recipe
from tuneworthy.training.tokens import LossReport

Stopped = Literal["finished", "share", "patience", "perfect", "diverged", "learned"]
"""all steps done · the asked share done · no better score for `patience` checkpoints · a development
score of 1, which no later checkpoint can beat · loss above twice the first ·
loss exactly 0, so nothing is left to learn"""


class Trained(Record):
    """A training that has ended."""

    folder: str
    """PEFT folder (full tuning: model folder), as given"""
    weights: str
    """digest of the configuration and weights in it"""
    base: str
    """name of the base model"""
    identity: Identity
    report: LossReport
    history: tuple[Point, ...]
    """every checkpoint with its scores"""
    losses: tuple[float, ...]
    """mean loss per trained token of every step, in nats"""
    chosen: Point
    why: str
    """why this checkpoint"""
    stopped: Stopped
    share: float
    """share of the planned steps that was asked for"""
    steps: int
    planned_steps: int
    tokens: int
    """tokens trained on, padding not counted"""
    trained_tokens: int
    seconds: float
    """in steps and scoring, interruptions not counted"""
    peak_memory_bytes: int
    prefix: int = 0
    """tokens that all rows begin with and that were computed once a step"""
    sharing: str = ""
    """why so many, and what rows computed both ways showed"""
    micro_batch: int | None = None
    """longest forward pass in tokens: the recipe's, or smaller where that did not fit into memory"""

    @property
    def recipe(self) -> Recipe:
        """The settings it was trained with."""
        return self.identity.recipe


def delivered(out: Path, identity: Identity, share: float) -> Trained | None:
    """The finished training in this folder; None where there is none, or more of it is asked for.

    Raises:
        TrainingError: the folder holds another training, or its weights were changed afterwards.
    """
    path = out / "training.json"
    if not path.is_file():
        return None
    try:
        done = Trained.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise TrainingError(
            "training.json cannot be read",
            why=str(error).splitlines()[0],
            next=f"delete {out}",
            where=str(path),
        ) from error
    refuse_other(done.identity, identity, out)
    if done.stopped == "share" and share > done.share:
        return None
    if weights_digest(out) != done.weights:
        raise TrainingError(
            "the weights are not those that were trained", next=f"delete {out} to train again", where=str(out)
        )
    return done.model_copy(update={"folder": str(out)})  # the project may have been copied or moved since


def deliver(
    out: Path,
    base: Base,
    report: LossReport,
    identity: Identity,
    standing: Standing,
    *,
    chosen: Point,
    why: str,
    stopped: Stopped,
    share: float,
    planned_steps: int,
    peak_memory_bytes: int,
) -> Trained:
    """Put the chosen weights, the tokenizer with its chat template and a model card into `out`.

    training.json is written last and says that the rest is complete. Checkpoints go, unless training can continue.

    Raises:
        StorageError: the disk is full or read-only.
    """
    try:
        _copy_weights(checkpoint_folder(out, chosen.step), out)
        base.tokenizer.save_pretrained(out)
    except OSError as error:
        raise storage_error(error, out) from error
    done = Trained(
        folder=str(out),
        weights=weights_digest(out),
        base=base.name,
        identity=identity,
        report=report,
        history=standing.points,
        losses=standing.losses,
        chosen=chosen,
        why=why,
        stopped=stopped,
        share=share,
        steps=standing.step,
        planned_steps=planned_steps,
        tokens=standing.tokens,
        trained_tokens=standing.trained_tokens,
        seconds=standing.seconds,
        peak_memory_bytes=peak_memory_bytes,
        prefix=standing.prefix or 0,
        sharing=standing.sharing,
        micro_batch=standing.micro_batch or identity.recipe.micro_batch,
    )
    write_whole(out / "README.md", _card(done))
    write_whole(out / "training.json", done.model_dump_json(indent=1))
    if stopped != "share":
        shutil.rmtree(out / "checkpoints")
    return done


def weaken(folder: Path, scale: float) -> Path:
    """The adapter at `scale` times its strength, as a folder of its own that plain peft loads; at 1 the folder itself.

    LoRA adds alpha / r · B·A to a weight, so scaling alpha scales the adapter.

    Raises:
        StorageError: the disk is full or read-only.
    """
    if scale == 1.0:
        return folder
    out = folder.with_name(f"{folder.name}-scale-{scale:g}")
    try:
        out.mkdir(exist_ok=True)
        for source in folder.iterdir():
            if source.is_file() and source.name not in (ADAPTER_FILES[0], "training.json"):
                shutil.copyfile(source, out / source.name)
        settings = json.loads((folder / ADAPTER_FILES[0]).read_text(encoding="utf-8"))
    except OSError as error:
        raise storage_error(error, out) from error
    settings["lora_alpha"] *= scale
    write_whole(out / ADAPTER_FILES[0], json.dumps(settings, indent=2, sort_keys=True) + "\n")
    return out


def _copy_weights(checkpoint: Path, out: Path) -> None:
    for source in checkpoint.iterdir():
        if source.name not in OWN_FILES:
            writing = out / f".{source.name}.writing"
            shutil.copyfile(source, writing)
            os.replace(writing, out / source.name)


def _card(done: Trained) -> str:
    recipe, chosen = done.recipe, done.chosen
    lora = recipe.method == "lora"
    score = "not measured" if chosen.dev is None else f"{chosen.dev:.3f} ± {chosen.standard_error or 0.0:.3f} (SE)"
    kind = f"LoRA, rank {recipe.r}, alpha {recipe.alpha:g}, all linear layers" if lora else "full fine-tuning"
    load = (
        "from peft import PeftModel\n"
        f'model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("{done.base}"), FOLDER)'
        if lora
        else "model = AutoModelForCausalLM.from_pretrained(FOLDER)"
    )
    versions = ", ".join(f"{name} {version}" for name, version in sorted(done.identity.versions.items()))
    header = f"---\nbase_model: {done.base}\n" + ("library_name: peft\n" if lora else "library_name: transformers\n")
    return f"""{header}tags: [tuneworthy]
---
# {"Adapter" if lora else "Model"} for {done.base}

| | |
|---|---|
| method | {kind} |
| learning rate, batch, epochs | {recipe.learning_rate:g}, {recipe.batch_size} rows, {recipe.epochs:g} |
| seed | {recipe.seed} |
| data | {done.report.rows:,} rows, {done.report.trained_tokens:,} trained tokens, digest `{done.identity.data[:16]}` |
| checkpoint | step {chosen.step} of {done.planned_steps}: {done.why} |
| development score | {score} |
| shared beginning | {done.sharing} |
| versions | {versions} |

```python
from transformers import AutoModelForCausalLM
{load}
```

Made by Tuneworthy; `training.json` holds every setting and the history. A development score is no evidence that
tuning is worthwhile: the comparison on the locked cases is.
"""
