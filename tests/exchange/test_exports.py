"""Runs as Inspect logs and in MLflow, held against the real tools where they are installed.

The tools are heavy: they live in an environment of their own, `.venv-peers` beside `.venv`, with this project's
dependencies and `tuneworthy[inspect,mlflow]`. Without it these tests are skipped.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from sample import sample

from tuneworthy import runs
from tuneworthy.errors import MissingExtra, PrivacyRefused, TuneworthyError
from tuneworthy.exchange import inspect_log, to_inspect, to_mlflow

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-peers" / "bin"
peers = pytest.mark.skipif(not (PEERS / "inspect").exists(), reason="no .venv-peers with inspect-ai and mlflow")


@pytest.fixture
def record() -> runs.RunRecord:
    return sample()


def test_a_log_read_back_holds_the_scores_of_its_arm(record: runs.RunRecord) -> None:
    """Our own reader, on the content that the library writes."""
    for arm in record.arms:
        (log,) = inspect_log.read(to_inspect.log(record, arm), Path("x.json"))
        assert log.name == f"tuneworthy/{arm.name}"
        for sample_, row in zip(log.samples, record.cases, strict=True):
            output = row.outputs[arm.name]
            assert sample_.id == row.id
            assert sample_.text == output.text
            assert sample_.scores["strict"] == (output.unscored if output.score is None else output.score)


def test_an_unscored_case_is_nan_with_its_reason(record: runs.RunRecord) -> None:
    arm = next(arm for arm in record.arms if arm.unscored)
    log = to_inspect.log(record, arm)
    broken = [s for s in log["samples"] if math.isnan(s["scores"]["strict"]["value"])]
    assert len(broken) == arm.unscored == log["results"]["scores"][0]["unscored_samples"]
    assert broken[0]["scores"]["strict"]["explanation"] == "unscored: timeout"


def test_the_limits_of_a_judged_arm_stand_beside_the_mean_that_they_belong_to(record: runs.RunRecord) -> None:
    plain = record.arms[0]
    assert plain.interval is not None
    corrected = plain.interval.model_copy(update={"value": 0.99, "method": "Rogan-Gladen"})
    for arm, told in ((plain, None), (plain.model_copy(update={"interval": corrected}), 0.99)):
        found = to_inspect.log(record, arm)["results"]["scores"][0]["metrics"]
        assert found.get("mean as people would say", {}).get("value") == told


def test_a_missing_library_names_the_extra(record: runs.RunRecord, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingExtra, match="inspect-ai"):
        to_inspect.export(record, tmp_path)
    with pytest.raises(MissingExtra, match="mlflow"):
        to_mlflow.export(record, [], "http://127.0.0.1:5000")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["https://mlflow.example.com", "http://8.8.8.8:5000", "databricks://profile"])
def test_on_premises_nothing_goes_to_another_host(record: runs.RunRecord, uri: str) -> None:
    with pytest.raises(PrivacyRefused, match="on_premises"):
        to_mlflow.export(record, [], uri)


def test_metrics_hold_what_was_measured_and_nothing_else(record: runs.RunRecord) -> None:
    plain = next(arm for arm in record.arms if arm.name == "classifier")
    found = dict(to_mlflow._metrics(plain, record))
    assert "tokens_in" not in found
    assert found["unscored"] == 3
    silent = plain.model_copy(update={"interval": None, "n": 0})
    assert not {"score", "score_low", "score_high"} & dict(to_mlflow._metrics(silent, record)).keys()


# --- the real tools -------------------------------------------------------------------------------


def in_peers(script: str, *words: object, **environment: str) -> str:
    done = subprocess.run(
        [str(PEERS / "python"), "-c", script, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@contextlib.contextmanager
def served(*command: str, cwd: Path) -> Iterator[str]:
    """A server of a peer on a free port; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [*command, "--port", str(port)]
    with (cwd / "server.log").open("w") as told:
        server = subprocess.Popen(words, cwd=cwd, stdout=told, stderr=told, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(address, timeout=2).status_code < 500:
                    break
            assert server.poll() is None, (cwd / "server.log").read_text()[-2000:]
            time.sleep(0.5)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # MLflow's workers outlive a polite request
        server.wait()


@pytest.fixture
def kept(record: runs.RunRecord, tmp_path: Path) -> Path:
    path = tmp_path / "verdict.json"
    runs.save(record, path)
    return path


EXPORT = """
import sys
from pathlib import Path
from tuneworthy import runs
from tuneworthy.exchange import to_inspect
to_inspect.export(runs.load(Path(sys.argv[1])), Path(sys.argv[2]))
"""


@pytest.mark.slow
@peers
def test_inspect_reads_the_logs_and_shows_them(kept: Path, record: runs.RunRecord, tmp_path: Path) -> None:
    in_peers(EXPORT, kept, tmp_path / "logs")
    names = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert names == [f"{n:02d}-{arm.name}.eval" for n, arm in enumerate(record.arms)]
    read = """
import json, sys
from inspect_ai.log import read_eval_log, recompute_metrics
log = read_eval_log(sys.argv[1])
print(json.dumps({"n": len(log.samples), "model": log.eval.model, "status": log.status,
                  "strict": {m.name: m.value for m in log.results.scores[0].metrics.values()}}))
"""
    told = json.loads(in_peers(read, tmp_path / "logs" / "04-lora.eval"))
    lora = next(arm for arm in record.arms if arm.name == "lora")
    assert lora.interval is not None
    assert (told["n"], told["model"], told["status"]) == (40, "tuneworthy/lora", "success")
    assert told["strict"]["mean"] == pytest.approx(lora.interval.value)
    again = "import sys; from tuneworthy.exchange.judge import judge; from pathlib import Path\n"
    again += "print(judge([Path(p) for p in sys.argv[1:]], metric='strict').model_dump_json())"
    judged = json.loads(in_peers(again, tmp_path / "logs" / "02-constrained.eval", tmp_path / "logs" / "04-lora.eval"))
    assert judged["comparisons"][0]["n"] == 40
    with served(str(PEERS / "inspect"), "view", "--log-dir", str(tmp_path / "logs"), cwd=tmp_path) as address:
        shown = screenshot(address, "text=tuneworthy/lora", "inspect.png")
    assert "sample-triage" in shown


@pytest.mark.slow
@peers
def test_mlflow_shows_the_run(kept: Path, record: runs.RunRecord, tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from tuneworthy import runs
from tuneworthy.exchange import to_mlflow
print(to_mlflow.export(runs.load(Path(sys.argv[1])), [Path(sys.argv[1])], sys.argv[2]))
"""
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    command = [str(PEERS / "mlflow"), "server", "--workers", "1", "--backend-store-uri", store]
    command += ["--artifacts-destination", str(tmp_path / "artifacts"), "--host", "127.0.0.1"]
    with served(*command, cwd=tmp_path) as address:
        where = in_peers(script, kept, address).strip().splitlines()[-1]
        api = f"{address}/api/2.0/mlflow"
        found = httpx.post(f"{api}/runs/search", json={"experiment_ids": [where.split("/")[-3]]}, timeout=60).json()
        by_name = {run["info"]["run_name"]: run["data"] for run in found["runs"]}
        assert set(by_name) == {record.run_id, *(arm.name for arm in record.arms)}
        lora = {metric["key"]: metric["value"] for metric in by_name["lora"]["metrics"]}
        arm = next(arm for arm in record.arms if arm.name == "lora")
        assert arm.interval is not None
        assert (lora["score"], lora["score_low"], lora["n"]) == (arm.interval.value, arm.interval.low, 40)
        tags = {tag["key"]: tag["value"] for tag in by_name[record.run_id]["tags"]}
        assert tags["tuneworthy.verdict"] == record.verdict.decision
        assert list((tmp_path / "artifacts").rglob("verdict.json"))
        again = subprocess.run(
            [str(PEERS / "python"), "-c", script, str(kept), address],
            capture_output=True,
            text=True,
            timeout=240,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )
        assert "is already in the experiment" in again.stderr
        shown = screenshot(where, "text=few_shot", "mlflow.png")
    assert record.verdict.sentences[0] in shown


def screenshot(address: str, wait_for: str, name: str) -> str:
    """Open the page in a real browser, wait for this text; its text. A picture goes to $TUNEWORTHY_SCREENSHOTS."""
    from shutil import which

    api: Any = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = which("chromium") or which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-quic"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.wait_for_selector(wait_for, timeout=90_000)
        page.wait_for_timeout(1500)
        if folder := os.environ.get("TUNEWORTHY_SCREENSHOTS"):
            page.screenshot(path=str(Path(folder) / name))
        text = str(page.inner_text("body"))
        browser.close()
    return text


@peers
def test_a_server_that_does_not_answer_is_an_error_with_a_next_step(kept: Path) -> None:
    script = """
import sys
from pathlib import Path
from tuneworthy import runs
from tuneworthy.errors import TuneworthyError
from tuneworthy.exchange import to_mlflow
try: to_mlflow.export(runs.load(Path(sys.argv[1])), [], "http://127.0.0.1:9")
except TuneworthyError as error: print(error)
"""
    told = in_peers(script, kept, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0", MLFLOW_HTTP_REQUEST_TIMEOUT="2")
    assert "MLflow did not take the run" in told
    assert "Next: " in told


def test_a_run_without_arms_is_not_exported(record: runs.RunRecord, tmp_path: Path) -> None:
    with pytest.raises(TuneworthyError, match="measured no arm"):
        to_inspect.export(record.model_copy(update={"arms": ()}), tmp_path)
