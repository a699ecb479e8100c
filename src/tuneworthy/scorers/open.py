"""The scorers of a use case, and what the lock writes down about them."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, JsonValue

from tuneworthy import plugins, rendering
from tuneworthy.content import digest
from tuneworthy.errors import Problem, TuneworthyError, UseCaseError
from tuneworthy.scorers import reading
from tuneworthy.seams import AnswerScorer, Scorer
from tuneworthy.usecase import UseCase


def open_scorers(usecase: UseCase, folder: Path = Path()) -> tuple[Scorer, tuple[Scorer, ...]]:
    """(the scorer of the bar, the others). `folder` holds usecase.toml, for scorers that need more than a text.

    Raises:
        UseCaseError: a setting that the scorer does not have, a scorer named twice, or settings of the bar's scorer
            in two places.
        TuneworthyError: a scorer that is not known, or that cannot be used yet, as a judge before its calibration.
    """
    metric = usecase.bar.metric
    own = {spec.name: spec.settings for spec in usecase.scorers}
    twice = [name for name, count in Counter(spec.name for spec in usecase.scorers).items() if count > 1]
    if twice:
        raise _wrong(Problem("scorers", repr(twice[0]), "stands twice: results are kept by the name of the scorer"))
    if usecase.metric_settings and own.get(metric):
        raise _wrong(Problem("metric_settings", "", f"the settings of {metric} stand in [[scorers]] as well"))
    settings = usecase.metric_settings or own.get(metric, {})
    primary = open_scorer(usecase, metric, settings, "metric_settings", folder)
    if isinstance(primary, AnswerScorer):
        raise _wrong(Problem("bar.metric", repr(metric), "judges what an answer takes, not whether it is right"))
    others = [
        open_scorer(usecase, spec.name, spec.settings, f"scorers.{number}.settings", folder)
        for number, spec in enumerate(usecase.scorers)
        if spec.name != metric
    ]
    return primary, tuple(others)


def open_scorer(
    usecase: UseCase, name: str, settings: Mapping[str, JsonValue], where: str, folder: Path = Path()
) -> Scorer:
    """One scorer with its settings. `where` is the key of the settings in usecase.toml, for errors.

    A scorer that needs more than the shape of the output (a model, the examples) has a class method
    `for_usecase(usecase, folder, **settings)`.
    """
    construct: Any = plugins.load("scorers", name)
    recordable = is_dataclass(construct)
    if not recordable:
        raise TuneworthyError(
            f"the scorer {name} is not a dataclass, so the lock could not record its settings",
            next="declare it with @dataclass(frozen=True), its first field being `output`",
        )
    opening = getattr(construct, "for_usecase", None)
    known = (
        [f.name for f in _settings(construct)] if opening is None else list(inspect.signature(opening).parameters)[2:]
    )
    problems = [
        Problem(f"{where}.{key}", repr(value), f"the scorer {name} has no such setting", _nearest(key, known))
        for key, value in settings.items()
        if key not in known
    ]
    if problems:
        raise _wrong(*problems)
    scorer: Scorer = construct(usecase.output, **settings) if opening is None else opening(usecase, folder, **settings)
    return scorer


def scorer_record(scorer: Scorer) -> dict[str, Any]:
    """Name, version, settings, a hash over the code that judges, and the signature of what it rests on (a library, an
    embedder) where it has one: another grader gives other outcomes."""
    module = inspect.getmodule(type(scorer))
    sources = [inspect.getsource(m) for m in (module, reading, rendering) if m is not None]
    settings = {f.name: _plain(getattr(scorer, f.name)) for f in _settings(scorer)}
    found = {"name": scorer.name, "version": scorer.version, "settings": settings, "code": digest(sources)}
    signature = getattr(scorer, "signature", None)
    return found if signature is None else {**found, "signature": signature}


def _settings(scorer: Any) -> list[Field[Any]]:
    """What a user may set; a field with the metadata `setting: False` is given by what surrounds the scorer."""
    return [f for f in fields(scorer) if f.init and f.name != "output" and f.metadata.get("setting", True)]


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _wrong(*problems: Problem) -> UseCaseError:
    return UseCaseError("the scorers cannot be used", problems, next="correct usecase.toml", where="usecase.toml")


def _nearest(key: str, known: list[str]) -> str:
    near = get_close_matches(key, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
