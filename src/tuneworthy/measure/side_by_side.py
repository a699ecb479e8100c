"""Two arms before people who do not know which is which: pairs to vote on, the key, and what the votes say.

The order within a pair and the order of the pairs are drawn from a seed. Pairs whose answers are the same are not
shown: they are ties, and are counted apart. One vote for each pair: of several people on one pair the majority.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import JsonValue

from tuneworthy.content import digest
from tuneworthy.errors import NotComparable, TuneworthyError
from tuneworthy.measure.agreement import Votes, votes
from tuneworthy.measure.statistics import sign_flip
from tuneworthy.records import Arm, Case, Record, Vote
from tuneworthy.scorers.reading import normal

FEWEST_PEOPLE = 6
"""five people who agree reach p = .0625 when each counts once: below six, a test over people can show nothing"""


class PairKey(Record):
    """Which arm wrote which answer of a pair."""

    case: str
    one: str
    """name of the arm"""
    two: str
    answers: str
    """digest of the two answers: a vote on other texts is refused"""


class BlindKey(Record):
    """What the people who vote must not see."""

    reference: str
    candidate: str
    cases: str
    """digest of the suite lock"""
    seed: int
    identical: int
    """cases that both arms answer with the same text: not shown, ties"""
    pairs: dict[str, PairKey]
    """name of the pair → its key"""


class BlindPair(Record):
    """One pair as it is shown."""

    pair: str
    input: dict[str, JsonValue]
    evidence: str = ""
    one: str
    two: str


class Reason(Record):
    """Why somebody preferred one arm, in their own words."""

    case: str
    for_arm: str
    """empty = a tie"""
    by: str
    why: str


class SideBySide(Record):
    """What people say of two arms."""

    reference: str
    candidate: str
    pairs: int
    """pairs voted on"""
    open: int
    """pairs that nobody voted on"""
    identical: int
    split: int
    """pairs on which people were evenly split: ties"""
    people: int
    votes: Votes
    """one vote for each pair; wins are the candidate's"""
    by_person_p: float | None
    """p when each person counts once, which is what speaks about other people; None below six people"""
    reasons: tuple[Reason, ...] = ()


def pair_up(
    reference: Arm, candidate: Arm, cases: Sequence[Case], *, seed: int
) -> tuple[tuple[BlindPair, ...], BlindKey]:
    """Pairs in a drawn order, and the key to them.

    Raises:
        NotComparable: the arms were measured on different cases, or no case has two different answers.
    """
    if reference.cases != candidate.cases:
        raise NotComparable("the arms were measured on different cases", next="run both on the same suite")
    theirs, ours = ({r.case: r.answer for r in arm.results if r.answer.error is None} for arm in (reference, candidate))
    both = [case for case in cases if case.id in theirs and case.id in ours]
    shown = [case for case in both if normal(theirs[case.id].text) != normal(ours[case.id].text)]
    if not shown:
        raise NotComparable(
            f"{reference.name} and {candidate.name} give no two different answers", next="compare two other arms"
        )
    name = digest([reference.name, candidate.name, reference.cases, seed])[:8]
    draw = random.Random(f"{seed} {name}")
    draw.shuffle(shown)
    pairs, key = [], {}
    for number, case in enumerate(shown, start=1):
        arms = [(reference.name, theirs[case.id].text), (candidate.name, ours[case.id].text)]
        draw.shuffle(arms)
        (one, first), (two, second) = arms
        pair = f"{name}-{number:03}"
        pairs.append(BlindPair(pair=pair, input=dict(case.input), evidence=case.evidence, one=first, two=second))
        key[pair] = PairKey(case=case.id, one=one, two=two, answers=digest([first, second]))
    return tuple(pairs), BlindKey(
        reference=reference.name,
        candidate=candidate.name,
        cases=reference.cases,
        seed=seed,
        identical=len(both) - len(shown),
        pairs=key,
    )


def count(given: Sequence[Vote], key: BlindKey) -> SideBySide:
    """What the votes say, with the sign test and Wilson's interval over decisive pairs.

    Raises:
        TuneworthyError: no vote; a vote on a pair that the key does not know, or on other answers than were shown; two
            votes of one person on one pair.
    """
    if not given:
        raise TuneworthyError("nobody has voted yet", next='write "better": "one", "two" or "tie" into the rows')
    signs: dict[str, list[int]] = {}
    for vote in given:
        signs.setdefault(vote.pair, []).append(_sign(vote, key))
    twice = [p for (p, by), many in Counter((v.pair, v.by) for v in given).items() if many > 1]
    if twice:
        raise TuneworthyError(
            f"pair {twice[0]} has two votes of one person", next="keep one of them, or name the people"
        )
    majority = [_majority(s) for s in signs.values()]
    wins, losses = majority.count(1), majority.count(-1)
    people = sorted({vote.by for vote in given})
    return SideBySide(
        reference=key.reference,
        candidate=key.candidate,
        pairs=len(signs),
        open=len(key.pairs) - len(signs),
        identical=key.identical,
        split=sum(not _majority(s) and any(s) for s in signs.values()),
        people=len(people),
        votes=votes(wins, losses, len(majority) - wins - losses),
        by_person_p=_by_person(given, key) if len(people) >= FEWEST_PEOPLE else None,
        reasons=tuple(
            Reason(case=key.pairs[v.pair].case, for_arm=_arm(v, key), by=v.by, why=v.why) for v in given if v.why
        ),
    )


# --- parts ---------------------------------------------------------------------------------------


def _sign(vote: Vote, key: BlindKey) -> Literal[-1, 0, 1]:
    known = key.pairs.get(vote.pair)
    if known is None:
        raise TuneworthyError(
            f"the key knows no pair {vote.pair!r}", next="use the file that `tuneworthy compare --blind` wrote"
        )
    if digest([vote.one, vote.two]) != known.answers:
        raise TuneworthyError(
            f"pair {vote.pair}: these are not the answers that were shown",
            why="a vote on a changed text says nothing about the arms",
            next="restore the two answers from the file that `tuneworthy compare --blind` wrote",
        )
    arm = _arm(vote, key)
    return 0 if not arm else 1 if arm == key.candidate else -1


def _arm(vote: Vote, key: BlindKey) -> str:
    known = key.pairs[vote.pair]
    return {"one": known.one, "two": known.two, "tie": ""}[vote.better]


def _majority(signs: Sequence[int]) -> int:
    wins, losses, ties = signs.count(1), signs.count(-1), signs.count(0)
    if max(wins, losses) > max(min(wins, losses), ties):
        return 1 if wins > losses else -1
    return 0


def _by_person(given: Sequence[Vote], key: BlindKey) -> float:
    return sign_flip([float(_sign(vote, key)) for vote in given], groups=[vote.by for vote in given])
