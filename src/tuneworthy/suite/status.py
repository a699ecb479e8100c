"""What a suite can tell: with so many cases, how likely is a difference of so many points to be seen?"""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.measure.statistics import cases_needed, detectable_difference, power_mcnemar
from tuneworthy.project import Project
from tuneworthy.records import Case, Record
from tuneworthy.suite import openings
from tuneworthy.suite.lock import SuiteLock
from tuneworthy.usecase import UseCase

DISCORDANCE = 0.2
"""share of cases on which two arms differ, assumed until arms were measured"""
DIFFERENCES = (0.05, 0.10, 0.20)


class Power(Record):
    """How well one true difference is seen."""

    difference: float
    power: float
    """probability that this many cases show it (mid-p McNemar)"""
    cases_for_80: int
    """cases at which the probability is 80 %"""


class SuiteStatus(Record):
    """A suite as it stands."""

    cases: int
    clusters: int
    """groups of cases that share a cluster; a case without one is its own"""
    lock: str = ""
    """digest; empty = not locked"""
    problem: str = ""
    """why it is not locked"""
    metric: str
    at_least: float
    power: tuple[Power, ...]
    smallest_seen: float | None
    """smallest difference that this many cases show with 80 % power; None = none"""
    openings: int = 0
    """looks at the locked cases so far"""


def status(
    project: Project, usecase: UseCase, cases: Sequence[Case], lock: SuiteLock | None, problem: str = ""
) -> SuiteStatus:
    """Describe a suite. Power is for right/wrong scores that differ on 20 % of the cases, or more where the difference
    asks for it."""
    alpha, n = usecase.bar.alpha, len(cases)
    return SuiteStatus(
        cases=n,
        clusters=len({case.cluster or f"its own: {case.id}" for case in cases}),
        lock=lock.digest if lock else "",
        problem=problem,
        metric=usecase.bar.metric,
        at_least=usecase.bar.at_least,
        power=tuple(_power(n, difference, alpha) for difference in DIFFERENCES),
        smallest_seen=detectable_difference(n, DISCORDANCE, alpha=alpha) if n else None,
        openings=len(openings.read(project.openings_file)),
    )


def _power(n: int, difference: float, alpha: float) -> Power:
    share = max(DISCORDANCE, difference)
    return Power(
        difference=difference,
        power=power_mcnemar(n, share, difference, alpha=alpha) if n else 0.0,
        cases_for_80=cases_needed(share, difference, alpha=alpha),
    )


def in_words(found: SuiteStatus) -> str:
    """One sentence for the record of a run."""
    seen = "no difference" if found.smallest_seen is None else f"a difference of {100 * found.smallest_seen:.0f} points"
    share = f"{100 * DISCORDANCE:.0f} %"
    return f"{found.cases} cases show {seen} with 80 % power, if two arms differ on {share} of them"
