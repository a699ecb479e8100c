"""Logs of Inspect (inspect-ai): `.json`, and `.eval` through the library, since those are packed with zstd.

One arm per file, one metric per scorer (`scorer/key` where a scorer gives a table). Epochs of a sample are averaged.
Grades read as Inspect reads them: C 1, P 0.5, I and N 0. A sample with an error is unscored, also where Inspect was
told to score on error; so is NaN, by which Inspect marks what a scorer could not judge, unless the score's reason says
that the model failed (refused, broke the format, said nothing): that is 0. Checked with logs of inspect-ai 0.3.285.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from tuneworthy.errors import MissingExtra, Problem
from tuneworthy.exchange.log import Log, Sample, about, absent, mapping, plain, refused, scored, usable, why
from tuneworthy.records import UnscoredReason

_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
"""as `value_to_float` of inspect_ai.scorer"""
REASONS: tuple[UnscoredReason, ...] = get_args(UnscoredReason)
_MODEL_FAILED = ("invalid_response_format", "refusal", "no_response")
"""Reasons of an abnormal score that Inspect ascribes to the model (`ScoreReason`). The model was asked and failed."""


def unpack(path: Path) -> Mapping[str, Any]:
    """The content of an .eval file.

    Raises:
        MissingExtra: inspect-ai is not installed.
        DataError: the file is not a log.
    """
    try:
        from inspect_ai.log import read_eval_log
    except ImportError:
        raise MissingExtra("inspect-ai", "inspect") from None
    try:
        content: Mapping[str, Any] = read_eval_log(str(path)).model_dump(mode="python", exclude_none=True)
    except Exception as error:  # the library raises whatever its parts raise
        raise refused(str(path), f"Inspect cannot read this log: {error}") from None
    return content


def is_it(content: Mapping[str, Any]) -> bool:
    """Is this JSON object an Inspect log?"""
    return isinstance(content.get("eval"), Mapping) and ("samples" in content or "status" in content)


def read(content: Mapping[str, Any], path: Path) -> list[Log]:
    """The arm in the log.

    Raises:
        DataError: it holds no samples, or samples that are none.
    """
    samples = _samples(content, path)
    spec = content["eval"]
    raw = [_scores(sample) for sample in samples]
    metrics, notes = usable(scores for sample, scores in zip(samples, raw, strict=True) if not sample.get("error"))
    own: dict[str, list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = {}
    for sample, scores in zip(samples, raw, strict=True):
        own.setdefault(str(sample["id"]), []).append((sample, scores))
    return [
        Log(
            name=str(spec.get("model") or path.stem),
            tool="inspect",
            version=str(mapping(spec.get("packages")).get("inspect_ai", "")),
            file=path,
            metrics=metrics,
            samples=tuple(_sample(case, epochs, metrics) for case, epochs in own.items()),
            settings=_settings(spec),
            notes=(*notes, *_state(content, own)),
        )
    ]


def _samples(content: Mapping[str, Any], path: Path) -> Sequence[Mapping[str, Any]]:
    listed = content.get("samples")
    if not isinstance(listed, list) or not listed:
        raise refused(
            str(path),
            "this log of Inspect holds no samples",
            next="run it with --log-samples",
        )
    problems = [
        Problem(f"samples[{number}]", "", "has no id and input, as a sample of Inspect has")
        for number, sample in enumerate(listed)
        if not isinstance(sample, Mapping) or not {"id", "input"} <= sample.keys()
    ]
    if problems:
        raise refused(str(path), "this log of Inspect holds samples that are none", problems)
    return listed


def _scores(sample: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for scorer, score in mapping(sample.get("scores")).items():
        raw = mapping(score).get("value")
        if absent(raw) and mapping(score).get("reason") in _MODEL_FAILED:
            raw = 0.0
        if isinstance(raw, Mapping):
            found |= {f"{scorer}/{key}": _grade(part) for key, part in raw.items()}
        else:
            found[str(scorer)] = _grade(raw)
    return found


def _grade(raw: Any) -> Any:
    return _GRADES.get(raw, raw) if isinstance(raw, str) else raw


def _sample(case: str, epochs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], metrics: Sequence[str]) -> Sample:
    first = epochs[0][0]
    shown = {"input": first["input"], "choices": first["choices"]} if first.get("choices") else first["input"]
    completion = mapping(first.get("output")).get("completion")
    return Sample(
        id=case,
        about=about(_asked(shown)),
        scores={metric: _mean(metric, epochs) for metric in metrics},
        text=completion if isinstance(completion, str) else _said(first),
    )


def _asked(shown: Any) -> Any:
    """A chat that is one question of the user is that question: message ids differ from run to run."""
    if isinstance(shown, list):
        turns = [[mapping(turn).get("role"), plain(mapping(turn).get("content"))] for turn in shown]
        return turns[0][1] if len(turns) == 1 and turns[0][0] == "user" else turns
    return plain(shown)


def _said(sample: Mapping[str, Any]) -> str:
    """The completion stands in the choices alone where the log came through the library."""
    choices = mapping(sample.get("output")).get("choices")
    message = mapping(mapping(choices[0] if isinstance(choices, list) and choices else None).get("message"))
    content = message.get("content", "")
    return content if isinstance(content, str) else str(plain(content))


def _mean(metric: str, epochs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> float | UnscoredReason:
    """Mean over the epochs that were scored; a reason when none was."""
    found = [_of(metric, sample, scores) for sample, scores in epochs]
    values = [number for number in found if isinstance(number, float)]
    return sum(values) / len(values) if values else found[0]


def _of(metric: str, sample: Mapping[str, Any], scores: Mapping[str, Any]) -> float | UnscoredReason:
    error = sample.get("error")
    if error:
        return why(str(mapping(error).get("message", error)))
    raw = scores.get(metric)
    return _reason(metric, sample) if absent(raw) else scored(raw)


def _reason(metric: str, sample: Mapping[str, Any]) -> UnscoredReason:
    """Logs of this project say it (`to_inspect`); in others NaN is what a scorer could not judge."""
    told = mapping(mapping(sample.get("scores")).get(metric)).get("explanation")
    return next((reason for reason in REASONS if told == f"unscored: {reason}"), "judge_refused")


def _settings(spec: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("task", "task_version", "task_args", "model_args", "model_generate_config")
    return {name.replace("_", " "): plain(spec[name]) for name in kept if spec.get(name)}


def _state(content: Mapping[str, Any], own: Mapping[str, Sequence[Any]]) -> list[str]:
    notes = []
    if content.get("status", "success") != "success":
        notes.append(f"the evaluation did not finish: {content['status']}")
    if content.get("invalidated"):
        notes.append("Inspect marks this log as invalid")
    repeats = max(len(epochs) for epochs in own.values())
    if repeats > 1:
        notes.append(f"each score is the mean of up to {repeats} epochs")
    return notes
