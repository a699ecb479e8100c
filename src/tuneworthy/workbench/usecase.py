"""Use case: usecase.toml, checked while it is written, with what each key means beside it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from starlette.responses import JSONResponse, Response

from tuneworthy import init
from tuneworthy import usecase as usecases
from tuneworthy.content import digest, write_whole
from tuneworthy.errors import DataError, UseCaseError
from tuneworthy.project import Project
from tuneworthy.workbench.visit import Visit


async def page(visit: Visit) -> Response:
    """The file, and what its keys mean."""
    text = visit.bench.project.usecase_file.read_text("utf-8")
    return _page(visit, text, "")


async def check(visit: Visit) -> Response:
    """Every mistake of what is written so far."""
    form = await visit.form()
    return JSONResponse({"problem": _problem(visit.bench.project, form.get("text", ""))})


async def save(visit: Visit) -> Response:
    """Write it, if it is right and nobody else wrote it in the meantime."""
    form = await visit.form()
    project, text = visit.bench.project, form.get("text", "").replace("\r\n", "\n")
    problem = _problem(project, text)
    if problem:
        return _page(visit, text, problem)
    async with visit.bench.writing:
        if digest(project.usecase_file.read_text("utf-8")) != form.get("seen", ""):
            raise DataError(
                "usecase.toml was changed by somebody else since you opened it",
                [],
                next="open it again; copy your text first",
            )
        write_whole(project.usecase_file, text)
        visit.bench.reload()
    return visit.go("/usecase", visit.say("Saved."))


def _page(visit: Visit, text: str, problem: str) -> Response:
    now = visit.bench.project.usecase_file.read_text("utf-8")
    return visit.page(
        "usecase.html",
        text=text,
        problem=problem,
        seen=digest(now),
        keys=init.explain(),
        locked=visit.bench.project.lock_file.exists(),
    )


def _problem(project: Project, text: str) -> str:
    """What `tuneworthy check` would say of this text; files that it names are those of the folder."""
    with TemporaryDirectory() as there:
        path = Path(there) / "usecase.toml"
        path.write_text(text, "utf-8")
        for schema in project.folder.glob("*.json"):
            (path.parent / schema.name).symlink_to(schema)
        try:
            usecases.load(path)
        except UseCaseError as error:
            return str(error).replace(str(path), "usecase.toml")
    return ""
