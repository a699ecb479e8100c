"""Stored requests through two releases, with no gateway: what would the challenger have answered?

Rows that a person has judged (labelled rows, traces with a correction or a good rating) are scored by the suite's
scorer and compared as in a run; all rows are compared for agreement, form, length and time. The locked suite lends its
inputs only: both releases were measured on it before, and its answers are not opened again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from tuneworthy.measure.compare import compare
from tuneworthy.measure.evaluate import Yardstick
from tuneworthy.records import Answer, Arm, Case, Comparison, Example, Input
from tuneworthy.release.package import Release
from tuneworthy.scorers.open import open_scorers
from tuneworthy.scorers.reading import normal
from tuneworthy.seams import Engine
from tuneworthy.serving import pairs
from tuneworthy.serving.guardrails import failure
from tuneworthy.serving.pairs import Found, Line, Side


class Replay(NamedTuple):
    """Two releases on the same stored requests."""

    champion: str
    challenger: str
    found: Found
    judged: Comparison | None
    """over the rows whose right answer is known; None where there are none"""


def replay(rows: Sequence[Example], champion: Release, challenger: Release, engine: Engine) -> Replay:
    """Ask both and compare.

    Args:
        rows: shape: any number. One counts as judged unless its provenance names the model that wrote its answer; one
            without an expected answer is not judged.

    Raises:
        ModelError: a release cannot be opened here.
    """
    inputs: list[Input] = [row.input for row in rows]
    asked = [release.answerer(engine.open(release)).answer(inputs) for release in (champion, challenger)]
    lines = [_line(one, two, challenger) for one, two in zip(*asked, strict=True)]
    margin = challenger.usecase.bar.smallest_difference
    return Replay(
        champion.name, challenger.name, pairs.amount(lines, margin), _judged(rows, asked, (champion, challenger))
    )


def _line(one: Answer, two: Answer, challenger: Release) -> Line:
    champion, other = (
        Side(
            failed=failure(answer, challenger.usecase),
            seconds=answer.seconds,
            tokens=answer.tokens_out,
            chars=len(answer.text),
        )
        for answer in (one, two)
    )
    same = not champion.failed and not other.failed and normal(one.text) == normal(two.text)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Line(kind="pair", at=now, champion=champion, challenger=other, same=same)


def _judged(
    rows: Sequence[Example], asked: Sequence[Sequence[Answer]], releases: tuple[Release, Release]
) -> Comparison | None:
    known = [n for n, row in enumerate(rows) if row.expected is not None and not row.provenance.model]
    if not known:
        return None
    primary, others = open_scorers(releases[1].usecase)
    yardstick = Yardstick(primary, others)
    cases = [Case(id=str(n), input=rows[n].input, expected=rows[n].expected) for n in known]
    arms = [
        Arm(
            name=release.name,
            candidate=release.manifest.candidate,
            cases="replay",
            results=tuple(yardstick.judge(case, answers[n]) for case, n in zip(cases, known, strict=True)),
        )
        for release, answers in zip(releases, asked, strict=True)
    ]
    clusters = {str(n): rows[n].cluster or str(n) for n in known}
    return compare(arms[0], arms[1], binary=primary.binary, clusters=clusters)
