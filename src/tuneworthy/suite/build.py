"""Draw cases from real rows, whole groups of near-duplicates at a time, so that no case has a twin among the examples."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tuneworthy.content import digest, write_whole
from tuneworthy.errors import SuiteNotLocked
from tuneworthy.records import Case, Example
from tuneworthy.suite.lock import MIN_CASES


def draw(examples: Sequence[Example], clusters: Sequence[int], *, n: int, seed: int) -> tuple[Case, ...]:
    """Up to `n` cases in whole clusters, the expected outputs in turn so that each label is there.

    A cluster gives at most one tenth of the cases: one thread of near-duplicates must not decide.

    Raises:
        SuiteNotLocked: fewer than 30 cases can be drawn.
    """
    groups: dict[int, list[Example]] = defaultdict(list)
    for example, cluster in zip(examples, clusters, strict=True):
        groups[cluster].append(example)
    piles: dict[str, list[list[Example]]] = defaultdict(list)
    for group in sorted(groups.values(), key=lambda rows: min(row.name for row in rows)):
        if len(group) <= max(1, n // 10):
            piles[_kind(group[0])].append(group)
    dice = random.Random(seed)
    for pile in piles.values():
        dice.shuffle(pile)
    order = sorted(piles.values(), key=len)
    turns = [pile[turn] for turn in range(max(map(len, order), default=0)) for pile in order if turn < len(pile)]
    cases: list[Case] = []
    for group in turns:
        if len(cases) + len(group) <= n:
            cluster = group[0].name if len(group) > 1 else ""
            cases += [Case(id=e.name, input=e.input, expected=e.expected, cluster=cluster) for e in group]
    if len(cases) < MIN_CASES:
        raise SuiteNotLocked(
            f"only {len(cases)} cases can be drawn from {len(examples)} rows",
            why=f"a suite needs at least {MIN_CASES}",
            next="bring more rows: tuneworthy data import FILE; or write cases: tuneworthy suite build --from FILE",
        )
    return tuple(sorted(cases, key=lambda case: case.id))


def write_cases(path: Path, cases: Sequence[Case]) -> None:
    """One case per line; the file is replaced whole."""
    lines = [json.dumps(case.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False) for case in cases]
    write_whole(path, "".join(f"{line}\n" for line in lines))


def _kind(example: Example) -> str:
    """What to take in turn: the label; for other outputs everything is one pile."""
    short = isinstance(example.expected, str) and len(example.expected) <= 40
    return digest(example.expected) if short else ""
