"""config.json → the dimensions of a decoder-only transformer: what memory and hours are worked out from.

Known families: Llama, Mistral, Mixtral, Qwen 2 and 3 (dense and MoE), Gemma 1 to 3, Phi 1 to 4, GPT-NeoX. The number of
parameters is checked in tests against transformers' own classes, and for known models against the published totals.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tuneworthy.errors import DataError, Problem
from tuneworthy.plan.records import Architecture


class Family(NamedTuple):
    """What the config.json of a family leaves unsaid, because its code fixes it."""

    gated: bool = True
    """gate, up and down matrices instead of up and down"""
    norms: int = 2
    """normalisations per block, each of the hidden width"""
    norm_bias: bool = False
    query_key_norm: bool = False
    qkv_bias: bool | None = False
    """None: as `attention_bias` says"""
    output_bias: bool | None = False
    mlp_bias: bool | None = False
    head_bias: bool = False
    tied: bool = False
    """when the file does not say"""
    head_dim: int | None = None
    """when the file does not say; None = hidden / heads"""


FAMILIES: dict[str, Family] = {
    "llama": Family(qkv_bias=None, output_bias=None, mlp_bias=None),
    "mistral": Family(),
    "mixtral": Family(),
    "qwen2": Family(qkv_bias=True),
    "qwen2_moe": Family(qkv_bias=True),
    "qwen3": Family(query_key_norm=True, qkv_bias=None, output_bias=None),
    "qwen3_moe": Family(query_key_norm=True, qkv_bias=None, output_bias=None),
    "gemma": Family(tied=True, qkv_bias=None, output_bias=None, head_dim=256),
    "gemma2": Family(tied=True, norms=4, qkv_bias=None, output_bias=None, head_dim=256),
    "gemma3_text": Family(tied=True, norms=4, query_key_norm=True, qkv_bias=None, output_bias=None, head_dim=256),
    "phi": Family(gated=False, norms=1, norm_bias=True, qkv_bias=True, output_bias=True, mlp_bias=True, head_bias=True),
    "phi3": Family(),
    "gpt_neox": Family(gated=False, norm_bias=True, qkv_bias=True, output_bias=True, mlp_bias=True),
}

_MOST = {
    "hidden_size": 2**17,
    "num_hidden_layers": 2**10,
    "intermediate_size": 2**20,
    "num_attention_heads": 2**12,
    "num_key_value_heads": 2**12,
    "head_dim": 2**14,
    "vocab_size": 2**24,
    "max_position_embeddings": 2**30,
    "experts": 2**14,
    "experts_per_token": 2**14,
}
"""Larger than any model there is; beyond them a file is broken."""
_NEEDED = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "max_position_embeddings")


@dataclass
class _Reading:
    """A config.json being read: every mistake is collected before anything is refused."""

    held: Mapping[str, Any]
    problems: list[Problem] = field(default_factory=list)

    def integer(self, *names: str, default: int | None = None, limit: str = "") -> int:
        """The first of these keys that is there; 1 where it is wrong, and the mistake is noted."""
        name = next((name for name in names if self.held.get(name) is not None), None)
        if name is None:
            if default is None:
                self.problems.append(Problem(names[0], "", "is missing"))
            return default if default is not None else 1
        value, most = self.held[name], _MOST[limit or names[0]]
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            self.problems.append(Problem(name, repr(value)[:60], f"is not a whole number from 1 to {most:,}"))
            return 1
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self.held.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.problems.append(Problem(name, repr(value)[:60], "is neither true nor false"))
            return default
        return value

    def stated(self, fixed: bool | None, name: str) -> bool:
        """A property that the family fixes, or that this file states (and else has not)."""
        return self.flag(name, False) if fixed is None else fixed


def read_config(path: Path) -> Architecture:
    """The architecture in a config.json, or in a folder that holds one.

    Raises:
        DataError: no such file, no JSON object, an unknown architecture, or fields missing or absurd; all named.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        held = json.loads(file.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"the model's config.json cannot be read: {error}",
            [],
            next="copy the file again; the plan needs it to know the model's dimensions",
            where=str(file),
        ) from None
    return parse_config(held, source=str(file))


def parse_config(held: Any, *, source: str) -> Architecture:
    """The architecture in the content of a config.json.

    Raises:
        DataError: as `read_config`.
    """
    if not isinstance(held, Mapping):
        raise DataError("the model's config.json is not a JSON object", [], next="copy the file again", where=source)
    if isinstance(held.get("text_config"), Mapping):  # a model with pictures: only what writes text is tuned here
        held = {**held["text_config"], "model_type": held["text_config"].get("model_type", held.get("model_type"))}
    name = held.get("model_type")
    family = FAMILIES.get(name) if isinstance(name, str) else None
    if family is None:
        raise DataError(
            "the model's architecture is not known here",
            [Problem("model_type", repr(name)[:60], f"known: {', '.join(FAMILIES)}")],
            next="memory and hours stay `not measured`; `tuneworthy plan --calibrate` measures hours without them",
            where=source,
        )
    reading = _Reading(held)
    found = _dimensions(reading, str(name), family, source)
    if reading.problems:
        raise DataError(
            f"the model's config.json has {len(reading.problems)} field"
            f"{'s' * (len(reading.problems) > 1)} that cannot be used",
            reading.problems,
            next="copy the file again from where the model comes from",
            where=source,
        )
    return found


