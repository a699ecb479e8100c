"""Draw cases from real rows, whole groups of near-duplicates at a time: no case has a twin among the examples."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from tuneworthy.content import digest, write_whole
from tuneworthy.errors import SuiteNotLocked
from tuneworthy.records import Case, Example
from tuneworthy.suite.lock import MIN_CASES

Group = list[Example]
"""Rows of one cluster, by name."""


def draw(examples: Sequence[Example], clusters: Sequence[int], *, n: int, seed: int) -> tuple[Case, ...]:
    """Up to `n` cases in whole clusters, expected outputs in the proportion that they have among the rows.

    A score on the cases then speaks for the rows that come in. Where an expected output for each kind takes no more
    than a third of the cases, every kind gets one first. A cluster gives at most one tenth of the cases: one thread
    of near-duplicates must not decide. Rows whose input stands with two different expected outputs are passed over,
    as no answer to them is right. The order of the rows does not matter.

    Args:
        clusters: number of the cluster of each example.

    Raises:
        SuiteNotLocked: fewer than 30 cases are asked for, or can be drawn.
    """
    piles = _piles(_groups(examples, clusters), largest=max(1, n // 10))
    dice = random.Random(seed)
    for pile in piles:
        dice.shuffle(pile)
    dice.shuffle(piles)
    cases: list[Case] = []
    for group in _in_proportion(piles, one_each=3 * len(piles) <= n):
        if len(cases) + len(group) <= n:
            twins = group[0].name if len(group) > 1 else ""
            cases += [
                Case(id=row.name, input=row.input, expected=row.expected, evidence=row.evidence, cluster=twins)
                for row in group
            ]
    if len(cases) < MIN_CASES:
        raise SuiteNotLocked(
            f"only {len(cases)} cases can be drawn from {len(examples)} rows, of {n} asked for",
            why=f"a suite needs at least {MIN_CASES}",
            next="bring more rows: tuneworthy data import FILE; or write cases: tuneworthy suite build --from FILE",
        )
    return tuple(sorted(cases, key=lambda case: case.id))


def write_cases(path: Path, cases: Sequence[Case]) -> None:
    """One case per line. Other cases that stood there before are kept as cases.jsonl.old: they were written by hand."""
    lines = [json.dumps(case.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False) for case in cases]
    text = "".join(f"{line}\n" for line in lines)
    if path.exists() and (before := path.read_text("utf-8", errors="surrogateescape")) not in ("", text):
        write_whole(path.with_name(f"{path.name}.old"), before.encode("utf-8", "surrogateescape"))
    write_whole(path, text)


def _groups(examples: Sequence[Example], clusters: Sequence[int]) -> list[Group]:
    """Each row once, contradicted rows left out; groups and their rows in the order of names."""
    rows = {example.name: (example, cluster) for example, cluster in zip(examples, clusters, strict=True)}
    answers = Counter(digest(example.input) for example, _ in rows.values())
    groups: dict[int, Group] = defaultdict(list)
    for _, (example, cluster) in sorted(rows.items()):
        if answers[digest(example.input)] == 1 and example.expected is not None:
            groups[cluster].append(example)
    return sorted(groups.values(), key=lambda group: group[0].name)


def _piles(groups: Sequence[Group], *, largest: int) -> list[list[Group]]:
    """Groups with the same expected output lie on one pile."""
    piles: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        if len(group) <= largest:
            piles[digest(group[0].expected)].append(group)
    return list(piles.values())


def _in_proportion(piles: list[list[Group]], *, one_each: bool) -> Iterator[Group]:
    """Groups in turn, the next from the pile furthest behind its share (divisors 1, 3, 5, …: Sainte-Laguë)."""
    rows = [sum(map(len, pile)) for pile in piles]
    taken = [0] * len(piles)
    waiting = [iter(pile) for pile in piles]
    left = set(range(len(piles)))
    while left:
        pile = max(sorted(left), key=lambda i: (one_each and taken[i] == 0, rows[i] / (2 * taken[i] + 1)))
        group = next(waiting[pile], None)
        if group is None:
            left.discard(pile)
        else:
            taken[pile] += len(group)
            yield group
