"""The charts of the report: one function for each, from the record to a Chart. None where nothing was measured.

Scores and intervals are those of the record; nothing is fitted or smoothed here. Two charts compute: `power`, which is
planning and says on what it rests, and `paired`, which counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt

from tuneworthy.measure import statistics
from tuneworthy.measure.learning_curve import LearningCurve
from tuneworthy.measure.summaries import ClassificationSummary
from tuneworthy.records import Comparison, Interval
from tuneworthy.report import wording
from tuneworthy.report.drawing import (
    ACCENT,
    FAINT,
    INK,
    PAGE,
    PERCENT,
    POINTS,
    ROWS,
    RULE,
    SOFT,
    WIDTH,
    Chart,
    called,
    data,
    points,
    quiet,
    shortened,
)
from tuneworthy.report.forest import Line, Mark, forest
from tuneworthy.report.wording import visible
from tuneworthy.runs import ArmReport, RunRecord

MOST_LABELS = 12
"""Labels of a confusion matrix that a phone can show."""
NONE = "none of them"
"""what an answer that gives no label is taken for"""
ASSUMED_DISCORDANCE = 0.2
"""share of cases on which two arms differ, where none was measured"""
_CASES = (20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 1500)


# --- intervals -----------------------------------------------------------------------------------


def scores(
    record: RunRecord, means: Mapping[str, float | None], bar: float, delta: float, *, wide: bool
) -> Chart | None:
    """Forest plot: each arm's mean score on the locked cases with its interval, against the bar.

    Args:
        means: arm → mean score, None where nothing was scored.
        delta: the smallest difference that matters: the band around the bar.
    """
    if not record.arms:
        return None
    marks = [_arm(arm, means[arm.name], chosen=arm.name == record.verdict.lever) for arm in record.arms]
    line = Line(bar, f"the bar: {wording.percent(bar)}", (max(0.0, bar - delta), min(1.0, bar + delta)))
    drawing = forest(marks, line, PERCENT, (0.0, 1.0), wide)
    title = "Scores of the arms with their intervals; the table below holds the same numbers."
    return Chart("scores", title, drawing, tuple(_numbers("arm", m) for m in marks))


def differences(comparisons: Iterable[Comparison], delta: float, *, wide: bool) -> Chart | None:
    """Forest plot of differences between arms, against none; the band is what is too small to matter."""
    marks = [
        Mark(f"{c.candidate} vs {c.reference}", _points_told(c.difference), *_limits(c.difference))
        for c in comparisons
        if c.difference is not None
    ]
    if not marks:
        return None
    drawing = forest(marks, Line(0.0, "no difference", (-delta, delta)), POINTS, (-1.0, 1.0), wide)
    title = "Differences between arms in points with their intervals; the table below holds the same numbers."
    return Chart("differences", title, drawing, tuple(_numbers("comparison", m) for m in marks))


def retention(kept: Mapping[str, Mapping[str, Any]], *, wide: bool) -> Chart | None:
    """Forest plot of what training did to other abilities, against the largest loss that was tested."""
    marks, tested = [], 0.05
    for lever, found in kept.items():
        interval = Interval.model_validate(found["interval"])
        tested = found.get("tested") or found.get("margin") or tested
        marks.append(Mark(lever, _points_told(interval), *_limits(interval), trained=True))
        for kind in found.get("kinds", ()):
            gained = kind["tuned"] - kind["base"]
            marks.append(Mark(f"· {kind['kind']}", f"{wording.points(gained)}  (n = {kind['n']})", gained))
    if not marks:
        return None
    line = Line(-tested, f"a loss of {100 * tested:g} points", (-1.0, -tested))
    drawing = forest(marks, line, POINTS, (-1.0, 1.0), wide)
    title = "What training did to other abilities, in points, against the largest loss that was tested for."
    return Chart("other-abilities", title, drawing, tuple(_numbers("ability", m) for m in marks))


def _arm(arm: ArmReport, mean: float | None, *, chosen: bool) -> Mark:
    if mean is None:
        return Mark(arm.name, wording.NOT_MEASURED)
    if arm.interval is None:
        note = f"{wording.percent(mean)}  (no interval)"
        return Mark(arm.name, note, mean, trained=arm.trained, chosen=chosen)
    i = arm.interval
    note = f"{wording.percent(i.value)}  ({wording.percent_range(i)})"
    return Mark(arm.name, note, i.value, i.low, i.high, trained=arm.trained, chosen=chosen)


def _points_told(i: Interval) -> str:
    return f"{wording.points(i.value)}  ({wording.points_range(i)})"


def _limits(i: Interval) -> tuple[float, float, float]:
    return i.value, i.low, i.high


def _numbers(what: str, m: Mark) -> dict[str, Any]:
    return {what: m.label, "value": m.value, "low": m.low, "high": m.high}


# --- case by case --------------------------------------------------------------------------------


def paired(record: RunRecord) -> Chart | None:
    """For each comparison, on how many cases the candidate is better (solid) and worse (outlined)."""
    compared = [c for c in record.comparisons if c.n]
    rows: list[dict[str, Any]] = [
        {
            "comparison": f"{c.candidate} vs {c.reference}",
            "better": c.wins,
            "worse": c.losses,
            "same": c.n - c.wins - c.losses,
            "left out": c.dropped,
        }
        for c in compared
    ]
    if not rows:
        return None
    shown = [
        {
            **row,
            "row": number,
            "name": shortened(row["comparison"], 30),
            "more": f"{row['better']} better",
            "less": f"{row['worse']} worse",
            "equal": f"{row['same']} the same",
            "down": -row["worse"],
            "zero": 0,
        }
        for number, row in enumerate(rows)
    ]
    most, room = max(1, *(max(c.wins, c.losses) for c in compared)), 62
    scale = alt.Scale(domain=[-most, most], nice=False)
    base = data(shown).encode(y=alt.Y("row:O", axis=None, scale=ROWS))
    up, down = -13, 11
    x, x_down = alt.X("better:Q", scale=scale, axis=None), alt.X("down:Q", scale=scale, axis=None)
    layers = [
        base.mark_bar(color=ACCENT, height=16, yOffset=down).encode(
            x=x, x2=alt.X2("zero:Q"), description=alt.Description("more:N")
        ),
        base.mark_bar(fill=PAGE, stroke=INK, strokeWidth=1.5, height=15, yOffset=down).encode(
            x=x_down, x2=alt.X2("zero:Q"), description=alt.Description("less:N")
        ),
        base.mark_text(align="left", dx=6, dy=down, fontSize=12).encode(x=x, text=alt.Text("more:N")),
        base.mark_text(align="right", dx=-6, dy=down, fontSize=12).encode(x=x_down, text=alt.Text("less:N")),
        base.mark_text(align="left", dy=up, fontSize=13).encode(x=alt.value(-room), text=alt.Text("name:N")),
        base.mark_text(align="right", dy=up, fontSize=12, color=FAINT).encode(
            x=alt.value(WIDTH - room), text=alt.Text("equal:N")
        ),
        data([{"zero": 0}]).mark_rule(color=SOFT).encode(x=alt.X("zero:Q", scale=scale, axis=None)),
    ]
    drawing = alt.layer(*layers).properties(
        width=WIDTH - 2 * room, height=alt.Step(58), padding={"left": room, "right": room, "top": 4, "bottom": 4}
    )
    title = "Cases on which each candidate is better and worse than its reference."
    return Chart("case-by-case", title, drawing, tuple(rows))


def confusion(summary: ClassificationSummary, arm: str) -> Chart | None:
    """What each label is taken for, by one arm: rows are expected, columns are answered. None above MOST_LABELS."""
    labels = [row.label for row in summary.labels]
    if len(labels) > MOST_LABELS:
        return None
    given = [*labels, *([""] if any("" in row for row in summary.confusion.values()) else [])]
    cells = [_taken_for(summary, e, a, labels.index(e), given.index(a)) for e in labels for a in given]
    side = min(36.0, (WIDTH - 160) / len(given))
    names = [{"number": number, "name": shortened(name or NONE, 15)} for number, name in enumerate(given)]
    x, y = alt.X("across:O", axis=None, scale=ROWS), alt.Y("down:O", axis=None, scale=ROWS)
    base = data(cells).encode(x=x, y=y)
    layers = [
        base.mark_rect(color=ACCENT, stroke=RULE).encode(
            fillOpacity=alt.FillOpacity("shade:Q", scale=None), description=alt.Description("told:N")
        ),
        data([cell for cell in cells if cell["right"]])
        .mark_rect(fill=None, stroke=INK, strokeWidth=1.5)
        .encode(x=x, y=y),
        base.mark_text(fontSize=min(13.0, side / 2)).encode(
            text=alt.Text("count:N"), color=alt.Color("ink:N", scale=None)
        ),
        data(names[: len(labels)])
        .mark_text(align="right")
        .encode(x=alt.value(-8), y=alt.Y("number:O"), text=alt.Text("name:N")),
        data(names)
        .mark_text(align="left", angle=315)
        .encode(x=alt.X("number:O"), y=alt.value(-10), text=alt.Text("name:N")),
    ]
    drawing = alt.layer(*layers).properties(
        width=alt.Step(side),
        height=alt.Step(side),
        padding={"left": 104, "right": WIDTH - 104 - side * len(given), "top": 84, "bottom": 4},
    )
    rows = tuple({name: cell[name] for name in ("expected", "answered", "cases")} for cell in cells)
    return Chart("confusion", f"What {arm} takes each label for: rows expected, columns answered.", drawing, rows)


def _taken_for(summary: ClassificationSummary, expected: str, answered: str, down: int, across: int) -> dict[str, Any]:
    """One cell: as dark as its share of the row, the number in the ink that stands out from it."""
    row = summary.confusion.get(expected, {})
    cases = row.get(answered, 0)
    share = cases / max(1, sum(row.values()))
    return {
        "expected": expected,
        "answered": answered or NONE,
        "cases": cases,
        "down": down,
        "across": across,
        "right": expected == answered,
        "shade": 0.85 * share,
        "ink": PAGE if share > 0.55 else INK,
        "count": str(cases or ""),
        "told": visible(f"{expected} taken for {answered or NONE}: {cases}"),
    }


# --- why, what it costs, how many ----------------------------------------------------------------


def causes(record: RunRecord) -> Chart | None:
    """Why the base fails: the share of its failed development cases with each cause, with intervals."""
    if record.diagnosis is None or not record.diagnosis.shares:
        return None
    found = sorted(record.diagnosis.shares, key=lambda s: -s.cases)
    rows: list[dict[str, Any]] = [
        {
            "row": number,
            "zero": 0,
            "cause": s.cause.replace("_", " "),
            "cases": s.cases,
            "value": s.share.value,
            "low": s.share.low,
            "high": s.share.high,
            "note": f"{s.cases}  ({wording.percent(s.share.value)})",
        }
        for number, s in enumerate(found)
    ]
    scale = alt.Scale(domain=[0, min(1.0, math.ceil(10 * max(r["high"] for r in rows)) / 10)], nice=False)
    y = alt.Y("row:O", axis=None, scale=ROWS)
    base, up, down = data(rows).encode(y=y), -13, 10
    x = alt.X("value:Q", scale=scale, axis=quiet(tickCount=5, labelExpr=PERCENT))
    layers = [
        base.mark_bar(color=ACCENT, fillOpacity=0.35, stroke=ACCENT, height=15, yOffset=down).encode(
            x=x, x2=alt.X2("zero:Q"), description=alt.Description("note:N")
        ),
        base.mark_rule(color=INK, strokeWidth=2, yOffset=down).encode(
            x=alt.X("low:Q", scale=scale), x2=alt.X2("high:Q")
        ),
        *(
            base.mark_tick(color=INK, size=9, thickness=2, yOffset=down).encode(x=alt.X(f"{end}:Q", scale=scale))
            for end in ("low", "high")
        ),
        base.mark_text(align="left", dy=up, fontSize=13).encode(x=alt.value(0), text=alt.Text("cause:N")),
        base.mark_text(align="right", dy=up, fontSize=12, color=SOFT).encode(
            x=alt.value(WIDTH - 16), text=alt.Text("note:N")
        ),
    ]
    drawing = alt.layer(*layers).properties(
        width=WIDTH - 16, height=alt.Step(52), padding={"left": 2, "right": 14, "top": 4, "bottom": 24}
    )
    plain = tuple({k: v for k, v in r.items() if k not in ("row", "zero", "note")} for r in rows)
    title = "Causes of the base's failures, as shares of the failed cases with intervals."
    return Chart("causes", title, drawing, plain)


def cost(record: RunRecord, means: Mapping[str, float | None]) -> Chart | None:
    """Score against what an answer costs: seconds where every arm was timed, else tokens. None below two arms."""
    unit = "seconds" if all(arm.seconds for arm in record.arms) else "tokens"
    rows = [row for arm in record.arms if (row := _priced(arm, means[arm.name], unit))]
    if len(rows) < 2:
        return None
    left, right, height = 42, 112, 240
    ends = [end for row in rows for end in (row["low"], row["high"], row["score"]) if end is not None]
    low, high = (
        math.floor(10 * min(ends)) / 10,
        max(math.ceil(10 * max(ends)) / 10, math.floor(10 * min(ends)) / 10 + 0.1),
    )
    edges = [min(row[unit] for row in rows) / 1.5, max(row[unit] for row in rows) * 1.5]
    spots = _apart([row["score"] for row in rows], 16 * (high - low) / height, low, high)
    shown = [
        {
            **row,
            "spent": row[unit],
            "edge": edges[1],
            "spot": spot,
            "name": shortened(row["arm"], 15),
            "kind": "trained" if row["trained"] else "unchanged",
            "colour": ACCENT if row["arm"] == record.verdict.lever else SOFT,
            "told": visible(f"{row['arm']}: {wording.percent(row['score'])}, {_spent(row[unit], unit)}"),
        }
        for row, spot in zip(rows, spots, strict=True)
    ]
    x = _logarithmic("spent:Q", edges, f"{unit} per answer", " s" if unit == "seconds" else "")
    scale = alt.Scale(domain=[low, high], nice=False)
    y = alt.Y("score:Q", scale=scale, axis=quiet(tickCount=5, labelExpr=PERCENT))
    colour, base = alt.Color("colour:N", scale=None), data(shown)
    layers = [
        base.mark_rule(color=RULE).encode(x=x, y=y, x2=alt.X2("edge:Q"), y2=alt.Y2("spot:Q")),
        data([row for row in shown if row["low"] is not None])
        .mark_rule(strokeWidth=1.5, opacity=0.6)
        .encode(x=x, y=alt.Y("low:Q", scale=scale), y2=alt.Y2("high:Q"), color=colour),
        points(base).encode(x=x, y=y),
        base.mark_text(align="left").encode(
            x=alt.value(WIDTH - left - right + 6), y=alt.Y("spot:Q", scale=scale), text=alt.Text("name:N"), color=colour
        ),
    ]
    drawing = alt.layer(*layers).properties(
        width=WIDTH - left - right, height=height, padding={"left": left, "right": right, "top": 8, "bottom": 42}
    )
    return Chart("score-against-cost", f"Score of each arm against {unit} per answer.", drawing, tuple(rows))


def _priced(arm: ArmReport, mean: float | None, unit: str) -> dict[str, Any] | None:
    """An arm's score and cost; None where one of them was not measured."""
    spent = arm.seconds if unit == "seconds" else (arm.tokens_in or 0) + (arm.tokens_out or 0)
    if not spent or mean is None:
        return None
    low, high = (arm.interval.low, arm.interval.high) if arm.interval else (None, None)
    return {"arm": arm.name, unit: spent, "score": mean, "low": low, "high": high, "trained": arm.trained}


