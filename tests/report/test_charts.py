"""Charts: what is drawn is what the record says; nothing is drawn of what was not measured; any text stays text."""

from __future__ import annotations

import base64
import csv
import io
import re
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sample import HOSTILE, LABELS, sample
from test_html import _Page

from tuneworthy.measure import statistics
from tuneworthy.measure.diagnose import Diagnosis, Share
from tuneworthy.measure.learning_curve import CurvePoint, Forecast, LearningCurve, PowerLaw, ToTheBar
from tuneworthy.measure.retention import compare
from tuneworthy.measure.statistics import wilson
from tuneworthy.measure.summaries import classification_summary
from tuneworthy.records import Interval
from tuneworthy.report import charts
from tuneworthy.report.drawing import Chart, data, shortened
from tuneworthy.report.forest import Line, Mark, forest
from tuneworthy.report.html import render
from tuneworthy.runs import ArmReport, RunRecord

SVG = "{http://www.w3.org/2000/svg}"
RECORD = sample()
MEANS = {arm.name: arm.interval.value for arm in RECORD.arms if arm.interval}
KEPT = {"lora": compare([True] * 420, [number % 10 > 0 for number in range(420)]).model_dump(mode="json")}
CAUSES = Diagnosis(
    cases=60,
    failed=40,
    passes_at=1.0,
    shares=(
        Share(cause="format", cases=30, share=wilson(30, 40), points_to="constrained"),
        Share(cause="knowledge", cases=10, share=wilson(10, 40), points_to="retrieval"),
    ),
)
CONFUSION = classification_summary([("billing", "billing"), ("billing", "returns"), ("returns", None)], LABELS)

CURVE = LearningCurve(
    learner="a plain classifier",
    lever="classifier",
    metric="classification",
    data="ab" * 32,
    when="2026-01-01T00:00:00+00:00",
    cases=120,
    trainings=9,
    points=tuple(
        CurvePoint(size=size, scores=(score,), score=Interval(value=score, low=score - 0.05, high=score + 0.05))
        for size, score in ((75, 0.55), (150, 0.66), (300, 0.74))
    ),
    fit=PowerLaw(floor=0.05, factor=2.9, exponent=0.45),
    answer="helps",
    gain=Interval(value=0.05, low=0.03, high=0.07),
    smallest_difference=0.05,
    forecasts=(Forecast(size=600, score=Interval(value=0.79, low=0.74, high=0.84)),),
    to_the_bar=ToTheBar(at_least=0.8, met=False, examples=700, low=500, high=None),
    sentences=("A doubling gains 5 points.",),
)


def all_charts() -> dict[str, Chart | None]:
    record = RECORD.model_copy(update={"diagnosis": CAUSES})
    return {
        "scores, wide": charts.scores(record, MEANS, 0.75, 0.05, wide=True),
        "scores, narrow": charts.scores(record, MEANS, 0.75, 0.05, wide=False),
        "differences": charts.differences(record.comparisons, 0.05, wide=True),
        "retention": charts.retention(KEPT, wide=False),
        "paired": charts.paired(record),
        "confusion": charts.confusion(CONFUSION, "prompt"),
        "causes": charts.causes(record),
        "cost": charts.cost(record, MEANS),
        "power": charts.power(40, 0.05, alpha=0.05),
    }


DRAWN = all_charts()
drawn_a_few_times = settings(
    max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=[HealthCheck.too_slow]
)
"""a picture takes a quarter of a second"""


def numbers(chart: Chart | None) -> list[dict[str, str]]:
    assert chart is not None
    return list(csv.DictReader(io.StringIO(chart.csv())))


@pytest.mark.parametrize("name", DRAWN)
def test_every_chart_is_one_svg_without_scripts_styles_links_or_fixed_colours(name: str) -> None:
    chart = DRAWN[name]
    assert chart is not None
    text = chart.svg()
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert root.get("aria-label") == chart.title
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        *("svg", "g", "path", "line", "rect", "text", "title"),
    }
    assert not re.search(r"style=|href|url\(|#[0-9a-f]{3,6}", text.split(">", 1)[1])
    assert chart.rows


@pytest.mark.parametrize("name", DRAWN)
def test_the_same_numbers_give_the_same_picture(name: str) -> None:
    one, two = DRAWN[name], all_charts()[name]
    assert one is not None
    assert two is not None
    assert one.svg() == two.svg()
    assert one.csv_link() == two.csv_link()


def test_png_is_a_picture() -> None:
    chart = DRAWN["paired"]
    assert chart is not None
    assert chart.png(scale=1).startswith(b"\x89PNG")


# --- the numbers ----------------------------------------------------------------------------------


def test_scores_hold_every_arm_with_its_interval() -> None:
    rows = numbers(DRAWN["scores, wide"])
    assert [row["arm"] for row in rows] == [arm.name for arm in RECORD.arms]
    for row, arm in zip(rows, RECORD.arms, strict=True):
        assert arm.interval is not None
        assert float(row["low"]) == arm.interval.low
        assert float(row["high"]) == arm.interval.high


