"""The training race: LoRA here against TRL, same tokens, order, weights, settings. `python -m benchmarks.training`

W1  one run, nothing shared: 120 own tokens and 8 of the answer in a row. We have no advantage of work here.
W2  one run, rows that begin with the same 0, 64, 256 or 512 tokens, 64 own and 8 of the answer.
W3  twelve runs, four rates x three seeds, of W2 with 256 tokens.

Two rows of TRL: tuned (no gradient checkpointing, the model loaded once, nothing saved) and default (checkpointing on).
Both take the rows in our order, so that losses and adapters can be compared; a ratio counts only if they agree (T2 of
the performance page), and reads "not equivalent" otherwise. TRL grouping rows by length is raced, too: it sees another
order, so nothing is compared there, and the ratio is told against the faster of the two tuned ones.

Interleaved A-B-B-A until the time is up, the dear arms in two rounds only. Writes its part of RESULTS.md; run it with
.venv-peers/bin/python on an idle machine: at most 9 minutes. --quick: a tiny model, half a minute, nothing written.
--gpu: bf16, 0.5B and 8B shapes.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.race import peak_mb
from benchmarks.results import write_part
from benchmarks.training_shapes import BATCH, SHAPES, Work, peak_gflops, random_base
from tuneworthy.training.loop import train_all
from tuneworthy.training.network import Base, trainable
from tuneworthy.training.run import Training

SECONDS = 480.0
"""of races; measuring memory and the profile take the rest of nine minutes"""
ENOUGH = 7
"""rounds"""
LOSSES, LATER, COSINE = 1e-5, 1e-3, 0.9999
"""T2: relative difference of the losses in the first ten steps, and of those after; cosine of the adapters"""
OURS, TOGETHER, TUNED, GROUPED, DEFAULT = (
    "ours",
    "ours, side by side",
    "TRL tuned",
    "TRL tuned, by length",
    "TRL default",
)

DEAR = 2
"""rounds of the arms that take longest: TRL by default and by length with a long beginning, and the twelve runs"""

WORKS = [
    (Work("W1", 0, 120, steps=4), (OURS, TUNED, GROUPED, DEFAULT), ()),
    (Work("W2, P=0", 0, 64, steps=3), (OURS, TUNED), ()),
    (Work("W2, P=64", 64, 64, steps=3), (OURS, TUNED), ()),
    (Work("W2, P=256", 256, 64, steps=4), (OURS, TUNED), (GROUPED, DEFAULT)),
    (Work("W2, P=512", 512, 64, steps=2), (OURS, TUNED), ()),
    (Work("W3, 12 runs", 256, 64, steps=2, runs=12), (), (OURS, TOGETHER, TUNED)),
]
"""work, arms of every round, dear arms"""
Raced = Sequence[tuple[Work, Sequence[str], Sequence[str]]]


@dataclass
class Result:
    """Of one arm in one round."""

    seconds: float
    losses: list[list[float]]
    """of each run"""
    weights: list[torch.Tensor]
    """of each run: the adapter, flat"""


@dataclass
class Cell:
    """One work with what every arm took."""

    work: Work
    arms: Sequence[str]
    dear: Sequence[str] = ()
    results: dict[str, list[Result]] = field(default_factory=lambda: defaultdict(list))

    def seconds(self, arm: str) -> list[float]:
        """Of every round."""
        return [result.seconds for result in self.results[arm]]


# --- the arms -------------------------------------------------------------------------------------


def ours(base: Base, work: Work, precision: str, *, together: bool | None = None) -> Result:
    """The product's own call: with its check of the shared beginning, checkpoints and the folder of the adapter."""
    from safetensors.torch import load_file

    encoded, recipes = work.encoded(), work.recipes(precision)
    with tempfile.TemporaryDirectory() as place:
        asked = [Training(recipe, encoded, Path(place) / str(n)) for n, recipe in enumerate(recipes)]
        began = time.perf_counter()
        done = train_all(base, asked, together=together)
        _wait(base)
        seconds = time.perf_counter() - began
        weights = [_flat(load_file(Path(trained.folder) / "adapter_model.safetensors")) for trained in done]
    return Result(seconds, [list(trained.losses) for trained in done], weights)