def _logarithmic(field: str, edges: Sequence[float], title: str, sign: str = "") -> alt.X:
    axis = quiet(
        **called(f"{title}, logarithmic"), values=_round(*edges), labelExpr=f"format(datum.value, ',~r') + '{sign}'"
    )
    return alt.X(field, scale=alt.Scale(type="log", domain=list(edges), nice=False), axis=axis)


def _round(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, … within these limits."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [float(f"{digit}e{e}") for e in exponents for digit in (1, 2, 5) if low <= float(f"{digit}e{e}") <= high]
    return found if len(found) <= 7 else [v for v in found if f"{v:e}"[0] == "1"]


def _spent(amount: float, unit: str) -> str:
    return wording.per_answer(amount) if unit == "seconds" else f"{wording.number(amount)} tokens"


def _apart(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The values moved apart so that labels beside them do not overlap, in their order, within the limits."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    spots = [0.0] * len(values)
    floor = low
    for i in order:
        spots[i] = floor = max(values[i], floor)
        floor += gap
    ceiling = high
    for i in reversed(order):
        spots[i] = ceiling = min(spots[i], ceiling)
        ceiling -= gap
    return spots


def learning(curve: LearningCurve, bar: float | None) -> Chart:
    """Score against examples: measured sizes with intervals, the fitted curve, and what it says about more (dashed)."""
    rows: list[dict[str, Any]] = [
        {"examples": p.size, "score": p.score.value, "low": p.score.low, "high": p.score.high, "measured": True}
        for p in curve.points
    ]
    rows += [
        {"examples": f.size, "score": f.score.value, "low": f.score.low, "high": f.score.high, "measured": False}
        for f in curve.forecasts
    ]
    ends = [row[end] for row in rows for end in ("low", "high")] + ([] if bar is None else [bar])
    low, high = max(0.0, math.floor(10 * min(ends)) / 10), min(1.0, math.ceil(10 * max(ends)) / 10)
    first, most = min(row["examples"] for row in rows), max(row["examples"] for row in rows)
    last = max(point.size for point in curve.points)
    fitted = [{"examples": n, "score": 1 - curve.fit.error(n)} for n in _between(first, most)]
    edges = (first / 1.3, most * 1.3)
    x = _logarithmic("examples:Q", edges, "examples to learn from")
    scale = alt.Scale(domain=[low, max(high, low + 0.1)], nice=False, clamp=True)
    y = alt.Y("score:Q", scale=scale, axis=quiet(tickCount=5, labelExpr=PERCENT))
    shown = [{**row, "told": f"{row['examples']:,.0f} examples: {wording.percent(row['score'])}"} for row in rows]
    layers = [
        data([f for f in fitted if f["examples"] <= last]).mark_line(color=SOFT, strokeWidth=2).encode(x=x, y=y),
        data([f for f in fitted if f["examples"] >= last])
        .mark_line(color=SOFT, strokeWidth=2, strokeDash=[5, 4])
        .encode(x=x, y=y),
    ]
    for measured, fill, edge in ((True, ACCENT, PAGE), (False, PAGE, ACCENT)):
        part = data([row for row in shown if row["measured"] is measured])
        span = part.mark_rule(color=ACCENT, strokeWidth=2 if measured else 1)
        dots = part.mark_point(filled=True, size=110, opacity=1, strokeWidth=1.5, fill=fill, stroke=edge)
        layers += [
            span.encode(x=x, y=alt.Y("low:Q", scale=scale), y2=alt.Y2("high:Q")),
            dots.encode(x=x, y=y, description=alt.Description("told:N")),
        ]
    if bar is not None:
        layers.append(
            data([{"bar": bar}]).mark_rule(color=INK, strokeDash=[2, 3]).encode(y=alt.Y("bar:Q", scale=scale))
        )
    drawing = alt.layer(*layers).properties(
        width=WIDTH - 58, height=210, padding={"left": 42, "right": 16, "top": 10, "bottom": 42}
    )
    return Chart("learning-curve", f"Score of {curve.learner} against the number of examples.", drawing, tuple(rows))


def _between(first: float, last: float) -> list[float]:
    """Forty sizes, each the same times larger than the one before."""
    return [first * (last / first) ** (step / 39) for step in range(40)]


def power(cases: int, delta: float, *, alpha: float, discordance: float = ASSUMED_DISCORDANCE) -> Chart:
    """The smallest difference that is found with 80 % power, against the number of cases; this suite is marked.

    Planning, not measurement: for right/wrong scores of two arms that differ on a share `discordance` of the cases
    (mid-p McNemar, by enumeration).
    """
    sizes = sorted({*_CASES, cases} - {0})
    found = [(n, statistics.detectable_difference(n, discordance, alpha=alpha)) for n in sizes]
    rows: list[dict[str, Any]] = [{"cases": n, "difference": d, "this suite": n == cases} for n, d in found]
    line = [r for r in rows if r["difference"] is not None]
    top = math.ceil(20 * max([discordance, delta, *(r["difference"] for r in line)])) / 20
    x = _logarithmic("cases:Q", (min(sizes), max(sizes)), "cases")
    scale = alt.Scale(domain=[0, top], nice=False)
    axis = quiet(tickCount=5, labelExpr="format(100 * datum.value, '.3~f')")
    y = alt.Y("difference:Q", scale=scale, axis=axis)
    here = next((r["difference"] for r in rows if r["this suite"]), None)
    told = f"{cases:,} cases: " + ("none is found" if here is None else f"{100 * here:.1f} points")
    suite = data([{"cases": cases, "difference": top if here is None else here, "told": told}])
    layers = [
        data([{"delta": delta}]).mark_rule(color=INK, strokeDash=[4, 4]).encode(y=alt.Y("delta:Q", scale=scale)),
        data(line).mark_line(color=SOFT, strokeWidth=2).encode(x=x, y=y),
        suite.mark_rule(color=ACCENT).encode(x=x),
        suite.mark_text(align="right" if cases > 200 else "left", fontSize=13, fontWeight=600, color=ACCENT).encode(
            x=x, y=alt.value(-10), text=alt.Text("told:N")
        ),
    ]
    if here is not None:
        dot = suite.mark_point(filled=True, fill=ACCENT, size=130, opacity=1, stroke=PAGE)
        layers.append(dot.encode(x=x, y=y, description=alt.Description("told:N")))
    drawing = alt.layer(*layers).properties(
        width=WIDTH - 46, height=210, padding={"left": 30, "right": 16, "top": 20, "bottom": 42}
    )
    title = f"Smallest difference found with 80 % power against the number of cases; {told}."
    return Chart("power", title, drawing, tuple(rows))
