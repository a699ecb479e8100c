"""Does a tuned model still do what the base did? A probe of short, auto-scored items, far from any one task.

Reading, copying, arithmetic, instructions: items whose answer stands in the question or follows from it, so that every
base model has something to lose. The items are written by this file, seeded; they are not part of any training.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tuneworthy.content import digest
from tuneworthy.errors import ModelError
from tuneworthy.measure.statistics import non_inferiority, tango
from tuneworthy.models.answers import AnswerStore
from tuneworthy.records import Answer, Decoding, Interval, Message, Record, Request
from tuneworthy.seams import Model

EACH = 105
"""Items of each kind; four kinds make 420. A loss of 5 points is excluded in 80 % of trials with 269 items when one
answer in ten flips, with 501 when one in five does (evidence/statistics, section 7)."""
MARGIN = 0.05
"""The loss that the test is about where the use case demands none."""
_LONG, _SHORT = 24, 8
"""most tokens of an answer that repeats a text, and of one that is a word"""
_NAMES = str.split("""
    Ilse Marek Noor Tove Anouk Pim Jorun Ravn Silke Bram Edda Kees Liv Malin Odin Rika Sven Tiril Vidar Wiebke
""")
_THINGS = str.split("""
    kettle ladder lantern violin anchor basket compass feather hammer mirror pillow saddle teapot whistle
""")
_PLACES = str.split("""
    cellar attic garden harbour kitchen library market museum orchard stable station tower
