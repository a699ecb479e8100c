"""Two arms before a pairwise judge: every pair in both orders, and what people would say once its errors are counted.

Of a pair's two answers people prefer the candidate's (+1), the reference's (-1) or neither (0); the mean is the net
preference. The judge's own mean is never the answer. Two corrections, of which the second asks for less:

- by its error rates on labelled pairs (Rogan-Gladen). With q1 = P(judge: at least as good | people: at least as good)
  and q0 likewise for worse, P(judge prefers candidate) - P(judge prefers reference) = (q1 + q0 - 1) times the same
  difference of people, where the judge errs alike on either arm;
- by people who voted on some of these very pairs, drawn at random (prediction-powered, PPI++): no such assumption.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tuneworthy.errors import NotComparable
from tuneworthy.measure.agreement import prediction_powered_mean
from tuneworthy.measure.compare import MOST_UNSCORED, Clusters, corrected_by_judge, groups_of
from tuneworthy.measure.statistics import sign_flip, t_interval
from tuneworthy.records import Arm, Calibration, Case, Interval, Record, UnscoredReason, Vote
from tuneworthy.scorers.judge import Judge
from tuneworthy.scorers.reading import normal

FEWEST_VOTES = 30
"""pairs of these arms that people must have voted on before they correct the judge"""


class JudgedPairs(Record):
    """What a judge, held against people, says of two arms. Never registered: it cannot support `tune`."""

    reference: str
    candidate: str
    judge: str
    """digest of the judge"""
    labels: int
    """pairs on which it was held against people"""
    n: int
    """pairs with two different answers that it judged"""
    identical: int
    """cases with the same answer in both arms: not asked about, and not among the pairs"""
    unanswered: int = 0
    """cases that one of the arms gave no answer to, since its channel failed: no loss, and not among the pairs"""
    wins: int
    """pairs in which the judge prefers the candidate in both orders"""
    losses: int
    ties: int
    turned: int
    """of the ties, those whose preference changed with the order"""
    unscored: dict[UnscoredReason, int] = {}
    """reason → pairs that the judge could not judge"""
    by_judge: Interval | None
    """net preference in the judge's own eyes, uncorrected: told, and not to be used alone"""
    corrected: Interval | None
    """net preference of people behind it, the judge's errors inside (Rogan-Gladen)"""
    powered: Interval | None
    """net preference of people, from votes on some of these pairs and the judge on all (PPI++); None below 30 votes"""
    voted: int
    """pairs of these arms that people voted on"""
    p: float
    """two-sided, against no preference of the judge; that it has none is the same as that people have none"""
    test: str = "sign-flip permutation"
    problem: str = ""
    """why nothing follows from it; empty when something may"""
    warnings: tuple[str, ...] = ()

    @property
    def people(self) -> Interval | None:
        """The estimate that asks for the least."""
        return self.powered or self.corrected


class Told(NamedTuple):
    """What the choices of a judge come to; the fields of JudgedPairs."""

    n: int
    wins: int
    losses: int
    ties: int
    by_judge: Interval | None
    corrected: Interval | None
    powered: Interval | None
    voted: int
    p: float


def judge_pairs(
    judge: Judge,
    held: Calibration,
    reference: Arm,
    candidate: Arm,
    cases: Sequence[Case],
    *,
    votes: Sequence[Vote] = (),
    seed: int = 0,
    alpha: float = 0.05,
    clusters: Clusters | None = None,
) -> JudgedPairs:
    """Ask a pairwise judge about every case that two arms answer differently, in both orders.

    Args:
        held: how far it agrees with people.
        votes: what people said of pairs; those on these very answers correct the judge a second way.
        clusters: case id → cluster.

    Raises:
        NotComparable: the arms were measured on different cases, or give no two different answers.
    """
    if reference.cases != candidate.cases:
        raise NotComparable("the arms were measured on different cases", next="run both on the same suite")
    theirs, ours = (
        {r.case: r.answer.text for r in arm.results if r.answer.error is None} for arm in (reference, candidate)
    )
    both = [case for case in cases if case.id in theirs and case.id in ours]
    pairs = [(case, ours[case.id], theirs[case.id]) for case in both]
    differ = [pair for pair in pairs if normal(pair[1]) != normal(pair[2])]
    if not differ:
        raise NotComparable(
            f"{reference.name} and {candidate.name} give no two different answers", next="compare two other arms"
        )
    said = judge.preferences(differ)
    lost = Counter(p.unscored for p in said if p.unscored is not None)
    choices = {case.id: p.choice for (case, _, _), p in zip(differ, said, strict=True) if p.choice is not None}
    found = told(choices, held, people(votes, differ), seed=seed, alpha=alpha, clusters=clusters)
    return JudgedPairs(
        reference=reference.name,
        candidate=candidate.name,
        judge=judge.digest,
        labels=held.n,
        identical=len(both) - len(differ),
        unanswered=len(cases) - len(both),
        turned=sum(p.leaning != 0 for p in said if p.choice is not None),
        unscored=dict(lost),
        problem=_problem(lost, len(differ)) or _unanswered(len(cases) - len(both), len(cases)),
        warnings=held.warnings,
        **found._asdict(),
    )


