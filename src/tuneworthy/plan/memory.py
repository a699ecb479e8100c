"""How much memory a model takes to answer and to be tuned. Bytes; GiB = 2**30.

    peak = max(weights + optimizer + stored activations + logits or one recomputed layer,   # the backward pass begins
               weights + optimizer + gradients + one layer)                                 # it ends
    what the machine must have = peak × fragmentation + CUDA context

What a layer keeps for the backward pass was counted, tensor by tensor, with torch's saved-tensor hooks on transformers
5.24 (a test counts it again); for compiled stacks it follows from which of these tensors a fused kernel needs. Nothing
in here was fitted to a published measurement; `memory_points` holds the formulas to those.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from tuneworthy.plan.hardware import Device
from tuneworthy.plan.records import Architecture, Figure, Memory, Method, Need, Part, Refusal, estimate, total

GIB = 2.0**30
CONTEXT_GIB = (0.15, 0.6, 1.5)
"""CUDA context and library workspaces: least (T4, fitcheck-llm 2026-09), usual, most (evidence/operations, 6.4)"""
FRAGMENTATION = (1.02, 1.10, 1.25)
"""memory reserved over memory in use: usual 5–10 % (evidence/operations, 6.4); up to 1.31 on a T4 (fitcheck-llm)"""
CHUNKS = 8
"""pieces of a chunked cross-entropy (torchtune's default)"""
_EAGER_PEAK, _EAGER_KEPT = 16, 6
"""bytes per attention score without a fused kernel: softmax in fp32 (4) and its 16-bit copy (2) are kept; the backward
pass of a layer adds their gradients (4 + 2) and those of the scores (4)"""

Stack = Literal["tuneworthy", "transformers", "compiled"]
"""`tuneworthy`: this package's loop; `transformers`: Trainer and peft; `compiled`: fused kernels in bf16 (torchtune)"""
Weights = Literal["fp32", "bf16", "int8", "nf4", "nf4_double"]
"""nf4_double: the scales are quantised, too"""


@dataclass(frozen=True)
class Setup:
    """How a model is loaded and tuned: everything that memory depends on, besides the model."""

    method: Method
    batch: int = 1
    """rows in one forward pass on one GPU"""
    length: int = 1024
    """tokens of a row"""
    gpus: int = 1
    """fully sharded (FSDP) over this many"""
    stack: Stack = "tuneworthy"
    weights: Weights = "bf16"
    optimizer: Literal["adamw", "adamw_8bit", "paged_8bit", "offloaded"] = "adamw"
    """paged: its states lie in the machine's memory; offloaded: weights, gradients and states do"""
    step_in_backward: bool = False
    """each gradient is used and freed as soon as it is there"""
    recompute: bool = False
    """activations are computed again in the backward pass (gradient checkpointing)"""
    offload_activations: bool = False
    attention: Literal["fused", "eager"] = "fused"
    logits: Literal["all", "chunked", "answers"] = "answers"
    """answers: only at positions that carry loss, as this package's loop does"""
    answer_share: float = 0.25
    """share of the positions that carry loss"""
    rank: int = 16
    adapted: Literal["all", "attention"] = "all"
    """matrices that LoRA is put on"""
    rest_bytes: int = 2
    """bytes per weight that is not quantised: embeddings, head, norms (peft casts them to fp32: 4)"""

    @property
    def tokens(self) -> int:
        """In one forward pass on one GPU."""
        return self.batch * self.length


@dataclass(frozen=True)
class Demand:
    """Bytes on one GPU, by what they are for."""

    weights: float
    adapters: float
    gradients: float
    optimizer: float
    activations: float
    logits: float
    gathered: float
    peak: float
    """the largest sum at any one time: less than all of the above, since they are not all there at once"""

    @property
    def process(self) -> tuple[float, float, float]:
        """What the device must have, with fragmentation and context: least, usual, most."""
        least, usual, most = (
            self.peak * share + context * GIB for share, context in zip(FRAGMENTATION, CONTEXT_GIB, strict=True)
        )
        return least, usual, most


def demand(model: Architecture, setup: Setup) -> Demand:
    """Bytes that one GPU needs to tune (or, with the method `inference`, to answer) this way."""
    if setup.method == "inference":
        return _answering(model, setup)
    return _tuning(model, setup)


def figure(model: Architecture, setup: Setup) -> Figure:
    """GiB that one GPU must have."""
    low, usual, high = (value / GIB for value in demand(model, setup).process)
    return estimate(usual, "GiB", SOURCE, low=low, high=high)


SOURCE = (
    "weights, gradients, optimizer, activations, logits, fragmentation and context worked out from config.json "
    "(docs/guides/plan.md shows the error on published measurements)"
)


def parts(model: Architecture, setup: Setup) -> tuple[Part, ...]:
    """The same by what it is for, GiB."""
    found = demand(model, setup)
    names = ("weights", "adapters", "gradients", "optimizer", "activations", "logits", "gathered")
    listed = [(name, getattr(found, name)) for name in names]
    listed.append(("fragmentation and context", found.process[1] - found.peak))
    return tuple(Part(name=name, gib=round(value / GIB, 3)) for name, value in listed if value > 0)


def adapter_parameters(model: Architecture, setup: Setup) -> int:
    """Weights of a LoRA adapter: rank × (inputs + outputs) of every adapted matrix."""
    if setup.method not in ("lora", "qlora"):
        return 0
    if setup.adapted == "all":
        return setup.rank * model.lora_width
    query, key_value = model.heads * model.head_dim, model.kv_heads * model.head_dim
    return setup.rank * model.layers * (2 * (model.hidden + query) + 2 * (model.hidden + key_value))


def fit(model: Architecture, setup: Setup, gib: float) -> Setup | None:
    """The setup with the largest batch up to 32 that fits into a GPU of this size by the usual value of the estimate,
    recomputing where it must; None when not even one row does. Rows are never planned shorter: nothing is cut."""
    for recompute in (setup.recompute, True):
        for batch in (32, 16, 8, 4, 2, 1):
            tried = replace(setup, batch=batch, recompute=recompute)
            if demand(model, tried).process[1] <= gib * GIB:
                return tried
    return None


# --- the section of a plan ------------------------------------------------------------------------

_HOW = {
    "adamw": {"fp32": "fp32 weights and AdamW, 16-bit arithmetic", "bf16": "bf16 weights and AdamW"},
    "adamw_8bit": {"bf16": "bf16 weights, 8-bit AdamW"},
}


def section(
    model: Architecture, device: Device, planned: Method, length: int, *, answer_share: float, here: bool = False
) -> Memory:
    """What each method needs on the device, and whether the planned one fits.

    Args:
        length: tokens of the longest row; it is never cut.
        answer_share: share of the tokens that carry loss.
        here: the device is this machine's, so that only what this package's own loop needs counts.
    """
    room = device.memory.value or 0.0
    needs = tuple(_needs(model, device, room, length, answer_share))
    run = for_run(model, gpus=device.gpus, length=length, answer_share=answer_share)
    need = next((need for need in needs if need.method == planned), None)
    return Memory(
        device=device.name,
        capacity=device.memory,
        gpus=device.gpus,
        needs=needs,
        run=run,
        refusals=tuple(_refusals(need, run, device, planned, here=here)),
        warnings=tuple(_warnings(need, run, device, planned, here=here)),
    )


def _needs(model: Architecture, device: Device, room: float, length: int, share: float) -> Iterator[Need]:
    for method in get_args(Method):
        setups = list(_setups(method, device, length, share))
        if not setups:
            continue
        found = [fitting for setup in setups if (fitting := fit(model, setup, room)) is not None]
        setup = found[0] if found else replace(setups[-1], batch=1, recompute=method != "inference")
        yield Need(
            method=method,
            need=figure(model, setup),
            parts=parts(model, setup),
            batch=setup.batch if found else 0,
            length=length,
            how=_how(setup),
            fits=bool(found),
        )


def _setups(method: Method, device: Device, length: int, share: float) -> Iterator[Setup]:
    """Ways to load and tune, the most faithful first."""
    on_cpu = device.gpus == 0
    base = Setup(
        method=method, length=length, gpus=max(1, device.gpus), weights="fp32" if on_cpu else "bf16", answer_share=share
    )
    if method == "qlora":
        if not on_cpu:  # quantised kernels need a GPU
            yield replace(base, weights="nf4", rest_bytes=4, stack="transformers", logits="all", recompute=True)
        return
    if method != "full" or on_cpu:
        yield base
        return
    yield replace(base, weights="fp32")
    other = replace(base, stack="transformers", logits="all")
    yield from (replace(other, optimizer=optimizer) for optimizer in ("adamw", "adamw_8bit"))


def _how(setup: Setup) -> str:
    if setup.method == "inference":
        return "fp32" if setup.weights == "fp32" else "16 bits"
    told = {
        "lora": f"{'fp32' if setup.weights == 'fp32' else 'bf16'} base, rank {setup.rank} on every matrix",
        "qlora": f"4-bit base, rank {setup.rank} on every matrix",
    }.get(setup.method) or _HOW[setup.optimizer][setup.weights]
    return f"{told}{', activations recomputed' if setup.recompute else ''}"


def for_run(model: Architecture, *, gpus: int, length: int, answer_share: float = 0.25) -> Figure:
    """GiB that `tuneworthy run` takes: LoRA without recomputing, beside a second copy of the base that answers."""
    weights: Weights = "bf16" if gpus else "fp32"
    answers = figure(model, Setup(method="inference", length=length, weights=weights))
    learns = figure(model, Setup(method="lora", length=length, weights=weights, answer_share=answer_share))
    return total([answers, learns], "GiB", "one copy of the model answers while the other learns")


def _refusals(need: Need | None, run: Figure, device: Device, planned: Method, *, here: bool) -> Iterator[Refusal]:
    if need is None:
        yield Refusal(gate="memory", what=f"{planned} needs a GPU", next="plan lora, or name a GPU: --what-if gpu=l4")
    elif not need.fits:
        count = f"{device.gpus} × " if device.gpus > 1 else ""
        yield Refusal(
            gate="memory",
            what=f"{planned} does not fit: {need.need.value:,.1f} GiB are needed on each of {count}{device.name}, "
            f"which has {device.memory.value:,.1f}",
            why="it would end out of memory after it was paid for",
            next="a smaller base model, qlora, or more GPUs: --what-if gpu=… gpus=…",
        )
    elif here and planned == "lora" and not _run_fits(run, device):
        yield Refusal(
            gate="memory",
            what=f"`tuneworthy run` takes {run.value:,.1f} GiB here ({run.source}); {device.name} has "
            f"{device.memory.value:,.1f}",
            why="Training alone would fit, by a trainer that recomputes activations and answers afterwards",
            next="a smaller base model, or rent a GPU: --what-if gpu=…",
        )


def _run_fits(run: Figure, device: Device) -> bool:
    return (run.value or 0.0) <= (device.memory.value or 0.0)


def _warnings(need: Need | None, run: Figure, device: Device, planned: Method, *, here: bool) -> Iterator[str]:
    if need is not None and need.fits and (need.need.high or 0.0) > (device.memory.value or 0.0):
        yield f"{planned} fits by the usual value, not by the upper end of the range ({need.need.high:,.1f} GiB)"
    if device.gpus > 1:
        yield "this package trains on one device; over several GPUs the plan is for a trainer with full sharding (FSDP)"
    if planned == "qlora":
        yield "this package trains 16-bit and 32-bit bases; a 4-bit base is planned for another trainer"
    if planned == "lora" and need is not None and need.fits and not here and not _run_fits(run, device):
        yield (
            f"`tuneworthy run` itself takes {run.value:,.1f} GiB ({run.source}, nothing recomputed) and does not fit "
            "here; the plan is for a trainer that recomputes activations and answers afterwards"
        )


# --- tuning ---------------------------------------------------------------------------------------


def _tuning(model: Architecture, setup: Setup) -> Demand:
    full = setup.method == "full"
    weights, adapters = _weights(model, setup), adapter_parameters(model, setup)
    per_adapter = 2 if setup.stack == "compiled" else 4
    learned = model.parameters if full else adapters
    per_gradient = (4 if setup.weights == "fp32" else 2) if full else per_adapter
    gradients = float(learned * per_gradient)
    states = _states(setup, learned, per_gradient)
    largest = float(model.vocabulary * model.hidden * per_gradient) if full else 0.0
    held_gradients = largest if setup.step_in_backward and full else gradients
    on_gpu = 0.0 if setup.optimizer == "offloaded" else 1.0 / setup.gpus
    kept = (weights + adapters * per_adapter + states) * on_gpu
    layer = _layer(model, setup)
    copies = 2.0 * model.linear if setup.stack == "tuneworthy" and full and setup.weights == "fp32" else 0.0
    store = (_inputs(model, setup) if setup.recompute else _kept(model, setup)) + copies
    logits = _logits(model, setup)
    gathered = _gathered(model, setup)
    first = store + max(logits + (largest if setup.step_in_backward else 0.0), layer)
    last = held_gradients * on_gpu + layer
    return Demand(
        weights=weights * on_gpu,
        adapters=adapters * per_adapter * on_gpu,
        gradients=held_gradients * on_gpu,
        optimizer=states * on_gpu,
        activations=store + (layer if setup.recompute else 0.0),
        logits=logits,
        gathered=gathered,
        peak=kept + gathered + max(first, last),
    )


def _weights(model: Architecture, setup: Setup) -> float:
    rest = model.parameters - model.linear
    per = {"fp32": 4.0, "bf16": 2.0, "int8": 1.0, "nf4": 0.5 + 4 / 64, "nf4_double": 0.5 + 1 / 64 + 4 / (64 * 256)}
    if setup.weights in ("fp32", "bf16"):
        return model.parameters * per[setup.weights]
    return model.linear * per[setup.weights] + rest * setup.rest_bytes


def _states(setup: Setup, learned: int, per_weight: int) -> float:
    """Two moments per learned weight, in the precision of the weight, or in 8 bits."""
    if setup.optimizer == "paged_8bit":
        return 0.0
    return float(learned * 2 * (1 if setup.optimizer == "adamw_8bit" else per_weight))


def _layer(model: Architecture, setup: Setup) -> float:
    """Everything that one layer keeps for its backward pass, attention scores included."""
    scores = setup.batch * model.heads * setup.length**2 if setup.attention == "eager" else 0
    return _saved(model, setup) * setup.tokens + _EAGER_PEAK * scores


def _kept(model: Architecture, setup: Setup) -> float:
    """What all layers keep, without recomputing."""
    scores = setup.batch * model.heads * setup.length**2 if setup.attention == "eager" else 0
    return model.layers * (_saved(model, setup) * setup.tokens + _EAGER_KEPT * scores)


def _inputs(model: Architecture, setup: Setup) -> float:
    """With recomputing, only the input of each layer is kept: fp32 where norms and embeddings are."""
    wide = 4 if setup.weights == "fp32" or (setup.method == "qlora" and setup.rest_bytes == 4) else 2
    return 0.0 if setup.offload_activations else float(model.layers * model.hidden * wide * setup.tokens)


def _saved(model: Architecture, setup: Setup) -> float:
    """Bytes per token that one layer keeps. h hidden, q and kv widths of queries and keys, i width of the MLP."""
    h, q = model.hidden, model.heads * model.head_dim
    kv, r = model.kv_heads * model.head_dim, setup.rank
    i = model.intermediate * max(1, model.experts_per_token) * (1.0 if model.gated_mlp else 0.5)
    full = setup.method == "full"
    if setup.stack == "compiled":  # norm inputs; keys and values at full width; gate, its activation, up
        adapted_mlp = full or setup.adapted == "all"
        return 4 * h + 8 * q + 6 * i + 2 * h + (2 * h + 2 * i if adapted_mlp else 0)
    if setup.weights == "fp32" and setup.stack == "tuneworthy" and not full:
        return 16 * h + 8 * q + 8 * kv + 16 * i + 28 * r  # counted: LoRA on a CPU
    if setup.weights == "fp32":
        return 26 * h + 4 * q + 4 * kv + 8 * i  # counted: fp32 weights under autocast
    return 18 * h + 6 * q + 4 * kv + 8 * i + 14 * r  # counted: bf16 base, fp32 adapters under autocast


def _logits(model: Architecture, setup: Setup) -> float:
    """Scores over the vocabulary, their fp32 copy, log-probabilities and gradients."""
    cells = float(setup.tokens * model.vocabulary)
    if setup.logits == "chunked":
        return cells * (2 + 4 / CHUNKS)
    if setup.stack == "compiled":
        return cells * 8  # bf16 scores and gradient, fp32 log-probabilities
    per = 16.0 if setup.weights == "fp32" or setup.rest_bytes == 4 else 14.0  # 4+4+4, and scores and gradient: 4 or 2
    share = setup.answer_share if setup.logits == "answers" else 1.0
    return cells * per * share


def _gathered(model: Architecture, setup: Setup) -> float:
    """With FSDP: two layers (one in use, one fetched ahead), embeddings and head whole, one layer's gradient."""
    if setup.gpus == 1 and setup.optimizer != "offloaded":
        return 0.0
    layer, outside = model.linear / model.layers, model.parameters - model.linear
    quantised = setup.weights in ("int8", "nf4", "nf4_double")
    per = _weights(model, setup) / model.parameters if quantised else 2.0
    widest = 2.0 * model.hidden * model.intermediate if quantised else 0.0
    gradient = 2.0 * layer if setup.method == "full" else 0.0
    return 2 * layer * per + 2.0 * outside + widest + gradient


# --- answering ------------------------------------------------------------------------------------


def cache_bytes(model: Architecture) -> int:
    """Keys and values of one token, 16 bits."""
    return 2 * model.layers * model.kv_heads * model.head_dim * 2


def _answering(model: Architecture, setup: Setup) -> Demand:
    per = 4 if setup.weights == "fp32" else 2
    weights = _weights(model, setup) / setup.gpus
    cache = cache_bytes(model) * setup.tokens * per / 2 / setup.gpus
    # one layer at work on one row: normalised input, queries, keys, values, gate and up
    width = 4 * model.hidden + 2 * model.heads * model.head_dim + 3 * model.intermediate
    activations = cache + per * width * setup.length
    logits = 4.0 * setup.batch * model.vocabulary
    return Demand(weights, 0.0, 0.0, 0.0, activations, logits, 0.0, weights + activations + logits)