def test_paired_counts_add_up_to_the_cases() -> None:
    for row, c in zip(numbers(DRAWN["paired"]), RECORD.comparisons, strict=True):
        assert int(row["better"]) + int(row["worse"]) + int(row["same"]) == c.n
        assert (int(row["better"]), int(row["worse"]), int(row["left out"])) == (c.wins, c.losses, c.dropped)


def test_confusion_counts_every_answer_once() -> None:
    rows = {(row["expected"], row["answered"]): int(row["cases"]) for row in numbers(DRAWN["confusion"])}
    assert sum(rows.values()) == 3
    assert rows["billing", "returns"] == rows["returns", "none of them"] == 1


def test_power_is_the_smallest_difference_found_in_80_percent_of_runs() -> None:
    (row,) = [row for row in numbers(charts.power(100, 0.05, alpha=0.05)) if row["this suite"] == "True"]
    assert statistics.power_mcnemar(100, 0.2, float(row["difference"])) == pytest.approx(0.8, abs=1e-4)
    (none,) = [row for row in numbers(charts.power(20, 0.05, alpha=0.05)) if row["this suite"] == "True"]
    assert none["difference"] == ""  # 20 cases find nothing when 20 % differ


def test_cost_is_time_where_all_were_timed_else_tokens() -> None:
    assert "seconds" in numbers(DRAWN["cost"])[0]
    untimed = tuple(arm.model_copy(update={"seconds": None}) for arm in RECORD.arms)
    rows = numbers(charts.cost(RECORD.model_copy(update={"arms": untimed}), MEANS))
    assert "classifier" not in [row["arm"] for row in rows]  # it reads no tokens, so its cost is not known
    assert float(rows[1]["tokens"]) == pytest.approx(1412.4 + 3.1)


def test_marks_lie_where_their_values_are() -> None:
    """The distance between two discs is that of their values on the axis."""
    marks = [Mark("a", "", 0.2, 0.1, 0.3), Mark("b", "", 0.6, 0.5, 0.7), Mark("c", "", 1.0, 0.9, 1.0)]
    drawing = forest(marks, Line(0.5, "", (0.45, 0.55)), charts.PERCENT, (0.0, 1.0), True)
    root = ElementTree.fromstring(Chart("x", "x", drawing, ()).svg())
    discs = [p for p in root.iter(f"{SVG}path") if p.find(f"{SVG}title") is not None]
    places = [float(re.findall(r"translate\(([\d.]+)", disc.get("transform", ""))[-1]) for disc in discs]
    assert len(places) == 3
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.1)


def test_a_learning_curve_tells_what_was_measured_from_what_is_forecast() -> None:
    chart = charts.learning(CURVE, 0.8)
    assert [row["measured"] for row in numbers(chart)] == ["True"] * 3 + ["False"]
    dots = [p for p in ElementTree.fromstring(chart.svg()).iter(f"{SVG}path") if p.find(f"{SVG}title") is not None]
    assert [p.get("fill") for p in dots] == ["var(--accent)"] * 3 + ["var(--page)"]
    page = _Page(render(RECORD, curves=[CURVE]))
    assert "A doubling gains 5 points." in page.text
    assert "Measured on another version of the examples" in page.text
    assert "Learning curve: not measured" in _Page(render(RECORD)).text


# --- nothing measured, nothing drawn --------------------------------------------------------------


def test_nothing_measured_is_not_drawn() -> None:
    bare = RunRecord(tuneworthy_version="0", run_id="x", usecase={}, verdict=RECORD.verdict)
    assert charts.scores(bare, {}, 0.75, 0.05, wide=True) is None
    assert charts.differences((), 0.05, wide=True) is None
    assert charts.retention({}, wide=True) is None
    assert charts.paired(bare) is None
    assert charts.causes(bare) is None
    assert charts.cost(bare, {}) is None
    text = render(bare)
    assert "<svg" not in text
    assert ".csv" not in text


def test_an_arm_without_a_score_has_words_and_no_mark() -> None:
    arm = ArmReport(name="full", lever="full", interval=None, n=0)
    record = RECORD.model_copy(update={"arms": (arm,)})
    chart = charts.scores(record, {"full": None}, 0.75, 0.05, wide=True)
    assert chart is not None
    assert "not measured" in chart.svg()
    assert "<title>" not in chart.svg()
    assert numbers(chart) == [{"arm": "full", "value": "", "low": "", "high": ""}]


def test_many_labels_are_not_squeezed_into_a_matrix() -> None:
    labels = [f"label {n}" for n in range(charts.MOST_LABELS + 1)]
    assert charts.confusion(classification_summary([(labels[0], labels[0])], labels), "prompt") is None


