"""A real limit on memory: the run ends with the same result in smaller passes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SCRIPT = """
import json, resource, sys
sys.path[:0] = [{tests!r}, {here!r}]
from pathlib import Path
import torch
torch.set_num_threads(1)
from shapes import shaped, with_lora
from test_prefix import rows
from tuneworthy.training.gradients import gradients, within_memory

network = with_lora(shaped("llama")).float()
taught = rows(0, [100] * 64)
within_memory(network, [taught[:4]], micro_batch=500)  # what is allocated once, is
network.zero_grad()
if sys.argv[1] != "0":
    held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + int(sys.argv[1]), -1))
losses, fitted = within_memory(network, [taught], micro_batch=100_000)
norm = sum(float(weight.grad.double().square().sum()) for weight in network.parameters() if weight.requires_grad)
print(json.dumps([losses[0], norm, fitted]))
"""


def ended(limit):
    script = SCRIPT.format(tests=str(HERE.parent), here=str(HERE))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(limit)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a limit on the address space is a thing of Linux")
def test_a_capped_address_space_halves_the_passes_and_the_gradient_is_the_same():
    loss, norm, fitted = ended(0)
    capped_loss, capped_norm, capped = ended(60_000_000)
    assert capped < fitted == 100_000
    assert capped_loss == pytest.approx(loss, rel=1e-5)
    assert capped_norm == pytest.approx(norm, rel=1e-4)
