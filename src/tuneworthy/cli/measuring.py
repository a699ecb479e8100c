"""The way to the verdict: run, and its parts one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli.shell import Folder, Json, app


@app.command()
def run(
    folder: Folder = Path(),
    everything: Annotated[bool, typer.Option("--all", help="Train even when a cheaper lever meets the bar.")] = False,
    json: Json = False,
) -> None:
    """Climb the ladder and end with the verdict. The main job."""
    from tuneworthy import flow
    from tuneworthy.printing import board, verdict

    with board.live(as_json=json) as listener:
        record = flow.run(folder, listener, everything=everything)
    raise typer.Exit(verdict.verdict(record, folder, as_json=json))


@app.command("eval")
def evaluate(
    folder: Folder = Path(),
    lever: Annotated[list[str] | None, typer.Option("--lever", help="Lever to measure; repeatable.")] = None,
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Find out why the base fails, and which lever that points to.")
    ] = False,
    curve: Annotated[
        bool, typer.Option("--curve", help="Would more examples help? The score at five sizes, three seeds.")
    ] = False,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes-per-example", min=0, help="With --curve: a person's time for one more."),
    ] = None,
    probe: Annotated[
        list[str] | None,
        typer.Option(
            "--probe",
            help="Find out what training did beside the task: fit, drift, refusals, robustness, copying, files, "
            "canaries, staleness, unknown, or all; repeatable. With --lever lora (default), rag_lora or full; with "
            "--lever prompt what the base can before training: files, unknown.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Measure untrained levers on the development split: free use, no locked case is opened."""
    from tuneworthy import flow, worth
    from tuneworthy.printing import board, levers

    if curve:
        if diagnose or len(lever or []) > 1:
            raise typer.BadParameter("a curve is measured with one --lever: classifier (for labels) or lora")
        from tuneworthy.printing import curve as printed

        with board.live(as_json=json) as listener:
            drawn, path = worth.learning_curve(folder, listener, lever=(lever or [""])[0], minutes=minutes)
        raise typer.Exit(printed.learning_curve(drawn, path, folder, as_json=json))
    if minutes is not None:
        raise typer.BadParameter("--minutes-per-example belongs to --curve")
    if probe:
        from tuneworthy.printing import probes as beside

        if diagnose or len(lever or []) > 1:
            raise typer.BadParameter("--probe goes with at most one --lever, and not with --diagnose")
        wanted = beside.chosen(probe)
        subject = lever[0] if lever else beside.subject(wanted)
        with board.live(as_json=json) as listener:
            probed = flow.probe(folder, subject, wanted, listener)
        beside.probes(subject, probed, folder, as_json=json)
        return
    if diagnose:
        if lever:
            raise typer.BadParameter("a diagnosis needs all levers without training: leave --lever out")
        with board.live(as_json=json) as listener:
            found = flow.diagnose(folder, listener)
        levers.diagnosis(*found, folder, as_json=json)
        return
    with board.live(as_json=json) as listener:
        results = flow.evaluate(folder, lever, listener)
    levers.measured(results, folder, as_json=json)


@app.command()
def plan(
    folder: Folder = Path(),
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            "--what-if",
            help="field=value, e.g. gpu=l4, or several: 'gpu=l4 price=0.8'; repeatable.",
            show_default=False,
        ),
    ] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="First measure the speed of this machine, in at most a minute.")
    ] = False,
    json: Json = False,
) -> None:
    """Does it fit, how long, what does it cost, may we: before anything is spent. Exit 3 when something forbids it."""
    from tuneworthy import planning
    from tuneworthy.printing import board
    from tuneworthy.printing import plan as printing

    if calibrate:
        with board.live(as_json=json) as listener:
            planning.measure_speed(folder, listener)
    raise typer.Exit(printing.plan(planning.plan(folder, what_if or []), folder, as_json=json))


