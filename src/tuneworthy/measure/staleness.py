"""What happens to the answers when the facts change? The documents are changed, the weights are not.

Values that stand in the documents and are expected answers are replaced by others of the same shape. An arm that reads
follows; an arm that knows by heart keeps giving the old value: it is stale on the day a fact changes.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

from tuneworthy.measure.statistics import wilson
from tuneworthy.records import Answer, Case, Interval, Record

FEWEST = 10
FOLLOWED = 0.95
"""share of new answers from which an arm counts as following its documents (science page, section 6)"""


class Staleness(Record):
    """One arm on cases whose fact was changed in the documents."""

    n: int
    before: Interval
    """share right with the documents as they are"""
    followed: Interval
    """share that gives the new value once the documents say so"""
    stale: Interval
    """share that gives the old value all the same"""
    reads: bool
    """the arm is shown documents; without them it cannot follow"""
    dated: int
    """training rows whose output holds a date, a price or `currently`, which their input does not"""
    rows: int
    """training rows looked at"""

    @property
    def measurable(self) -> bool:
        """The arm gave at least ten of the facts before: what it never knew can neither follow nor be stale."""
        return round(self.before.value * self.n) >= FEWEST

    @property
    def follows(self) -> bool:
        """At least 95 % new answers."""
        return self.followed.value >= FOLLOWED


def changes(cases: Sequence[Case], documents: Mapping[str, str], seed: int) -> dict[str, tuple[str, str]]:
    """case id → (old value, new value), for cases whose expected answer stands in a document as whole words.

    Values of digits become other digits of the same length; others become another case's value. The new value stands
    in no document, so that an answer with it can only come from the changed ones; where there is none, the case is left
    out.
    """
    text = "\n".join(documents.values())
    values = {case.id: _value(case) for case in cases}
    stand = {id_: value for id_, value in values.items() if value and contains(text, value)}
    draw = random.Random(f"staleness {seed}")
    new: dict[str, str] = {}
    for value in sorted(set(stand.values())):
        other = _other(value, draw, text)
        if other:
            new[value] = other
    return {id_: (value, new[value]) for id_, value in stand.items() if value in new}


def apply(documents: Mapping[str, str], changed: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """The documents with every old value replaced, as whole words and all at once."""
    new = dict(changed.values())
    if not new:
        return dict(documents)
    longest_first = sorted(new, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
    return {name: pattern.sub(lambda match: new[match.group()], text) for name, text in documents.items()}


def judge(
    cases: Sequence[Case],
    changed: Mapping[str, tuple[str, str]],
    before: Sequence[Answer],
    after: Sequence[Answer],
    *,
    reads: bool,
    dated: int,
    rows: int,
) -> Staleness | None:
    """Old and new answers of one arm; None with fewer than ten cases whose fact was changed and that were answered."""
    told = [
        (*changed[case.id], was.text, now.text)
        for case, was, now in zip(cases, before, after, strict=True)
        if case.id in changed and was.error is None and now.error is None
    ]
    n = len(told)
    if n < FEWEST:
        return None
    return Staleness(
        n=n,
        before=wilson(sum(contains(was, old) for old, _, was, _ in told), n),
        followed=wilson(sum(contains(now, new) and not contains(now, old) for old, new, _, now in told), n),
        stale=wilson(sum(contains(now, old) for old, _, _, now in told), n),
        reads=reads,
        dated=dated,
        rows=rows,
    )


def contains(text: str, value: str) -> bool:
    """Does the value stand in the text as whole words?"""
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None


def _value(case: Case) -> str:
    expected = case.expected[0] if isinstance(case.expected, list) and case.expected else case.expected
    return expected.strip() if isinstance(expected, str) else ""


def _other(value: str, draw: random.Random, text: str) -> str:
    """A value of the same shape that stands nowhere: other digits, other letters in the place of letters."""
    for _ in range(50):
        other = "".join(_sign(sign, draw) for sign in value)
        if other != value and not contains(text, other):
            return other
    return ""


def _sign(sign: str, draw: random.Random) -> str:
    if sign.isdigit():
        return draw.choice("123456789")
    if sign.isalpha() and sign.isascii():
        vowels, others = "aeiou", "bdfgklmnprstv"
        new = draw.choice(vowels if sign.lower() in vowels else others)
        return new.upper() if sign.isupper() else new
    return sign
