"""What the traces and the feedback of one release say, held against its first days and against what was measured."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from pydantic import JsonValue, ValidationError

from tuneworthy.content import write_whole
from tuneworthy.data import near
from tuneworthy.errors import DataError
from tuneworthy.measure.spent import TokenPrice, spent
from tuneworthy.measure.statistics import mean_interval, wilson
from tuneworthy.project import Project
from tuneworthy.records import Answer, Case, Interval, Record, Trace
from tuneworthy.release.package import Release
from tuneworthy.usecase import UseCase
from tuneworthy.watch import drift
from tuneworthy.watch.drift import REFERENCE_DAYS, WINDOWS, Alarm, Days, Shift, Value
from tuneworthy.watch.feedback import Said
from tuneworthy.watch.looking import Looker, scorers_of
from tuneworthy.watch.stale import Stale
from tuneworthy.watch.traces import asked

FEEDBACK_WINDOWS = (7, 28)
"""days over which the share of right answers is held against the first days"""
FEEDBACK_LOOKS = len(FEEDBACK_WINDOWS)
LEAST_TEXTS, LEAST_AUC = 100, 0.6
"""texts of the first days that a classifier needs; how well it has to tell to be worth a person's time"""
KEPT = 1_500
"""answers of a reference day that are kept, drawn at random"""
INPUTS = ("input_chars", "input_words", "language", "unknown_words")
"""what can be held against the cases of the suite"""


class DayRow(Record):
    """One day in numbers. None = not measured."""

    day: str
    answers: int
    failed: int
    p50: float | None
    """seconds"""
    p95: float | None
    tokens_in: int
    tokens_out: int
    eur: float | None
    right: int
    """of the feedback that came on this day"""
    wrong: int
    whole: bool = True
    """False: the day is not over, so nothing is looked for in it"""


class LiveScore(Record):
    """A scorer of the suite on live answers."""

    scorer: str
    n: int
    mean: Interval
    on: str
    """`answers`: it needs no expected output; `corrections`: against what clients said"""


class Feature(Record):
    """What is looked at, on the last window."""

    last: Shift | None
    """the last week against the first days; None = too few answers, or no reference yet"""
    suite: Shift | None
    """all answers against the cases of the suite; None where cases have no such feature"""
    name: str


class Texts(Record):
    """Can a classifier tell the last week's inputs from those of the first days?"""

    auc: float
    """0.5 = no better than chance"""
    p: float
    n: int
    reference: int


class Report(Record):
    """What `watch` found."""

    release: str
    alias: str
    days: tuple[DayRow, ...]
    reference: tuple[str, ...]
    """the first days, that later ones are held against"""
    level: float
    """of one look"""
    looks: int
    """looks a day that share the budget"""
    features: tuple[Feature, ...]
    texts: Texts | None
    """None where too little content is kept"""
    alarms: tuple[Alarm, ...]
    scores: tuple[LiveScore, ...]
    feedback: Interval | None
    """share of answers that clients call right; None without feedback"""
    feedback_n: int
    offline: Interval | None
    """the score that was measured"""
    metric: str
    stale: Stale | None
    suite: tuple[dict[str, JsonValue], ...] = ()
    """re-evaluations through the gateway, oldest first"""
    bad_lines: int = 0
    notes: tuple[str, ...] = ()
    not_measured: tuple[str, ...] = ()


class Reference(Record):
    """The first days of a release: numbers and classes, no content. Written once, so that it outlives the traces."""

    release: str
    days: dict[str, dict[str, list[float | str | None]]]
    """day → feature → values"""
    said: dict[str, tuple[int, int]]
    """day → (right, wrong)"""
    gone: str = ""
    """the day on which the release began to answer, where its traces were gone by then; empty = all were there"""


def by_day(found: Iterable[Trace]) -> dict[date, list[Trace]]:
    """Traces by their day (UTC), in order."""
    days: dict[date, list[Trace]] = defaultdict(list)
    for trace in found:
        days[date.fromisoformat(trace.when[:10])].append(trace)
    return dict(sorted(days.items()))


