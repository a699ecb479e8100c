"""Write docs/reference from the code: `make docs`. A test fails when a page is not as this script writes it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import typer.main
from pydantic import BaseModel

from tuneworthy import init
from tuneworthy.cli import app
from tuneworthy.plan.memory_points import Error, errors, excluded, summary
from tuneworthy.runs import RunRecord

REFERENCE = Path(__file__).parent / "reference"


def pages() -> dict[str, str]:
    """File name → content of every generated page."""
    return {
        "usecase.md": usecase_page(),
        "cli.md": cli_page(),
        "verdict-json.md": record_page(),
        "memory.md": memory_page(),
    }


def memory_page() -> str:
    """The memory estimator held to published measurements."""
    found = errors(dt.date(2026, 11, 25))  # a fixed day: the page must not change with the calendar
    lines = [
        "# The memory estimator, held to published measurements",
        "",
        "Estimated by `plan/memory.py` from the model's dimensions and the settings that the source states. No number",
        "in the formulas was fitted to these points. *allocated* is what torch reports as its peak, *process* what the",
        "device showed as used; the last column says what the source does not state and was taken. The points, their",
        "settings and sources are in `plan/facts/memory_points.toml`.",
    ]
    for title, part in (
        ("The handbook's points", [error for error in found if error.point.handbook]),
        ("Further points", [error for error in found if not error.point.handbook]),
    ):
        middle, worst = summary(part)
        told = f"n = {len(part)}, median absolute error {middle:.1%}, largest {worst:.1%}."
        head = [
            "| point | quantity | measured GiB | estimated GiB | error | assumed |",
            "| --- | --- | --: | --: | --: | --- |",
        ]
        lines += ["", f"## {title}", "", told, "", *head, *(_error_row(error) for error in part)]
    lines += ["", "## Not compared", ""]
    lines += [f"- [{fact.id}]({fact.source}): {fact.note}" for fact in excluded(dt.date(2026, 11, 25))]
    return "\n".join(lines) + "\n"


def _error_row(error: Error) -> str:
    point = error.point
    numbers = f"{error.measured:.1f} | {error.estimated:.1f} | {100 * error.relative:+.1f} %"
    return f"| [{point.id}]({point.source}) | {point.quantity} | {numbers} | {point.assumed} |"


def usecase_page() -> str:
    """Every key of usecase.toml, as `tuneworthy init --explain` prints it."""
    return f"# usecase.toml\n\n`tuneworthy init --explain` prints this.\n\n```toml\n{init.explain()}```\n"


def cli_page() -> str:
    """Every verb with its arguments and options."""
    group: Any = typer.main.get_command(app)
    lines = ["# The command line", "", *_exit_codes(), ""]
    for name, command in group.commands.items():
        for path, verb in _verbs(f"tuneworthy {name}", command):
            lines += [f"## `{path}`", "", str(verb.help or "").strip(), ""]
            lines += [*(_parameter(p) for p in verb.params if p.name != "help"), ""]
    return "\n".join(lines).rstrip() + "\n"


def record_page() -> str:
    """Every field of verdict.json."""
    lines = ["# verdict.json", "", "`.tuneworthy/runs/ID/verdict.json` holds everything that one run found out.", ""]
    seen: set[type[BaseModel]] = set()
    for model in _models(RunRecord, seen):
        lines += [f"## {model.__name__}", "", str(model.__doc__ or "").strip().split("\n")[0], ""]
        for name, field in model.model_fields.items():
            meaning = " ".join((field.description or "").split())
            lines.append(f"- `{name}`: {meaning}" if meaning else f"- `{name}`")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _exit_codes() -> list[str]:
    return [
        "| exit code | meaning |",
        "| --- | --- |",
        "| 0 | done, and the bar or gate is met |",
        "| 1 | an error; the message says what to do next |",
        "| 2 | wrong usage |",
        "| 3 | a gate refused, or the bar is not met |",
        "| 4 | undecided |",
        "| 130 | stopped with Ctrl-C; the same command continues |",
    ]


def _verbs(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, verb in inner.items():
        yield from _verbs(f"{path} {name}", verb)


def _parameter(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    shown = names if parameter.param_type_name == "option" else f"`{parameter.name.upper()}`"
    return f"- {shown}: {parameter.help or ''}".rstrip(": ")


def _models(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """The model and all that its fields hold, depth first, each once."""
    if model in seen:
        return
    seen.add(model)
    yield model
    for field in model.model_fields.values():
        for kind in _kinds(field.annotation):
            yield from _models(kind, seen)


def _kinds(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _kinds(part)


if __name__ == "__main__":
    for file, text in pages().items():
        (REFERENCE / file).write_text(text, encoding="utf-8")