def test_power_of_graded_scores_is_not_drawn_and_the_page_says_so() -> None:
    graded = tuple(c.model_copy(update={"p_exact": None}) for c in RECORD.comparisons)
    page = _Page(render(RECORD.model_copy(update={"comparisons": graded})))
    assert "What this many cases can find is not drawn" in page.text


# --- hostile text ---------------------------------------------------------------------------------


def renamed(name: str) -> RunRecord:
    arms = tuple(a.model_copy(update={"name": name if a.name == "lora" else a.name}) for a in RECORD.arms)
    comparisons = tuple(
        c.model_copy(update={"candidate": name if c.candidate == "lora" else c.candidate}) for c in RECORD.comparisons
    )
    return RECORD.model_copy(update={"arms": arms, "comparisons": comparisons})


@pytest.mark.parametrize("name", [HOSTILE, "a\u202eb", "]]>", '"onload="alert(1)', "{{ 7*7 }}", "datum.x", "a\nb"])
def test_names_of_arms_stay_text(name: str) -> None:
    record = renamed(name)
    means = {arm.name: 0.5 for arm in record.arms}
    drawn = [
        charts.scores(record, means, 0.75, 0.05, wide=True),
        charts.differences(record.comparisons, 0.05, wide=False),
        charts.paired(record),
        charts.cost(record, means),
    ]
    for chart in drawn:
        assert chart is not None
        root = ElementTree.fromstring(chart.svg())
        assert {e.tag.removeprefix(SVG) for e in root.iter()} <= {"svg", "g", "path", "line", "rect", "text", "title"}
        assert not [k for e in root.iter() for k in e.keys() if k.startswith("on")]  # noqa: SIM118
        assert "\u202e" not in chart.svg()


@given(st.text(max_size=20))
@drawn_a_few_times
def test_any_label_is_drawn_as_text(label: str) -> None:
    summary = classification_summary(
        [(label, label), ("other", None)], [label, "other"] if label != "other" else [label]
    )
    chart = charts.confusion(summary, label)
    assert chart is not None
    ElementTree.fromstring(chart.svg())


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@x", "\tx"])
def test_a_spreadsheet_takes_no_text_for_a_formula(text: str) -> None:
    (row,) = numbers(Chart("x", "x", data([]), ({"arm": text, "value": -0.5},)))
    assert row == {"arm": f"'{text}", "value": "-0.5"}


def test_shortened_hides_nothing() -> None:
    assert shortened("a\u200bb", 20) == "a⟦U+200B⟧b"
    assert shortened("x" * 30, 10) == "x" * 9 + "…"


# --- in the page ----------------------------------------------------------------------------------


def test_the_page_holds_the_numbers_of_its_charts() -> None:
    text = render(RECORD)
    links = re.findall(r'download="([\w-]+)\.csv" href="data:text/csv;charset=utf-8;base64,([^"]+)"', text)
    assert {name for name, _ in links} == {
        "scores", "score-against-cost", "confusion", "differences", "case-by-case", "power",
    }  # fmt: skip
    scores = base64.b64decode(dict(links)["scores"]).decode()
    assert scores.startswith("arm,value,low,high\nprompt,")


def test_a_lever_that_the_verdict_names_is_not_listed_again() -> None:
    verdict = RECORD.verdict.model_copy(update={"not_measured": ("lora, full (constrained meets the bar)",)})
    gaps = ("lora: not tried, constrained meets the bar", "full: not tried", "rag: not applicable, no documents")
    page = render(RECORD.model_copy(update={"verdict": verdict, "not_measured": gaps}))
    listed = re.findall(r"<li>(.*?)</li>", page.split('id="h-not-measured"')[1])
    assert listed == ["lora, full (constrained meets the bar)", "rag: not applicable, no documents"]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=4),
    st.floats(0.05, 0.95),
    st.booleans(),
)
@drawn_a_few_times
def test_any_interval_is_drawn(rows: list[tuple[float, float, float]], line: float, wide: bool) -> None:
    marks = [Mark("a", "n", sorted(r)[1], sorted(r)[0], sorted(r)[2]) for r in rows]
    drawing = forest(marks, Line(line, "the bar", (line - 0.05, line + 0.05)), charts.PERCENT, (0.0, 1.0), wide)
    svg = Chart("x", "x", drawing, ()).svg()
    assert "NaN" not in svg
    assert len(list(ElementTree.fromstring(svg).iter(f"{SVG}title"))) == len(rows)


def test_the_interval_of_retention_is_shown_against_the_loss_that_was_tested() -> None:
    rows = numbers(DRAWN["retention"])
    found = Interval.model_validate(KEPT["lora"]["interval"])
    assert (float(rows[0]["low"]), float(rows[0]["high"])) == (found.low, found.high)
    assert "a loss of 5 points" in (DRAWN["retention"].svg() if DRAWN["retention"] else "")
