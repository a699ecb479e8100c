"""Models loaded here with transformers: CPU or CUDA, safetensors only, one renderer for every prompt.

Opening imports torch; looking at the files does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tuneworthy.models.local.files import resolve, weights_bytes
from tuneworthy.usecase import Hardware, ModelChoice

if TYPE_CHECKING:
    from tuneworthy.models.local.model import LocalModel

__all__ = ["open_local", "resolve", "weights_bytes"]


def open_local(choice: ModelChoice, *, hardware: Hardware, folder: Path) -> LocalModel:
    """Load the base model of a use case.

    Raises:
        ModelError: the folder lacks a file, has no chat template, or cannot be loaded.
        UnsafeModel: pickle weights or code from elsewhere.
    """
    from tuneworthy.models.local.model import load

    return load(choice, resolve(choice, folder), hardware.device)
