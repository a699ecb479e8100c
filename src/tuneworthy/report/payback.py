"""Two charts about money: what each lever brings after the horizon, and what that depends on most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from tuneworthy.plan.records import BreakEven, Payback, Swing
from tuneworthy.report import wording
from tuneworthy.report.drawing import ACCENT, INK, PAGE, ROWS, SOFT, WIDTH, Chart, data, quiet, shortened
from tuneworthy.report.money import euros, euros_range

_LEFT, _RIGHT = 30, 32
"""room for the first and the last figure of the axis"""
_EUROS = "replace(format(datum.value, ',d'), /,/g, '\\u202f') + ' €'"
_UP, _DOWN = -13, 11
"""words above a bar, the bar below them, in units from the middle of the row"""


def net(held: BreakEven) -> Chart | None:
    """What each lever has brought when the horizon ends: the middle and 80 % of the draws, against nothing."""
    found = [p for p in held.paybacks if p.net.value is not None]
    if not found:
        return None
    rows = [
        {
            "row": number,
            "name": shortened(f"{p.lever} over {p.reference}", 30),
            "value": p.net.value,
            "low": p.net.low,
            "high": p.net.high,
            "never": p.never,
            "note": euros(p.net),
            "told": f"{p.lever} over {p.reference}: {euros(p.net)} ({euros_range(p.net)})",
        }
        for number, p in enumerate(found)
    ]
    scale, axis = _scale([end for p in found for end in (p.net.value, p.net.low, p.net.high) if end is not None])
    y = alt.Y("row:O", axis=None, scale=ROWS)
    base = data(rows).encode(y=y)
    x = alt.X("value:Q", scale=scale, axis=axis)
    layers = [
        _nothing(rows, scale),
        base.mark_rule(color=SOFT, strokeWidth=2.5, yOffset=_DOWN).encode(
            x=alt.X("low:Q", scale=scale), x2=alt.X2("high:Q")
        ),
        *(
            base.mark_tick(color=SOFT, size=11, thickness=2.5, yOffset=_DOWN).encode(x=alt.X(f"{end}:Q", scale=scale))
            for end in ("low", "high")
        ),
        base.mark_point(
            filled=True, fill=ACCENT, stroke=PAGE, strokeWidth=1.5, size=140, opacity=1, yOffset=_DOWN
        ).encode(x=x, description=alt.Description("told:N")),
        *_words(base),
    ]
    title = f"Euros that each lever has brought after {held.horizon} months: middle and 80 % of the draws."
    kept = ("name", "value", "low", "high", "never")
    return Chart("payback", title, _drawn(layers), tuple({k: row[k] for k in kept} for row in rows))


def tornado(payback: Payback, horizon: int) -> Chart:
    """What one input does to the result between its 10 % and 90 % points, all others in the middle; largest first."""
    rows = [
        {
            "row": number,
            "name": swing.name,
            "low": min(swing.at_low, swing.at_high),
            "high": max(swing.at_low, swing.at_high),
            "note": f"{_input(swing.low, swing.unit).removesuffix(' points')} to {_input(swing.high, swing.unit)}",
            "told": f"{swing.name} {_input(swing.low, swing.unit)}: {_whole(swing.at_low)}; "
            f"{_input(swing.high, swing.unit)}: {_whole(swing.at_high)}",
        }
        for number, swing in enumerate(payback.swings)
    ]
    scale, axis = _scale([end for swing in payback.swings for end in (swing.at_low, swing.at_high)])
    base = data(rows).encode(y=alt.Y("row:O", axis=None, scale=ROWS))
    layers = [
        base.mark_bar(color=ACCENT, fillOpacity=0.35, stroke=ACCENT, height=15, yOffset=_DOWN).encode(
            x=alt.X("low:Q", scale=scale, axis=axis), x2=alt.X2("high:Q"), description=alt.Description("told:N")
        ),
        _nothing(rows, scale),
        *_words(base),
    ]
    title = (
        f"What the euros of {payback.lever} over {payback.reference} after {horizon} months depend on: "
        "each input from its 10 % to its 90 % point."
    )
    return Chart("payback-depends-on", title, _drawn(layers), tuple(_plain(swing) for swing in payback.swings))


def _plain(swing: Swing) -> dict[str, Any]:
    return swing.model_dump(mode="json")


def _scale(values: Sequence[float]) -> tuple[alt.Scale, alt.Axis]:
    """Round limits around the values and nothing, with few figures: they are long."""
    low, high = min([0.0, *values]), max([0.0, *values])
    step = _round_step((high - low or 1.0) / 3)
    ends = math.floor(low / step) * step, math.ceil(high / step) * step
    ticks = [ends[0] + step * n for n in range(round((ends[1] - ends[0]) / step) + 1)]
    scale = alt.Scale(domain=[ticks[0], ticks[-1]], nice=False)
    return scale, quiet(values=ticks, labelExpr=_EUROS, labelFlush=False)


def _round_step(least: float) -> float:
    """1, 2, 2.5 or 5 times a power of ten, not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= least * (1 - 1e-9))


def _nothing(rows: Sequence[dict[str, Any]], scale: alt.Scale) -> Any:
    """Where nothing is won or lost: beside each mark, so that it crosses no word."""
    upright = data([{"row": row["row"], "zero": 0} for row in rows])
    return upright.mark_tick(color=INK, orient="vertical", size=26, thickness=1.5, yOffset=_DOWN).encode(
        x=alt.X("zero:Q", scale=scale), y=alt.Y("row:O", axis=None, scale=ROWS)
    )


def _words(base: alt.Chart) -> list[Any]:
    """Name and numbers of a row, above its mark."""
    return [
        base.mark_text(align="left", dy=_UP, fontSize=13).encode(x=alt.value(0), text=alt.Text("name:N")),
        base.mark_text(align="right", dy=_UP, fontSize=12, color=SOFT).encode(
            x=alt.value(WIDTH - _LEFT - _RIGHT), text=alt.Text("note:N")
        ),
    ]


def _drawn(layers: Sequence[Any]) -> Any:
    return alt.layer(*layers).properties(
        width=WIDTH - _LEFT - _RIGHT,
        height=alt.Step(54),
        padding={"left": _LEFT, "right": _RIGHT, "top": 0, "bottom": 0},
    )


def _whole(value: float) -> str:
    return f"{round(value):,d} €".replace(",", "\u202f").replace("-", "−")


def _input(value: float, unit: str) -> str:
    """A value of an input in its own unit."""
    if unit == "score":
        return f"{wording.points(value)} points"
    if unit == "EUR" and abs(value) < 100:
        return f"{value:.2f} €"
    return _whole(value) if unit.startswith("EUR") else wording.number(round(value))
