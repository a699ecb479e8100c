"""The benchmarks of faults and of memory, tried small: real processes, nothing lost or wrong, memory read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    print(done.stdout)
    return dict(line.strip("| ").split(" | ", 1) for line in done.stdout.splitlines() if " | " in line)


@pytest.mark.slow
def test_engines_that_fail():
    rows = run("benchmarks.faults", "--quick")
    assert len(rows) == 12  # with the head of the table
    assert not [
        name for name, found in rows.items() if "WRONG" in found or "lost" in found.replace("none wrong or lost", "")
    ]
    assert "0 refused" in rows["engine started after the gateway"]
    assert "live unchanged: yes" in rows["drill: a bad copy of the live release"]


@pytest.mark.slow
def test_a_short_soak():
    rows = run("benchmarks.soak", "--minutes", "2")
    assert "wrong" not in rows["requests"]
    assert "MB (95 % interval" in rows["growth after the first fifth"]
