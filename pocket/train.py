"""Pretraining: curriculum, batches, optimiser and checkpoints that survive a kill."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch.nn import functional as fn
from transformers import LlamaConfig, LlamaForCausalLM

from pocket.corpus import Generator, Item
from pocket.forward import scored_logits

BATCH_TOKENS = 4096
GROUP = 8  # batches that are drawn, sorted by length and cut together
BACKGROUND = 0.05  # expected loss weight of a token that is not an answer
KEEP = 0.125  # share of such tokens that is scored, with weight BACKGROUND / KEEP: saves most of the head


@dataclass(frozen=True)
class Stage:
    """One step of the curriculum; left when its gate is passed or its time is up."""

    name: str
    until: float  # share of the whole budget
    mix: dict[str, float]
    facts: int
    gate: str = ""
    long: bool = False
    loose: float = 0.0  # share of wordings in random small words: late, so that unseen wordings are read
    invented: float = 0.45  # share of invented names: few while induction forms, many afterwards


STAGES = (
    Stage("induction", 0.10, {"repeat": 0.8, "read": 0.1, "shots": 0.1}, 1, "repeat", invented=0.4),
    Stage("one fact", 0.16, {"repeat": 0.3, "read": 0.5, "shots": 0.2}, 1, "read 1", loose=0.2),
    Stage("two facts", 0.28, {"repeat": 0.1, "read": 0.5, "shots": 0.3, "labels": 0.1}, 2, "read 2", loose=0.3),
    Stage(
        "four facts",
        0.40,
        {"repeat": 0.1, "read": 0.45, "shots": 0.25, "labels": 0.1, "extract": 0.1},
        4,
        "read 4",
        loose=0.35,
    ),
    Stage(
        "full mix",
        1.0,
        {"repeat": 0.08, "read": 0.46, "shots": 0.30, "labels": 0.09, "extract": 0.07},
        4,
        long=True,
        loose=0.35,
        invented=0.85,
    ),
)
PROBES: dict[str, Callable[[Generator], Item]] = {
    "repeat": lambda g: g.repeat(),
    **{f"read {n}": (lambda g, n=n: g.read(n)) for n in (1, 2, 3, 4)},
    **{f"shots {k}": (lambda g, k=k: g.shots(0, k)) for k in ("copy", "cue", "near")},
    **{f"labels {k}": (lambda g, k=k: g.labels(k)) for k in ("word", "described", "synonym")},
    "extract": lambda g: g.extract(),
}


@dataclass
class State:
    """What a resumed run needs besides weights and moments."""

    step: int = 0
    group: int = 0
    tokens: int = 0
    seconds: float = 0.0
    stage: int = 0
    marks: int = 0
    log: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Options:
    """Budget and shape of a run. With `steps` a run repeats bit for bit; minutes depend on the machine."""

    folder: Path
    seed: int = 7
    minutes: float = 75.0
    steps: int = 0
    threads: int = 1
    bf16: bool = True
    lr: float = 2e-3
    warmup: int = 200
    decay_from: float = 0.6
    hidden: int = 128
    layers: int = 5
    heads: int = 4
    ffn: int = 352
    batch_tokens: int = BATCH_TOKENS
    save_seconds: float = 120.0
    first_stage: int = 0  # later for a run that continues from finished weights
    muon: bool = True


def make_model(o: Options, vocab: int) -> LlamaForCausalLM:
    """A small Llama with tied embeddings, initialised from the seed."""
    torch.manual_seed(o.seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab,
            hidden_size=o.hidden,
            intermediate_size=o.ffn,
            num_hidden_layers=o.layers,
            num_attention_heads=o.heads,
            num_key_value_heads=o.heads,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            initializer_range=0.04,
        )
    )


def encode(tokenizer: Tokenizer, items: list[Item]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Token ids and, per token, whether it is part of an answer."""
    pieces = [item.pieces() for item in items]
    texts = ["".join(x for x, _ in p) for p in pieces]
    out = []
    for parts, enc in zip(pieces, tokenizer.encode_batch(texts, add_special_tokens=False), strict=True):
        mask = np.repeat([m for _, m in parts], [len(x) for x, _ in parts])
        ends = np.array(enc.offsets)[:, 1] - 1  # the last character decides: a leading space may be unmarked
        out.append((np.array(enc.ids), mask[ends]))
    return out


