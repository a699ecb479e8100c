"""A small use case on disk, and a scripted model that knows as much of it as a test wants."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

from tuneworthy.project import Project, open_project
from tuneworthy.records import Request

LABELS = ("plumbing", "power", "keys")
SIGNS = {"plumbing": "pipe", "power": "fuse", "keys": "door"}
"""the word of an input that decides its label"""
USECASE = """
name = "small"
description = "Tenants' messages go to one of three teams."
instruction = "Read the message and name the team."
[input.message]
[output]
kind = "label"
labels = ["plumbing", "power", "keys"]
max_tokens = 8
[model]
base = "scripted"
[bar]
metric = "classification"
at_least = 0.75
smallest_difference = 0.05
[budget]
dev_calls = 60
"""
CLOSED = ("data", "hardware")
"""gates that this use case does not pass: too few examples, and no weights"""
OVERRIDDEN = "[override]\n" + "".join(f'{gate} = "this is only a test"\n' for gate in CLOSED)


def row(draw: random.Random, label: str) -> dict[str, object]:
    """A message of invented words with the sign of its label among them: no two are near each other."""
    words = ["".join(draw.choice("bdfgklmnprstvz") + draw.choice("aeiou") for _ in range(3)) for _ in range(7)]
    return {"input": {"message": " ".join([*words[:3], SIGNS[label], *words[3:]])}, "expected": label}


def small_usecase(folder: Path, *, cases: int = 40, examples: int = 60, usecase: str = USECASE) -> Project:
    """Write it, unlocked."""
    draw = random.Random(7)
    rows = [row(draw, LABELS[number % 3]) for number in range(cases + examples)]
    for name, part in (("suite/cases", rows[:cases]), ("data/examples", rows[cases:])):
        if part:
            path = folder / f"{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            numbered = [{"id": f"case-{n:02}", **r} if "cases" in name else r for n, r in enumerate(part)]
            path.write_text("".join(f"{json.dumps(r)}\n" for r in numbered), "utf-8")
    folder.mkdir(exist_ok=True)
    (folder / "usecase.toml").write_text(usecase, "utf-8")
    return open_project(folder)


def asked(request: Request) -> str:
    """The message that a request asks about: the last one."""
    lines = [line for line in request.messages[-1].content.split("\n") if line.startswith("Message: ")]
    return lines[-1].removeprefix("Message: ")


def right(request: Request) -> str:
    """The right label."""
    return next(label for label, sign in SIGNS.items() if sign in asked(request).split())


def knowing(share: float, *, with_shots: float | None = None) -> Callable[[Request], str]:
    """A reply that is right on a fixed share of the inputs, and on another share when it is shown examples."""

    def reply(request: Request) -> str:
        shown = len(request.messages) > 1 or "Output:" in request.messages[-1].content
        known = with_shots if shown and with_shots is not None else share
        answer = right(request)
        if random.Random(asked(request)).random() < known:
            return answer
        return LABELS[(LABELS.index(answer) + 1) % 3]

    return reply
