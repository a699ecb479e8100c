"""A forest plot as SVG text: one row per arm, its interval as a line, a vertical line to compare with.

Pure: the same arguments give the same text. Colours come from the page's CSS variables (light, dark, print), numbers
stand as text beside the plotting area, and a row that was not measured has no mark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from tuneworthy.report.wording import visible


@dataclass(frozen=True)
class Mark:
    """One row. Without `value` it was not measured."""

    label: str
    note: str
    """value and interval, or that it was not measured; printed beside the plot"""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    trained: bool = False
    chosen: bool = False
    """the arm that the verdict names"""


@dataclass(frozen=True)
class _Layout:
    """Lengths in SVG units; one unit is one CSS pixel at full width."""

    width: int
    left: int
    right: int
    """the plotting area lies between `left` and `right`"""
    row: int
    head: int
    track: int
    """height of the mark within its row"""
    letters: int
    """longest label"""
    ticks: int


_WIDE = _Layout(width=1040, left=220, right=800, row=38, head=30, track=19, letters=26, ticks=8)
_NARROW = _Layout(width=340, left=14, right=326, row=68, head=28, track=40, letters=24, ticks=5)


def forest(
    marks: Sequence[Mark],
    *,
    line: float,
    line_label: str,
    band: tuple[float, float],
    title: str,
    tick_label: Callable[[float], str],
    limits: tuple[float, float] = (0.0, 1.0),
    narrow: bool = False,
) -> str:
    """The plot as one <svg> element.

    Args:
        marks: rows from top to bottom.
        line: where the vertical line stands (the bar; 0 for differences).
        band: the shaded range around it: too close to the line to matter.
        title: read aloud in place of the picture.
        tick_label: writes a number of the axis.
        limits: the axis never goes beyond them.
        narrow: labels above the rows instead of beside them, for small screens.
    """
    lay = _NARROW if narrow else _WIDE
    low, high, step = _axis(marks, (line, *band), limits, lay.ticks)

    def x(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return round(lay.left + share * (lay.right - lay.left), 1)

    tracks = _tracks(len(marks), lay)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {lay.width} {tracks[-1][1] + 28}" '
        f'class="forest {"narrow" if narrow else "wide"}" role="img" aria-label="{_safe(title)}">',
        *(_rect("band", x(band[0]), x(band[1]), track) for track in tracks),
        *_ticks(low, high, step, x, tracks, tick_label),
        *(_upright("bar", x(line), track) for track in tracks),
        _line_label(line_label, x(line), lay),
    ]
    for number, mark in enumerate(marks):
        parts += _row(mark, lay.head + number * lay.row, x, lay)
    return "".join([*parts, "</svg>"])


def _tracks(rows: int, lay: _Layout) -> list[tuple[int, int]]:
    """Top and bottom of the plotting areas: one for all rows, or one below each row's text on small screens."""
    if lay is _WIDE:
        return [(lay.head, lay.head + lay.row * rows)]
    tops = [lay.head + lay.row * number for number in range(rows)]
    return [(top + lay.track - 13, top + lay.track + 13) for top in tops]


def _axis(
    marks: Sequence[Mark], shown: Sequence[float], limits: tuple[float, float], most: int
) -> tuple[float, float, float]:
    """Round limits around everything shown, and the smallest round step with at most `most` ticks."""
    values = [v for m in marks for v in (m.value, m.low, m.high) if v is not None]
    lowest, highest = min([*values, *shown]), max([*values, *shown])
    for step in (0.02, 0.05, 0.1, 0.2, 0.25, 0.5):
        low = max(limits[0], math.floor(lowest / step + 1e-9) * step)
        high = min(limits[1], math.ceil(highest / step - 1e-9) * step)
        if (high - low) / step <= most - 1 and high > low:
            return low, high, step
    return limits[0], limits[1], (limits[1] - limits[0]) / 4


def _ticks(
    low: float,
    high: float,
    step: float,
    x: Callable[[float], float],
    tracks: Sequence[tuple[int, int]],
    tick_label: Callable[[float], str],
) -> list[str]:
    values = [low + i * step for i in range(round((high - low) / step) + 1)]
    y = tracks[-1][1] + 20
    return [_upright("grid", x(v), track) for v in values for track in tracks] + [
        f'<text class="tick" x="{x(v)}" y="{y}" text-anchor="middle">{_safe(tick_label(v))}</text>' for v in values
    ]


def _rect(name: str, left: float, right: float, track: tuple[int, int]) -> str:
    top, bottom = track
    return f'<rect class="{name}" x="{left}" y="{top}" width="{round(right - left, 1)}" height="{bottom - top}"/>'


def _upright(name: str, x: float, track: tuple[int, int]) -> str:
    return f'<line class="{name}" x1="{x}" x2="{x}" y1="{track[0]}" y2="{track[1]}"/>'


def _line_label(text: str, x: float, lay: _Layout) -> str:
    half = 4.2 * len(text)  # measured: 14 px system fonts are about 7 to 8.4 units a letter
    middle = min(max(x, half), lay.width - half)
    return (
        f'<text class="bar-label" x="{round(middle, 1)}" y="{lay.head - 10}" text-anchor="middle">{_safe(text)}</text>'
    )


def _row(mark: Mark, top: int, x: Callable[[float], float], lay: _Layout) -> list[str]:
    narrow = lay is _NARROW
    measured = mark.value is not None
    classes = " ".join(
        name for name, on in (("chosen", mark.chosen), ("trained", mark.trained), ("unmeasured", not measured)) if on
    )
    label = mark.label if len(mark.label) <= lay.letters else mark.label[: lay.letters - 1] + "…"
    y, text_y = top + lay.track, top + (18 if narrow else lay.track + 5)
    note_x, anchor = (lay.width, "end") if narrow else (lay.right + 24, "start")
    parts = [
        f'<g class="{classes}"><title>{_safe(mark.label)}: {_safe(mark.note)}</title>',
        f'<text class="label" x="0" y="{text_y}">{_safe(label)}</text>',
        f'<text class="note" x="{note_x}" y="{text_y}" text-anchor="{anchor}">{_safe(mark.note)}</text>',
    ]
    if mark.value is not None:
        parts += _interval(mark, x, y)
        parts.append(_point(x(mark.value), y, mark.trained))
    return [*parts, "</g>"]


def _interval(mark: Mark, x: Callable[[float], float], y: float) -> list[str]:
    if mark.low is None or mark.high is None:
        return []
    left, right = x(mark.low), x(mark.high)
    return [
        f'<line class="interval" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>',
        *(f'<line class="interval" x1="{end}" x2="{end}" y1="{y - 5}" y2="{y + 5}"/>' for end in (left, right)),
    ]


def _point(x: float, y: float, trained: bool) -> str:
    """A disc; a diamond where weights were changed, so that the difference does not rest on colour."""
    if trained:
        return f'<path class="point" d="M{x} {y - 8}l8 8l-8 8l-8 -8z"/>'
    return f'<circle class="point" cx="{x}" cy="{y}" r="6"/>'


def _safe(text: str) -> str:
    return escape(visible(text), quote=True)
