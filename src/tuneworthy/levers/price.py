"""What is a defect worth? Small arms learn with and without the rows of a finding: the difference in score.

Fewer rows always cost something, so what leaving a group out does is held against leaving out as many other rows,
drawn at random under each seed: price = (without the group - as it is) - (without random rows - as it is). A repair
that a rule can make keeps all rows and needs no such control.

The judging rows stay as they are, suspects included: a judge that is cleaned by the check that flags the rows would
find the flagging right (cleanlab #1158). Wrong labels among them blur what is seen, so a price is rather too small.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuneworthy.data import fix
from tuneworthy.data.findings import Batch, CheckReport, Finding, NotMeasured, Price, many
from tuneworthy.errors import TrainingError
from tuneworthy.levers.small_arms import Learner, Scores, Trainings, cases_of
from tuneworthy.measure.statistics import crossed_interval
from tuneworthy.records import Case, Example

AS_IT_IS = "the rows as they are"
SEEDS = 3
FEWEST = 10
"""rows of a group: fewer make no difference that a training shows"""
LARGEST = 0.5
"""share of the rows: of a larger group no control of the same size is left"""

UNPRICED: Mapping[tuple[str, str], str] = {
    ("duplicates", "exact"): "copies are never trained on: nothing to gain",
    ("leakage", "exact"): "such rows are never trained on",
    ("leakage", "near"): "such rows are never trained on",
    ("leakage", "rephrased"): "what a leak does shows on the locked cases, and none is opened here",
}
"""Findings whose price small arms cannot tell; the rows of `coverage` and `audit` lack nothing themselves."""


_RULE = re.compile(rf"--rule ({'|'.join(fix.RULES)})\b")
"""In the next step of a finding: the rule that repairs its rows. The rows of others are left out."""


@dataclass(frozen=True)
class Group:
    """The rows of a finding, and what is tried on them."""

    finding: Finding
    names: frozenset[str]
    """of rows that are trained on"""
    rule: str = ""
    """empty = they are left out"""
    repaired: Mapping[str, Example] | None = None

    @property
    def told(self) -> str:
        """As a check is named."""
        return f"{self.finding.check}.{self.finding.kind}"


def groups_of(
    report: CheckReport, batch: Batch, examples: Sequence[Example], *, most: int
) -> tuple[list[Group], list[NotMeasured]]:
    """The groups to price, worst finding first, and those that are not, with the reason."""
    known = {example.name for example in examples}
    found: list[Group] = []
    left: list[NotMeasured] = []
    for finding in report.findings:
        group = _group(finding, batch, known)
        reason = _why_not(group, len(known)) if isinstance(group, Group) else group
        if not reason and len(found) == most:
            reason = f"only the first {most} groups are priced with this learner"
        if reason:
            left.append(NotMeasured(check=finding.check, what=f"price of {finding.kind}", reason=reason))
        else:
            assert isinstance(group, Group)
            found.append(group)
    return found, left


def trainings(learner: Learner, groups: Sequence[Group], *, seeds: int = SEEDS) -> int:
    """How many trainings pricing takes, at most."""
    arms = 1 + sum(1 if group.rule else 2 for group in groups)
    return arms * sum(len(learner.folds(seed)) for seed in range(seeds))


def price(
    learner: Learner, groups: Sequence[Group], counting: Trainings, *, seeds: int = SEEDS, level: float = 0.95
) -> list[Price]:
    """Measure all groups against the same trainings on the data as they are."""
    cases = cases_of(learner.folds(0))
    place = {case.id: number for number, case in enumerate(cases)}
    names = [AS_IT_IS, *(name for g in groups for name in ((g.told,) if g.rule else (g.told, _control(g))))]
    arms = {name: np.full((seeds, len(cases)), np.nan) for name in names}

    def enter(name: str, seed: int, scores: Scores) -> None:
        for case, value in scores.items():
            arms[name][seed, place[case]] = value

    for seed in range(seeds):
        for number, fold in enumerate(learner.folds(seed)):
            for name, rows in _variants(fold.train, groups, f"{seed} {number}"):
                label = counting.say(f"{name}, seed {seed}")
                enter(name, seed, learner.learn(rows, fold.cases, seed=seed, label=label))
    return [_priced(learner, group, arms, cases, counting.total, level) for group in groups]


def with_prices(report: CheckReport, prices: Sequence[Price], left: Sequence[NotMeasured]) -> CheckReport:
    """The report with the cost of each finding that was priced."""
    by_finding = {price.finding: price for price in prices}
    findings = []
    for finding in report.findings:
        price = by_finding.get(f"{finding.check}.{finding.kind}")
        findings.append(finding.model_copy(update={"cost": in_words(price)}) if price else finding)
    not_measured = (*report.not_measured, *left)
    return report.model_copy(
        update={"findings": tuple(findings), "prices": tuple(prices), "not_measured": not_measured}
    )


def in_words(price: Price) -> str:
    """`left out, +1.2 points (0.3 to 2.0) against as many random rows (plain classifier …, n = 900, 3 seeds)`."""
    against = "as it is" if price.control is None else "as many random rows left out"
    if price.price is None:
        found = "no interval"
    else:
        found = " to ".join(f"{100 * limit:+.1f}" for limit in (price.price.low, price.price.high))
        found = f"{100 * price.price.value:+.1f} points ({found})"
    return f"{price.tried}: {found} against {against}; {price.learner}, n = {price.cases:,}, {price.seeds} seeds"


# --- parts ----------------------------------------------------------------------------------------


def _group(finding: Finding, batch: Batch, known: set[str]) -> Group | str:
    """The group of a finding, or why it has none."""
    kind = finding.check, finding.kind
    if kind in UNPRICED:
        return UNPRICED[kind]
    if finding.check in ("coverage", "audit"):
        return "its rows lack nothing themselves"
    rule = _RULE.search(finding.next)
    if rule is None:
        return Group(finding, frozenset(ref.name for ref in finding.rows) & known)
    changes = {c.before.name: c.after for c in fix.RULES[rule[1]](batch) if c.after is not None}
    repaired = {name: after for name, after in changes.items() if name in known}
    return Group(finding, frozenset(repaired), rule[1], repaired)


def _why_not(group: Group, rows: int) -> str:
    if len(group.names) < FEWEST:
        return f"{many(len(group.names))} to learn from: fewer than {FEWEST} make no difference that a training shows"
    if len(group.names) > LARGEST * rows:
        return f"{many(len(group.names))} are more than half: no control of the same size is left"
    return ""


def _variants(rows: Sequence[Example], groups: Sequence[Group], seed: str) -> Iterator[tuple[str, Sequence[Example]]]:
    """Every arm with the rows that it learns from."""
    yield AS_IT_IS, rows
    for group in groups:
        yield group.told, _changed(rows, group)
        if not group.rule:
            yield _control(group), _without_random(rows, group, f"{group.told} {seed}")


def _control(group: Group) -> str:
    return f"as many random rows as {group.told}"


def _tried(group: Group) -> str:
    return f"after the rule {group.rule}" if group.rule else "left out"


def _changed(rows: Sequence[Example], group: Group) -> list[Example]:
    if group.repaired is not None:
        return [group.repaired.get(row.name, row) for row in rows]
    return [row for row in rows if row.name not in group.names]


def _without_random(rows: Sequence[Example], group: Group, seed: str) -> list[Example]:
    """As many rows fewer, drawn from those that are not suspected."""
    others = sorted(row.name for row in rows if row.name not in group.names)
    out = set(random.Random(seed).sample(others, min(len(others) - 1, len(rows) - len(others))))
    return [row for row in rows if row.name not in out]


def _priced(
    learner: Learner,
    group: Group,
    arms: Mapping[str, NDArray[np.float64]],
    cases: Sequence[Case],
    trained: int,
    level: float,
) -> Price:
    as_it_is, changed = arms[AS_IT_IS], arms[group.told]
    control = as_it_is if group.rule else arms[_control(group)]
    # A rule rewrites the judging rows that it touches, too: which form is right there is what is asked.
    judged = np.array([not (group.rule and case.id in group.names) for case in cases])
    judged &= np.isfinite(as_it_is + changed + control).all(axis=0)
    as_it_is, changed, control = as_it_is[:, judged], changed[:, judged], control[:, judged]
    clusters = [case.cluster or case.id for case, in_it in zip(cases, judged, strict=True) if in_it]
    if not clusters:
        raise TrainingError("no development case could be scored under every training", next="run: tuneworthy eval")
    return Price(
        finding=group.told,
        rows=len(group.names),
        tried=_tried(group),
        learner=learner.told,
        effect=crossed_interval(changed - as_it_is, groups=clusters, level=level),
        control=None if group.rule else crossed_interval(control - as_it_is, groups=clusters, level=level),
        price=crossed_interval(changed - control, groups=clusters, level=level),
        score=float(as_it_is.mean()),
        cases=len(clusters),
        seeds=len(as_it_is),
        trainings=trained,
    )
