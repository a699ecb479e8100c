"""The races run at tiny size, and both sides give the same results. Times are for `make bench`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".venv-peers" / "bin" / "python"


@pytest.mark.slow
@pytest.mark.skipif(not PEERS.exists(), reason="the peers are not installed (make peers)")
@pytest.mark.parametrize("name", ["measuring", "retrieval", "decision"])
def test_a_race_runs_and_both_sides_agree(name):
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1"}
    command = [PEERS, "-m", f"benchmarks.{name}", "--quick"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=900)
    print(done.stdout)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "ratio" in done.stdout
    assert "NOT THE SAME" not in done.stdout
    assert "not equivalent" not in done.stdout


def test_only_what_the_decision_needs_counts_wherever_it_is_asked_from():
    from benchmarks.decision import BESIDE, COUNTED, Stages

    stages, seen = Stages(), []

    class Run:
        def adopt(self):
            seen.append(stages.now)

        def probe(self):
            self.adopt()  # a probe trains once more and scores development cases on the way
            seen.append(stages.now)

        def fail(self):
            raise ValueError("a call that fails")

    stages.mark(Run, "adopt", "development")
    stages.mark(Run, "probe", "probes")
    stages.mark(Run, "fail", "development")
    run = Run()
    run.adopt()
    run.probe()
    with pytest.raises(ValueError, match="a call that fails"):
        run.fail()
    assert seen == ["development", "probes", "probes"]
    assert stages.now == BESIDE
    assert not {BESIDE, "probes"} & set(COUNTED)
