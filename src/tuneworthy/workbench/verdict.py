"""Verdict: the decision in three sentences, and the report."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, Response

from tuneworthy import flow
from tuneworthy.report import html
from tuneworthy.workbench.door import HEADERS
from tuneworthy.workbench.visit import Visit


async def page(visit: Visit) -> Response:
    """The decision; the report below it."""
    last = visit.bench.project.latest_run()
    record = flow.last_run(visit.bench.project) if last else None
    return visit.page("verdict.html", record=record)


async def report(visit: Visit) -> Response:
    """The report as a page of its own, under its own policy."""
    folder = visit.bench.project.folder
    path = await run_in_threadpool(flow.report, folder, "")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    policy = f"{html.policy()}; frame-ancestors 'self'"
    return HTMLResponse(text, headers={**HEADERS, "content-security-policy": policy})
