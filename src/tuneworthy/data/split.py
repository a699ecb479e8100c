"""Train and development split: whole clusters of near-duplicates, stratified, seeded, stable when rows are added.

A cluster goes where the hash of (seed, its smallest row name) says, so no row of another cluster has a part in it.
Where chance leaves an expected output without a row on one side, although its share would be one, its cluster with the
smallest (or greatest) hash stands in there.

Added rows move others in four cases only: their cluster changed (it got a row with a smaller name, merged with
another, or outgrew LARGEST); they stood in for an expected output that other rows serve now; the number of rows
crossed a step of the share (160, 900, 1,800, …), where half of the development rows change sides and the rest stay; or
the texts crossed near.CHARACTERS, where near-duplicates are told by words.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuneworthy.content import digest
from tuneworthy.data.near import clusters
from tuneworthy.records import Example, Record

DEV_SHARE = 0.25
DEV_LEAST = 40
"""Fewer development rows hardly tell two levers apart: one standard error is up to 8 points."""
DEV_MOST = 150
"""More development rows cost time and say little more: one standard error is at most 4 points."""
LARGEST = 15
"""Rows of a cluster that may go to development: one thread of near-duplicates must not decide there."""


class Split(Record):
    """Names of rows, sorted; the two never share a cluster."""

    train: tuple[str, ...] = ()
    dev: tuple[str, ...] = ()


class Stratum(Record):
    """Rows with one expected output."""

    output: str
    """the label; otherwise empty, for all rows together"""
    rows: int
    clusters: int
    train: int
    dev: int


class SplitReport(Record):
    """A split as it is shown."""

    version: str
    """data version of the rows that are divided"""
    seed: int
    exact_duplicates: int
    """rows left out because they repeat another"""
    leaked: int
    """rows left out because they also stand in the suite"""
    strata: tuple[Stratum, ...]
    split: Split


@dataclass(frozen=True)
class _Cluster:
    place: float
    names: tuple[str, ...]
    stratum: str
    """digest of the expected output of its first row"""


def split(examples: Sequence[Example], *, seed: int, dev_share: float = DEV_SHARE, dev_most: int = DEV_MOST) -> Split:
    """Divide examples. Clusters whose hash falls below the share go to development.

    Args:
        dev_share: share of the rows; doubled, up to a half, while fewer than DEV_LEAST rows are expected, and
            halved while more than 1.5 × `dev_most` are, so that it moves in rare steps.
        dev_most: rows that development needs at most.
    """
    groups: dict[int, dict[str, Example]] = defaultdict(dict)
    for example, cluster in zip(examples, clusters(examples), strict=True):
        groups[cluster][example.name] = example
    by_place = sorted((_cluster(rows, seed) for rows in groups.values()), key=lambda cluster: cluster.place)
    share = _share(len({example.name for example in examples}), dev_share, dev_most)
    out = _stand_ins(by_place, share)
    dev = [cluster.place < share and len(cluster.names) <= LARGEST for cluster in by_place]
    dev = [(chosen or n in out[0]) and n not in out[1] for n, chosen in enumerate(dev)]
    if len(by_place) > 1 and len(set(dev)) == 1:  # too few rows for chance to serve both sides
        dev = [number == 0 for number in range(len(by_place))]
    sides = [
        sorted(name for c, d in zip(by_place, dev, strict=True) if d == side for name in c.names) for side in (0, 1)
    ]
    return Split(train=tuple(sides[0]), dev=tuple(sides[1]))


def strata(examples: Sequence[Example], found: Split, *, by_output: bool) -> tuple[Stratum, ...]:
    """How a split serves each label, the largest first; without `by_output` all rows in one line."""
    dev = set(found.dev)
    held: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for example, cluster in zip(examples, clusters(examples), strict=True):
        held[str(example.expected) if by_output else ""].append((example.name, cluster))
    table = []
    for output, rows in held.items():
        inside = sum(name in dev for name, _ in rows)
        many = len({cluster for _, cluster in rows})
        table.append(Stratum(output=output, rows=len(rows), clusters=many, train=len(rows) - inside, dev=inside))
    return tuple(sorted(table, key=lambda stratum: (-stratum.rows, stratum.output)))


def _cluster(rows: Mapping[str, Example], seed: int) -> _Cluster:
    first = min(rows)
    return _Cluster(_place(seed, first), tuple(rows), digest(rows[first].expected))


def _stand_ins(by_place: Sequence[_Cluster], share: float) -> tuple[set[int], set[int]]:
    """Numbers of the clusters that go to development, and to training, as the only ones of their expected output."""
    held: dict[str, list[int]] = defaultdict(list)
    for number, cluster in enumerate(by_place):
        if len(cluster.names) <= LARGEST:
            held[cluster.stratum].append(number)
    to_dev, to_train = set(), set()
    for numbers in held.values():  # by rising place
        below = sum(by_place[number].place < share for number in numbers)
        if below == 0 and share * len(numbers) >= 1:
            to_dev.add(numbers[0])
        if below == len(numbers) and (1 - share) * len(numbers) >= 1:
            to_train.add(numbers[-1])
    return to_dev, to_train


def _share(rows: int, share: float, most: int) -> float:
    while share * rows < DEV_LEAST and 2 * share <= 0.5:
        share *= 2
    while share * rows > 1.5 * most:
        share /= 2
    return share


def _place(seed: int, name: str) -> float:
    """A number in [0, 1) that depends on nothing but seed and name."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8]) / 2**64
