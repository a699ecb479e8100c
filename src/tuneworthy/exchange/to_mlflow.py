"""A run in MLflow: one run with the verdict, verdict.json and report.html, and a nested run for each arm.

The experiment is named after the use case. Metrics hold what was measured and nothing else: an arm without an interval
has no `score_low`, and tokens that nobody counted are absent, not 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tuneworthy.errors import MissingExtra, PrivacyRefused, TuneworthyError
from tuneworthy.models.openai_compatible import is_private
from tuneworthy.runs import ArmReport, RunRecord

_LONGEST_PARAM = 500
"""characters, as MLflow's older servers take them"""
_LONGEST_TAG = 5000


def export(record: RunRecord, artifacts: list[Path], uri: str) -> str:
    """Log the run at a tracking server (http://…) or store (a folder, sqlite:///…); returns where it lies.

    Raises:
        MissingExtra: mlflow is not installed. PrivacyRefused: on_premises, and the server is elsewhere.
        TuneworthyError: the server cannot be reached, or it already has this run.
    """
    _require_own_network(record, uri)
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise MissingExtra("mlflow-skinny", "mlflow") from None
    client = MlflowClient(tracking_uri=uri)
    try:
        return _log(client, record, artifacts, uri)
    except (MlflowException, OSError) as error:
        raise TuneworthyError(
            f"MLflow did not take the run: {str(error)[:300]}",
            why="what was already logged stays there, marked as failed",
            next=f"check that a server answers: mlflow server, then --out {uri}",
            where=uri,
        ) from None


def _require_own_network(record: RunRecord, uri: str) -> None:
    address = urlsplit(uri)
    if record.usecase.get("privacy") != "on_premises" or address.scheme in ("", "file", "sqlite"):
        return
    if address.scheme not in ("http", "https") or not address.hostname or not is_private(address.hostname):
        raise PrivacyRefused(
            f"the privacy posture is on_premises, but {address.hostname or uri} is not a host of your own network",
            next="name a server in your own network, or change privacy in usecase.toml if that is allowed",
        )


def _log(client: Any, record: RunRecord, artifacts: list[Path], uri: str) -> str:
    name = str(record.usecase.get("name") or "tuneworthy")
    known = client.get_experiment_by_name(name)
    experiment = known.experiment_id if known else client.create_experiment(name)
    if client.search_runs([experiment], f"tags.`tuneworthy.run` = '{record.run_id}'", max_results=1):
        raise TuneworthyError(
            f"run {record.run_id} is already in the experiment {name!r}",
            why="logging it twice would show one measurement as two",
            next="delete it in MLflow first if it should be logged anew",
            where=uri,
        )
    tags = {
        "mlflow.runName": record.run_id,
        "mlflow.note.content": "\n\n".join(record.verdict.sentences)[:_LONGEST_TAG],
        "tuneworthy.run": record.run_id,
        "tuneworthy.verdict": record.verdict.decision,
    }
    run = client.create_run(experiment, start_time=_milliseconds(record.timing.started), tags=tags)
    try:
        cases = {"cases": float(record.suite.cases)} if record.suite else {}
        _fill(client, run.info.run_id, _flat(record.usecase), cases)
        for arm in record.arms:
            _log_arm(client, experiment, run.info.run_id, record, arm)
        for path in artifacts:
            client.log_artifact(run.info.run_id, str(path))
    except BaseException:
        client.set_terminated(run.info.run_id, status="FAILED")
        raise
    client.set_terminated(run.info.run_id, end_time=_milliseconds(record.timing.finished))
    return f"{uri.rstrip('/')}/#/experiments/{experiment}/runs/{run.info.run_id}"


def _log_arm(client: Any, experiment: str, parent: str, record: RunRecord, arm: ArmReport) -> None:
    tags = {"mlflow.parentRunId": parent, "mlflow.runName": arm.name, "tuneworthy.arm": arm.name}
    nested = client.create_run(experiment, start_time=_milliseconds(record.timing.started), tags=tags)
    params = {
        "lever": arm.lever,
        "trained": str(arm.trained),
        "candidate": arm.candidate,
        "suite": record.suite.lock if record.suite else "",
        "exploratory": str(arm.exploratory),
    }
    _fill(client, nested.info.run_id, params, dict(_metrics(arm, record)))
    client.set_terminated(nested.info.run_id, end_time=_milliseconds(record.timing.finished))


def _metrics(arm: ArmReport, record: RunRecord) -> Iterator[tuple[str, float]]:
    """What was measured of an arm."""
    yield "n", float(arm.n)
    yield "unscored", float(arm.unscored)
    if arm.interval is not None:
        yield "score", arm.interval.value
        yield "score_low", arm.interval.low
        yield "score_high", arm.interval.high
    for name in ("dev_score", "tokens_in", "tokens_out", "seconds", "evidence_recall"):
        value = getattr(arm, name)
        if value is not None:
            yield name, float(value)
    for c in record.comparisons:
        if c.candidate == arm.name and c.difference is not None:
            yield f"points_vs_{c.reference.replace('/', '_')}", 100 * c.difference.value
            yield f"p_vs_{c.reference.replace('/', '_')}", c.p if c.p_adjusted is None else c.p_adjusted


def _fill(client: Any, run: str, params: Mapping[str, str], metrics: Mapping[str, float]) -> None:
    from mlflow.entities import Metric, Param

    now = int(datetime.now().timestamp() * 1000)
    client.log_batch(
        run,
        metrics=[Metric(name, value, now, 0) for name, value in metrics.items()],
        params=[Param(name, value[:_LONGEST_PARAM]) for name, value in params.items() if value],
    )


def _flat(table: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """`bar.at_least` → `0.8`: nested tables as dotted names."""
    found: dict[str, str] = {}
    for key, value in table.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            found |= _flat(value, f"{name}.")
        elif value is not None:
            found[name] = str(value)
    return found


def _milliseconds(moment: str) -> int | None:
    try:
        return int(datetime.fromisoformat(moment).timestamp() * 1000)
    except ValueError:
        return None