def trl(base: Base, work: Work, precision: str, *, checkpointing: bool = False, by_length: bool = False) -> Result:
    """SFTTrainer on tokenised rows; the clock runs in `train` only."""
    seconds, losses, weights = 0.0, [], []
    for recipe in work.recipes(precision):
        torch.manual_seed(recipe.seed)
        network = _peft(base, recipe)
        with tempfile.TemporaryDirectory() as place:
            trainer = _trainer(network, base, work, recipe, place, checkpointing=checkpointing, by_length=by_length)
            began = time.perf_counter()
            trainer.train()
            _wait(base)
            seconds += time.perf_counter() - began
        losses.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
        weights.append(_flat(trainable(network)))
        _stop_checkpointing(base.network)
        network.unload()
    return Result(seconds, losses, weights)


def _peft(base: Base, recipe: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    from tuneworthy.models.local.files import silent_peft

    config = LoraConfig(
        task_type="CAUSAL_LM", r=recipe.r, lora_alpha=recipe.alpha, lora_dropout=0.0, target_modules="all-linear"
    )
    with silent_peft():
        return get_peft_model(base.network, config)


def _trainer(
    network: Any, base: Base, work: Work, recipe: Any, place: str, *, checkpointing: bool, by_length: bool
) -> Any:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = [
        {
            "input_ids": list(row.ids),
            "labels": [i if flag else -100 for i, flag in zip(row.ids, row.carries_loss, strict=True)],
        }
        for row in work.in_order(recipe.seed)
    ]
    settings = SFTConfig(
        output_dir=place,
        per_device_train_batch_size=BATCH,
        max_steps=work.steps,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=recipe.max_grad_norm,
        optim="adamw_torch_fused",
        seed=recipe.seed,
        bf16=recipe.precision == "bf16",
        fp16=False,
        use_cpu=base.network.device.type == "cpu",
        gradient_checkpointing=checkpointing,
        train_sampling_strategy="group_by_length" if by_length else "sequential",
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
        dataloader_pin_memory=False,
    )
    trainer = SFTTrainer(
        model=network, args=settings, train_dataset=Dataset.from_list(rows), processing_class=base.tokenizer
    )
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer


def _stop_checkpointing(network: Any) -> None:
    if network.is_activation_checkpointing:
        network.activation_checkpointing_disable()
    network.disable_input_require_grads()
    network.config.use_cache = True


RUN: dict[str, Callable[[Base, Work, str], Result]] = {
    OURS: ours,
    TOGETHER: lambda base, work, precision: ours(base, work, precision, together=True),
    TUNED: trl,
    GROUPED: lambda base, work, precision: trl(base, work, precision, by_length=True),
    DEFAULT: lambda base, work, precision: trl(base, work, precision, checkpointing=True),
}


def _flat(weights: dict[str, Any]) -> torch.Tensor:
    named = sorted((name.replace(".default", ""), weight) for name, weight in weights.items())
    return torch.cat([weight.detach().float().cpu().flatten() for _, weight in named])


def _wait(base: Base) -> None:
    if base.network.device.type == "cuda":
        torch.cuda.synchronize()


# --- the race -------------------------------------------------------------------------------------


def race(works: Raced, device: str, precision: str, seconds: float) -> list[Cell]:
    """Rounds over all cells, every second one in the reverse order, until the time is up, at least two."""
    cells = [Cell(work, (*arms, *dear), dear) for work, arms, dear in works]
    began, latest = time.monotonic(), 0.0
    for number in range(ENOUGH):
        before = time.monotonic()
        if number > DEAR and before - began + latest > seconds:
            break
        if number == DEAR and before - began > seconds:
            break
        for shape in dict.fromkeys(cell.work.shape for cell in cells):
            base = random_base(SHAPES[shape], device, precision)
            if number == 0:  # what is slow the first time is not raced
                for arm in (OURS, TUNED):
                    RUN[arm](base, Work("warm-up", 32, 16, steps=1, shape=shape), precision)
            for cell in (cell for cell in cells if cell.work.shape == shape):
                arms = [arm for arm in cell.arms if number < DEAR or arm not in cell.dear]
                for arm in arms if number % 2 == 0 else reversed(arms):
                    load = os.getloadavg()[0]
                    result = RUN[arm](base, cell.work, precision)
                    cell.results[arm].append(result)
                    print(f"{cell.work.name}: {arm} {result.seconds:.2f} s (load before {load:.1f})", flush=True)
        latest = time.monotonic() - before
    return cells


def equivalent(cell: Cell, arm: str, precision: str) -> str:
    """Empty when the arm ended where ours ended (T2, bf16: T3), else what differs."""
    for one, other in zip(cell.results[OURS], cell.results[arm], strict=False):  # dear arms: fewer
        for left, right in zip(one.losses, other.losses, strict=True):
            apart = [abs(a - b) / abs(b) for a, b in zip(left, right, strict=True)]
            allowed = [2e-2 if precision == "bf16" else LOSSES if step < 10 else LATER for step in range(len(apart))]
            if any(a > most for a, most in zip(apart, allowed, strict=True)):
                return f"losses differ by {max(apart):.1e}"
        for a, b in zip(one.weights, other.weights, strict=True):
            near = float(torch.cosine_similarity(a.double(), b.double(), dim=0))
            if near < (0.99 if precision == "bf16" else COSINE):
                return f"cosine of the adapters {near:.6f}"
    return ""


def ratio(slow: Sequence[float], fast: Sequence[float]) -> str:
    """Median of slow / fast by round, with the bootstrap 95 % interval."""
    rounds = min(len(slow), len(fast))
    each = np.array(slow[:rounds]) / np.array(fast[:rounds])
    if rounds < 3:
        return f"{np.median(each):.2f} (n = {rounds})"
    draws = np.random.default_rng(0).choice(each, size=(4000, len(each)))
    low, high = np.quantile(np.median(draws, axis=1), (0.025, 0.975))
    return f"{np.median(each):.2f} ({low:.2f} to {high:.2f})"


# --- what is written ------------------------------------------------------------------------------


def table(cells: Sequence[Cell], precision: str, peak: float) -> Iterator[str]:
    """One line for each cell and arm."""
    yield (
        "| work | arm | seconds, median of n | ratio to ours (95 %) | useful tokens/s | of the peak: useful work |"
        " executed work | raw seconds |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for cell in cells:
        for arm in cell.arms:
            times = cell.seconds(arm)
            middle = statistics.median(times)
            if arm == OURS:
                told = "1"
            elif arm == GROUPED:
                told = f"{ratio(times, cell.seconds(OURS))}, other order: results not compared"
            else:
                wrong = equivalent(cell, arm, precision)
                told = f"not equivalent: {wrong}" if wrong else ratio(times, cell.seconds(OURS))
            shape = SHAPES[cell.work.shape]
            length = cell.work.tokens / (cell.work.runs * cell.work.steps * BATCH)
            useful = cell.work.tokens * shape.flops_per_token(16, length) / middle / 1e9
            executed = useful * executed_tokens(cell.work, arm in (OURS, TOGETHER)) / cell.work.tokens
            if arm == DEFAULT:
                executed *= 1.5  # the forward pass once more
            yield (
                f"| {cell.work.name}, {cell.work.shape} | {arm} | {middle:.2f}, n = {len(times)} | {told} |"
                f" {cell.work.tokens / middle:,.0f} | {useful / peak:.0%} | {executed / peak:.0%} |"
                f" {', '.join(f'{t:.2f}' for t in times)} |"
            )


def executed_tokens(work: Work, shared: bool) -> int:
    """Tokens that pass through the blocks, padding included, of all runs."""
    total = 0
    for seed in range(min(3, work.runs)):
        rows = work.in_order(seed)
        for at in range(0, len(rows), BATCH):
            longest = max(len(row.ids) for row in rows[at : at + BATCH])
            beginning = work.prefix if shared and work.prefix >= 16 else 0
            total += beginning + BATCH * (longest - beginning)
    return total * work.runs // min(3, work.runs)


def profile(base: Base, work: Work, precision: str) -> Iterator[str]:
    """Where one of our runs spends its time, by kind of operation."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    cuda = base.network.device.type == "cuda"
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profiled(activities=kinds) as recorded:
        ours(base, work, precision)
    spent: dict[str, float] = defaultdict(float)
    for event in recorded.key_averages():
        spent[_kind(event.key)] += event.self_device_time_total if cuda else event.self_cpu_time_total
    whole = sum(spent.values())
    for kind, took in sorted(spent.items(), key=lambda pair: -pair[1]):
        yield f"{kind} {took / whole:.0%}"


def _kind(name: str) -> str:
    for kind, words in (
        ("products of matrices", ("mm", "linear", "gemm")),
        ("attention", ("attention",)),
        ("optimiser", ("adam", "optimizer", "foreach_norm", "clip")),
        ("copies and joins", ("copy", "cat", "clone", "contiguous", "stack", "index", "to_copy", "fill", "zero")),
        ("other arithmetic", ("mul", "add", "silu", "pow", "mean", "rsqrt", "neg", "sum", "div", "softmax", "nll")),
    ):
        if any(word in name.lower() for word in words):
            return kind
    return "the rest: Python, views, files"


def peak_memory(arm: str, work: int, device: str, precision: str, *, quick: bool) -> str:
    """MB that a process of its own holds at most, loading included."""
    flags = ["--memory", arm, "--work", str(work)]
    flags += ["--quick"] * quick + ["--gpu"] * (device == "cuda")
    command = [sys.executable, "-m", "benchmarks.training", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"{arm} not measured: it ended with {done.returncode}"
    return f"{arm} {done.stdout.split()[-1]} MB"


def _hold(arm: str, work: Work, device: str, precision: str) -> float:
    RUN[arm](random_base(SHAPES[work.shape], device, precision), work, precision)
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    return peak_mb()


def works_of(*, quick: bool, gpu: bool) -> Raced:
    """What is raced."""
    if quick:
        return [(replace(work, shape="tiny", steps=2), arms, dear) for work, arms, dear in WORKS]
    if gpu:
        shapes = ("0.5B", "8B")
        return [(replace(w, shape=shape, steps=4 * w.steps), arms, dear) for shape in shapes for w, arms, dear in WORKS]
    return WORKS


def main() -> None:
    """Race, compare, write."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--gpu", action="store_true")
    options.add_argument("--memory", choices=[OURS, TUNED], help=argparse.SUPPRESS)
    options.add_argument("--work", type=int, default=0, help=argparse.SUPPRESS)
    asked = options.parse_args()
    device, precision = ("cuda", "bf16") if asked.gpu else ("cpu", "fp32")
    works = works_of(quick=asked.quick, gpu=asked.gpu)
    if asked.memory:
        print(f"{_hold(asked.memory, works[asked.work][0], device, precision):.0f}")
        return
    try:
        import trl as _  # noqa: F401
    except ImportError:
        print("Not measured: TRL is not installed here; make peers, then run it with .venv-peers/bin/python")
        return
    load = os.getloadavg()[0]
    peak = peak_gflops(device, precision)
    cells = race(works, device, precision, 30 if asked.quick else SECONDS)
    third = next(number for number, (work, *_) in enumerate(works) if work.prefix == 256)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft", "trl"))
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {torch.get_num_threads()} threads, {precision},"
        f" load before {load:.2f}; {versions}. Batch {BATCH}, rank 16 on all linear layers, dropout 0.",
        f"Largest product of matrices here: {peak:,.0f} GFLOP/s.",
        "",
        *table(cells, precision, peak),
        "",
        *_sharing(cells),
        "Where our time goes in W1: "
        + ", ".join(profile(random_base(SHAPES[works[0][0].shape], device, precision), works[0][0], precision))
        + ".",
        "Peak memory of a process, W2 with 256 tokens: "
        + ", ".join(peak_memory(arm, third, device, precision, quick=asked.quick) for arm in (OURS, TUNED))
        + ".",
    ]
    text = "\n".join(lines)
    print(text)
    if not asked.quick:
        write_part("training-gpu" if asked.gpu else "training", f"## Training, against TRL\n\n{text}")


def _sharing(cells: Sequence[Cell]) -> Iterator[str]:
    """How far from the limit: tokens that TRL executes for each that we execute."""
    for cell in cells:
        limit = executed_tokens(cell.work, shared=False) / executed_tokens(cell.work, shared=True)
        yield f"{cell.work.name}, {cell.work.shape}: by tokens alone the limit is {limit:.2f}."
    yield ""


if __name__ == "__main__":
    main()
