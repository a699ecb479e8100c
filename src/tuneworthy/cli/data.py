"""tuneworthy data: bring examples in, show what is wrong with them, repair them on record."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli.shell import Folder, Json, data_app, read_pair


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

    mapping = dict(read_pair(column) for column in columns or [])
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
    mapping = dict(read_pair(column) for column in columns or [])
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
