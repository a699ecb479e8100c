"""The report: one self-contained HTML file per verdict.

Everything is inside the file; the page's policy forbids it to load anything and to run any script but its own.
Outputs of models are untrusted text: escaped by the template engine, with invisible characters spelled out.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment
from markupsafe import Markup
from pydantic import ValidationError

from tuneworthy.content import write_whole
from tuneworthy.measure.learning_curve import LearningCurve
from tuneworthy.measure.summaries import ClassificationSummary, summarise
from tuneworthy.plan.records import Plan
from tuneworthy.records import Case, Comparison
from tuneworthy.report import beside, charts, money, payback, planned, templates, wording
from tuneworthy.report.drawing import Chart
from tuneworthy.runs import ArmReport, CaseRow, RunRecord
from tuneworthy.usecase import Output

MOST_CASES = 500
"""Cases shown in the page; more make browsers slow. The record holds them all."""
MOST_CHARACTERS = 4000
"""Longest text shown of one field or answer."""


def render(record: RunRecord, plan: Plan | None = None, curves: Iterable[LearningCurve] = ()) -> str:
    """The report of one run as HTML text: deterministic, no network, readable without JavaScript.

    Args:
        plan: what was worked out before the run; shown in a section of its own.
        curves: learning curves of this use case, where some were measured.
    """
    css, script = (_asset(name) for name in ("report.css", "report.js"))
    bar, delta = _bar(record.usecase)
    cases, summaries = _chosen_cases(record.cases), _summaries(record)
    means = {arm.name: _mean(arm, record.cases) for arm in record.arms}
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            r=record,
            plan=plan,
            plan_plots={name: _figure(*pair) for name, pair in planned.plots(plan).items()},
            bar=bar,
            delta=delta,
            name=record.usecase.get("name"),
            metric=_inside(record.usecase, "bar", "metric"),
            money=money.section(record),
            css=Markup(css),
            script=Markup(script),
            policy=policy(),
            figures=_figures(record, summaries, means),
            level=next((arm.interval.level for arm in record.arms if arm.interval), 0.95),
            absent=[lever for lever in record.levers if lever.state != "measured"],
            not_measured=_not_measured(record),
            curves=[(curve, _figure(charts.learning(curve, bar))) for curve in curves],
            means=means,
            priced=any(arm.eur_per_1000 for arm in record.arms),
            further=list(dict.fromkeys(name for arm in record.arms for name in arm.further)),
            first_comparison=_first_comparisons(record.comparisons),
            cases=[_case(row, record.arms) for row in cases],
            summaries=summaries,
        )
    )


def write(record: RunRecord, path: Path, plan: Plan | None = None, *, curves: Iterable[LearningCurve] = ()) -> None:
    """Write the report of a run as one HTML file, whole or not at all.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    write_whole(path, render(record, plan, curves))


@cache
def _environment() -> Environment:
    found = templates.environment(
        "tuneworthy",
        "report",
        (
            *(wording.percent, wording.percent_range, wording.points, wording.points_range, wording.p_value),
            *(wording.further_score,),
            *(planned.with_range, planned.hours, money.euros, money.euros_range),
            *(wording.number, wording.per_answer, wording.duration, wording.as_text, wording.cell),
        ),
    )
    found.globals |= {"most_characters": MOST_CHARACTERS, "most_labels": charts.MOST_LABELS}
    found.globals |= {"beside_lines": beside.lines, "history_of": beside.history}
    return found


def _asset(name: str) -> str:
    return files("tuneworthy.report").joinpath(name).read_text("utf-8")


