"""Suite: the cases that count, what they can detect, the lock, and who looked when."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tuneworthy import flow
from tuneworthy.data import read
from tuneworthy.errors import TuneworthyError
from tuneworthy.suite import openings
from tuneworthy.suite.status import in_words
from tuneworthy.workbench.visit import Visit

SHOWN = 200
"""cases on the page"""


async def page(visit: Visit) -> Response:
    """The suite as it stands."""
    project = visit.bench.project
    cases = read.read_cases(project.cases_file, project.usecase) if project.cases_file.exists() else ()
    found = await run_in_threadpool(flow.suite_status, project.folder) if cases else None
    looks = openings.read(project.openings_file)
    tags = sorted({tag for case in cases for tag in case.tags})
    counts = {tag: sum(tag in case.tags for case in cases) for tag in tags}
    return visit.page(
        "suite.html",
        cases=cases[:SHOWN],
        count=len(cases),
        tags=counts,
        found=found,
        sentence=in_words(found) if found else "",
        looks=looks[::-1],
        locked=project.lock_file.exists(),
    )


async def build(visit: Visit) -> Response:
    """Draw cases from the examples."""
    form = await visit.form()
    wanted = form.get("cases", "")
    if not (wanted.isascii() and wanted.isdigit() and 0 < int(wanted[:9]) <= 100_000):
        raise TuneworthyError(f"{wanted[:20]!r} is no number of cases", next="write a whole number, 30 or more")
    async with visit.bench.writing:
        await run_in_threadpool(lambda: flow.build_suite(visit.bench.project.folder, cases=int(wanted), source=None))
    return visit.go("/suite")


async def lock(visit: Visit) -> Response:
    """Freeze it."""
    await visit.form()
    async with visit.bench.writing:
        await run_in_threadpool(lambda: flow.lock_suite(visit.bench.project.folder, again=False))
    return visit.go("/suite", visit.say("Locked: from now on a change to the cases is seen and refused."))
