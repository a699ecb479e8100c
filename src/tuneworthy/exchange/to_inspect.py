"""A run as Inspect logs: one .eval file per arm, for `inspect view`.

Scores keep their meaning: the bar's scorer strictly (`strict`) and read leniently (`lenient`). An unscored case is NaN
there, which Inspect keeps out of its means, with the reason beside it. The interval is ours and is named so.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tuneworthy.content import storage_error
from tuneworthy.errors import MissingExtra, TuneworthyError
from tuneworthy.runs import ArmReport, CaseOutput, CaseRow, RunRecord

_UNSCORED = math.nan


def export(record: RunRecord, folder: Path) -> Path:
    """Write one log per arm into a folder, numbered in the order of the arms, each whole; returns the folder.

    Raises:
        MissingExtra: inspect-ai is not installed. StorageError: the folder cannot be written.
        TuneworthyError: the run measured no arm.
    """
    if not record.arms:
        raise TuneworthyError("this run measured no arm", next="run again once a gate or a model is mended")
    try:
        from inspect_ai.log import EvalLog, write_eval_log
    except ImportError:
        raise MissingExtra("inspect-ai", "inspect") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, arm in enumerate(record.arms):
            path = folder / f"{number:02d}-{re.sub(r'[^A-Za-z0-9._-]+', '-', arm.name)}.eval"
            unfinished = path.with_name(f".{path.name}")
            write_eval_log(EvalLog.model_validate(log(record, arm)), str(unfinished), format="eval")
            os.replace(unfinished, path)
    except OSError as error:
        raise storage_error(error, folder) from error
    return folder


def log(record: RunRecord, arm: ArmReport) -> dict[str, Any]:
    """One arm as the content of an Inspect log (schema version 2)."""
    rows = [row for row in record.cases if arm.name in row.outputs]
    name = str(record.usecase.get("name") or "use case")
    times = {"started_at": record.timing.started, "completed_at": record.timing.finished}
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": f"{record.run_id}-{arm.name}",
            "run_id": record.run_id,
            "created": record.timing.started or "1970-01-01T00:00:00+00:00",
            "task": name,
            "task_id": f"{name}-{arm.name}",
            "dataset": {
                "name": f"suite {record.suite.lock[:12]}" if record.suite else "suite",
                "samples": len(rows),
                "sample_ids": [row.id for row in rows],
                "shuffled": False,
            },
            "model": f"tuneworthy/{arm.name}",
            "config": {},
            "packages": {"tuneworthy": record.tuneworthy_version},
            "metadata": _about(record, arm),
            "scorers": [{"name": "strict"}, {"name": "lenient"}],
        },
        "results": {
            "total_samples": len(rows),
            "completed_samples": len(rows),
            "scores": [_means(arm, rows, "strict"), _means(arm, rows, "lenient")],
        },
        "stats": times if all(times.values()) else {},
        "samples": [_sample(row, row.outputs[arm.name], arm) for row in rows],
    }


def _about(record: RunRecord, arm: ArmReport) -> dict[str, Any]:
    """What a reader of the log alone should know: that a verdict stands elsewhere, and what answered."""
    return {
        "verdict": record.verdict.decision,
        "why": list(record.verdict.sentences),
        "lever": arm.lever,
        "candidate": arm.candidate,
        "exploratory": arm.exploratory,
        "interval": arm.interval.model_dump(mode="json") if arm.interval else None,
        "suite": record.suite.lock if record.suite else None,
    }


def _means(arm: ArmReport, rows: list[CaseRow], scorer: str) -> dict[str, Any]:
    values = [v for row in rows if (v := _value(row.outputs[arm.name], scorer)) is not None]
    found = dict(_metrics(arm, values, scorer))
    return {
        "name": scorer,
        "scorer": scorer,
        "scored_samples": len(values),
        "unscored_samples": len(rows) - len(values),
        "metrics": {name: {"name": name, "value": value} for name, value in found.items()},
    }


def _metrics(arm: ArmReport, values: list[float], scorer: str) -> Iterator[tuple[str, float]]:
    if values:
        yield "mean", sum(values) / len(values)
    if arm.interval is not None and scorer == "strict":
        if arm.interval.method.startswith("Rogan-Gladen"):
            yield "mean as people would say", arm.interval.value  # the limits belong to it, not to the judge's own mean
        yield f"low {100 * arm.interval.level:g} %", arm.interval.low
        yield f"high {100 * arm.interval.level:g} %", arm.interval.high


def _sample(row: CaseRow, output: CaseOutput, arm: ArmReport) -> dict[str, Any]:
    model, asked = f"tuneworthy/{arm.name}", _asked(row)
    answer = {"role": "assistant", "content": output.text, "source": "generate", "model": model}
    return {
        "id": row.id,
        "epoch": 1,
        "input": asked,
        "target": _text(row.expected),
        "messages": [{"role": "user", "content": asked, "source": "input"}, answer],
        "output": {"model": model, "choices": [{"message": answer, "stop_reason": "stop"}], "completion": output.text},
        "scores": {scorer: _score(output, scorer) for scorer in ("strict", "lenient")},
        "metadata": {"tags": list(row.tags), "passages": list(output.passages), "fields": row.input},
    }


def _score(output: CaseOutput, scorer: str) -> dict[str, Any]:
    value = _value(output, scorer)
    told = f"unscored: {output.unscored}" if output.unscored else ""
    return {"value": _UNSCORED if value is None else value, "answer": output.text, "explanation": told}


def _value(output: CaseOutput, scorer: str) -> float | None:
    """A case that was not read leniently has its strict score there too."""
    return output.score if scorer == "strict" or output.lenient is None else output.lenient


def _asked(row: CaseRow) -> str:
    """One field as its text; several as one line each."""
    if len(row.input) == 1:
        return _text(next(iter(row.input.values())))
    return "\n".join(f"{name}: {_text(value)}" for name, value in row.input.items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