def rows(day: Sequence[Trace]) -> dict[str, list[Value | None]]:
    """Feature → one value for each answer of a day."""
    seen = [{**t.measured, **{f"score {k}": v for k, v in t.scores.items()}, "outcome": t.outcome} for t in day]
    names = sorted({name for values in seen for name in values})
    return {name: [_value(values.get(name)) for values in seen] for name in names}


def said_by_day(said: Iterable[Said]) -> dict[date, tuple[int, int]]:
    """Day → (right, wrong)."""
    counts: dict[date, Counter[bool]] = defaultdict(Counter)
    for one in said:
        counts[date.fromisoformat(one.when[:10])][one.right] += 1
    return {day: (found[True], found[False]) for day, found in sorted(counts.items())}


def feedback_alarm(
    said: Mapping[date, tuple[int, int]], reference: Sequence[date], day: date, *, alpha: float
) -> list[Alarm]:
    """Clients call fewer answers right than in the first days."""
    before = _sum(said, reference)
    found = []
    for window in FEEDBACK_WINDOWS:
        now = _sum(said, [d for n in range(window) if (d := day - timedelta(days=n)) > max(reference)])
        p = drift.fewer_right(before, now)
        if p <= alpha:
            told = f"right {_share(before)} → {_share(now)}"
            found.append(Alarm(day=day.isoformat(), what="feedback", window=window, p=p, told=told, worse=True))
    return found


def build(
    project: Project,
    release: Release,
    alias: str,
    found: Sequence[Trace],
    said: Sequence[Said],
    *,
    today: date,
    last: int,
    price: TokenPrice | None,
    looker: Looker,
    stale: Stale | None,
    suite: Sequence[dict[str, JsonValue]] = (),
    bad_lines: int = 0,
    gone: str = "",
) -> Report:
    """Look at every whole day of the last `last` days.

    Args:
        found: traces of this release.
        said: feedback on answers of this release.
        price: of the base model's tokens; None = nobody said.
        gone: the day on which the release began to answer, where there are no traces of it any more.
    """
    days = by_day(found)
    told = said_by_day(said)
    whole = Days({day: rows(of_day) for day, of_day in days.items() if day < today})
    reference, waits = _reference(project.watched(release.name, alias), release, whole, told, gone)
    since = today - timedelta(days=last)
    alarms: list[Alarm] = []
    features = whole.features
    more = FEEDBACK_LOOKS + 1  # and the classifier of texts
    looks = len(features) * len(WINDOWS) + more
    texts = _texts(reference, days, today, release.usecase)
    if reference is not None:
        first = Days({date.fromisoformat(day): values for day, values in reference.days.items()})
        told = {**{date.fromisoformat(day): counts for day, counts in reference.said.items()}, **told}
        for day in (day for day in whole.rows if day >= since and day not in first.rows):
            alarms += drift.alarms(first, whole, day, features, more_looks=more)
            alarms += feedback_alarm(told, list(first.rows), day, alpha=drift.level(looks))
    if texts is not None and texts.p <= drift.level(looks) and texts.auc >= LEAST_AUC:
        told_apart = f"a classifier tells new inputs from those of the first days: AUC {texts.auc:.2f}"
        alarms.append(Alarm(day=today.isoformat(), what="texts", window=max(WINDOWS), p=texts.p, told=told_apart))
    if stale is not None and stale.stale_answers:
        share = (
            f"{stale.stale_answers:,} of {stale.answers:,} answers rest on passages that the documents no longer say"
        )
        alarms.append(Alarm(day=today.isoformat(), what="stale facts", window=last, p=None, told=share, worse=True))
    if suite and suite[-1].get("state") == "failed":
        alarms.append(
            Alarm(
                day=str(suite[-1]["when"])[:10],
                what="suite",
                window=0,
                p=None,
                told=str(suite[-1]["found"]),
                worse=True,
            )
        )
    right, n = sum(one.right for one in said), len(said)
    return Report(
        release=release.name,
        alias=alias,
        days=tuple(_day(d, of_day, told.get(d, (0, 0)), price, d < today) for d, of_day in days.items() if d >= since),
        reference=tuple(reference.days) if reference else (),
        level=drift.level(looks),
        looks=looks,
        features=tuple(_features(reference, whole, looker, release)),
        texts=texts,
        alarms=tuple(alarms),
        scores=(*_scores(found), *_on_corrections(said, release)),
        feedback=wilson(right, n) if n else None,
        feedback_n=n,
        offline=release.manifest.measured.arm.interval,
        metric=release.usecase.bar.metric,
        stale=stale,
        suite=tuple(suite),
        bad_lines=bad_lines,
        notes=tuple(_notes(found, bad_lines, reference)),
        not_measured=tuple(_not_measured(waits, price, n, texts, stale, release)),
    )


