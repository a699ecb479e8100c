"""Review: what the data checks found, row by row; and rows that a person judges right or wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tuneworthy.data import engine, fix, judging
from tuneworthy.data.checks import audit
from tuneworthy.data.findings import CheckReport, Finding
from tuneworthy.errors import DataError
from tuneworthy.records import Example
from tuneworthy.workbench.visit import Visit

ROWS_MOST = 200
"""rows of one finding that a page shows"""


class Suspect(NamedTuple):
    """One row of a finding."""

    name: str
    where: str
    note: str
    example: Example | None
    """None for a case of the suite, or a row that cannot be read"""


async def page(visit: Visit) -> Response:
    """The findings, worst first, once they were looked for."""
    project = visit.bench.project
    queues = {which: audit.read(_file(visit, which)) for which in ("random", "doubtful")}
    return visit.page(
        "review.html",
        report=visit.bench.findings,
        rate=audit.rate(queues["random"]),
        queues={name: (sum(bool(row.verdict) for row in rows), len(rows)) for name, rows in queues.items()},
        log=visit.bench.decisions(),
        there=project.examples_file is not None,
    )


async def check(visit: Visit) -> Response:
    """Look for findings now, and write the rows to judge."""
    await visit.form()
    folder = visit.bench.project.folder
    async with visit.bench.writing:
        visit.bench.findings = (await run_in_threadpool(engine.check, folder, review=True)).report
    return visit.go("/review")


async def finding(visit: Visit) -> Response:
    """The rows of one finding."""
    report = visit.bench.findings
    if report is None:
        return visit.go("/review")
    found = _of_kind(report, visit.request.path_params["kind"])
    await run_in_threadpool(visit.bench.index.refresh)
    rows = [Suspect(r.name, r.where, r.note, visit.bench.index.named(r.name)) for r in found.rows[:ROWS_MOST]]
    told = re.search(r"--rule (\w+)", found.next)
    rule = told[1] if told and told[1] in fix.RULES else ""
    return visit.page("finding.html", finding=found, rows=rows, most=ROWS_MOST, rule=rule)


async def drop(visit: Visit) -> Response:
    """Leave the chosen rows out: on record, as a new version."""
    fields = await visit.fields()
    names, why = fields.get("name", []), fields.get("why", [""])[-1][:500]
    if not names:
        raise DataError("no row was chosen", [], next="tick the rows to leave out")
    return await _repair(visit, names=names, why=why or "left out after review")


async def repair(visit: Visit) -> Response:
    """Apply the rule of a finding, or what was judged."""
    form = await visit.form()
    return await _repair(visit, rule=form.get("rule", ""), reviewed=form.get("reviewed") == "1")


async def undo(visit: Visit) -> Response:
    """Take back the last decision."""
    await visit.form()
    async with visit.bench.writing:
        undone = await run_in_threadpool(engine.undo, visit.bench.project.folder)
        visit.bench.findings = None
    rows = undone.decision.rows if undone.decision else 0
    return visit.go("/review", visit.say("Taken back: {n} rows.", n=rows))


async def judge(visit: Visit) -> Response:
    """The next row to judge, random or doubtful."""
    return _row_to_judge(visit)


async def put(visit: Visit) -> Response:
    """A verdict on one row; then the next."""
    form = await visit.form()
    verdict, instead = form.get("verdict", ""), form.get("instead", "")
    async with visit.bench.writing:
        judging.put(
            _file(visit, visit.request.path_params["which"]),
            form.get("row", ""),
            verdict,
            instead or None,
            seen=form.get("seen", ""),
            output=visit.bench.project.usecase.output,
        )
    return _row_to_judge(visit)


def _row_to_judge(visit: Visit) -> Response:
    which = visit.request.path_params["which"]
    rows = audit.read(_file(visit, which))
    wanted = visit.request.query_params.get("row", "")
    row = next((r for r in rows if r.name == wanted), None) or next((r for r in rows if not r.verdict.strip()), None)
    done = sum(bool(r.verdict.strip()) for r in rows)
    last = next((r for r in reversed(rows) if r.verdict.strip()), None)
    return visit.page("judge.html", which=which, row=row, done=done, rows=len(rows), rate=audit.rate(rows), last=last)


async def _repair(
    visit: Visit, *, rule: str = "", names: list[str] | None = None, reviewed: bool = False, why: str = ""
) -> Response:
    folder = visit.bench.project.folder
    async with visit.bench.writing:
        fixed = await run_in_threadpool(
            lambda: engine.repair(folder, rule=rule, drop=names or [], reviewed=reviewed, why=why)
        )
        visit.bench.findings = None
    if fixed.decision is None:
        return visit.go("/review", visit.say("Nothing had to change."))
    return visit.go("/review", visit.say("Done: {n} rows changed, as a new version.", n=fixed.decision.rows))


def _file(visit: Visit, which: str) -> Path:
    project = visit.bench.project
    files = {"random": project.audit_file, "doubtful": project.review_file}
    if which not in files:
        raise DataError("there is no such queue", [], next="go back to the review")
    return files[which]


def _of_kind(report: CheckReport, kind: str) -> Finding:
    found = next((f for f in report.findings if f"{f.check}.{f.kind}" == kind), None)
    if found is None:
        raise DataError("this was not found any more", [], next="look again at the review")
    return found
