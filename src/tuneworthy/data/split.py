"""Train and development split: whole clusters of near-duplicates, seeded, stable when rows are added.

A cluster goes where the hash of (seed, its smallest row name) says, so no row of another cluster has a part in it.
Added rows move others in two cases only: their cluster changed (it got a row with a smaller name, merged with
another, or outgrew LARGEST), or the number of rows crossed a step of the share (160, 900, 1,800, …), where half of
the development rows change sides and the rest stay.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

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


def split(examples: Sequence[Example], *, seed: int, dev_share: float = DEV_SHARE, dev_most: int = DEV_MOST) -> Split:
    """Divide examples. Clusters whose hash falls below the share go to development.

    Args:
        dev_share: share of the rows; doubled, up to a half, while fewer than DEV_LEAST rows are expected, and
            halved while more than 1.5 × `dev_most` are, so that it moves in rare steps.
        dev_most: rows that development needs at most.
    """
    groups: dict[int, list[str]] = defaultdict(list)
    for example, cluster in zip(examples, clusters(examples), strict=True):
        groups[cluster].append(example.name)
    rows = len({example.name for example in examples})
    by_place = sorted((_place(seed, min(names)), sorted(set(names))) for names in groups.values())
    share = _share(rows, dev_share, dev_most)
    dev = [place < share and len(names) <= LARGEST for place, names in by_place]
    if len(by_place) > 1 and len(set(dev)) == 1:  # too few rows for chance to serve both sides
        dev = [number == 0 for number in range(len(by_place))]
    return Split(
        train=tuple(sorted(name for (_, names), out in zip(by_place, dev, strict=True) if not out for name in names)),
        dev=tuple(sorted(name for (_, names), out in zip(by_place, dev, strict=True) if out for name in names)),
    )


def _share(rows: int, share: float, most: int) -> float:
    while share * rows < DEV_LEAST and 2 * share <= 0.5:
        share *= 2
    while share * rows > 1.5 * most:
        share /= 2
    return share


def _place(seed: int, name: str) -> float:
    """A number in [0, 1) that depends on nothing but seed and name."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8]) / 2**64
