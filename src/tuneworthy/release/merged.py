"""The weights of a release as one model folder that plain transformers loads: base and adapter added up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuneworthy.content import storage_error
from tuneworthy.errors import GateRefused
from tuneworthy.models.local.adapters import Adapters, adapter_at
from tuneworthy.models.local.files import silent_transformers
from tuneworthy.models.local.model import read_network
from tuneworthy.release.package import Release
from tuneworthy.seams import Tunable

_TIED = ("embed_tokens", "lm_head")


def write(release: Release, base: Tunable, folder: Path) -> None:
    """Write config.json, safetensors, tokenizer and chat template.

    The weights keep the precision in which the release was measured: rounding them further is another model.

    Raises:
        GateRefused: the adapter changes embeddings that the base shares with its head, so a merge would change both.
        ModelError: the adapter does not fit. StorageError: the disk is full or read-only.
    """
    from transformers import AutoTokenizer

    network = whole(release, base)
    try:
        with silent_transformers():
            network.save_pretrained(folder)
            AutoTokenizer.from_pretrained(base.folder, local_files_only=True).save_pretrained(folder)
    except OSError as error:
        raise storage_error(error, folder) from error


def whole(release: Release, base: Tunable) -> Any:
    """The transformers model that answers as the release does, without peft. `base` is left as it is."""
    candidate, precision = release.manifest.candidate, base.network.dtype  # type: ignore[attr-defined]
    if candidate.tuned is not None:
        return read_network(release.folder / candidate.tuned.path, precision)
    network = read_network(base.folder, precision)
    if candidate.adapter is None:
        return network
    adapter = adapter_at(release.folder / candidate.adapter.path, candidate.adapter.scale)
    peft = Adapters(network).beside(adapter)
    changed = [name for name in peft.targeted_module_names if name.endswith(_TIED)]
    if changed and network.config.tie_word_embeddings:
        raise GateRefused(
            f"the adapter changes {changed[0]}, which the base model shares with its other end",
            why="merged, both ends would change, and only one was trained",
            next="serve base and adapter apart: tuneworthy release deploy",
        )
    return peft.merge_and_unload(safe_merge=True)
