"""Does a tuned model still do what the base did? A probe of short, auto-scored items, far from any one task.

Reading a sentence, repeating a text, naming a word of a list: items whose answer stands in the question, so that every
base model has something to lose. The items are written by this file, seeded; they are not part of any training.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from tuneworthy.content import digest
from tuneworthy.errors import ModelError
from tuneworthy.measure.answers import AnswerStore
from tuneworthy.measure.statistics import newcombe_paired
from tuneworthy.records import Answer, Decoding, Interval, Message, Record, Request
from tuneworthy.seams import Model

ITEMS = 120
_NAMES = str.split("""
    Ilse Marek Noor Tove Anouk Pim Jorun Ravn Silke Bram Edda Kees Liv Malin Odin Rika Sven Tiril Vidar Wiebke
""")
_THINGS = str.split("""
    kettle ladder lantern violin anchor basket compass feather hammer mirror pillow saddle teapot whistle
""")
_PLACES = str.split("""
    cellar attic garden harbour kitchen library market museum orchard stable station tower
""")


class Retention(Record):
    """What training did to abilities that the task does not ask for: trained against base on the probe."""

    interval: Interval
    """of the difference in score, trained minus base; its lower limit at one-sided 95 % (level 0.9)"""
    n: int
    base: float | None = None
    """share of items that the base answers rightly"""
    tuned: float | None = None
    margin: float | None = None
    """largest loss that is accepted; None = told, not demanded"""

    @property
    def failing(self) -> bool:
        """A loss of `margin` or more is not excluded."""
        return self.margin is not None and self.interval.low < -self.margin


def probe(model: Model, store: Path) -> tuple[bool, ...]:
    """Right or wrong for every item; answers are kept like all others.

    Raises:
        ModelError: an item could not be asked: that is no wrong answer.
    """
    items = _items()
    kept = AnswerStore(store, digest(["retention", model.digest]))
    open_items = [item for item in items if kept.get({"ask": item[0]}) is None]
    requests = [
        Request(messages=(Message(role="user", content=ask),), decoding=Decoding(max_tokens=24))
        for ask, _ in open_items
    ]
    for (ask, _), completion in zip(open_items, model.complete(requests) if requests else [], strict=True):
        if completion.error is not None:
            raise ModelError(f"the probe of other abilities could not be asked: {completion.detail}")
        kept.keep({"ask": ask}, Answer(**completion.model_dump()))
    answers = [kept.get({"ask": ask}) for ask, _ in items]
    return tuple(answer is not None and right in answer.text for answer, (_, right) in zip(answers, items, strict=True))


def compare(base: Sequence[bool], tuned: Sequence[bool]) -> Retention:
    """The paired difference over the items of the probe, with Newcombe's interval."""
    pairs = list(zip(tuned, base, strict=True))
    kinds = ((True, True), (True, False), (False, True), (False, False))
    both, gained, lost, neither = (pairs.count(kind) for kind in kinds)
    n = len(pairs)
    interval = newcombe_paired(both, gained, lost, neither, level=0.9)
    return Retention(interval=interval, n=n, base=sum(base) / n, tuned=sum(tuned) / n)


def _items() -> list[tuple[str, str]]:
    """(question, text that a right answer contains)."""
    draw = random.Random(20)
    items = []
    for number in range(ITEMS):
        (one, two), (thing, other) = draw.sample(_NAMES, 2), draw.sample(_THINGS, 2)
        here, there = draw.sample(_PLACES, 2)
        facts = [f"The {thing} of {one} is in the {here}.", f"The {other} of {two} is in the {there}."]
        if number % 3 == 0:
            items.append((f"{facts[0]}\nWhere is the {thing} of {one}?", here))
        elif number % 3 == 1:
            draw.shuffle(facts)
            items.append((f"{' '.join(facts)}\nWhere is the {thing} of {one}?", here))
        else:
            items.append(
                (
                    f"Repeat this text: {one} takes the {other} to the {there}.",
                    f"{one} takes the {other} to the {there}",
                )
            )
    return items
