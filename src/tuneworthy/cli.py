"""The command line: one short function per verb. Imports nothing heavy, so that --help answers at once.

Exit codes: 0 done, and the bar or gate is met · 1 an error · 2 wrong usage · 3 a gate refused or the bar is not met ·
4 undecided · 130 stopped with Ctrl-C (the same command continues).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

VERBS = tuple("init check data suite run eval plan train compare report release serve rollback watch workbench".split())
"""In the order in which they are needed. Typer would list groups last."""


class _Verbs(TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {verb: self.commands[verb] for verb in sorted(self.commands, key=VERBS.index)}

    def invoke(self, ctx: Any) -> Any:
        """Typer would end without a word on Ctrl-C."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.stderr.write("\nStopped. What was finished is kept: the same command continues.\n")
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_Verbs,
    name="tuneworthy",
    help="Is fine-tuning worthwhile for this task? Answered by measurement.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(
    help="Bring examples in, show what is wrong with them, repair them on record.", no_args_is_help=True
)
suite_app = typer.Typer(help="Build, lock and look at the cases that decide.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(suite_app, name="suite")
release_app = typer.Typer(help="Package exactly what was measured, and put it into service.", no_args_is_help=True)
app.add_typer(release_app, name="release")

Folder = Annotated[Path, typer.Argument(help="The use-case folder.", show_default="here")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable result on standard output.")]


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


@data_app.command("import")
def data_import(
    file: Annotated[
        Path, typer.Argument(help="JSONL, CSV, Excel (.xlsx), Parquet, or a folder with a file for each row.")
    ],
    folder: Folder = Path(),
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", help="field=column, e.g. input.email=body or expected=label; repeatable."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Write bad rows to data/rejects.jsonl and go on.")
    ] = False,
    licence: Annotated[
        str, typer.Option(help="Of the rows that do not name their own, e.g. CC-BY-4.0.", show_default=False)
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether the columns were guessed right.")] = False,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only show what would be read.")] = False,
    json: Json = False,
) -> None:
    """Read examples in the format you have and write data/examples.jsonl. At a terminal, asks before it guesses."""
    from tuneworthy import flow
    from tuneworthy.printing import data

    mapping = dict(_pair(column) for column in columns or [])
    ask = sys.stdin.isatty() and not (mapping or yes or json)
    reading = flow.import_data(
        file,
        folder,
        mapping=mapping,
        skip_bad=skip_bad,
        licence=licence,
        agreed=lambda reading: not dry and (not ask or data.agreed(reading)),
    )
    data.imported(reading, folder, as_json=json)


@data_app.command("check")
def data_check(
    folder: Folder = Path(),
    quick: Annotated[bool, typer.Option("--quick", help="Only what needs no model.")] = False,
    review: Annotated[
        bool, typer.Option("--review", help="Write data/audit.jsonl (random) and data/review.jsonl to be judged.")
    ] = False,
    names: Annotated[
        bool, typer.Option("--names", help="Look for names and places too, with Presidio (extra: presidio).")
    ] = False,
    price: Annotated[
        bool, typer.Option("--price", help="Measure what each finding costs the score, with small trainings.")
    ] = False,
    json: Json = False,
) -> None:
    """What is wrong with the examples, worst first. Exit 3 when a finding forbids training on them."""
    from tuneworthy.data import engine
    from tuneworthy.printing import data

    found = engine.check(folder, quick=quick, review=review, names=names)
    if price:
        from tuneworthy import worth
        from tuneworthy.printing.board import live

        with live(as_json=json) as listener:
            found = worth.price(folder, found, listener)
    raise typer.Exit(data.findings(found, folder, as_json=json))


@data_app.command("fix")
def data_fix(
    folder: Folder = Path(),
    rule: Annotated[
        str, typer.Option(help="exact_duplicates, leaks, trim, encoding, spelling or key_order.", show_default=False)
    ] = "",
    drop: Annotated[list[str] | None, typer.Option("--drop", help="Name of a row to leave out; repeatable.")] = None,
    reviewed: Annotated[bool, typer.Option("--reviewed", help="Take over what a person judged.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take back the last decision.")] = False,
    why: Annotated[str, typer.Option(help="The reason, for the log.", show_default=False)] = "",
    dry: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    json: Json = False,
) -> None:
    """Repair examples: every decision on record in data/decisions.jsonl, as a new version, undone by --undo."""
    from tuneworthy.data import engine
    from tuneworthy.printing import data

    if undo:
        data.fixed(engine.undo(folder, why=why, dry=dry), folder, as_json=json)
        return
    found = engine.repair(folder, rule=rule, drop=drop or [], reviewed=reviewed, why=why, dry=dry)
    data.fixed(found, folder, as_json=json)


