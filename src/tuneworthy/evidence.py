"""What a verdict may rest on: measured arms and comparisons, and the numbers that follow from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pydantic import Field
from scipy.stats import norm

from tuneworthy.measure import statistics
from tuneworthy.measure.compare import GainSplit
from tuneworthy.measure.diagnose import Diagnosis
from tuneworthy.measure.probes import Probes
from tuneworthy.measure.retention import Retention
from tuneworthy.measure.slices import Slice
from tuneworthy.records import Comparison, Interval, LeverName, LeverResult, Record
from tuneworthy.usecase import Bar

ASSUMED_DISCORDANCE = 0.2
"""share of cases on which two arms differ, assumed for planning where none was measured"""
MOST_CASES = 1_000_000
"""beyond this the number of cases is no longer an answer"""

FEW_WORDINGS = 3
"""as many as the prompt lever makes of one instruction"""
ENOUGH_WORDINGS = 10
"""wordings from which a straw man deceives in at most one of twenty simulated projects"""

BarState = Literal["met", "missed", "unclear"]


class ArmSummary(Record):
    """One lever as measured on the suite. A trained lever is one arm with its seeds as numbers."""

    lever: LeverName
    arm: str
    trained: bool
    interval: Interval | None
    """None when nothing was scored, or when graded scores do not vary"""
    n: int
    """cases scored"""
    unscored: int = 0
    seeds: tuple[float, ...] = ()
    """mean score of every training seed of this lever; the worst one counts"""
    seeds_on: Literal["suite", "dev"] = "suite"
    """where the seeds were scored"""
    dev_score: float | None = None
    """mean on the development split, of a trained lever over its seeds"""
    cost_rank: int = 0
    """smaller is cheaper; equal ranks keep the order of the ladder"""

    def state(self, bar: Bar) -> BarState:
        """Where the interval lies: at or above the bar, below it, or across."""
        if self.interval is None:
            return "unclear"
        if self.interval.low >= bar.at_least:
            return "met"
        return "missed" if self.interval.high < bar.at_least else "unclear"


class Wordings(Record):
    """How much the wording of the prompt alone changes."""

    scores: tuple[float, ...]
    """of each wording that was tried, on the same development cases"""
    n: int
    """development cases"""

    @property
    def spread(self) -> float:
        """Best minus worst; 0 where chance explains it: two standard errors of two arms that are right or wrong
        (graded scores vary less, and so do paired cases). From four wordings on the level is shared among their pairs,
        so that who tries more is not held to more."""
        low, high, tried = min(self.scores), max(self.scores), len(self.scores)
        error = math.sqrt((low * (1 - low) + high * (1 - high)) / self.n)
        most = 2.0 if tried <= FEW_WORDINGS else float(norm.isf(0.025 / math.comb(tried, 2)))
        return high - low if high - low > most * error else 0.0


class Evidence(Record):
    """All that a verdict may rest on."""

    bar: Bar
    n_cases: int
    """cases of the locked suite"""
    arms: tuple[ArmSummary, ...] = ()
    """in the order of the ladder"""
    comparisons: tuple[Comparison, ...] = ()
    """trained arms against untrained ones; `registered` says which may decide"""
    splits: tuple[GainSplit, ...] = ()
    gates: dict[str, Literal["passed", "failed", "not_measured"]] = Field(default_factory=dict)
    overrides: dict[str, str] = Field(default_factory=dict)
    """gate → written reason for passing it all the same"""
    not_tried: tuple[LeverResult, ...] = ()
    """levers without an arm, and why"""
    unscored_problem: str = ""
    """from `unscored_gate`; empty when it passed"""
    identical: tuple[str, ...] = ()
    """trained arms that gave the same answers as the base model"""
    retention: Retention | None = None
    """of the best trained lever: what became of other abilities"""
    probes: Probes | None = None
    """of the best trained lever: what else training did"""
    slices: tuple[Slice, ...] = ()
    """comparisons within the cases of a tag; one that is told to be worse forbids `tune`"""
    diagnosis: Diagnosis | None = None
    """why the base fails on the development split"""
    unmeasured: tuple[str, ...] = ()
    """what the run did not look at beside its levers, e.g. the sum in euros"""
    discordance: float | None = None
    """share of cases on which arms differ on the development split; plans where nothing was compared"""
    wordings: Wordings | None = None
    wrong_labels: Interval | None = None
    """share of expected outputs that a person found wrong in random rows; None = nobody looked"""
    facts: float | None = None
    """share of the training rows whose output holds names, figures or dates that nothing in the input tells"""


# --- looked up ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Facts:
    """Evidence with the arms and the comparison that decide picked out.

    Raises:
        ValueError: a number is NaN or infinite.
    """

    evidence: Evidence

    def __post_init__(self) -> None:
        e = self.evidence
        found = [arm.interval for arm in e.arms] + [c.difference for c in e.comparisons]
        found += [s.content_interval for s in e.splits] + ([e.retention.interval] if e.retention else [])
        numbers = [x for i in found if i is not None for x in (i.value, i.low, i.high)]
        numbers += [x for c in e.comparisons for x in (c.p, c.worst_case)] + [s.content for s in e.splits]
        if not all(math.isfinite(x) for x in numbers):
            raise ValueError("a measured number is not finite")

    @property
    def bar(self) -> Bar:
        return self.evidence.bar

    @cached_property
    def untrained(self) -> list[ArmSummary]:
        """Scored arms that need no training, cheapest first."""
        scored = (arm for arm in self.evidence.arms if not arm.trained and arm.interval)
        return sorted(scored, key=lambda arm: arm.cost_rank)

    @cached_property
    def trained(self) -> list[ArmSummary]:
        """Scored trained arms whose answers differ from the base's."""
        e = self.evidence
        return [arm for arm in e.arms if arm.trained and arm.interval and arm.arm not in e.identical]

    @cached_property
    def best_untrained(self) -> ArmSummary | None:
        return max(self.untrained, key=mean, default=None)

    @cached_property
    def best_trained(self) -> ArmSummary | None:
        """The highest mean, but an arm that may decide (registered comparison) before one that may not."""
        return max(self.trained, key=lambda arm: (self._may_decide(arm), mean(arm)), default=None)

    @cached_property
    def contest(self) -> Comparison | None:
        """Best trained arm against the strongest untrained arm it was compared with; registered first."""
        return self._against_untrained(self.best_trained) if self.best_trained else None

    @cached_property
    def split(self) -> GainSplit | None:
        """The gain taken apart, against the same reference as the contest where that is at hand."""
        if self.best_trained is None:
            return None
        reference = self.contest.reference if self.contest else ""
        own = [split for split in self.evidence.splits if split.candidate == self.best_trained.arm]
        return max(own, key=lambda split: split.reference == reference, default=None)

    def _may_decide(self, arm: ArmSummary) -> bool:
        contest = self._against_untrained(arm)
        return contest is not None and contest.registered

    def _against_untrained(self, trained: ArmSummary) -> Comparison | None:
        means = {arm.arm: mean(arm) for arm in self.untrained}
        own = [c for c in self.evidence.comparisons if c.candidate == trained.arm and c.reference in means]
        return max(own, key=lambda c: (c.registered, means[c.reference]), default=None)


