"""The forest plot puts numbers where they belong and no mark where nothing was measured."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneworthy.report.forest import Mark, forest

SVG = "{http://www.w3.org/2000/svg}"
MEASURED = Mark("prompt", "60 %", 0.6, 0.5, 0.7)
TRAINED = Mark("lora", "90 %", 0.9, 0.8, 0.95, trained=True, chosen=True)


def plot(*marks: Mark, narrow: bool = False, line: float = 0.8) -> ElementTree.Element:
    text = forest(
        marks,
        line=line,
        line_label="the bar",
        band=(line - 0.05, line + 0.05),
        title="t",
        tick_label=lambda v: f"{100 * v:.0f}",
        narrow=narrow,
    )
    return ElementTree.fromstring(text)


def position(svg: ElementTree.Element, value: float) -> float:
    """Where a value lies, from two ticks of the axis."""
    ticks = [(float(t.text or ""), float(t.attrib["x"])) for t in svg.iter(f"{SVG}text") if t.get("class") == "tick"]
    (v0, x0), (v1, x1) = ticks[0], ticks[-1]
    return x0 + (100 * value - v0) * (x1 - x0) / (v1 - v0)


@pytest.mark.parametrize("narrow", [False, True])
def test_points_intervals_bar_and_band_lie_at_their_values(narrow: bool) -> None:
    svg = plot(MEASURED, TRAINED, narrow=narrow)
    disc = next(svg.iter(f"{SVG}circle"))
    assert float(disc.attrib["cx"]) == pytest.approx(position(svg, 0.6), abs=0.2)
    span = next(line for line in svg.iter(f"{SVG}line") if line.get("class") == "interval")
    assert float(span.attrib["x1"]) == pytest.approx(position(svg, 0.5), abs=0.2)
    assert float(span.attrib["x2"]) == pytest.approx(position(svg, 0.7), abs=0.2)
    bar = next(line for line in svg.iter(f"{SVG}line") if line.get("class") == "bar")
    assert float(bar.attrib["x1"]) == pytest.approx(position(svg, 0.8), abs=0.2)
    band = next(svg.iter(f"{SVG}rect"))
    assert float(band.attrib["width"]) == pytest.approx(position(svg, 0.85) - position(svg, 0.75), abs=0.3)


def test_a_trained_arm_has_another_shape_and_the_named_one_a_class() -> None:
    svg = plot(MEASURED, TRAINED)
    rows = {g.get("class"): g for g in svg.iter(f"{SVG}g")}
    assert rows["chosen trained"].find(f"{SVG}path") is not None
    assert rows[""].find(f"{SVG}circle") is not None


def test_a_row_without_a_value_has_no_mark() -> None:
    svg = plot(MEASURED, Mark("full", "not measured"))
    row = next(g for g in svg.iter(f"{SVG}g") if g.get("class") == "unmeasured")
    assert [child.tag.removeprefix(SVG) for child in row] == ["title", "text", "text"]


def test_labels_are_escaped_and_invisible_characters_spelled_out() -> None:
    svg = plot(Mark("<b>\u202e", "a & b", 0.5, 0.4, 0.6))
    labels = [t.text for t in svg.iter(f"{SVG}text")]
    assert "<b>⟦U+202E⟧" in labels
    assert "a & b" in labels


def test_text_of_wide_plots_lies_outside_the_plotting_area() -> None:
    svg = plot(MEASURED, TRAINED)
    band = next(svg.iter(f"{SVG}rect"))
    grid = [float(line.attrib["x1"]) for line in svg.iter(f"{SVG}line") if line.get("class") == "grid"]
    notes = [float(t.attrib["x"]) for t in svg.iter(f"{SVG}text") if t.get("class") == "note"]
    assert min(notes) > max(grid) > float(band.attrib["x"])


def test_text_of_narrow_plots_lies_above_its_track() -> None:
    svg = plot(MEASURED, TRAINED, narrow=True)
    bands = [(float(r.attrib["y"]), float(r.attrib["y"]) + float(r.attrib["height"])) for r in svg.iter(f"{SVG}rect")]
    notes = [float(t.attrib["y"]) for t in svg.iter(f"{SVG}text") if t.get("class") == "note"]
    assert all(note < top for note, (top, _) in zip(notes, bands, strict=True))
    assert all(note - 14 > bottom for note, (_, bottom) in zip(notes[1:], bands, strict=False))


def test_no_colour_is_written_into_the_plot() -> None:
    text = ElementTree.tostring(plot(MEASURED, TRAINED), encoding="unicode")
    assert not re.search(r"#[0-9a-f]{3}|fill=|stroke=|style=", text)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5),
    st.floats(0.05, 0.95),
    st.booleans(),
)
def test_everything_lies_inside_the_picture(rows: list[tuple[float, float, float]], line: float, narrow: bool) -> None:
    ordered = [sorted(row) for row in rows]
    svg = plot(*(Mark("a", "n", v, low, high) for low, v, high in ordered), narrow=narrow, line=line)
    width = float(svg.attrib["viewBox"].split()[2])
    xs = [float(e.attrib[k]) for e in svg.iter() for k in ("x", "x1", "x2", "cx") if k in e.attrib]
    assert all(0 <= x <= width for x in xs)
    ticks = [float(t.attrib["x"]) for t in svg.iter(f"{SVG}text") if t.get("class") == "tick"]
    assert 2 <= len(ticks) <= 8
    assert all(b > a for a, b in pairwise(ticks))