def policy() -> str:
    """Content security policy: only this very style and script; nothing may be fetched from anywhere."""
    css, script = (_asset(name) for name in ("report.css", "report.js"))
    style_hash, script_hash = (base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in (css, script))
    return (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


# --- plots ---------------------------------------------------------------------------------------


def _bar(usecase: Mapping[str, Any]) -> tuple[float | None, float | None]:
    return _inside(usecase, "bar", "at_least"), _inside(usecase, "bar", "smallest_difference")


def _inside(table: Mapping[str, Any], *keys: str) -> Any:
    """The value at a path of keys, or None: records of refused runs may lack parts of the use case."""
    value: Any = table
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


class Figure(NamedTuple):
    """A chart in the page."""

    svg: Markup
    csv: str
    """data URI of the numbers behind it"""
    named: str
    about: str = ""
    """what the text beside it has to name"""


def _figures(
    record: RunRecord, summaries: Mapping[str, Any], means: Mapping[str, float | None]
) -> dict[str, Figure | None]:
    """Name → figure; None where nothing was measured that it could show."""
    bar, delta = _bar(record.usecase)
    drawn: dict[str, tuple[Chart | None, ...]] = {
        "paired": (charts.paired(record),),
        "causes": (charts.causes(record),),
        "cost": (charts.cost(record, means),),
        "retention": _both(lambda wide: charts.retention(record.retention, wide=wide)),
    }
    held = money.read_sum(record)
    if held is not None and held.paybacks:
        decided = next((p for p in held.paybacks if p.lever == record.verdict.lever), held.paybacks[-1])
        drawn |= {"payback": (payback.net(held),), "tornado": (payback.tornado(decided, held.horizon),)}
    if bar is not None and delta is not None:
        drawn["scores"] = _both(lambda wide: charts.scores(record, means, bar, delta, wide=wide))
        drawn["differences"] = _both(lambda wide: charts.differences(record.comparisons, delta, wide=wide))
    found: dict[str, Figure | None] = dict.fromkeys(
        ("scores", "differences", "confusion", "power", "payback", "tornado")
    )
    found |= {name: _figure(*pair) if pair[0] is not None else None for name, pair in drawn.items()}
    told = _told_by(record, means)
    if isinstance(summaries.get(told), ClassificationSummary):
        confusion = charts.confusion(summaries[told], told)
        found["confusion"] = _figure(confusion, about=told) if confusion else None
    if record.suite is not None and record.suite.cases and delta is not None and not _graded(record):
        share, about = _discordance(record)
        alpha = float(_inside(record.usecase, "bar", "alpha") or 0.05)
        power = charts.power(record.suite.cases, delta, alpha=alpha, discordance=share)
        found["power"] = _figure(power, about=about)
    return found


def _figure(*drawn: Chart | None, about: str = "") -> Figure:
    """One picture, or two of which the page shows the one that fits."""
    pictures = [chart for chart in drawn if chart is not None]
    sizes = ("wide", "narrow") if len(pictures) == 2 else ("",)
    svg = Markup("").join(Markup(c.svg(classes=size)) for c, size in zip(pictures, sizes, strict=True))
    return Figure(svg, pictures[0].csv_link(), pictures[0].named, about)


def _both(draw: Callable[[bool], Chart | None]) -> tuple[Chart | None, ...]:
    wide = draw(True)
    return (wide, draw(False)) if wide is not None else (None,)


def _told_by(record: RunRecord, means: Mapping[str, float | None]) -> str:
    """The arm whose confusion is drawn: the one that the verdict names, else the best."""
    known = {name: mean for name, mean in means.items() if mean is not None}
    lever = record.verdict.lever or ""
    return lever if lever in known else max(known, key=lambda name: known[name], default="")


def _graded(record: RunRecord) -> bool:
    """Do scores lie between right and wrong? Then McNemar's test plans nothing."""
    return any(c.p_exact is None for c in record.comparisons)


def _discordance(record: RunRecord) -> tuple[float, str]:
    """Share of cases on which arms differ, as the first registered trained arm and its reference did; in words too."""
    trained = {arm.name for arm in record.arms if arm.trained}
    for c in record.comparisons:
        if c.registered and c.candidate in trained and c.n and c.wins + c.losses:
            share = (c.wins + c.losses) / c.n
            return share, f"{wording.percent(share)} of the cases, as {c.candidate} and {c.reference} did"
    return charts.ASSUMED_DISCORDANCE, f"{wording.percent(charts.ASSUMED_DISCORDANCE)} of the cases, an assumption"


def _not_measured(record: RunRecord) -> list[str]:
    """Every gap once: a lever that the verdict names, with others and the reason, is not listed by itself again."""
    told = record.verdict.not_measured
    named = {name.strip() for phrase in told for name in phrase.split(" (")[0].split(",")}
    return list(dict.fromkeys([*told, *(line for line in record.not_measured if line.split(":")[0] not in named)]))


def _mean(arm: ArmReport, rows: Iterable[CaseRow]) -> float | None:
    """Mean score: an arm whose graded scores are all equal has one, but no interval. None where nothing was scored."""
    if arm.interval is not None:
        return arm.interval.value
    outputs = (row.outputs[arm.name] for row in rows if arm.name in row.outputs)
    scores = [output.score for output in outputs if output.score is not None]
    return sum(scores) / len(scores) if scores else None


def _summaries(record: RunRecord) -> dict[str, Any]:
    """Arm → its labels or fields in numbers, for outputs that have them. Unscored answers are left out."""
    try:
        output = Output.model_validate(record.usecase.get("output"))
    except ValidationError:  # records of refused runs may lack parts of the use case
        return {}
    found = {}
    for arm in record.arms:
        answers = [
            (Case(id=row.id, input=row.input, expected=row.expected), row.outputs[arm.name].text)
            for row in record.cases
            if arm.name in row.outputs and row.outputs[arm.name].score is not None
        ]
        summary = summarise(output, answers)
        if summary is not None:
            found[arm.name] = summary
    return found


def _first_comparisons(comparisons: Iterable[Comparison]) -> dict[str, Comparison]:
    """Arm → the first comparison, in the registered order, that has it as candidate."""
    first: dict[str, Comparison] = {}
    for comparison in comparisons:
        first.setdefault(comparison.candidate, comparison)
    return first


# --- cases ---------------------------------------------------------------------------------------


def _chosen_cases(rows: tuple[CaseRow, ...]) -> list[CaseRow]:
    """At most MOST_CASES, those where the arms differ before the others, in their own order."""
    if len(rows) <= MOST_CASES:
        return list(rows)
    ranked = sorted(range(len(rows)), key=lambda position: (not _differs(rows[position]), position))
    return [rows[position] for position in sorted(ranked[:MOST_CASES])]


def _differs(row: CaseRow) -> bool:
    """Do the arms' scores differ? An unscored answer differs from every scored one."""
    return len({output.score for output in row.outputs.values()}) > 1


def _case(row: CaseRow, arms: tuple[ArmReport, ...]) -> dict[str, Any]:
    """What the template needs of one case. Arms are numbered, since their names may hold spaces."""
    names = [arm.name for arm in arms if arm.name in row.outputs]
    names += [name for name in row.outputs if name not in names]
    wrong = [str(_number_of(name, arms)) for name in names if _is_wrong(row.outputs[name].score)]
    return {"row": row, "names": names, "differs": _differs(row), "wrong": " ".join(wrong)}


def _number_of(name: str, arms: tuple[ArmReport, ...]) -> int:
    return next((number for number, arm in enumerate(arms) if arm.name == name), -1)


def _is_wrong(score: float | None) -> bool:
    return score is not None and score < 1.0
