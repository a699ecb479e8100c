"""tuneworthy suite: build, lock and look at the cases that decide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli.shell import Folder, Json, suite_app


@suite_app.command("build")
def suite_build(
    folder: Folder = Path(),
    cases: Annotated[int, typer.Option("--cases", min=1, help="How many cases to draw.")] = 100,
    file: Annotated[Path | None, typer.Option("--from", help="Take the cases from this file instead.")] = None,
    json: Json = False,
) -> None:
    """Draw cases from held-out real rows, whole groups of near-duplicates at a time; or take a file."""
    from tuneworthy import flow
    from tuneworthy.printing import start

    start.suite(flow.build_suite(folder, cases=cases, source=file), folder, as_json=json)


@suite_app.command("lock")
def suite_lock(
    folder: Folder = Path(),
    again: Annotated[
        bool, typer.Option("--again", help="Replace an existing lock; old results stay with the old one.")
    ] = False,
    json: Json = False,
) -> None:
    """Freeze cases, scorers, bar and decoding. From now on a change is refused."""
    from tuneworthy import flow
    from tuneworthy.printing import start

    start.suite(flow.lock_suite(folder, again=again), folder, as_json=json)


@suite_app.command("judge")
def suite_judge(
    folder: Folder = Path(),
    labels: Annotated[
        Path | None, typer.Option("--labels", help="What people said, one JSON object a line; kept with the suite.")
    ] = None,
    draft: Annotated[
        Path | None, typer.Option("--draft", help="Write answers of the last run to this file, for people to judge.")
    ] = None,
    json: Json = False,
) -> None:
    """Hold the judge against people: agreement, bias, and whether it may carry the bar. Exit 3 when it may not."""
    from tuneworthy import judging
    from tuneworthy.printing import judge

    if draft:
        judge.drafted(judging.draft_labels(folder, draft), draft, folder, as_json=json)
        return
    raise typer.Exit(judge.calibrated(judging.calibrate_judge(folder, labels), folder, as_json=json))


@suite_app.command("status")
def suite_status(folder: Folder = Path(), json: Json = False) -> None:
    """What this many cases can detect, and how often they were opened."""
    from tuneworthy import flow
    from tuneworthy.printing import start

    start.suite(flow.suite_status(folder), folder, as_json=json)
