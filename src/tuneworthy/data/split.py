"""Train and development split: whole clusters of near-duplicates, seeded, stable when rows are added.

A cluster goes where the hash of (seed, its smallest row name) says, so no other row has a part in it. Adding rows
moves only rows whose own cluster got a smaller name or merged with another.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from tuneworthy.data.near import clusters
from tuneworthy.records import Example, Record

DEV_SHARE = 0.25
DEV_MOST = 150
"""More development cases cost time and say little more: at 150 one standard error is at most 4 points."""


class Split(Record):
    """Names of rows, sorted; the two never share a cluster."""

    train: tuple[str, ...] = ()
    dev: tuple[str, ...] = ()


def split(examples: Sequence[Example], *, seed: int, dev_share: float = DEV_SHARE, dev_most: int = DEV_MOST) -> Split:
    """Divide examples. Clusters whose hash falls below the share go to development.

    With many rows the share shrinks so that about `dev_most` rows are expected there; the size of that step is a power
    of two, so that adding a few rows does not move others.
    """
    if not examples:
        return Split()
    groups: dict[int, list[str]] = defaultdict(list)
    for example, cluster in zip(examples, clusters(examples), strict=True):
        groups[cluster].append(example.name)
    share = dev_share
    while share * len(examples) > 1.5 * dev_most:
        share /= 2
    train: list[str] = []
    dev: list[str] = []
    for names in groups.values():
        (dev if _position(seed, min(names)) < share else train).extend(names)
    return Split(train=tuple(sorted(train)), dev=tuple(sorted(dev)))


def _position(seed: int, name: str) -> float:
    """A number in [0, 1) that depends on nothing but seed and name."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8]) / 2**64
