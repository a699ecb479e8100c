"""The scorers of a use case, and what the lock writes down about them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from pydantic import JsonValue

from tuneworthy import plugins, rendering
from tuneworthy.content import digest
from tuneworthy.errors import Problem, UseCaseError
from tuneworthy.scorers import reading
from tuneworthy.seams import Scorer
from tuneworthy.usecase import UseCase


def open_scorers(usecase: UseCase) -> tuple[Scorer, tuple[Scorer, ...]]:
    """(the scorer of the bar, the others).

    Raises:
        UseCaseError: a setting that the scorer does not have.
        TuneworthyError: a scorer that is not known.
    """
    primary = open_scorer(usecase, usecase.bar.metric, usecase.metric_settings, "metric_settings")
    others = [
        open_scorer(usecase, spec.name, spec.settings, f"scorers.{number}.settings")
        for number, spec in enumerate(usecase.scorers)
        if spec.name != usecase.bar.metric
    ]
    return primary, tuple(others)


def open_scorer(usecase: UseCase, name: str, settings: Mapping[str, JsonValue], where: str) -> Scorer:
    """One scorer with its settings."""
    kind = plugins.load("scorers", name)
    known = [field.name for field in fields(kind) if field.init and field.name != "output"]
    problems = [
        Problem(f"{where}.{key}", repr(value), f"the scorer {name} has no such setting", _nearest(key, known))
        for key, value in settings.items()
        if key not in known
    ]
    if problems:
        raise UseCaseError("settings that do not exist", problems, next="correct usecase.toml", where="usecase.toml")
    scorer: Scorer = kind(usecase.output, **settings)
    return scorer


def scorer_record(scorer: Scorer) -> dict[str, Any]:
    """Name, version, settings, and a hash over the code that judges: another grader gives other outcomes."""
    module = inspect.getmodule(type(scorer))
    sources = [inspect.getsource(m) for m in (module, reading, rendering) if m is not None]
    settings = {f.name: getattr(scorer, f.name) for f in fields(scorer) if f.init and f.name != "output"}  # type: ignore[arg-type]
    return {"name": scorer.name, "version": scorer.version, "settings": settings, "code": digest(sources)}


def _nearest(key: str, known: list[str]) -> str:
    near = get_close_matches(key, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
