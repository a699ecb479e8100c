"""Live: which release answers, how it came there, and the way back."""

from __future__ import annotations

from starlette.responses import Response

from tuneworthy import service
from tuneworthy.workbench.visit import Visit


async def page(visit: Visit) -> Response:
    """The deployment log, newest first."""
    folder = visit.bench.project.folder
    entries = service.history(folder)
    return visit.page(
        "live.html",
        entries=list(entries)[::-1],
        live=service.live_now(folder),
        challengers=service.challengers_now(folder),
        releases=service.releases(folder),
    )


async def rollback(visit: Visit) -> Response:
    """Back to the release before; the gateway follows the log."""
    form = await visit.form()
    why = form.get("why", "").strip()[:500]
    entry = service.rollback(visit.bench.project.folder, alias=form.get("alias", "champion"), why=why)
    if entry.action == "ended":
        return visit.go("/live", visit.say("{release} gets no more requests.", release=entry.release))
    return visit.go(
        "/live", visit.say("Asked for: {release}. The gateway follows within a second.", release=entry.release)
    )