def _dimensions(reading: _Reading, name: str, family: Family, source: str) -> Architecture:
    hidden, layers, heads, vocabulary, context = (reading.integer(key) for key in _NEEDED)
    kv_heads = reading.integer("num_key_value_heads", default=heads)
    if heads % kv_heads:
        reading.problems.append(Problem("num_key_value_heads", str(kv_heads), f"does not divide {heads} heads"))
    head_dim = reading.integer("head_dim", default=family.head_dim or _head_dim(reading, hidden, heads))
    experts = (
        reading.integer("num_local_experts", "num_experts", default=0, limit="experts")
        if "moe" in name or (name == "mixtral")
        else 0
    )
    per_token = reading.integer("num_experts_per_tok", default=2, limit="experts_per_token") if experts else 0
    if per_token > experts:
        reading.problems.append(Problem("num_experts_per_tok", str(per_token), f"is more than {experts} experts"))
    wide = ("moe_intermediate_size", "intermediate_size") if experts else ("intermediate_size",)
    intermediate = reading.integer(*wide, limit="intermediate_size")
    shared = 0
    if name == "qwen2_moe":
        shared = reading.integer("shared_expert_intermediate_size", limit="intermediate_size")
    tied = reading.flag("tie_word_embeddings", family.tied)
    block = _Block(
        hidden=hidden,
        query=heads * head_dim,
        key_value=kv_heads * head_dim,
        intermediate=intermediate,
        experts=experts,
        shared=shared,
        family=family,
        qkv_bias=reading.stated(family.qkv_bias, "attention_bias"),
        output_bias=reading.stated(family.output_bias, "attention_bias"),
        mlp_bias=reading.stated(family.mlp_bias, "mlp_bias"),
        head_dim=head_dim,
    )
    outside = vocabulary * hidden * (1 if tied else 2) + hidden * (2 if family.norm_bias else 1)
    outside += vocabulary if family.head_bias else 0
    return Architecture(
        model_type=name,
        layers=layers,
        hidden=hidden,
        intermediate=intermediate,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        vocabulary=vocabulary,
        context=context,
        tied=tied,
        gated_mlp=family.gated,
        experts=experts,
        experts_per_token=per_token,
        linear=layers * block.linear(experts or 1),
        lora_width=layers * block.lora_width,
        parameters=layers * block.parameters(experts or 1) + outside,
        active=layers * block.parameters(per_token or 1) + outside,
        source=source,
    )


def _head_dim(reading: _Reading, hidden: int, heads: int) -> int:
    if hidden % heads and "head_dim" not in reading.held:
        reading.problems.append(Problem("num_attention_heads", str(heads), f"does not divide hidden_size {hidden}"))
    return max(1, hidden // heads)


@dataclass(frozen=True)
class _Block:
    """One layer: its matrices, and what stands beside them."""

    hidden: int
    query: int
    key_value: int
    intermediate: int
    experts: int
    shared: int
    family: Family
    qkv_bias: bool
    output_bias: bool
    mlp_bias: bool
    head_dim: int

    @property
    def _attention(self) -> int:
        return self.hidden * (2 * self.query + 2 * self.key_value)

    @property
    def _matrices(self) -> int:
        """Matrices of an MLP."""
        return 3 if self.family.gated else 2

    def linear(self, experts: int) -> int:
        """Weights in matrices, with this many experts counted; quantisation applies to them."""
        mlp = experts * self._matrices * self.hidden * self.intermediate
        return self._attention + mlp + self._matrices * self.hidden * self.shared

    def parameters(self, experts: int) -> int:
        """All weights of the layer, with this many experts counted."""
        norms = self.family.norms * self.hidden * (2 if self.family.norm_bias else 1)
        norms += 2 * self.head_dim if self.family.query_key_norm else 0
        biases = (self.query + 2 * self.key_value if self.qkv_bias else 0) + (self.hidden if self.output_bias else 0)
        if self.mlp_bias:
            biases += (self._matrices - 1) * self.intermediate + self.hidden
        router = self.hidden * self.experts + (self.hidden if self.shared else 0)
        return self.linear(experts) + norms + biases + router

    @property
    def lora_width(self) -> int:
        """Inputs plus outputs of the matrices that LoRA is put on: attention, and the MLP that every token passes;
        not the experts, which transformers 5 keeps in one tensor."""
        attention = 2 * (self.hidden + self.query) + 2 * (self.hidden + self.key_value)
        width = self.shared if self.experts else self.intermediate
        return attention + (self._matrices * (self.hidden + width) if width else 0)
