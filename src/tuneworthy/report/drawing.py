"""How charts become pictures: one look, SVG without scripts, the numbers behind each as CSV.

Colours are the page's CSS variables, so that one SVG serves light, dark and print. Nothing rests on colour alone:
shapes, outlines and words say the same. Nothing is fetched while drawing.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any

import altair as alt
import vl_convert
from altair.utils.schemapi import debug_mode

from tuneworthy.report.wording import visible

INK, SOFT, FAINT, RULE, SHADE = "var(--ink)", "var(--soft)", "var(--faint)", "var(--rule)", "var(--shade)"
PAGE, ACCENT = "var(--page)", "var(--accent)"
LIGHT = {
    "ink": "#191b20",
    "soft": "#565c68",
    "faint": "#6f7581",
    "rule": "#e3e3dd",
    "shade": "#ecebe4",
    "page": "#ffffff",
    "accent": "#1f4fc4",
}
"""The light colours of report.css, for pictures outside the page."""
DARK = {
    "ink": "#eceef2",
    "soft": "#aeb4c0",
    "faint": "#8e95a3",
    "rule": "#2d323b",
    "shade": "#252a32",
    "page": "#131519",
    "accent": "#8fb2ff",
}
WIDTH = 340
"""units of a picture that fits a phone; one unit is one CSS pixel there"""
WIDE = 1040
"""units of a picture as wide as the page"""
_SHORT = re.compile(r"(\d+\.\d\d)\d+")
"""a hundredth of a unit is enough of a place"""
_FONT = "Liberation Sans, DejaVu Sans, sans-serif"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Chart:
    """One chart, the numbers behind it, and what is read aloud in its place."""

    named: str
    """file name of its numbers"""
    title: str
    drawing: Any
    """an altair chart in the page's colours"""
    rows: tuple[Row, ...]

    def svg(self, *, classes: str = "") -> str:
        """One <svg> element: no scripts, no styles, nothing to load; the same for the same chart."""
        body, width, height = _svg(json.dumps(_spec(self.drawing), ensure_ascii=False, sort_keys=True))
        title = escape(visible(self.title), quote=True)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" class="chart {classes}" '
            f'role="img" aria-label="{title}">{body}'
        )

    def png(self, colours: Mapping[str, str] = LIGHT, scale: float = 2.0) -> bytes:
        """The same as pixels, for pages that hold no SVG."""
        spec = _spec(self.drawing)
        padding = {side: 16 + room for side, room in spec["padding"].items()}
        spec |= {"background": colours["page"], "padding": padding}
        text = re.sub(r"var\(--([a-z]+)\)", lambda found: colours[found[1]], json.dumps(spec))
        return bytes(vl_convert.vegalite_to_png(text, scale=scale, allowed_base_urls=[]))

    def csv(self) -> str:
        """The numbers as CSV. Text that a spreadsheet would take for a formula is set off by an apostrophe."""
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(row.get(name)) for name in columns] for row in self.rows)
        return out.getvalue()

    def csv_link(self) -> str:
        """The CSV as a data URI."""
        raw = self.csv().encode("utf-8", "backslashreplace")
        return "data:text/csv;charset=utf-8;base64," + base64.b64encode(raw).decode()


class _Rows:
    """Rows that altair passes on as they are: it would copy and check each of them for every mark drawn over them."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows


def data(rows: list[dict[str, Any]]) -> alt.Chart:
    """A chart over these rows."""
    with debug_mode(False):
        return alt.Chart(alt.InlineData(values=_Rows(rows)))  # type: ignore[arg-type]


def quiet(**settings: Any) -> alt.Axis:
    """An axis of the page: thin lines, small figures."""
    look = {"title": None, "ticks": False, "domain": False, "labelColor": FAINT, "gridColor": RULE, "labelFontSize": 11}
    return alt.Axis(**{**look, **settings})


def points(over: alt.Chart, **settings: Any) -> Any:
    """Discs; diamonds where weights were changed, so that the difference does not rest on colour."""
    kinds = ["unchanged", "trained"]
    return over.mark_point(filled=True, opacity=1, stroke=PAGE, strokeWidth=1.5, **settings).encode(
        fill=alt.Fill("colour:N", scale=None),
        shape=alt.Shape("kind:N", scale=alt.Scale(domain=kinds, range=["circle", "diamond"]), legend=None),
        size=alt.Size("kind:N", scale=alt.Scale(domain=kinds, range=[140, 200]), legend=None),
        description=alt.Description("told:N"),
    )


PERCENT = "format(100 * datum.value, '.0f') + ' %'"
POINTS = "datum.value == 0 ? '0' : format(100 * datum.value, '+.3~f')"
"""how an axis writes a share, and a difference in points"""


ROWS = alt.Scale(paddingInner=0, paddingOuter=0)
"""rows without gaps"""


def called(title: str) -> dict[str, Any]:
    """What an axis is called."""
    return {"title": title, "titleColor": FAINT, "titleFontSize": 11, "titleFontWeight": "normal", "labelOverlap": True}


def shortened(label: str, letters: int) -> str:
    """At most so many letters, nothing hidden among them."""
    shown = visible(label).replace("\n", " ")
    return shown if len(shown) <= letters else shown[: letters - 1] + "…"


# --- parts ---------------------------------------------------------------------------------------


def _spec(drawing: Any) -> dict[str, Any]:
    look = {
        "font": _FONT,
        "text": {"fontSize": 12, "color": INK},
        "view": {"stroke": None, "fill": None},
        "style": {"guide-label": {"font": _FONT}},
        "aria": False,
    }
    with debug_mode(False), alt.data_transformers.enable(consolidate_datasets=False):
        spec: dict[str, Any] = drawing.to_dict(validate=False)
    spec = json.loads(json.dumps(spec, default=lambda held: held.rows))
    return {**spec, "config": look, "background": None, "autosize": {"type": "none"}}


@lru_cache(maxsize=256)
def _svg(spec: str) -> tuple[str, str, str]:
    """What stands inside the <svg> element, and the size of its box."""
    text: str = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    head, _, body = text.partition(">")
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)
    if box is None:
        raise ValueError("vl-convert wrote an SVG without a box")
    body = re.sub(r' (?:role|aria-roledescription|aria-hidden|pointer-events|class|font-family)="[^"]*"', "", body)
    body = re.sub(r'<path d="(?:M0,0h0v0h0Z)?"(?: display="none")?/>', "", body)
    body = re.sub(r' (?:transform|d|x2|y2|width|height)="[^"]*"', lambda place: _SHORT.sub(r"\1", place[0]), body)
    body = re.sub(r"<(path|rect|line|text)([^<>]*?) aria-label=(\"[^\"]*\")([^<>]*?)/>", _titled, body)
    return body, box[1], box[2]


def _titled(found: re.Match[str]) -> str:
    """A mark's description as its title: read aloud, and shown by the pointer."""
    return f"<{found[1]}{found[2]}{found[4]}><title>{found[3][1:-1]}</title></{found[1]}>"


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None else value
