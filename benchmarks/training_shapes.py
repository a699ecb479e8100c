"""What the training race runs on: random models of stated shapes, rows of random tokens, and what a token costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tuneworthy.training.batches import EncodedRow, step_rows
from tuneworthy.training.network import Base
from tuneworthy.training.recipe import Recipe
from tuneworthy.training.tokens import Encoded, LossReport

BATCH, OWN, ANSWER = 16, 64, 8
"""rows of a step; tokens of a row's own part in the mean (uniform from half to one and a half of it); of its answer"""


@dataclass(frozen=True)
class Shape:
    """A Llama-like model."""

    width: int
    layers: int
    vocabulary: int
    heads: int
    inner: int
    groups: int
    """heads of keys and values"""

    @property
    def block_weights(self) -> int:
        """In all blocks: attention and MLP."""
        attention = self.width * self.width * (2 + 2 * self.groups / self.heads)
        return int(self.layers * (attention + 3 * self.width * self.inner))

    def lora_weights(self, rank: int) -> int:
        """Of LoRA on all linear layers."""
        narrow = self.width * self.groups // self.heads
        ends = 2 * (self.width + self.width) + 2 * (self.width + narrow) + 3 * (self.width + self.inner)
        return self.layers * rank * ends

    def flops_per_token(self, rank: int, length: float) -> float:
        """LoRA on one token in a row of this length: 4 N + 6 N_lora, and attention about three times its forward pass
        (performance page, section 2). The head runs on answers only and is left out."""
        attention = 3 * 4 * (length / 2) * self.width * self.layers
        return 4 * self.block_weights + 6 * self.lora_weights(rank) + attention


SHAPES = {
    "tiny": Shape(width=64, layers=2, vocabulary=512, heads=4, inner=172, groups=4),
    "C6M": Shape(width=256, layers=8, vocabulary=8192, heads=4, inner=683, groups=4),
    "0.5B": Shape(width=896, layers=24, vocabulary=151_936, heads=14, inner=4864, groups=2),
    "8B": Shape(width=4096, layers=32, vocabulary=128_256, heads=32, inner=14_336, groups=8),
}


@dataclass(frozen=True)
class Work:
    """One cell of the table: so many rows that begin with the same tokens."""

    name: str
    prefix: int
    own: int
    steps: int
    runs: int = 1
    shape: str = "C6M"

    def recipes(self, precision: str) -> list[Recipe]:
        """Rates x seeds where there are several runs. No warm-up: the two schedules count it differently."""
        rates = (1e-3, 2e-3, 3e-3, 5e-3)[: max(1, self.runs // 3)]
        return [
            Recipe(
                learning_rate=rate,
                seed=seed,
                epochs=1,
                batch_size=BATCH,
                warmup=0.0,
                checkpoint_every=1,
                max_length=4096,
                precision="bf16" if precision == "bf16" else "fp32",
            )
            for rate in rates
            for seed in range(min(3, self.runs))
        ]

    def rows(self) -> list[EncodedRow]:
        """The same ones every time."""
        draw = np.random.default_rng(7)
        vocabulary = SHAPES[self.shape].vocabulary
        first = draw.integers(vocabulary, size=self.prefix).tolist()
        made = []
        for number in range(self.steps * BATCH):
            own = int(draw.integers(self.own // 2, self.own * 3 // 2 + 1))
            ids = (*first, *draw.integers(vocabulary, size=own + ANSWER).tolist())
            made.append(EncodedRow(f"row-{number}", ids, (False,) * (len(ids) - ANSWER) + (True,) * ANSWER))
        return made

    def encoded(self) -> Encoded:
        """As `tokens.encode` would give them."""
        rows = self.rows()
        report = LossReport(
            rows=len(rows),
            answers=len(rows),
            tokens=sum(len(row.ids) for row in rows),
            trained_tokens=ANSWER * len(rows),
            stops_trained=0,
            stop_tokens=(),
            longest=max(len(row.ids) for row in rows),
        )
        return Encoded(tuple(rows), report, frozenset())

    def in_order(self, seed: int) -> list[EncodedRow]:
        """The rows as the steps take them."""
        rows = self.rows()
        order = [n for step in range(self.steps) for n in step_rows(len(rows), step=step, batch_size=BATCH, seed=seed)]
        return [rows[number] for number in order]

    @property
    def tokens(self) -> int:
        """Logical tokens of all runs: no padding, every row whole."""
        return self.runs * sum(len(row.ids) for row in self.rows())


def random_base(shape: Shape, device: str, precision: str) -> Base:
    """Made on the fly; weights drawn, seed 0."""
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.groups,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    torch.manual_seed(0)
    with torch.device(device):
        network = LlamaForCausalLM(config).to(kind).eval()
    words = {name: number for number, name in enumerate(("<s>", "</s>", "<pad>", "a"))}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="a")),
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
    )
    return Base(network, tokenizer, "random", f"{shape}")


def peak_gflops(device: str, precision: str) -> float:
    """Of a large product of matrices, best of five: what this machine reaches now, with these threads."""
    import time

    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    size = 8192 if device == "cuda" else 1024
    left = torch.randn(size, size, device=device, dtype=kind)
    best = float("inf")
    for _ in range(6):
        began = time.perf_counter()
        product = left @ left
        float(product[0, 0])  # waits for the device
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e9
