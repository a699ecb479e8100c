"""Blind pairs: nothing in them tells the arms apart, and votes are counted only on what was shown."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from tuneworthy.errors import NotComparable, TuneworthyError
from tuneworthy.measure.side_by_side import count, pair_up
from tuneworthy.records import Answer, Arm, Candidate, Case, CaseResult, Score, Vote

SCORED = Score(value=1.0)


def arm(name, texts, cases="suite"):
    results = tuple(
        CaseResult(case=f"c{i}", answer=Answer(text=text), score=SCORED, lenient=SCORED) for i, text in enumerate(texts)
    )
    return Arm(name=name, candidate=Candidate(lever="prompt", model="m"), cases=cases, results=results)


CASES = [Case(id=f"c{i}", input={"question": f"q{i}"}) for i in range(60)]
PROMPT = arm("prompt", [f"old {i}" for i in range(60)])
LORA = arm("lora", [f"new {i}" if i >= 10 else f"old  {i}" for i in range(60)])


def shown(seed=0):
    return pair_up(PROMPT, LORA, CASES, seed=seed)


def vote(shown_pair, better, by="ann", **changes):
    row = {**shown_pair.model_dump(), "better": better, "by": by, **changes}
    return Vote.model_validate(row)


def by_arm(pairs, key, wins):
    """Votes that prefer lora on the first `wins` pairs and prompt on the others."""
    found = []
    for number, pair in enumerate(pairs):
        wanted = "lora" if number < wins else "prompt"
        found.append(vote(pair, "one" if key.pairs[pair.pair].one == wanted else "two"))
    return found


def test_nothing_in_the_pairs_names_an_arm_and_equal_answers_are_not_shown():
    pairs, key = shown()
    text = json.dumps([pair.model_dump() for pair in pairs])
    assert "lora" not in text
    assert "prompt" not in text
    assert (len(pairs), key.identical) == (50, 10)


def test_the_order_is_drawn_and_drawn_again_alike():
    pairs, key = shown()
    first = sum(entry.one == "lora" for entry in key.pairs.values())
    assert 15 < first < 35
    assert [key.pairs[pair.pair].case for pair in pairs] != [f"c{i}" for i in range(10, 60)]
    assert shown() == (pairs, key)
    assert shown(seed=1)[1].pairs != key.pairs


def test_the_sign_test_and_its_interval():
    pairs, key = shown()
    found = count(by_arm(pairs, key, 35), key)
    assert (found.votes.wins, found.votes.losses, found.votes.ties, found.open) == (35, 15, 0, 0)
    assert found.votes.p == pytest.approx(2 * binom.cdf(15, 50, 0.5))
    assert found.votes.share.value == 0.7
    assert found.by_person_p is None


def test_of_several_people_the_majority_counts_and_an_even_split_is_a_tie():
    pairs, key = shown()
    one, two, three = pairs[:3]
    given_votes = [vote(one, "one", by) for by in ("ann", "bob")] + [vote(one, "two", "cem")]
    given_votes += [vote(two, "one", "ann"), vote(two, "two", "bob"), vote(three, "tie", "ann")]
    found = count(given_votes, key)
    assert (found.pairs, found.open, found.split, found.people) == (3, 47, 1, 3)
    assert (found.votes.wins + found.votes.losses, found.votes.ties) == (1, 2)


def test_six_people_of_one_mind_speak_about_others():
    pairs, key = shown()
    six = [v.model_copy(update={"by": f"p{n}"}) for n in range(6) for v in by_arm(pairs, key, 50)]
    assert count(six, key).by_person_p == 2 / 2**6


def test_reasons_are_given_to_the_arm_that_they_praise():
    pairs, key = shown()
    found = count([vote(pairs[0], "one", why="shorter")], key)
    (reason,) = found.reasons
    assert (reason.for_arm, reason.why) == (key.pairs[pairs[0].pair].one, "shorter")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"pair": "elsewhere-001"}, "knows no pair"),
        ({"one": "a better text"}, "not the answers that were shown"),
    ],
)
def test_votes_on_other_things_are_refused(changes, says):
    pairs, key = shown()
    with pytest.raises(TuneworthyError, match=says):
        count([vote(pairs[0], "one", **changes)], key)


def test_two_votes_of_one_person_are_refused_and_so_are_none():
    pairs, key = shown()
    with pytest.raises(TuneworthyError, match="two votes of one person"):
        count([vote(pairs[0], "one"), vote(pairs[0], "two")], key)
    with pytest.raises(TuneworthyError, match="nobody has voted"):
        count([], key)


def test_arms_that_cannot_be_shown_side_by_side_are_refused():
    with pytest.raises(NotComparable, match="no two different answers"):
        pair_up(PROMPT, arm("twin", [f"old {i}" for i in range(60)]), CASES, seed=0)
    with pytest.raises(NotComparable, match="different cases"):
        pair_up(PROMPT, arm("other", ["x"] * 60, cases="another"), CASES, seed=0)


@given(st.lists(st.sampled_from(["one", "two", "tie"]), min_size=1, max_size=50))
def test_swapping_what_was_preferred_swaps_wins_and_losses(choices):
    pairs, key = shown()
    swap = {"one": "two", "two": "one", "tie": "tie"}
    there = count([vote(p, c) for p, c in zip(pairs, choices, strict=False)], key).votes
    back = count([vote(p, swap[c]) for p, c in zip(pairs, choices, strict=False)], key).votes
    assert (there.wins, there.losses, there.ties, there.p) == (back.losses, back.wins, back.ties, back.p)
    assert there.wins + there.losses + there.ties == len(choices)
