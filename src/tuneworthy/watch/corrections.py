"""Corrections of clients → rows for a person to look at. None is learned from before that person filled it in."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from tuneworthy.data import near
from tuneworthy.data.unlabelled import ToLabel
from tuneworthy.records import Case, Example
from tuneworthy.watch.feedback import Said, in_suite


@dataclass(frozen=True)
class Collected:
    """What clients corrected."""

    rows: tuple[ToLabel, ...]
    known: int
    """left out: the examples say the same already"""
    judged: int
    """left out: in the suite, exactly or nearly"""
    bare: int
    """corrections whose input is not known"""


def collect(said: Sequence[Said], examples: Sequence[Example], cases: Sequence[Case]) -> Collected:
    """One row for each input that was corrected, the most often corrected first."""
    corrected = [one for one in said if one.correction is not None or one.locked]
    of_text: dict[str, list[Said]] = defaultdict(list)
    for one in corrected:
        if one.input is not None and not one.locked:
            of_text[near.normal(near.input_text(one.input))].append(one)
    learned = {near.normal(near.input_text(example.input)): example.expected for example in examples}
    judged = sum(one.locked for one in corrected)
    rows, known = [], 0
    for text, group in sorted(of_text.items(), key=lambda item: (-len(item[1]), item[0])):
        wanted = list({_key(one.correction): one.correction for one in group}.values())
        if [_key(value) for value in wanted] == [_key(learned[text])] if text in learned else False:
            known += 1
        elif in_suite(group[0].input or {}, cases):
            judged += len(group)
        else:
            rows.append(_row(group, wanted, learned.get(text)))
    bare = sum(one.input is None and not one.locked for one in corrected)
    return Collected(tuple(rows), known=known, judged=judged, bare=bare)


def _row(group: Sequence[Said], wanted: Sequence[JsonValue], learned: JsonValue) -> ToLabel:
    last = group[-1]
    why = f"{len(group)} × corrected" + (f", answered {last.answer!r}" if last.answer else "")
    if len(wanted) > 1:
        why += f"; clients disagree: {', '.join(map(_key, wanted))}"
    if learned is not None:
        why += f"; the examples say {_key(learned)}"
    return ToLabel(
        input=last.input or {},
        suggested=wanted[0] if len(wanted) == 1 else None,
        why=why,
        source=f"feedback {last.when[:10]} on {last.id} of {last.release}",
    )


def _key(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
