"""Contradictions: near-identical inputs with different outputs that the inputs' difference does not explain.

Words like `why`, `where`, `must` are not small: they ask for something else. For labels, pairs with another word are
listed after those with small words only; for texts and JSON another word explains another answer.

Two differences explain a pair. What differs between the outputs also differs between the inputs (another order number,
another plan): that is the pattern to learn. And one input says `not` where the other does not. What is left is ranked:
pairs whose inputs differ in spelling and small words only come first, since nothing in them tells the outputs apart.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from tuneworthy.data.findings import Batch, Finding, Found, excerpt, many, that
from tuneworthy.data.near import normal

_WORD = re.compile(r"\w+")
_NEGATION = frozenset(
    "not no never cannot without nobody nothing none t don doesn didn isn wasn won wouldn shouldn hasn haven couldn "
    "cant dont doesnt didnt isnt wasnt wont nicht kein keine keinen nie ohne ne pas jamais sans sin nunca non senza "
    "mai".split()
)
_SMALL = frozenset(
    "a an the this that these those my your our his her its their i you we he she it they me us him them is are was "
    "were be been am do does did have has had can could will would to of in on at by for from with and or but so then "
    "than as please hi hello hey thanks thank there here just also really very s m re ve ll d der die das ein eine und "
    "oder ist sind bitte le la les un une des et ou est".split()
)


def check(batch: Batch) -> Found:
    """Equal inputs first, then nearly equal ones."""
    yield from exact(batch)
    yield from _near(batch)


def exact(batch: Batch) -> Iterator[Finding]:
    """Equal inputs, but for case and white space, with different outputs."""
    groups: dict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(batch.normal_inputs):
        groups[text].append(number)
    rows = []
    for group in groups.values():
        outputs = {normal(batch.outputs[number]) for number in group}
        if len(outputs) > 1:
            rows += [batch.ref(n, f"{excerpt(batch.inputs[n])} → {excerpt(batch.outputs[n])}") for n in group]
    if rows:
        free = batch.usecase.output.kind == "text"
        yield Finding(
            check="contradictions",
            kind="exact",
            severity="review" if free else "refuse",
            what=f"{that(len(rows), 'have')} the same input as another row and a different output",
            why="one question with several answers" if free else "no model can be right on both",
            rows=tuple(rows),
            share=batch.share(len(rows)),
            next="keep one output per input; or add what tells them apart to the input",
        )


def _near(batch: Batch) -> Iterator[Finding]:
    ranked = []
    for left, right, similarity in batch.neighbours.pairs:
        a, b = batch.neighbours.rows[left][0], batch.neighbours.rows[right][0]
        rank = _unexplained(batch, a, b)
        if rank is not None:
            ranked.append((rank, -similarity, a, b))
    rows = []
    for _, _, a, b in sorted(ranked):
        told = f"{excerpt(batch.inputs[a])} → {excerpt(batch.outputs[a], 40)}"
        rows.append(
            batch.ref(b, f"{excerpt(batch.inputs[b])} → {excerpt(batch.outputs[b], 40)}; {batch.place(a)}: {told}")
        )
    if rows:
        first = sum(1 for rank, *_ in ranked if rank == 0)
        yield Finding(
            check="contradictions",
            kind="near",
            severity="review",
            what=f"{many(len(rows), 'pair')} of nearly the same input with different outputs; in {first:,} only small "
            "words or spelling differ",
            why="either one output is wrong, or a small difference matters that the model has to see",
            rows=tuple(rows),
            share=batch.share(len({ref.name for ref in rows})),
            next="look at the first pairs; correct the output that is wrong",
        )


def _unexplained(batch: Batch, a: int, b: int) -> int | None:
    """0 = nothing but small words differ, 1 = something does; None where the outputs agree or the inputs explain it."""
    one, two = normal(batch.outputs[a]), normal(batch.outputs[b])
    if one == two:
        return None
    asked_one, asked_two = _WORD.findall(batch.normal_inputs[a]), _WORD.findall(batch.normal_inputs[b])
    only_one, only_two = set(asked_one) - set(asked_two), set(asked_two) - set(asked_one)
    if bool(only_one & _NEGATION) != bool(only_two & _NEGATION):
        return None
    if batch.usecase.output.kind != "label":
        said_one, said_two = set(_WORD.findall(one)), set(_WORD.findall(two))
        if _stands_in(said_one - said_two, only_one) and _stands_in(said_two - said_one, only_two):
            return None
    if _alike(only_one - _SMALL, only_two - _SMALL):
        return 0
    return 1 if batch.usecase.output.kind == "label" else None


def _stands_in(said: set[str], asked: set[str]) -> bool:
    return all(any(word in other or other in word for other in asked) for word in said)


def _alike(one: set[str], two: set[str]) -> bool:
    """Whether each word has a spelling variant on the other side: one edit for short words, two for long ones."""
    return all(any(_edits(w, o) <= 1 + (len(w) > 7) and w[:1] == o[:1] for o in two) for w in one) and all(
        any(_edits(w, o) <= 1 + (len(w) > 7) and w[:1] == o[:1] for o in one) for w in two
    )


def _edits(one: Sequence[str], two: Sequence[str]) -> int:
    """Levenshtein distance; numbers are never spelling variants."""
    if one == two:
        return 0
    if str(one).isdigit() or str(two).isdigit() or abs(len(one) - len(two)) > 2 or min(len(one), len(two)) < 3:
        return 99
    row = list(range(len(two) + 1))
    for i, a in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, b in enumerate(two, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]
