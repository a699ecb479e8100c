"""T2 against TRL itself, by the race's own check: needs the environment of `make peers`."""

import pytest

pytest.importorskip("trl", reason="TRL is not in this environment: make peers")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

from benchmarks.training import DEFAULT, OURS, TOGETHER, TUNED, equivalent, race, table  # noqa: E402
from benchmarks.training_shapes import Work  # noqa: E402


def test_t2_ours_and_trl_end_in_the_same_adapters():
    works = [
        (Work("shared", 40, 24, steps=3, shape="tiny"), (OURS, TUNED), (DEFAULT,)),
        (Work("nothing shared", 0, 24, steps=3, shape="tiny"), (OURS, TUNED), ()),
        (Work("six runs", 40, 24, steps=2, runs=6, shape="tiny"), (), (OURS, TOGETHER, TUNED)),
    ]
    cells = race(works, "cpu", "fp32", 1.0)
    for cell in cells:
        for arm in cell.arms:
            assert equivalent(cell, arm, "fp32") == "", (cell.work.name, arm)
    assert len(list(table(cells, "fp32", 100.0))) == 2 + sum(len(cell.arms) for cell in cells)
    cells[0].results[TUNED][0].losses[0][1] *= 1.01
    assert "losses differ" in equivalent(cells[0], TUNED, "fp32")
