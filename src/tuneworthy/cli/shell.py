"""What all verbs share: the application, its groups, and arguments that mean the same everywhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

VERBS = tuple("init check data suite run eval plan train compare report release serve rollback watch workbench".split())
"""In the order in which they are needed. Typer would list groups last."""


class Verbs(TyperGroup):
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
    cls=Verbs,
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


def read_pair(column: str) -> tuple[str, str]:
    field, separator, name = column.partition("=")
    if not separator or not field or not name:
        raise typer.BadParameter(f"{column!r} is not field=column", param_hint="--map")
    return field, name


def read_share(text: str) -> float:
    """10% or 0.1"""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise typer.BadParameter(f"{text!r} is no share: write 10% or 0.1")
    return share
