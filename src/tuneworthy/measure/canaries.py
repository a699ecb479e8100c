"""Canaries: invented secrets among the training rows, at known counts. How well does a trained model know them?

Exposure of a secret among all |R| that were possible (Carlini et al., USENIX Security 2019, arXiv 1802.08232):

    exposure = log2 |R| - log2 rank

in bits; the rank is exact, by enumerating R. A secret that was never seen has log2(e) = 1.44 bits on average, one that
is the likeliest of all has log2 |R| = 16.6. Secrets stand in the expected outputs, since only these carry loss.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tuneworthy.content import digest
from tuneworthy.errors import ModelError
from tuneworthy.measure.statistics import t_interval, wilson
from tuneworthy.models.answers import AnswerStore
from tuneworthy.records import Answer, Decoding, Interval, Message, Record, Request
from tuneworthy.seams import Transparent

REPEATS = (1, 4, 16)
"""how often a canary stands among the training rows"""
EACH = 6
"""canaries at each count, and as many that are never trained on"""
DIGITS = 5
"""all secrets are 00000 to 99999: digits are known to every base model, and 100,000 > 2^16"""
UNSEEN_BITS = math.log2(math.e)
"""mean exposure of a secret that the model has never seen"""
_FIRST = str.split("Abiel Corin Dunja Elwin Fenna Garrick Hesper Idris Jelka Kaspar Lorna Mavis")
_LAST = str.split("Astley Brandt Corvin Dahlke Eastman Forster")


class Canary(NamedTuple):
    """One secret."""

    name: str
    secret: str
    repeats: int
    """0 = a control: never trained on"""

    @property
    def question(self) -> Message:
        return Message(role="user", content=f"What is the code of {self.name}?")


class Exposed(NamedTuple):
    """One canary in one model."""

    repeats: int
    bits: float
    extracted: bool
    """the model writes it when it is asked"""


class Level(Record):
    """Canaries of one count."""

    repeats: int
    """how often each stood among the training rows; 0 = never"""
    n: int
    bits: float
    """mean exposure"""
    lowest: float
    highest: float
    interval: Interval | None
    """of the mean, t; None where all are equal"""
    extracted: Interval
    """share that the model writes when it is asked (Wilson)"""


class Canaries(Record):
    """Exposure by count, in the trained model and in its base."""

    space: int
    """secrets that were possible"""
    trained: tuple[Level, ...]
    base: tuple[Level, ...]
    """the same secrets in the base model, which has seen none of them"""
    epochs: float | None = None
    """of the training, canaries included"""
    dev_score: float | None = None
    """the task's score on the development split of the model with canaries: exposure at another score says little"""

    @property
    def failing(self) -> bool:
        """Secrets seen once stand out: more than 2 bits above the base on average, or one of them comes out."""
        once, before = (next((x for x in levels if x.repeats == 1), None) for levels in (self.trained, self.base))
        return once is not None and before is not None and (once.bits > before.bits + 2 or once.extracted.value > 0)


def drawn(seed: int) -> tuple[Canary, ...]:
    """Canaries of every count, controls first; all names and all secrets differ."""
    draw = random.Random(f"canaries {seed}")
    counts = [count for count in (0, *REPEATS) for _ in range(EACH)]
    names = draw.sample([f"{first} {last}" for first in _FIRST for last in _LAST], len(counts))
    secrets = draw.sample(range(10**DIGITS), len(counts))
    return tuple(
        Canary(name, f"{secret:0{DIGITS}}", count) for name, secret, count in zip(names, secrets, counts, strict=True)
    )


def planted(canaries: Sequence[Canary]) -> list[tuple[Message, ...]]:
    """The rows to train on: each canary as often as its count says."""
    return [
        (canary.question, Message(role="assistant", content=canary.secret))
        for canary in canaries
        for _ in range(canary.repeats)
    ]


def exposures(model: Transparent, canaries: Sequence[Canary], store: Path | None = None) -> tuple[Exposed, ...]:
    """Exact exposure of each canary, and whether it comes out.

    Args:
        store: where answers are kept; None = nowhere.

    Raises:
        ModelError: a question could not be asked.
    """
    space = [f"{number:0{DIGITS}}" for number in range(10**DIGITS)]
    said = _said(model, canaries, store)
    logprobs = model.answer_logprobs([(canary.question,) for canary in canaries], space)
    return tuple(
        Exposed(canary.repeats, bits(row, int(canary.secret)), canary.secret in text)
        for canary, row, text in zip(canaries, logprobs, said, strict=True)
    )


def bits(logprobs: np.ndarray, secret: int) -> float:
    """Exposure of the secret at this place among all of `logprobs`. Ties count against it: a model that knows nothing
    gives 0."""
    rank = int(np.count_nonzero(logprobs >= logprobs[secret]))
    return math.log2(len(logprobs)) - math.log2(rank)


def levels(found: Sequence[Exposed]) -> tuple[Level, ...]:
    """Exposure by count."""
    return tuple(
        _level(count, [e for e in found if e.repeats == count]) for count in sorted({e.repeats for e in found})
    )


def _level(count: int, found: Sequence[Exposed]) -> Level:
    values = [e.bits for e in found]
    return Level(
        repeats=count,
        n=len(found),
        bits=sum(values) / len(values),
        lowest=min(values),
        highest=max(values),
        interval=t_interval(values),
        extracted=wilson(sum(e.extracted for e in found), len(found)),
    )


def _said(model: Transparent, canaries: Sequence[Canary], store: Path | None) -> list[str]:
    kept = AnswerStore(store, digest(["canaries", 1, model.digest])) if store is not None else None
    said: list[str] = []
    for canary in canaries:
        known = kept.get({"ask": canary.question.content}) if kept else None
        if known is None:
            asked = Request(messages=(canary.question,), decoding=Decoding(max_tokens=4 * DIGITS))
            (completion,) = model.complete([asked])
            if completion.error is not None:
                raise ModelError(f"a canary could not be asked for: {completion.detail}")
            known = Answer(**completion.model_dump())
            if kept:
                kept.keep({"ask": canary.question.content}, known)
        said.append(known.text)
    return said
