"""lm-evaluation-harness samples (`lm_eval --log_samples`): samples_TASK_DATE.jsonl, one arm per file.

A row is one document under one filter. The results file of the same run, where it lies beside, says which model
answered, how many documents there were, and for which metrics lower is better. Checked with files that lm_eval 0.4.13
wrote. An answer that no filter matches is scored 0 there and here: the model was asked and failed. A metric that is
null or NaN is unscored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuneworthy.errors import DataError, Problem
from tuneworthy.exchange.log import Log, Sample, about, mapping, parse, plain, read_text, refused, scored, usable

_NAME = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT.+)")


def read(path: Path) -> list[Log]:
    """The arm in the file.

    Raises:
        DataError: lines that are no samples, each with its number.
    """
    rows = _rows(path)
    task, results = _results(path)
    lower = {m for m, up in mapping(mapping(results.get("higher_is_better")).get(task)).items() if up is False}
    documents: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        documents.setdefault(str(row["doc_id"]), []).append(row)
    raw = {doc: {name: found for row in own for name, found in _scores(row)} for doc, own in documents.items()}
    metrics, notes = usable(raw.values())
    kept = tuple(metric for metric in metrics if metric.split(",")[0] not in lower)
    notes += tuple(f"{metric} is left out: lower is better there" for metric in metrics if metric not in kept)
    return [
        Log(
            name=str(results.get("model_name") or path.parent.name or path.stem),
            tool="lm-eval",
            version=str(results.get("lm_eval_version", "")),
            file=path,
            metrics=kept,
            samples=tuple(_sample(doc, own, raw[doc], kept) for doc, own in documents.items()),
            settings=_settings(task, results),
            notes=(*notes, *_limited(task, results)),
        )
    ]


def _rows(path: Path) -> list[Mapping[str, Any]]:
    rows, problems = [], []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parse(line, f"{path}:{number}")
        except DataError as error:
            problems.append(Problem(f"{path.name}:{number}", "", str(error.args[0])))
            continue
        if not isinstance(row, Mapping) or not {"doc_id", "doc"} <= row.keys():
            problems.append(Problem(f"{path.name}:{number}", "", "has no doc_id and doc, as a sample of lm-eval has"))
        else:
            rows.append(row)
    if problems or not rows:
        what = "this file holds lines that are no samples of lm-eval" if problems else "this file holds no samples"
        raise refused(str(path), what, problems, next="run lm_eval with --log_samples, and name its samples_*.jsonl")
    return rows


def _scores(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Metric → raw value, named as in the results file: `exact_match,strict-match`; the filter `none` is not named."""
    part = row.get("filter", "none")
    listed = row.get("metrics")
    for metric in listed if isinstance(listed, Sequence) and not isinstance(listed, str) else []:
        yield str(metric) if part == "none" else f"{metric},{part}", row.get(str(metric))


def _sample(doc: str, rows: Sequence[Mapping[str, Any]], raw: Mapping[str, Any], metrics: Sequence[str]) -> Sample:
    hashed, said = rows[0].get("doc_hash"), rows[0].get("filtered_resps")
    first = said[0] if isinstance(said, list) and len(said) == 1 else said
    return Sample(
        id=doc,
        about=hashed if isinstance(hashed, str) and hashed else about(rows[0]["doc"]),
        scores={metric: scored(raw.get(metric)) for metric in metrics},
        text=first if isinstance(first, str) else str(plain(first)),
    )


def _results(path: Path) -> tuple[str, Mapping[str, Any]]:
    """The task, and the results file of the same run; empty where it does not lie beside."""
    named = _NAME.fullmatch(path.stem)
    if named is None:
        return "", {}
    beside = path.with_name(f"results_{named['date']}.json")
    return named["task"], mapping(parse(read_text(beside), str(beside))) if beside.is_file() else {}


def _settings(task: str, results: Mapping[str, Any]) -> dict[str, Any]:
    config = mapping(results.get("config"))
    found = {
        "task": mapping(results.get("task_hashes")).get(task),
        "version": mapping(results.get("versions")).get(task),
        "shots": mapping(results.get("n-shot")).get(task),
        "generation": config.get("gen_kwargs"),
        "chat template": results.get("chat_template_sha"),
        "model": config.get("model_args"),
    }
    return {name: setting for name, setting in found.items() if setting is not None}


def _limited(task: str, results: Mapping[str, Any]) -> tuple[str, ...]:
    counts = mapping(mapping(results.get("n-samples")).get(task))
    whole, asked = counts.get("original"), counts.get("effective")
    if isinstance(whole, int) and isinstance(asked, int) and asked < whole:
        return (f"{asked} of {whole} documents were asked",)
    return ()