def people(votes: Sequence[Vote], pairs: Sequence[tuple[Case, str, str]]) -> dict[str, int]:
    """case → what most people prefer of (case, candidate's answer, reference's answer): 1, -1, or 0 where they are tied
    or split. Votes on other answers are left out."""
    known = {(case.id, side): text for case, *texts in pairs for side, text in zip((1, -1), texts, strict=True)}
    by_input = {str(sorted(case.input.items())): case.id for case, _, _ in pairs}
    signs: dict[str, list[int]] = {}
    for vote in votes:
        case = by_input.get(str(sorted(vote.input.items())))
        if case is None or {vote.one, vote.two} != {known[case, 1], known[case, -1]}:
            continue
        ours = 1 if vote.one == known[case, 1] else -1
        signs.setdefault(case, []).append({"one": ours, "two": -ours, "tie": 0}[vote.better])
    return {case: int(np.sign(sum(given))) for case, given in signs.items()}


def told(
    choices: Mapping[str, int],
    held: Calibration,
    voted: Mapping[str, int],
    *,
    seed: int = 0,
    alpha: float = 0.05,
    clusters: Clusters | None = None,
) -> Told:
    """What follows from the judge's choices (case → 1, 0, -1) and from what people chose on some of them."""
    cases = sorted(choices)
    d = np.array([choices[case] for case in cases], dtype=float)
    groups, level = groups_of(cases, clusters), 1 - alpha
    return Told(
        n=d.size,
        wins=int((d > 0).sum()),
        losses=int((d < 0).sum()),
        ties=int((d == 0).sum()),
        by_judge=t_interval(d, groups=groups, level=level) if d.size > 1 else None,
        corrected=_cut(corrected_by_judge(d, groups, held, level)) if d.size > 1 else None,
        powered=_powered(choices, voted, level) if groups is None else None,
        voted=len(voted.keys() & choices.keys()),
        p=sign_flip(d, groups=groups, seed=seed),
    )


# --- parts ---------------------------------------------------------------------------------------


def _powered(choices: Mapping[str, int], voted: Mapping[str, int], level: float) -> Interval | None:
    """None with too few votes, or where people voted on all pairs: then count the votes."""
    both = sorted(voted.keys() & choices.keys())
    others = sorted(choices.keys() - voted.keys())
    if len(both) < FEWEST_VOTES or len(others) < 2:
        return None
    human, judge, rest = [voted[c] for c in both], [choices[c] for c in both], [choices[c] for c in others]
    return _cut(prediction_powered_mean(human, judge, rest, level=level))


def _cut(interval: Interval) -> Interval:
    """A net preference lies between -1 and 1."""
    return interval.model_copy(update={k: max(-1.0, min(1.0, getattr(interval, k))) for k in ("value", "low", "high")})


def _unanswered(count: int, cases: int) -> str:
    if count <= MOST_UNSCORED * cases:
        return ""
    return f"{count} of {cases} cases were not answered by both arms; at most 2 % may"


def _problem(lost: Counter[UnscoredReason], pairs: int) -> str:
    count = sum(lost.values())
    if count <= MOST_UNSCORED * pairs:
        return ""
    return f"the judge could not judge {count} of {pairs} pairs ({', '.join(sorted(lost))}); at most 2 % may"
