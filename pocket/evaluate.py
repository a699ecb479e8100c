"""Skills of a finished model by greedy generation, on held-out names and held-out wordings."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pocket.corpus import Generator, Item
from pocket.train import PROBES

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

FLOORS = {"read 2": 0.85, "read 4": 0.65, "shots copy": 0.70}
BARE = ("repeat", "shots")  # skills whose whole answer has to match
WHAT = {
    "repeat": "repeat 2-14 words",
    "read 1": "read one fact",
    "read 2": "read, one distracting sentence",
    "read 3": "read, two distracting sentences",
    "read 4": "read, three distracting sentences",
    "shots copy": "few-shot: copy a field",
    "shots cue": "few-shot: cue to label",
    "shots near": "few-shot: near duplicate",
    "labels word": "choose a label: its word is in the text",
    "labels described": "choose a label: word of its description",
    "labels synonym": "choose a label: synonym",
    "extract": "extract a field from an e-mail",
}


@dataclass(frozen=True)
class Score:
    """Result of one skill. `exact` counts answers equal to the expected one in every character."""

    skill: str
    n: int
    right: int
    exact: int
    random_copy: float

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.right, self.n)

    @property
    def floor(self) -> str:
        """Whether the floor set beforehand is met; judged by the rate."""
        if self.skill not in FLOORS:
            return "none set"
        met = self.right / self.n >= FLOORS[self.skill]
        return f"{FLOORS[self.skill]:.0%} {'met' if met else 'missed'}"


def wilson(k: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % Wilson interval."""
    p, d = k / n, 1 + z * z / n
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d
    mid = (p + z * z / (2 * n)) / d
    return max(0.0, mid - half), min(1.0, mid + half)


def contains(text: str, value: str) -> bool:
    """Whether a value occurs as whole words, whatever the case."""
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.IGNORECASE) is not None


def is_right(item: Item, answer: str) -> bool:
    """The wanted value and none of the others; for bare answers equality."""
    if item.skill in BARE:
        return answer.strip() == item.answer()
    return contains(answer, item.value) and not any(contains(answer, x) for x in item.others)


@torch.no_grad()
def generate(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, items: list[Item], batch: int = 50
) -> list[str]:
    """Greedy answers, in the order of the items."""
    answers: list[str] = []
    for start in range(0, len(items), batch):
        part = items[start : start + batch]
        texts = [tokenizer.apply_chat_template(x.prompt(), tokenize=False, add_generation_prompt=True) for x in part]
        enc = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
        longest = max(len(tokenizer(x.answer(), add_special_tokens=False)["input_ids"]) for x in part)
        out = model.generate(
            input_ids=enc["input_ids"],
            attention_mask=enc["attention_mask"],
            do_sample=False,
            max_new_tokens=longest + 16,
        )
        answers += tokenizer.batch_decode(out[:, enc["input_ids"].shape[1] :], skip_special_tokens=True)
    return answers


def measure(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, skill: str, n: int = 400, seed: int = 2026
) -> Score:
    """One skill on n fresh items (another seed than the probes that steered training)."""
    generator = Generator(f"{seed}-final-{skill}", held=True)
    items = [PROBES[skill](generator) for _ in range(n)]
    answers = generate(model, tokenizer, items)
    right = sum(is_right(i, a) for i, a in zip(items, answers, strict=True))
    exact = sum(a.strip() == i.answer() for i, a in zip(items, answers, strict=True))
    copy = sum(1 / (1 + len(i.others)) for i in items) / n if skill != "repeat" else 0.0
    return Score(skill, n, right, exact, copy)


def measure_all(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, n: int = 400) -> list[Score]:
    """Every skill."""
    model.eval()
    return [measure(model, tokenizer, skill, n) for skill in WHAT]
