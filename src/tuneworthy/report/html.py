"""The report: one self-contained HTML file per verdict.

Everything is inside the file; the page's policy forbids it to load anything and to run any script but its own.
Outputs of models are untrusted text: escaped by the template engine, with invisible characters spelled out.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pydantic import ValidationError

from tuneworthy.content import write_whole
from tuneworthy.measure.summaries import summarise
from tuneworthy.records import Case, Comparison
from tuneworthy.report import wording
from tuneworthy.report.forest import Mark, forest
from tuneworthy.runs import ArmReport, CaseRow, RunRecord
from tuneworthy.usecase import Output

MOST_CASES = 500
"""Cases shown in the page; more make browsers slow. The record holds them all."""
MOST_CHARACTERS = 4000
"""Longest text shown of one field or answer."""


def render(record: RunRecord) -> str:
    """The report of one run as HTML text: deterministic, no network, readable without JavaScript."""
    css, script = (_asset(name) for name in ("report.css", "report.js"))
    bar, delta = _bar(record.usecase)
    cases = _chosen_cases(record.cases)
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            r=record,
            bar=bar,
            delta=delta,
            name=record.usecase.get("name"),
            metric=_inside(record.usecase, "bar", "metric"),
            css=Markup(css),
            script=Markup(script),
            policy=_policy(css, script),
            plots=_arm_plots(record, bar, delta),
            difference_plots=_difference_plots(record.comparisons, delta),
            level=next((arm.interval.level for arm in record.arms if arm.interval), 0.95),
            absent=[lever for lever in record.levers if lever.state != "measured"],
            not_measured=list(dict.fromkeys([*record.verdict.not_measured, *record.not_measured])),
            means={arm.name: _mean(arm, record.cases) for arm in record.arms},
            first_comparison=_first_comparisons(record.comparisons),
            cases=[_case(row, record.arms) for row in cases],
            summaries=_summaries(record),
        )
    )


def write(record: RunRecord, path: Path) -> None:
    """Write the report of a run as one HTML file, whole or not at all.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    write_whole(path, render(record))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tuneworthy", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for write_it in (
        *(wording.percent, wording.percent_range, wording.points, wording.points_range, wording.p_value),
        *(wording.number, wording.per_answer, wording.duration, wording.as_text, wording.cell),
    ):
        environment.filters[write_it.__name__] = write_it
    environment.globals["most_characters"] = MOST_CHARACTERS
    return environment


def _finalize(value: Any) -> Any:
    """Every expression of the template passes here: no text can be forgotten, and None is never blank or zero."""
    if value is None:
        return wording.NOT_MEASURED
    return value if isinstance(value, Markup) else wording.visible(str(value))


def _asset(name: str) -> str:
    return files("tuneworthy.report").joinpath(name).read_text("utf-8")


def _policy(css: str, script: str) -> str:
    """Content security policy: only this very style and script; nothing may be fetched from anywhere."""
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


def _arm_plots(record: RunRecord, bar: float | None, delta: float | None) -> Markup:
    """The forest plot of arms, wide and narrow; the page shows the one that fits. Empty without a bar or an arm."""
    if bar is None or delta is None or not record.arms:
        return Markup("")
    marks = [_arm_mark(arm, _mean(arm, record.cases), chosen=arm.name == record.verdict.lever) for arm in record.arms]
    return _both(
        marks,
        line=bar,
        line_label=f"the bar: {wording.percent(bar)}",
        band=(max(0.0, bar - delta), min(1.0, bar + delta)),
        title="Scores of the arms with their intervals; the table below holds the same numbers.",
        tick_label=lambda value: f"{100 * value:.0f} %",
    )


def _arm_mark(arm: ArmReport, mean: float | None, *, chosen: bool) -> Mark:
    if mean is None:
        return Mark(arm.name, wording.NOT_MEASURED)
    if arm.interval is None:
        return Mark(arm.name, f"{wording.percent(mean)}  (no interval)", mean, trained=arm.trained, chosen=chosen)
    i = arm.interval
    note = f"{wording.percent(i.value)}  ({wording.percent_range(i)})"
    return Mark(arm.name, note, i.value, i.low, i.high, trained=arm.trained, chosen=chosen)


def _mean(arm: ArmReport, rows: Iterable[CaseRow]) -> float | None:
    """Mean score: an arm whose graded scores are all equal has one, but no interval. None where nothing was scored."""
    if arm.interval is not None:
        return arm.interval.value
    outputs = (row.outputs[arm.name] for row in rows if arm.name in row.outputs)
    scores = [output.score for output in outputs if output.score is not None]
    return sum(scores) / len(scores) if scores else None


def _difference_plots(comparisons: Iterable[Comparison], delta: float | None) -> Markup:
    """The same plot for differences: the line is zero, the band is what is too small to matter."""
    marks = []
    for c in comparisons:
        if c.difference is not None:
            d = c.difference
            note = f"{wording.points(d.value)}  ({wording.points_range(d)})"
            marks.append(Mark(f"{c.candidate} vs {c.reference}", note, d.value, d.low, d.high))
    if not marks or delta is None:
        return Markup("")
    return _both(
        marks,
        line=0.0,
        line_label="no difference",
        band=(-delta, delta),
        title="Differences between arms in points with their intervals; the table below holds the same numbers.",
        tick_label=lambda value: wording.points(value).removesuffix(".0"),
        limits=(-1.0, 1.0),
    )


def _both(marks: list[Mark], **settings: Any) -> Markup:
    return Markup(forest(marks, **settings) + forest(marks, narrow=True, **settings))


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