# --- reference ------------------------------------------------------------------------------------


def _reference(
    path: Path, release: Release, whole: Days, told: Mapping[date, tuple[int, int]], gone: str
) -> tuple[Reference | None, str]:
    """(the first days that are still there, why there are none yet)."""
    if path.exists():
        try:
            return Reference.model_validate_json(path.read_bytes()), ""
        except ValidationError as error:
            raise DataError(
                f"the reference of {release.name} cannot be read: {error.errors()[0]['msg']}",
                [],
                next="remove it: the first days that are still kept take its place",
                where=str(path),
            ) from None
    first = sorted(whole.rows)[:REFERENCE_DAYS]
    n = sum(len(next(iter(whole.rows[day].values()), ())) for day in first)
    if len(first) < REFERENCE_DAYS or n < drift.LEAST_REFERENCE:
        return None, (
            f"{len(first)} of {REFERENCE_DAYS} days and {n:,} of {drift.LEAST_REFERENCE} answers of the reference"
            + (f"; the first days, from {gone} on, are gone: keep traces longer (serve --trace-days)" if gone else "")
        )
    draw = random.Random(0)
    kept = Reference(
        release=release.name,
        days={day.isoformat(): _some(whole.rows[day], draw) for day in first},
        said={day.isoformat(): told[day] for day in first if day in told},
        gone=gone,
    )
    write_whole(path, json.dumps(kept.model_dump(mode="json")) + "\n")
    return kept, ""


def _some(values: Mapping[str, Sequence[Value | None]], draw: random.Random) -> dict[str, list[Value | None]]:
    n = max(map(len, values.values()))
    chosen = sorted(draw.sample(range(n), KEPT)) if n > KEPT else range(n)
    return {name: [of_name[number] for number in chosen] for name, of_name in values.items()}


# --- parts ----------------------------------------------------------------------------------------


def _day(day: date, found: Sequence[Trace], said: tuple[int, int], price: TokenPrice | None, whole: bool) -> DayRow:
    answers = [_answer(trace) for trace in found]
    good = [a for a in answers if a.error is None]
    cost = spent(answers, price=price)
    seconds = np.asarray([a.seconds for a in good])
    return DayRow(
        day=day.isoformat(),
        answers=len(found),
        failed=len(found) - len(good),
        p50=round(float(np.quantile(seconds, 0.5)), 4) if good else None,
        p95=round(float(np.quantile(seconds, 0.95)), 4) if good else None,
        tokens_in=sum(a.tokens_in for a in good),
        tokens_out=sum(a.tokens_out for a in good),
        eur=round(cost.eur_per_1000.mean * len(good) / 1000, 6) if cost.eur_per_1000 else None,
        right=said[0],
        wrong=said[1],
        whole=whole,
    )


def _answer(trace: Trace) -> Answer:
    usage = trace.response.get("usage")
    tokens = usage if isinstance(usage, dict) else {}
    failed = trace.outcome != "ok"
    return Answer(
        seconds=trace.seconds,
        tokens_in=_count(tokens.get("prompt_tokens")),
        tokens_out=_count(tokens.get("completion_tokens")),
        error="transport" if failed else None,
        finish="error" if failed else "stop",
    )


def _features(reference: Reference | None, whole: Days, looker: Looker, release: Release) -> Iterable[Feature]:
    first = Days({date.fromisoformat(day): values for day, values in (reference.days if reference else {}).items()})
    last = [day for day in sorted(whole.rows) if day not in first.rows][-max(WINDOWS) :]
    cases = [looker.measured(case.input, "") for case in release.cases]
    for name in whole.features:
        one, two, every = first.values(name, first.rows), whole.values(name, last), whole.values(name, whole.rows)
        enough = drift.size(one) >= drift.LEAST_REFERENCE and drift.size(two) >= drift.LEAST
        of_cases = drift.values(_value(case.get(name)) for case in cases if name in INPUTS)
        known = min(drift.size(of_cases), drift.size(every)) >= drift.LEAST
        yield Feature(
            name=name,
            last=drift.shift(name, one, two, alpha=0.001) if enough else None,
            suite=drift.shift(name, of_cases, every, alpha=0.001) if known else None,
        )