""")


class Kind(Record):
    """One kind of item."""

    kind: str
    n: int
    base: float
    tuned: float


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
    tested: float | None = None
    """the loss that the test is about: `margin`, or 5 points"""
    p: float | None = None
    """one-sided, of "worse by `tested` or more" (Tango); below .05 such a loss is excluded"""
    kinds: tuple[Kind, ...] = ()

    @property
    def failing(self) -> bool:
        """A loss of `margin` or more is not excluded."""
        return self.margin is not None and self.interval.low < -self.margin

    @property
    def warning(self) -> bool:
        """A loss of five points, or of what is demanded, is not excluded."""
        return self.p is not None and self.p >= 0.05


class Item(NamedTuple):
    """One question of the probe."""

    kind: str
    ask: str
    right: str
    """stands in a right answer, as whole words"""
    others: tuple[str, ...] = ()
    """an answer that names one of these is wrong: it names everything"""
    tokens: int = _SHORT

    def judge(self, text: str) -> bool:
        """Is this answer right?"""
        return _says(self.right, text) and not any(_says(other, text) for other in self.others)


def probe(model: Model, store: Path) -> tuple[bool, ...]:
    """Right or wrong for every item; answers are kept like all others.

    Raises:
        ModelError: an item could not be asked: that is no wrong answer.
    """
    return answered(model, items(), store, "retention")


def answered(model: Model, asked: Sequence[Item], store: Path, name: str) -> tuple[bool, ...]:
    """Right or wrong for each item. `name`: of the probe, under which answers are kept.

    Raises:
        ModelError: an item could not be asked.
    """
    kept = AnswerStore(store, digest([name, 2, model.digest]))
    open_items = [item for item in asked if kept.get({"ask": item.ask}) is None]
    requests = [
        Request(messages=(Message(role="user", content=item.ask),), decoding=Decoding(max_tokens=item.tokens))
        for item in open_items
    ]
    for item, completion in zip(open_items, model.complete(requests) if requests else [], strict=True):
        if completion.error is not None:
            raise ModelError(f"the probe of other abilities could not be asked: {completion.detail}")
        kept.keep({"ask": item.ask}, Answer(**completion.model_dump()))
    answers = [kept.get({"ask": item.ask}) for item in asked]
    return tuple(answer is not None and item.judge(answer.text) for answer, item in zip(answers, asked, strict=True))


def compare(
    base: Sequence[bool], tuned: Sequence[bool], *, demanded: float | None = None, kinds: Sequence[str] | None = None
) -> Retention:
    """The paired difference over the items of a probe, with Tango's interval and his test of non-inferiority.

    Args:
        demanded: largest loss that is accepted; None = told, not demanded.
        kinds: of each item; None = the items of this file.
    """
    pairs = list(zip(tuned, base, strict=True))
    n, gained, lost = len(pairs), pairs.count((True, False)), pairs.count((False, True))
    if kinds is None:
        kinds = [item.kind for item in items()] if n == len(items()) else []
    return Retention(
        interval=tango(gained, lost, n, level=0.9),
        n=n,
        base=sum(base) / n,
        tuned=sum(tuned) / n,
        margin=demanded,
        tested=demanded or MARGIN,
        p=non_inferiority(gained, lost, n, demanded or MARGIN).p,
        kinds=tuple(_of_kind(kind, kinds, base, tuned) for kind in dict.fromkeys(kinds)),
    )


def _of_kind(kind: str, kinds: Sequence[str], base: Sequence[bool], tuned: Sequence[bool]) -> Kind:
    places = [i for i, other in enumerate(kinds) if other == kind]
    shares = [sum(answers[i] for i in places) / len(places) for answers in (base, tuned)]
    return Kind(kind=kind, n=len(places), base=shares[0], tuned=shares[1])


# --- the items -----------------------------------------------------------------------------------


@cache
def items() -> tuple[Item, ...]:
    """Every item of the probe, all different, in a fixed order."""
    draw = random.Random(20)
    found: dict[str, Item] = {}
    for write in (_reading, _copying, _arithmetic, _instructions):
        wanted = len(found) + EACH
        for item in write(draw):
            found.setdefault(item.ask, item)
            if len(found) == wanted:
                break
    return tuple(found.values())


def _reading(draw: random.Random) -> Iterator[Item]:
    while True:
        (one, two), (thing, other) = draw.sample(_NAMES, 2), draw.sample(_THINGS, 2)
        here, there = draw.sample(_PLACES, 2)
        facts = [f"The {thing} of {one} is in the {here}.", f"The {other} of {two} is in the {there}."]
        yield Item("reading", f"{facts[0]}\nWhere is the {thing} of {one}?", here, tokens=_LONG)
        draw.shuffle(facts)
        yield Item("reading", f"{' '.join(facts)}\nWhere is the {thing} of {one}?", here, (there,), _LONG)
        yield Item("reading", f"{' '.join(facts)}\nWho has a {other}?", two, (one,), _LONG)


def _copying(draw: random.Random) -> Iterator[Item]:
    while True:
        (one, two), things, place = draw.sample(_NAMES, 2), draw.sample(_THINGS, 4), draw.choice(_PLACES)
        text = f"{one} takes the {things[0]} to the {place}."
        yield Item("copying", f"Repeat this text: {text}", text.removesuffix("."), tokens=_LONG)
        yield Item("copying", f"Repeat this list: {', '.join(things)}", ", ".join(things), tokens=_LONG)
        yield Item("copying", f"Write this name again: {one} {two}", f"{one} {two}")


def _arithmetic(draw: random.Random) -> Iterator[Item]:
    while True:
        a, b, c = draw.randint(1, 12), draw.randint(1, 12), draw.randint(10, 98)
        yield Item("arithmetic", f"What is {a} + {b}?", str(a + b))
        if a != b:  # else the answer stands in the question
            yield Item("arithmetic", f"What is {a + b} - {b}?", str(a))
        yield Item("arithmetic", f"Which number comes after {c}?", str(c + 1))


def _instructions(draw: random.Random) -> Iterator[Item]:
    while True:
        things = draw.sample(_THINGS, 3)
        first, last = (
            f"Name the first word of this list: {', '.join(things)}",
            f"Which word is last: {', '.join(things)}?",
        )
        yield Item("instructions", first, things[0], tuple(things[1:]))
        yield Item("instructions", last, things[2], tuple(things[:2]))
        yield Item("instructions", f"Answer with the word {things[0]} and nothing else.", things[0], ("and", "else"))
        yield Item("instructions", f"Write the word {things[1]} in capital letters.", things[1].upper())


def _says(words: str, text: str) -> bool:
    return re.search(rf"(?<![\w]){re.escape(words)}(?![\w])", text) is not None
