"""The audit: random rows that a person judges, blind to any rank. Only such a sample tells how much is wrong: a list of
suspects says where to look, and its length says nothing (on real noise the usual filters found 22 and 43 % of it).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from tuneworthy.data.findings import AuditRow, Batch, Finding, Found, NotMeasured, many
from tuneworthy.errors import DataError, Problem
from tuneworthy.measure.statistics import wilson
from tuneworthy.records import Interval

ROWS = 100
"""Random rows: with 6 % found wrong the interval is 2.8 to 12.5 %."""
MOST_NOISE = 0.1
"""Upper limit of the rate from which a person has to look."""
VERDICTS = ("right", "wrong")


def check(batch: Batch) -> Found:
    """The noise rate with its interval, once the verdicts are filled in."""
    known = {example.name for example in batch.examples}
    rows = [row for row in batch.audit if row.name in known]
    found = rate(rows)
    if found is None:
        reason = "no random row was judged; tuneworthy data check --review writes data/audit.jsonl to fill in"
        yield NotMeasured(check="audit", what="share of wrong outputs", reason=reason)
        return
    wrong = {row.name: row for row in rows if row.verdict.strip().casefold() == "wrong"}
    judged = sum(bool(row.verdict.strip()) for row in rows)
    yield Finding(
        check="audit",
        kind="noise_rate",
        severity="review" if found.high > MOST_NOISE else "note",
        what=f"{100 * found.value:.1f} % of the outputs are wrong ({100 * found.low:.1f} to {100 * found.high:.1f} %, "
        f"{many(judged, 'random row')} judged)",
        why="no score can be higher than the suite is right, and what is wrong here is learnt",
        rows=tuple(
            batch.ref(n, str(wrong[e.name].instead or "")) for n, e in enumerate(batch.examples) if e.name in wrong
        ),
        share=round(found.value, 6),
        next="judge more rows for a narrower interval; repair: tuneworthy data fix --reviewed",
    )


def read(path: Path) -> tuple[AuditRow, ...]:
    """Rows of a review; none where there is no file.

    Raises:
        DataError: lines that are no row of a review, or whose verdict is neither `right` nor `wrong`; all are listed.
    """
    if not path.exists():
        return ()
    rows, problems = [], []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        try:
            rows += [AuditRow.model_validate_json(line)] if line.strip() else []
            rate(rows[-1:])
        except ValueError as error:
            reason = str(error).splitlines()[0][:120]
            problems.append(Problem(f"{path.name}:{number}", "", reason))
    if problems:
        raise DataError("the review cannot be read", problems, next="repair these lines", where=str(path))
    return tuple(rows)


def sample(batch: Batch, *, rows: int = ROWS, seed: int = 0) -> tuple[AuditRow, ...]:
    """Random rows, each with the same chance; the order of the file does not matter."""
    by_name = sorted({example.name: n for n, example in enumerate(batch.examples)}.items())
    drawn = random.Random(seed).sample(by_name, min(rows, len(by_name)))
    return tuple(to_judge(batch, number) for _, number in drawn)


def to_judge(batch: Batch, number: int, instead: str | None = None) -> AuditRow:
    """A row as a person sees it."""
    example = batch.examples[number]
    return AuditRow(
        name=example.name,
        where=batch.place(number),
        input=batch.inputs[number],
        output=example.expected,
        instead=instead,
    )


def rate(rows: Sequence[AuditRow]) -> Interval | None:
    """Share of wrong outputs with Wilson's interval, of the rows that have a verdict; None without any.

    Raises ValueError for a verdict that is neither `right` nor `wrong`.
    """
    verdicts = [row.verdict.strip().casefold() for row in rows if row.verdict.strip()]
    odd = [verdict for verdict in verdicts if verdict not in VERDICTS]
    if odd:
        raise ValueError(f"{odd[0]!r} is no verdict: write right or wrong")
    return wilson(verdicts.count("wrong"), len(verdicts)) if verdicts else None