def _texts(
    reference: Reference | None, days: Mapping[date, Sequence[Trace]], today: date, usecase: UseCase
) -> Texts | None:
    """Of the last whole week; None where too few texts are kept."""
    if reference is None:
        return None
    first = {date.fromisoformat(day) for day in reference.days}
    last = [day for day in days if day not in first and today - timedelta(days=max(WINDOWS)) <= day < today]
    old, new = (
        [near.input_text(row) for day in chosen for t in days.get(day, ()) if (row := asked(t, usecase)) is not None]
        for chosen in (sorted(first), last)
    )
    if len(old) < LEAST_TEXTS or len(new) < drift.LEAST:
        return None
    auc, p = drift.texts_apart(old, new)
    return Texts(auc=round(auc, 4), p=p, n=len(new), reference=len(old))


def _on_corrections(said: Sequence[Said], release: Release) -> Iterable[LiveScore]:
    """The scorers of the suite on answers that clients corrected, where the answer is kept."""
    corrected = [one for one in said if one.correction is not None and one.answer and one.input is not None]
    for scorer in scorers_of(release) if corrected else ():
        cases = [(Case(id=one.id, input=one.input or {}, expected=one.correction), one.answer) for one in corrected]
        values = [value for case, answer in cases if (value := scorer.score(case, answer).value) is not None]
        interval = wilson(sum(values), len(values)) if scorer.binary and values else mean_interval(values)
        if interval is not None:
            yield LiveScore(scorer=scorer.name, n=len(values), mean=interval, on="corrections")


def _scores(found: Sequence[Trace]) -> Iterable[LiveScore]:
    values: dict[str, list[float]] = defaultdict(list)
    for trace in found:
        for name, value in trace.scores.items():
            values[name].append(value)
    for name, of_name in sorted(values.items()):
        binary = set(of_name) <= {0.0, 1.0}
        interval = wilson(sum(of_name), len(of_name)) if binary else mean_interval(of_name)
        if interval is not None:
            yield LiveScore(scorer=name, n=len(of_name), mean=interval, on="answers")


def _notes(found: Sequence[Trace], bad_lines: int, reference: Reference | None) -> Iterable[str]:
    if reference is not None and reference.gone:
        yield (
            f"the reference begins on {min(reference.days)}, but the release answered from {reference.gone} on: "
            "traces of its first days were gone when `watch` first ran"
        )
    unmeasured = sum(not trace.measured and trace.outcome == "ok" for trace in found)
    if unmeasured:
        yield f"of {unmeasured:,} answers nothing was measured, as too many waited to be written"
    if bad_lines:
        yield f"{bad_lines:,} lines are no traces or no feedback (torn, or edited); they are left out"


def _not_measured(
    waits: str, price: TokenPrice | None, n: int, texts: Texts | None, stale: Stale | None, release: Release
) -> Iterable[str]:
    if waits:
        yield f"drift: there are {waits}"
    if price is None:
        yield "cost: prices.toml names no price of this model's tokens"
    if not n:
        yield "accuracy: no feedback came (POST /v1/feedback)"
    if texts is None and not waits:
        yield f"texts by a classifier: fewer than {LEAST_TEXTS} are kept (tuneworthy serve --trace-content)"
    if stale is None and release.manifest.candidate.retriever is not None:
        yield "stale facts: the use case has no documents any more"


def _value(value: JsonValue) -> Value | None:
    if isinstance(value, bool):
        return str(value)
    return value if isinstance(value, int | float | str) else None


def _count(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0


def _sum(said: Mapping[date, tuple[int, int]], days: Iterable[date]) -> tuple[int, int]:
    found = [said.get(day, (0, 0)) for day in days]
    return sum(right for right, _ in found), sum(wrong for _, wrong in found)


def _share(counts: tuple[int, int]) -> str:
    right, n = counts[0], sum(counts)
    return f"{100 * right / n:.1f} % of {n}" if n else "none"