@data_app.command("label")
def data_label(
    file: Annotated[Path | None, typer.Argument(help="Rows without labels: JSONL, CSV, …")] = None,
    folder: Folder = Path(),
    rows: Annotated[int, typer.Option("--rows", min=1, help="How many rows to suggest.")] = 50,
    columns: Annotated[
        list[str] | None, typer.Option("--map", help="input.field=column, e.g. input.email=body; repeatable.")
    ] = None,
    take: Annotated[
        bool, typer.Option("--take", help="Add the rows that were filled in to the examples: data label --take FOLDER.")
    ] = False,
    said: Annotated[
        bool, typer.Option("--feedback", help="Lay before you what clients corrected: data label --feedback FOLDER.")
    ] = False,
    json: Json = False,
) -> None:
    """Which rows to label next, written to be filled in; and whether choosing them beats labelling at random."""
    from tuneworthy import worth
    from tuneworthy.printing import label
    from tuneworthy.printing.board import live

    where = file if file is not None and folder == Path() else folder
    if said:
        label.collected(*worth.collect_corrections(where), where, as_json=json)
        return
    if take:
        label.taken(worth.take_labels(where), where, as_json=json)
        return
    if file is None:
        raise typer.BadParameter("name the file with rows to label")
    mapping = dict(_pair(column) for column in columns or [])
    with live(as_json=json) as listener:
        found, path = worth.suggest_labels(file, folder, listener, count=rows, mapping=mapping)
    label.suggested(found, path, folder, as_json=json)


@data_app.command("redact")
def data_redact(
    folder: Folder = Path(),
    key: Annotated[
        Path | None, typer.Option(help="File, outside the folder, that leads back; written when it is not there.")
    ] = None,
    restore: Annotated[bool, typer.Option("--restore", help="Put the values back, with --key.")] = False,
    why: Annotated[str, typer.Option(help="The reason, for the log.", show_default=False)] = "",
    dry: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    json: Json = False,
) -> None:
    """Replace personal data by placeholders, each value by its own; reversible only with --key."""
    from tuneworthy.data import engine
    from tuneworthy.printing import data

    data.fixed(engine.redact_data(folder, key=key, restore=restore, why=why, dry=dry), folder, as_json=json)


@data_app.command("split")
def data_split(folder: Folder = Path(), json: Json = False) -> None:
    """How many rows of each label are to learn from, and how many for development; --json names them."""
    from tuneworthy import flow
    from tuneworthy.printing import data

    data.divided(flow.split(folder), folder, as_json=json)


@data_app.command("versions")
def data_versions(
    folder: Folder = Path(),
    row: Annotated[
        str, typer.Option(help="Only versions that hold this row, under any name it had.", show_default=False)
    ] = "",
    json: Json = False,
) -> None:
    """All versions of the examples, how each came about, and which runs and releases learned from it."""
    from tuneworthy.data import engine
    from tuneworthy.printing import data

    data.versions(engine.versions(folder, row=row), folder, row=row, as_json=json)