@app.command()
def train(
    folder: Folder = Path(),
    lever: Annotated[str, typer.Option(help="lora, rag_lora or full.")] = "lora",
    show_mask: Annotated[bool, typer.Option("--show-mask", help="Show which tokens carry loss, and stop.")] = False,
    json: Json = False,
) -> None:
    """Train one lever on the development split's terms. Refused past a closed gate."""
    from tuneworthy import flow
    from tuneworthy.printing import board, levers

    if show_mask:
        with board.live(as_json=json) as listener:
            report, rows = flow.loss_mask(folder, lever, listener)
        levers.mask(report, rows, as_json=json)
        return
    with board.live(as_json=json) as listener:
        result = flow.train(folder, lever, listener)
    levers.measured([result], folder, as_json=json)


@app.command()
def compare(
    arms: Annotated[
        list[str],
        typer.Argument(help="Two arms of the last run, then its folder; or log files of promptfoo, lm-eval, Inspect."),
    ],
    metric: Annotated[str, typer.Option(help="Logs: the score that decides.", show_default="the only one")] = "",
    against: Annotated[str, typer.Option(help="Logs: the arm to compare with.", show_default="the first")] = "",
    blind: Annotated[
        Path | None, typer.Option("--blind", help="Write pairs for people to vote on, whose order says nothing.")
    ] = None,
    votes: Annotated[
        Path | None, typer.Option("--votes", help="Count the votes on such pairs: sign test and interval.")
    ] = None,
    by_judge: Annotated[
        bool, typer.Option("--judge", help="Ask the pairwise judge, in both orders; corrected by what people said.")
    ] = False,
    repeats: Annotated[
        int | None,
        typer.Option("--repeats", min=2, help="Ask both so often again: how steady are they, and the difference?"),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, max=2, help="With --repeats: of sampling.", show_default="greedy, as locked")
    ] = None,
    json: Json = False,
) -> None:
    """Compare arms case by case: two of the last run, by score or by people who vote blind; or logs of other tools."""
    from tuneworthy import flow, judging
    from tuneworthy.printing import judge, verdict

    if any(Path(arm).suffix in (".json", ".jsonl", ".eval") for arm in arms):
        found = judging.judge([Path(arm) for arm in arms], metric=metric, against=against)
        raise typer.Exit(verdict.judged(found, as_json=json))
    if len(arms) not in (2, 3) or metric or against:
        raise typer.BadParameter("name two arms and the folder (prompt lora FOLDER), or log files")
    folder = Path(arms[2]) if len(arms) == 3 else Path()
    if sum(map(bool, (blind, votes, by_judge, repeats))) > 1:
        raise typer.BadParameter("one at a time: first --blind, then --votes; or --judge; or --repeats")
    if temperature is not None and not repeats:
        raise typer.BadParameter("--temperature belongs to --repeats")
    if repeats:
        from tuneworthy.printing import repeats as printing
        from tuneworthy.printing.board import live

        with live(as_json=json) as listener:
            asked = judging.repeat(folder, arms[0], arms[1], listener, times=repeats, temperature=temperature)
        raise typer.Exit(printing.repeated(asked, as_json=json))
    if by_judge:
        raise typer.Exit(judge.pairs(judging.judge_pairs(folder, arms[0], arms[1]), folder, as_json=json))
    if blind:
        judge.blind(judging.blind_pairs(folder, arms[0], arms[1], blind), blind, folder, as_json=json)
        return
    if votes:
        counted = judging.count_votes(folder, arms[0], arms[1], votes)
        raise typer.Exit(judge.voted(counted, folder, votes, as_json=json))
    raise typer.Exit(verdict.comparison(flow.compare(folder, arms[0], arms[1]), as_json=json))


@app.command()
def report(
    folder: Folder = Path(),
    out: Annotated[
        str, typer.Option(help="File or folder to write; with --to mlflow, server or store.", show_default=False)
    ] = "",
    to: Annotated[str, typer.Option(help="html, inspect or mlflow.")] = "html",
    json: Json = False,
) -> None:
    """Write the last run as one self-contained HTML file, as Inspect logs, or into MLflow."""
    from tuneworthy import flow
    from tuneworthy.printing import verdict

    if to not in ("html", "inspect", "mlflow"):
        raise typer.BadParameter(f"{to!r}; known: html, inspect, mlflow", param_hint="--to")
    verdict.report(flow.report(folder, out, to), as_json=json)
