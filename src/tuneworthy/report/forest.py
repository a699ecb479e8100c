"""A forest plot: one row per arm, its interval as a line, an upright line to compare with.

Wide, words stand beside the plot; on a phone, above each row. Numbers stand as text, and a row that was not measured
has no mark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import altair as alt

from tuneworthy.report.drawing import ACCENT, FAINT, INK, RULE, SHADE, SOFT, WIDE, WIDTH, data, points, quiet, shortened
from tuneworthy.report.wording import visible


class Mark(NamedTuple):
    """One row of a forest plot. Without `value` it was not measured."""

    label: str
    note: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    trained: bool = False
    chosen: bool = False
    """the arm that the verdict names"""


class Line(NamedTuple):
    """What the rows are held against."""

    at: float
    label: str
    band: tuple[float, float]


def forest(marks: Sequence[Mark], line: Line, writes: str, limits: tuple[float, float], wide: bool) -> Any:
    """Rows from top to bottom; words beside the plot, or above each row on a phone."""
    step, left, right = (38, 220, 240) if wide else (66, 12, 12)
    width = (WIDE if wide else WIDTH) - left - right
    low, high, ticks = _axis(marks, line, limits, 8 if wide else 5)
    rows = [
        {
            "row": number,
            "label": shortened(mark.label, 30 if wide else 24),
            "told": f"{visible(mark.label)}: {mark.note}",
            "kind": "trained" if mark.trained else "unchanged",
            "colour": ACCENT if mark.chosen else SOFT,
            "ink": ACCENT if mark.chosen else INK if mark.value is not None else FAINT,
            "words": ACCENT if mark.chosen else SOFT if mark.value is not None else FAINT,
            **mark._asdict(),
            "name": shortened(mark.label, 30 if wide else 24),
        }
        for number, mark in enumerate(marks)
    ]
    scale = alt.Scale(domain=[low, high], nice=False, clamp=True)
    x = alt.X(
        "value:Q", scale=scale, axis=quiet(values=ticks, labelExpr=writes, labelPadding=8, labelFlush=False, grid=False)
    )
    y = alt.Y("row:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0))
    base, drop, up = data(rows).encode(y=y), 0 if wide else 12, 0 if wide else -14
    track = step if wide else 28
    measured = [row for row in rows if row["value"] is not None]
    spanned = data([row for row in rows if row["low"] is not None]).encode(y=y, color=alt.Color("colour:N", scale=None))
    band = max(low, line.band[0]), min(high, line.band[1])
    behind = data([{"row": n, "from": band[0], "to": band[1], "at": line.at} for n in range(len(rows))]).encode(y=y)
    grid = data([{"row": n, "tick": tick} for n in range(len(rows)) for tick in ticks]).encode(y=y)
    upright: dict[str, Any] = {"orient": "vertical", "size": track, "yOffset": drop}
    words: dict[str, Any] = {"fontSize": 14 if wide else 13, "dy": up}
    layers = [
        behind.mark_bar(color=SHADE, height=track, yOffset=drop).encode(
            x=alt.X("from:Q", scale=scale), x2=alt.X2("to:Q")
        ),
        grid.mark_tick(color=RULE, thickness=1, **upright).encode(x=alt.X("tick:Q", scale=scale)),
        behind.mark_tick(color=INK, thickness=1.5, **upright).encode(x=alt.X("at:Q", scale=scale)),
        data([{"at": line.at, "label": line.label}])
        .mark_text(fontSize=13, fontWeight=600, baseline="bottom", align=_within(line, low, high, width))
        .encode(x=alt.X("at:Q", scale=scale), y=alt.value(-8), text=alt.Text("label:N")),
        spanned.mark_rule(strokeWidth=2.5, yOffset=drop).encode(x=alt.X("low:Q", scale=scale), x2=alt.X2("high:Q")),
        *(
            spanned.mark_tick(orient="vertical", size=11, thickness=2.5, opacity=1, yOffset=drop).encode(
                x=alt.X(f"{end}:Q", scale=scale)
            )
            for end in ("low", "high")
        ),
        points(data(measured), yOffset=drop).encode(x=x, y=y),
        base.mark_text(align="left", **words).encode(
            text=alt.Text("name:N"), color=alt.Color("ink:N", scale=None), x=alt.value(-left)
        ),
        base.mark_text(align="left" if wide else "right", **words).encode(
            text=alt.Text("note:N"),
            color=alt.Color("words:N", scale=None),
            x=alt.value(width + (24 if wide else right)),
        ),
    ]
    return alt.layer(*layers).properties(
        width=width, height=alt.Step(step), padding={"left": left, "right": right, "top": 28, "bottom": 24}
    )


def _within(line: Line, low: float, high: float, width: float) -> Literal["left", "center", "right"]:
    """How the line's label is set so that it stays within the picture."""
    place, half = (line.at - low) / (high - low) * width, 4.2 * len(line.label)
    return "left" if place < half else "right" if place > width - half else "center"


def _axis(
    marks: Sequence[Mark], line: Line, limits: tuple[float, float], most: int
) -> tuple[float, float, list[float]]:
    """Round limits around everything shown, and ticks in the smallest round step that gives at most `most`."""
    values = [v for m in marks for v in (m.value, m.low, m.high) if v is not None]
    inner = [edge for edge in line.band if limits[0] < edge < limits[1]]
    lowest, highest = min([*values, *inner, line.at]), max([*values, *inner, line.at])
    for step in (0.02, 0.05, 0.1, 0.2, 0.25, 0.5):
        low = max(limits[0], math.floor(lowest / step + 1e-9) * step)
        high = min(limits[1], math.ceil(highest / step - 1e-9) * step)
        if (high - low) / step <= most - 1 and high > low:
            return low, high, [round(low + i * step, 4) for i in range(round((high - low) / step) + 1)]
    return limits[0], limits[1], [limits[0] + i * (limits[1] - limits[0]) / 4 for i in range(5)]
