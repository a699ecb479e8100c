"""promptfoo result files (`promptfoo eval --output results.json`), summary versions 2 and 3.

One arm per prompt and provider. The schema is `OutputFile` and `EvaluateResult` in promptfoo's `src/types/index.ts`,
read at commit 0011eb02 and checked with files that promptfoo 0.121.20 wrote.

promptfoo writes score 0 for a case whose provider or judge failed. Such a case is unscored here:
`failureReason` 2 (ERROR), or, in files from before that field, an error without a grading result; and a component
marked `graderError`. An `error` beside `failureReason` 1 is no error: it repeats why an assertion failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuneworthy.errors import Problem
from tuneworthy.exchange.log import Log, Sample, about, mapping, plain, refused, scored, usable, why
from tuneworthy.records import UnscoredReason

_ERROR = 2
"""ResultFailureReason.ERROR"""


def is_it(content: Mapping[str, Any]) -> bool:
    """Is this JSON object a promptfoo result file, or the summary in one?"""
    rows = _summary(content).get("results")
    return isinstance(rows, list) and any("promptIdx" in row or "vars" in row for row in rows if isinstance(row, dict))


def read(content: Mapping[str, Any], path: Path) -> list[Log]:
    """Every arm in the file, in promptfoo's order of prompts.

    Raises:
        DataError: a result that is not one, each with its number.
    """
    results = _summary(content).get("results") or []
    _require_results(results, path)
    version = str(mapping(content.get("metadata")).get("promptfooVersion", ""))
    arms: dict[tuple[int, str], list[Mapping[str, Any]]] = {}
    for row in results:
        arms.setdefault((row.get("promptIdx", 0), _provider(row)), []).append(row)
    several = len({prompt for _, prompt in (_arm(rows[0]) for rows in arms.values())}) > 1
    return [_log(rows, path, version, several) for _, rows in sorted(arms.items(), key=lambda arm: arm[0])]


def _summary(content: Mapping[str, Any]) -> Mapping[str, Any]:
    inside = content.get("results")
    return inside if isinstance(inside, Mapping) else content


def _require_results(results: Sequence[Any], path: Path) -> None:
    problems = []
    for number, row in enumerate(results):
        if not isinstance(row, Mapping):
            problems.append(Problem(f"results[{number}]", "", "is not an object"))
        elif not isinstance(row.get("promptIdx", 0), int):
            problems.append(Problem(f"results[{number}].promptIdx", repr(row["promptIdx"])[:40], "is not a number"))
        elif not ("score" in row or "success" in row):
            problems.append(Problem(f"results[{number}]", "", "has neither score nor success"))
    if problems:
        raise refused(str(path), "this promptfoo file holds results that are none", problems)


def _log(rows: Sequence[Mapping[str, Any]], path: Path, version: str, several: bool) -> Log:
    provider, prompt = _arm(rows[0])
    metrics, notes = usable(_scores(row) for row in rows if _failed(row) is None)
    return Log(
        name=f"{provider} · {prompt[:40]}" if several else provider,
        tool="promptfoo",
        version=version,
        file=path,
        metrics=metrics,
        samples=tuple(_samples(rows, metrics)),
        settings={"provider": provider, "prompt": prompt, **mapping(mapping(rows[0].get("prompt")).get("config"))},
        notes=notes,
    )


def _samples(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Iterator[Sample]:
    for number, row in enumerate(rows):
        failed, scores = _failed(row), _scores(row)
        response = mapping(row.get("response")).get("output", "")
        yield Sample(
            id=str(row.get("testIdx", number)),
            about=about(row.get("vars") or mapping(row.get("testCase")).get("vars") or {}),
            scores={metric: failed or scored(scores.get(metric)) for metric in metrics},
            text=response if isinstance(response, str) else str(plain(response)),
        )


def _scores(row: Mapping[str, Any]) -> dict[str, Any]:
    named = {f"named: {name}": raw for name, raw in mapping(row.get("namedScores")).items()}
    own = {name: row[key] for name, key in (("score", "score"), ("pass", "success")) if key in row}
    return {**own, **named}


def _failed(row: Mapping[str, Any]) -> UnscoredReason | None:
    """Why the channel or the judge failed on this case; None when the answer was judged."""
    grading, reason = mapping(row.get("gradingResult")), row.get("failureReason")
    if reason == _ERROR or (reason is None and row.get("error") and not grading):
        return why(str(row.get("error", "")))
    parts = [grading, *(grading.get("componentResults") or [])]
    broken = any(mapping(mapping(part).get("metadata")).get("graderError") is True for part in parts)
    return "judge_refused" if broken else None


def _arm(row: Mapping[str, Any]) -> tuple[str, str]:
    prompt = mapping(row.get("prompt"))
    return _provider(row), str(prompt.get("label") or prompt.get("raw") or f"prompt {row.get('promptIdx', 0)}")


def _provider(row: Mapping[str, Any]) -> str:
    provider = row.get("provider")
    if isinstance(provider, Mapping):
        return str(provider.get("label") or provider.get("id") or "provider")
    return str(provider or "provider")