def mean(arm: ArmSummary) -> float:
    """Mean score; minus infinity where nothing was scored."""
    return arm.interval.value if arm.interval else -math.inf


def p_of(contest: Comparison) -> float:
    """The p that decides: adjusted where the contrast belongs to a family."""
    return contest.p if contest.p_adjusted is None else contest.p_adjusted


# --- numbers in words -----------------------------------------------------------------------------


def percent(score: float) -> str:
    """`92.0 %`"""
    return f"{100 * score:.1f} %"


def points(difference: float) -> str:
    """`5.0 points`"""
    return f"{100 * difference:.1f} points"


def signed(difference: float) -> str:
    """`+5.0 points`"""
    return f"{100 * difference:+.1f} points"


# --- how many more cases -------------------------------------------------------------------------


def cases_for_power(facts: Facts) -> tuple[int, str]:
    """Cases at which the smallest difference that matters is found, and what that number rests on."""
    bar, contest = facts.bar, facts.contest
    smallest = bar.smallest_difference
    if contest is not None and contest.p_exact is None and contest.difference is not None:
        sd = statistics.implied_sd(contest.difference, contest.n)
        n = statistics.cases_needed_graded(sd, smallest, power=bar.power, alpha=bar.alpha)
        return n, "with the spread that was seen"
    if contest is not None and contest.n:
        share, origin = (contest.wins + contest.losses) / contest.n, "as seen here"
    elif facts.evidence.discordance is not None:
        share, origin = facts.evidence.discordance, "as on the development split"
    else:
        share, origin = ASSUMED_DISCORDANCE, "an assumption"
    share = min(1.0, max(share, smallest))
    n = statistics.cases_needed(share, smallest, power=bar.power, alpha=bar.alpha)
    return n, f"if the arms differ on {100 * share:.0f} % of the cases ({origin})"


def cases_for_bar(facts: Facts, arm: ArmSummary) -> int | None:
    """Further cases at which the interval clears the bar if the mean stays; None when it sits on the bar."""
    bar, interval = facts.bar.at_least, arm.interval
    if interval is None or interval.value == bar:
        return None
    if interval.method.startswith("t"):
        half = interval.high - interval.value if interval.value < bar else interval.value - interval.low
        need = arm.n * (half / (interval.value - bar)) ** 2
    else:
        # Cases that share clusters count for fewer: as many as would give this limit if they were on their own.
        limit = interval.high if interval.value < bar else interval.low
        alone = statistics.cases_to_clear(interval.value, limit, level=interval.level) or arm.n
        cleared = statistics.cases_to_clear(interval.value, bar, level=interval.level) or math.inf
        need = cleared * arm.n / alone
    return max(1, math.ceil(need) - arm.n) if need < MOST_CASES else None


def cases_for_difference(facts: Facts, contest: Comparison, difference: Interval) -> int | None:
    """Further cases to the planned power; past it, until this difference is told from the limit."""
    need: float = cases_for_power(facts)[0]
    smallest, value = facts.bar.smallest_difference, difference.value
    if need <= contest.n:
        short = value if value >= smallest else smallest - value
        half = value - difference.low if value >= smallest else difference.high - value
        need = contest.n * (half / short) ** 2 if short > 0 else math.inf
    return max(1, math.ceil(need) - contest.n) if need < MOST_CASES else None