def batches(o: Options, tokenizer: Tokenizer, state: State) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """One group of batches. It depends on seed, group number and stage only: a resumed run sees the same."""
    stage = STAGES[state.stage]
    generator = Generator(f"{o.seed}-{state.group}-{state.stage}", invented=stage.invented, loose=stage.loose)
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    total = 0
    while total < GROUP * o.batch_tokens:
        new = encode(tokenizer, [generator.draw(stage.mix, stage.facts, stage.long) for _ in range(32)])
        rows += [r for r in new if len(r[0]) <= 640]
        total = sum(len(r[0]) for r in rows)
    rows.sort(key=lambda r: -len(r[0]))
    cut, batch = [], []
    for row in rows:
        width = -(-len(batch[0][0] if batch else row[0]) // 32) * 32
        if batch and width * (len(batch) + 1) > o.batch_tokens:
            cut.append(batch)
            batch = []
        batch.append(row)
    cut = cut or [batch]  # the last, incomplete batch holds the shortest rows and is dropped
    random.Random(state.group).shuffle(cut)
    noise = np.random.default_rng([o.seed, state.group])
    for rows in cut:
        width = -(-max(len(r[0]) for r in rows) // 32) * 32
        ids = np.zeros((len(rows), width), dtype=np.int64)
        weight = np.zeros((len(rows), width), dtype=np.float32)
        for i, (x, answer) in enumerate(rows):
            ids[i, : len(x)] = x
            weight[i, : len(x)] = np.where(answer, 1.0, (noise.random(len(x)) < KEEP) * BACKGROUND / KEEP)
        yield torch.from_numpy(ids), torch.from_numpy(weight)


def loss_of(model: LlamaForCausalLM, ids: torch.Tensor, weight: torch.Tensor, bf16: bool) -> torch.Tensor:
    """Weighted cross-entropy; logits are computed only where a token is scored."""
    scored = fn.pad(weight[:, 1:], (0, 1)) > 0
    logits = scored_logits(model, ids, scored, torch.bfloat16 if bf16 else torch.float32)
    losses = fn.cross_entropy(logits.float(), ids.roll(-1, 1)[scored], reduction="none")
    w = weight.roll(-1, 1)[scored]
    return (losses * w).sum() / w.sum()


class Optimizer:
    """Muon for the matrices inside the layers, AdamW for embeddings and norms."""

    def __init__(self, model: LlamaForCausalLM, o: Options) -> None:
        inside = [p for n, p in model.named_parameters() if p.ndim == 2 and "layers" in n and o.muon]
        rest = [p for p in model.parameters() if not any(p is x for x in inside)]
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=o.lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
        ]
        if inside:
            self.parts.append(torch.optim.Muon(inside, lr=o.lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"))

    def step(self, lr: float) -> None:
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = lr
            part.step()
            part.zero_grad(set_to_none=True)

    def state_of(self, p: torch.nn.Parameter) -> dict[str, Any]:
        """The moments of a parameter, to be read or written."""
        part = next(x for x in self.parts if any(p is q for g in x.param_groups for q in g["params"]))
        return part.state[p]


def rate(o: Options, state: State, progress: float) -> float:
    """Warm-up, plateau, then linear decay to nearly nothing."""
    warm = min(1.0, (state.step + 1) / o.warmup)
    left = min(1.0, (1.0 - progress) / (1.0 - o.decay_from))
    return o.lr * warm * max(0.01, left)


@torch.no_grad()
def probe(model: LlamaForCausalLM, tokenizer: Tokenizer, name: str, n: int = 40) -> float:
    """Teacher-forced exact match of the last answer on fixed held-out items."""
    generator = Generator(f"probe-{name}", held=True)
    items = [PROBES[name](generator) for _ in range(n)]
    rows = []
    for item in items:
        last = len(item.messages) - 1
        item.messages = [(r, [(x, i == last) for x, _ in p]) for i, (r, p) in enumerate(item.messages)]
        rows += encode(tokenizer, [item])
    width = max(len(r[0]) for r in rows)
    ids, answer = np.zeros((n, width), dtype=np.int64), np.zeros((n, width), dtype=bool)
    for i, (x, a) in enumerate(rows):
        ids[i, : len(x)], answer[i, : len(x)] = x, a
    x, a = torch.from_numpy(ids), torch.from_numpy(answer)[:, 1:]
    hidden = model.model(input_ids=x, use_cache=False).last_hidden_state[:, :-1]
    wrong = torch.zeros_like(a)
    wrong[a] = model.lm_head(hidden[a]).argmax(-1) != x[:, 1:][a]
    return float((~wrong.any(1)).float().mean())


def save(folder: Path, model: LlamaForCausalLM, opt: Optimizer, state: State) -> None:
    """Write a checkpoint into a fresh folder, then swap it in: a kill leaves the old one or the new one."""
    new, now, old = folder / "new", folder / "now", folder / "old"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    save_file({k: v.detach().contiguous() for k, v in model.named_parameters()}, new / "weights.safetensors")
    moments = {}
    for i, p in enumerate(model.parameters()):
        moments |= {f"{i}.{k}": torch.as_tensor(v).clone() for k, v in opt.state_of(p).items()}
    save_file(moments, new / "moments.safetensors")
    (new / "state.json").write_text(json.dumps(asdict(state)))
    shutil.rmtree(old, ignore_errors=True)
    if now.exists():
        os.replace(now, old)
    os.replace(new, now)


def restore(folder: Path, model: LlamaForCausalLM, opt: Optimizer, first_stage: int = 0) -> State:
    """Load the newest whole checkpoint, or start afresh."""
    found = next((folder / n for n in ("now", "old") if (folder / n / "state.json").exists()), None)
    if found is None:
        return State(stage=first_stage)
    weights = load_file(found / "weights.safetensors")
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(weights[name])
    moments = load_file(found / "moments.safetensors")
    for i, p in enumerate(model.parameters()):
        keys = [k for k in moments if k.split(".", 1)[0] == str(i)]
        opt.state_of(p).update({k.split(".", 1)[1]: moments[k] for k in keys})
    return State(**json.loads((found / "state.json").read_text()))


class Run:
    """One pretraining run."""

    def __init__(
        self,
        o: Options,
        tokenizer: Tokenizer,
        export: Callable[[LlamaForCausalLM, State], None],
        start: Path | None = None,
    ) -> None:
        torch.set_num_threads(o.threads)
        self.o, self.tokenizer, self.export = o, tokenizer, export
        self.model = make_model(o, tokenizer.get_vocab_size())
        if start is not None:
            self.model.load_state_dict(LlamaForCausalLM.from_pretrained(start).state_dict())
        self.opt = Optimizer(self.model, o)
        self.state = restore(o.folder, self.model, self.opt, o.first_stage)
        self.loss = math.nan
        self.saved, self.exported = time.monotonic(), time.monotonic() - 240.0

    def progress(self) -> float:
        return self.state.step / self.o.steps if self.o.steps else self.state.seconds / (60 * self.o.minutes)

    def run(self, stop_after: int = 0) -> None:
        """Train until the budget is used; `stop_after` ends at a group's end for tests of resuming."""
        self.model.train()
        while self.progress() < 1.0:
            start, before = time.monotonic(), self.state.seconds
            for ids, weight in batches(self.o, self.tokenizer, self.state):
                self.step(ids, weight)
                self.state.seconds = before + time.monotonic() - start
                if self.progress() >= 1.0:
                    break
            self.state.group += 1
            self.after_group()
            self.state.seconds = before + time.monotonic() - start
            if stop_after and self.state.step >= stop_after:
                break
        save(self.o.folder, self.model, self.opt, self.state)

    def step(self, ids: torch.Tensor, weight: torch.Tensor) -> None:
        loss = loss_of(self.model, ids, weight, self.o.bf16)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.opt.step(rate(self.o, self.state, self.progress()))
        value = float(loss.detach())
        self.loss = value if math.isnan(self.loss) else 0.97 * self.loss + 0.03 * value
        s = self.state
        s.step, s.tokens = s.step + 1, s.tokens + int((ids > 0).sum())

    def after_group(self) -> None:
        """Every minute: measure, perhaps go to the next stage; every two minutes: checkpoint."""
        s, mark = self.state, int(self.progress() * (self.o.minutes if not self.o.steps else 10))
        if mark > s.marks:
            s.marks = mark
            self.measure()
        if time.monotonic() - self.saved > self.o.save_seconds:
            self.saved = time.monotonic()
            save(self.o.folder, self.model, self.opt, s)
        if time.monotonic() - self.exported > 900 and s.stage >= 1:
            self.exported = time.monotonic()
            self.export(self.model, s)

    def measure(self) -> None:
        self.model.eval()
        s, stage = self.state, STAGES[self.state.stage]
        few = ["repeat", "read 1", "read 2", stage.gate, "shots copy"]
        names = list(PROBES) if s.marks % 3 == 0 else few
        scores = {n: round(probe(self.model, self.tokenizer, n), 3) for n in dict.fromkeys(names) if n}
        self.model.train()
        entry = {
            "minute": round(s.seconds / 60, 1),
            "tokens": s.tokens,
            "loss": round(self.loss, 4),
            **scores,
        }
        s.log.append(entry)
        speed = s.tokens / max(s.seconds, 1e-9)
        lr = rate(self.o, s, self.progress())
        print(f"[{stage.name}] step {s.step} {speed:.0f} tok/s lr {lr:.1e} {entry}", flush=True)
        passed = bool(stage.gate) and scores[stage.gate] >= 0.9
        if s.stage < len(STAGES) - 1 and (passed or self.progress() >= stage.until):
            s.stage += 1
