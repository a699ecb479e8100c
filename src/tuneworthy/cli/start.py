"""The first steps: a use case that runs, its five prerequisites, and the pages in a browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli.shell import Folder, Json, app


@app.command()
def init(
    folder: Annotated[Path | None, typer.Argument(help="The folder to write.")] = None,
    template: Annotated[str, typer.Option(help="classification, extraction, answers or style.")] = "classification",
    explain: Annotated[
        bool, typer.Option("--explain", help="Print every key of usecase.toml with its default.")
    ] = False,
    json: Json = False,
) -> None:
    """Write a use case that runs, to replace by your own."""
    from tuneworthy import init as starting
    from tuneworthy.printing import start

    if explain:
        sys.stdout.write(starting.explain())
        return
    if folder is None:
        raise typer.BadParameter("name the folder to write, or use --explain")
    if template not in starting.TEMPLATES:
        raise typer.BadParameter(f"{template!r}; known: {', '.join(starting.TEMPLATES)}", param_hint="--template")
    start.written(starting.create(folder, template), folder, as_json=json)


@app.command()
def check(folder: Folder = Path(), json: Json = False) -> None:
    """The five prerequisites, each with evidence and the next step. Exit 3 when one fails."""
    from tuneworthy import flow
    from tuneworthy.printing import start

    raise typer.Exit(start.gates(flow.check(folder), folder, as_json=json))


@app.command()
def workbench(
    folder: Folder = Path(),
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8322,
) -> None:
    """Label, review, compare and read the verdict in a browser, on this machine only."""
    from tuneworthy.workbench import app as workbench_app

    workbench_app.serve(folder, port=port, tell=lambda link: print(f"{link} (stop with Ctrl-C)", file=sys.stderr))