@data_app.command("diff")
def data_diff(
    before: Annotated[str, typer.Argument(help="A version, the beginning of its name, or a file.")],
    after: Annotated[str, typer.Argument(help="The same, or: now.")] = "now",
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Compare two versions by row: added, removed, and changed in which fields."""
    from tuneworthy.data import engine
    from tuneworthy.printing import data

    data.difference(engine.compare(folder, before, after), as_json=json)


@data_app.command("statement")
def data_statement(
    folder: Folder = Path(),
    out: Annotated[Path | None, typer.Option(help="File to write.", show_default="data/STATEMENT.md")] = None,
    json: Json = False,
) -> None:
    """Write one Markdown page: sources, licences, personal data, noise rate, decisions, and what was not measured."""
    from tuneworthy.data import engine
    from tuneworthy.printing import verdict

    verdict.report(engine.write_statement(folder, out), as_json=json)


@data_app.command("export")
def data_export(
    out: Annotated[Path, typer.Argument(help="File to write.")],
    folder: Folder = Path(),
    to: Annotated[str, typer.Option(help="messages, prompt-completion or alpaca.")] = "messages",
    json: Json = False,
) -> None:
    """Write the examples as JSON Lines for other tools."""
    from tuneworthy.data import engine
    from tuneworthy.printing import verdict

    verdict.report(engine.write_export(folder, out, to), as_json=json)


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


@release_app.command("build")
def release_build(
    folder: Folder = Path(),
    arm: Annotated[str, typer.Option(help="Arm of the last run.", show_default="what the verdict names")] = "",
    override: Annotated[
        str, typer.Option(help="Release against the verdict, for this written reason.", show_default=False)
    ] = "",
    sign: Annotated[Path | None, typer.Option(help="Private key (PEM) to sign with.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Package what the last run measured: weights, prompt, documents, scores, fingerprint. Exit 3 when refused."""
    from tuneworthy import service
    from tuneworthy.printing import service as printing

    printing.released(service.release(folder, arm, override=override, key=sign), folder, as_json=json)


@release_app.command("list")
def release_list(folder: Folder = Path(), json: Json = False) -> None:
    """All releases, and where each is live."""
    from tuneworthy import service
    from tuneworthy.printing import service as printing

    printing.listed(service.releases(folder), service.history(folder), folder, as_json=json)


@release_app.command("verify")
def release_verify(
    name: Annotated[str, typer.Argument(help="Name or part of it.", show_default="the newest")] = "",
    folder: Annotated[Path, typer.Option("--folder", help="The use-case folder.", show_default="here")] = Path(),
    key: Annotated[Path | None, typer.Option(help="Public key (PEM) of who signed it.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Hold every file of a release, and of its base model, against the manifest. Exit 3 when anything differs."""
    from tuneworthy import service
    from tuneworthy.printing import service as printing

    raise typer.Exit(
        printing.verified(*service.verify_release(folder, name, key=key), signed=key is not None, as_json=json)
    )


@release_app.command("reproduce")
def release_reproduce(
    name: Annotated[str, typer.Argument(help="Name or part of it.", show_default="the newest")] = "",
    folder: Annotated[Path, typer.Option("--folder", help="The use-case folder.", show_default="here")] = Path(),
    json: Json = False,
) -> None:
    """Train again from the recorded versions, and compare the weights. Exit 3 when they differ."""
    from tuneworthy import service
    from tuneworthy.printing import board
    from tuneworthy.printing import service as printing

    with board.live(as_json=json) as listener:
        found = service.reproduce(folder, name, listener)
    raise typer.Exit(printing.reproduced(found, as_json=json))


@release_app.command("export")
def release_export(
    name: Annotated[str, typer.Argument(help="Name or part of it.", show_default="the newest")] = "",
    form: Annotated[str, typer.Option("--as", help="merged, gguf or ollama.")] = "merged",
    out: Annotated[Path | None, typer.Option(help="Folder to write.", show_default=".tuneworthy/exports")] = None,
    folder: Annotated[Path, typer.Option("--folder", help="The use-case folder.", show_default="here")] = Path(),
    json: Json = False,
) -> None:
    """Write it for other engines, and ask it the suite: exit 3 when answers differ, 4 when that was not measured."""
    from tuneworthy import service
    from tuneworthy.printing import exports

    raise typer.Exit(exports.exported(*service.export(folder, name, form, out=out), as_json=json))


@release_app.command("deploy")
def release_deploy(
    folder: Folder = Path(),
    name: Annotated[str, typer.Option("--release", help="Name or part of it.", show_default="the newest")] = "",
    alias: Annotated[str, typer.Option(help="What clients ask for.")] = "champion",
    canary: Annotated[
        str, typer.Option(help="Beside what is live, for this share of the clients, e.g. 10%.", show_default=False)
    ] = "",
    shadow: Annotated[
        str, typer.Option(help="Beside what is live, on copies of this share of the requests.", show_default=False)
    ] = "",
    why: Annotated[str, typer.Option(help="The reason, for the log.", show_default=False)] = "",
    json: Json = False,
) -> None:
    """Ask for a release under an alias: the gateway takes it through the gate first."""
    from tuneworthy import service
    from tuneworthy.printing import service as printing

    if canary and shadow:
        raise typer.BadParameter("first --shadow, then --canary")
    mode, share = ("canary", _share(canary)) if canary else ("shadow", _share(shadow)) if shadow else ("all", 1.0)
    found = service.deploy(folder, name, alias=alias, why=why, mode=mode, share=share)  # type: ignore[arg-type]
    printing.entry(found, folder, as_json=json)


@release_app.command("replay")
def release_replay(
    file: Annotated[
        Path | None,
        typer.Argument(help="Traces, or examples in any format that is read.", show_default="inputs of the suite"),
    ] = None,
    name: Annotated[str, typer.Option("--release", help="The challenger.", show_default="the newest")] = "",
    against: Annotated[str, typer.Option(help="The other release.", show_default="the live champion")] = "",
    folder: Annotated[Path, typer.Option("--folder", help="The use-case folder.", show_default="here")] = Path(),
    json: Json = False,
) -> None:
    """Stored requests through two releases: agreement, form, length, time; scores where a person judged them."""
    from tuneworthy import service
    from tuneworthy.printing import traffic as printing

    printing.replayed(service.replay(folder, file, name=name, against=against), folder, as_json=json)


@release_app.command("traffic")
def release_traffic(folder: Folder = Path(), json: Json = False) -> None:
    """Challenger beside champion on live traffic: agreement, failures, quality, and the days until a decision."""
    from tuneworthy import service
    from tuneworthy.printing import traffic as printing

    printing.traffic(service.traffic(folder), folder, as_json=json)


@release_app.command("log")
def release_log(
    folder: Folder = Path(),
    at: Annotated[str, typer.Option(help="What was live at this time (ISO 8601, UTC).", show_default=False)] = "",
    json: Json = False,
) -> None:
    """Which release was asked for, live, refused or taken back, when, why and by whom."""
    from tuneworthy import service
    from tuneworthy.printing import service as printing

    printing.history(service.history(folder), at, as_json=json)


@app.command()
def serve(
    folder: Folder = Path(),
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine need keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8321,
    waiting: Annotated[int, typer.Option(min=1, help="Requests that may wait; the next one gets 429.")] = 256,
    per_minute: Annotated[int, typer.Option(min=0, help="Requests of one key; 0 = no limit.")] = 0,
    at_once: Annotated[int, typer.Option(min=0, help="Requests of one key under way; 0 = no limit.")] = 0,
    seconds: Annotated[float, typer.Option(min=0.1, help="Longest time until an answer.")] = 60,
    admin_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Metrics and health on 127.0.0.1 at this port, not at clients'.")
    ] = 0,
    heartbeat: Annotated[
        float, typer.Option(min=0.1, help="Seconds between looks at whether what is live behaves as recorded.")
    ] = 60,
    engine: Annotated[str, typer.Option(help="in_process, vllm, llama_cpp or openai_compatible.")] = "in_process",
    engine_url: Annotated[
        str, typer.Option(help="Attach to one that runs, e.g. http://127.0.0.1:8000/v1.", show_default="started here")
    ] = "",
    engine_model: Annotated[str, typer.Option(help="What the engine calls the base model.", show_default=False)] = "",
    gguf: Annotated[Path | None, typer.Option(help="llama_cpp: the file to serve.")] = None,
    traces: Annotated[
        bool, typer.Option("--traces/--no-traces", help="Note each answer for `watch`: sizes and classes, no content.")
    ] = True,
    trace_content: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of answers whose content is kept too, redacted.")
    ] = 0.0,
    trace_days: Annotated[int, typer.Option(min=1, help="Traces and feedback are removed after so many days.")] = 30,
    new_key: Annotated[str, typer.Option(help="Make a key of this name, show it, and stop.", show_default=False)] = "",
    for_alias: Annotated[list[str] | None, typer.Option(help="With --new-key: only these aliases.")] = None,
    drop_key: Annotated[str, typer.Option(help="Make a key worthless, and stop.", show_default=False)] = "",
) -> None:
    """Answer with what is deployed, as an OpenAI-compatible endpoint. Nothing is routed past the gate."""
    from tuneworthy import service
    from tuneworthy.serving.engines import EngineChoice
    from tuneworthy.serving.gateway import Limits
    from tuneworthy.watch.traces import Keeping

    if new_key:
        sys.stdout.write(service.new_key(folder, new_key, for_alias or []) + "\n")
        sys.stderr.write("Keep it: only its hash is stored. Clients send it as their API key.\n")
        return
    if drop_key:
        service.take_back_key(folder, drop_key)
        return
    sys.stderr.write(f"http://{host}:{port}/v1 (stop with Ctrl-C)\n")
    limits = Limits(waiting=waiting, seconds=seconds, per_minute=per_minute, at_once=at_once)
    keeping = Keeping(traces, trace_content, trace_days)
    tell = lambda text: print(text, file=sys.stderr)  # noqa: E731
    choice = EngineChoice(engine, engine_url, engine_model, gguf, seconds)
    service.serve(
        folder,
        host=host,
        port=port,
        limits=limits,
        keeping=keeping,
        tell=tell,
        engine=choice,
        heartbeat=heartbeat,
        admin_port=admin_port,
    )


@app.command()
def rollback(
    folder: Folder = Path(),
    alias: Annotated[str, typer.Option(help="What clients ask for.")] = "champion",
    why: Annotated[str, typer.Option(help="The reason, for the log.", show_default=False)] = "",
    drill: Annotated[
        bool, typer.Option("--drill", help="Put a bad copy where no client can ask it, and time until it is out.")
    ] = False,
    patience: Annotated[float, typer.Option(min=1, help="With --drill: seconds to wait for each step.")] = 180,
    json: Json = False,
) -> None:
    """Take back what was deployed last: the challenger, or else what is live. Takes less than a second."""
    from tuneworthy import service
    from tuneworthy.printing import service as printing
    from tuneworthy.printing import traffic

    if drill:
        found = service.drill(folder, alias=alias, patience=patience, tell=lambda text: print(text, file=sys.stderr))
        raise typer.Exit(traffic.drilled(found, as_json=json))
    printing.entry(service.rollback(folder, alias=alias, why=why), folder, as_json=json)


def _share(text: str) -> float:
    """10% or 0.1"""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise typer.BadParameter(f"{text!r} is no share: write 10% or 0.1")
    return share


@app.command()
def watch(
    folder: Folder = Path(),
    alias: Annotated[str, typer.Option(help="What clients ask for.")] = "champion",
    days: Annotated[int, typer.Option(min=1, help="How many days back to look at.")] = 30,
    suite: Annotated[bool, typer.Option("--suite", help="Ask a part of the suite again, through the gateway.")] = False,
    url: Annotated[str, typer.Option(help="With --suite: where the gateway is.")] = "http://127.0.0.1:8321",
    key_env: Annotated[
        str, typer.Option(help="With --suite: environment variable that holds the key.", show_default=False)
    ] = "",
    again: Annotated[
        bool, typer.Option("--redecide", help="Base model or prices changed: does it still earn its place?")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write an HTML page as well.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """What is live, watched: volume, cost, drift, feedback, stale facts. Exit 3 on an alarm."""
    from tuneworthy import watching
    from tuneworthy.printing import watch as printing

    if again:
        from tuneworthy.printing import board

        with board.live(as_json=json) as listener:
            decision = watching.redecide(folder, listener, alias=alias)
        raise typer.Exit(printing.redecided(decision, folder, as_json=json))
    if suite:
        key = os.environ.get(key_env, "") if key_env else ""
        line = watching.reevaluate(folder, alias=alias, url=url, key=key)
        raise typer.Exit(printing.reevaluated(line, as_json=json))
    found = watching.watch(folder, alias=alias, days=days)
    if out is not None:
        printing.page(found, folder, out)
    raise typer.Exit(printing.report(found, folder, as_json=json))


@app.command()
def workbench(
    folder: Folder = Path(),
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8322,
) -> None:
    """Label, review, compare and read the verdict in a browser, on this machine only."""
    from tuneworthy.workbench import app as workbench_app

    workbench_app.serve(folder, port=port, tell=lambda link: print(f"{link} (stop with Ctrl-C)", file=sys.stderr))


def _pair(column: str) -> tuple[str, str]:
    field, separator, name = column.partition("=")
    if not separator or not field or not name:
        raise typer.BadParameter(f"{column!r} is not field=column", param_hint="--map")
    return field, name


def main() -> None:
    """Entry point: errors become a message and an exit code."""
    from tuneworthy.errors import TuneworthyError

    try:
        app()
    except TuneworthyError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
