"""Two arms within a part of the cases: is a tag worse off, though the whole is better?

One comparison for each tag, corrected together (Holm). A slice vetoes a change only where its loss is told from none;
with fewer than 30 cases it was not measured well enough, which is never "no regression".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tuneworthy.measure.compare import Clusters, arm_interval, compare
from tuneworthy.measure.statistics import holm
from tuneworthy.records import Arm, Calibration, Interval, Record

FEWEST = 30


class Slice(Record):
    """The cases of one tag in two arms."""

    tag: str
    reference: str
    candidate: str
    n: int
    """cases of the tag scored in both arms"""
    reference_score: Interval | None
    candidate_score: Interval | None
    difference: Interval | None
    p: float
    p_adjusted: float
    """after Holm, over the tags of this comparison"""
    enough: bool
    """at least 30 cases; otherwise not measured well enough"""
    worse: bool
    """told from none: p after Holm below alpha, and the whole interval below 0"""


def slices(
    reference: Arm,
    candidate: Arm,
    tags: Mapping[str, Sequence[str]],
    *,
    binary: bool,
    seed: int = 0,
    alpha: float = 0.05,
    clusters: Clusters | None = None,
    judge: Calibration | None = None,
) -> tuple[Slice, ...]:
    """Every tag that at least two cases carry, in alphabetical order.

    Args:
        tags: case id → its tags.
    """
    by_tag: dict[str, set[str]] = {}
    for case, names in tags.items():
        for name in names:
            by_tag.setdefault(name, set()).add(case)
    parts = {tag: (_part(reference, ids), _part(candidate, ids)) for tag, ids in by_tag.items() if len(ids) > 1}
    found = {
        tag: compare(one, two, binary=binary, registered=False, seed=seed, alpha=alpha, clusters=clusters, judge=judge)
        for tag, (one, two) in sorted(parts.items())
    }
    adjusted = dict(zip(found, holm([c.p for c in found.values()]), strict=True))
    rows = []
    for tag, c in found.items():
        one, two = (arm_interval(arm, binary, clusters=clusters, level=1 - alpha, judge=judge) for arm in parts[tag])
        lost = c.difference is not None and c.difference.high < 0 and adjusted[tag] < alpha
        rows.append(
            Slice(
                tag=tag,
                reference=reference.name,
                candidate=candidate.name,
                n=c.n,
                reference_score=one,
                candidate_score=two,
                difference=c.difference,
                p=c.p,
                p_adjusted=adjusted[tag],
                enough=c.n >= FEWEST,
                worse=lost,
            )
        )
    return tuple(rows)


def _part(arm: Arm, ids: set[str]) -> Arm:
    return arm.model_copy(update={"results": tuple(r for r in arm.results if r.case in ids)})
