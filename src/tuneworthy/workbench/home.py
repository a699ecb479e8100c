"""Home: where the use case stands on its way, and the one next step."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from tuneworthy.project import Project
from tuneworthy.workbench.visit import LANGUAGE_COOKIE, NAME_COOKIE, NAME_MOST, Visit
from tuneworthy.workbench.words import LANGUAGES

YEAR = 365 * 24 * 3600


class Step(NamedTuple):
    """One station of the way."""

    name: str
    state: str
    """done, next or later"""
    found: str
    link: str
    act: str
    """what the link does"""


async def page(visit: Visit) -> Response:
    """The way from the use case to the release."""
    project = visit.bench.project
    steps = _steps(visit, project)
    return visit.page("home.html", steps=steps, now=next((step for step in steps if step.state == "next"), None))


async def gates(visit: Visit) -> Response:
    """The five prerequisites: looks at all rows, so the page asks for it apart."""
    from tuneworthy import flow

    return visit.page("gates.html", gates=await run_in_threadpool(flow.check, visit.bench.project.folder))


async def settings(visit: Visit) -> Response:
    """The visitor's name and language."""
    form = await visit.form()
    response = RedirectResponse(_local(form.get("back", "/")), 303)
    name, language = form.get("name", "").strip()[:NAME_MOST], form.get("language", "")
    if name:
        response.set_cookie(NAME_COOKIE, quote(name), max_age=YEAR, httponly=True, samesite="strict", path="/")
    if language in LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, language, max_age=YEAR, httponly=True, samesite="strict", path="/")
    return response


def _steps(visit: Visit, project: Project) -> list[Step]:
    say, standing = visit.say, visit.bench.desk.standing()
    examples = project.examples_file
    queue = standing.rows - standing.done
    run, deployments = project.latest_run(), project.deployments_file.exists()
    labelling = say("{n} rows wait for a label", n=f"{queue:,}") if queue else say("no row waits for a label")
    done = {
        "usecase": True,
        "examples": examples is not None,
        "suite": project.lock_file.exists(),
        "run": run is not None,
        "release": deployments,
    }
    found = [
        ("Use case", "usecase", say("one task, one input shape, one expected output"), "/usecase", "Read or change it"),
        (
            "Examples",
            "examples",
            f"data/{examples.name}; {labelling}" if examples else labelling,
            "/label" if queue or not examples else "/review",
            "Label rows" if queue or not examples else "Review what was found in them",
        ),
        ("Suite", "suite", say("locked") if done["suite"] else say("not locked"), "/suite", "See cases and power"),
        ("Run", "run", say("measured") if done["run"] else say("not measured yet"), "/run", "Measure the levers"),
        ("Verdict", "run", say("there is one") if done["run"] else say("none yet"), "/verdict", "Read it"),
        (
            "Release",
            "release",
            say("deployed") if deployments else say("nothing deployed"),
            "/live",
            "See what answers",
        ),
    ]
    steps, following = [], True
    for name, key, text, link, act in found:
        state = "done" if done[key] else "next" if following else "later"
        following = following and state == "done"
        steps.append(Step(say(name), state, text, link, say(act)))
    return steps


def _local(path: str) -> str:
    """A path of ours: never an address elsewhere."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
