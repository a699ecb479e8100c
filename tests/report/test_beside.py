"""What training did beside the task, in sentences: every number with its n, gaps by name, the same on both screens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sample import sample

from tuneworthy.errors import TuneworthyError
from tuneworthy.measure import canaries, overfit, refusals, staleness, unknown
from tuneworthy.measure.canaries import Exposed
from tuneworthy.measure.copying import Copying
from tuneworthy.measure.drift import Drift
from tuneworthy.measure.overfit import Mark
from tuneworthy.measure.probes import NAMES, Beforehand, FileScore, Probes
from tuneworthy.measure.retention import compare
from tuneworthy.measure.statistics import wilson
from tuneworthy.printing import probes as printing
from tuneworthy.records import Answer, Case
from tuneworthy.report.beside import lines
from tuneworthy.report.html import render

MARKS = [Mark(step=10 * n, epoch=n, loss=1 / n, dev=d, standard_error=0.02) for n, d in ((1, 0.5), (2, 0.9), (3, 0.7))]
CASES = [Case(id=f"c{n}", input={}, expected=str(n)) for n in range(20)]
CHANGED = {f"c{n}": (str(n), "x") for n in range(20)}
EVERYTHING = Probes(
    fit=overfit.fit(MARKS, 20, [1.0] * 60, [0.5, 0.0] * 30),
    drift=Drift(general=0.5, general_interval=None, n_general=60, task=1.5, task_interval=None, n_task=40),
    refusals=refusals.compare([True] * 48, [False] * 48),
    copying=Copying(n=50, trained=wilson(20, 50), base=wilson(0, 50), p=0.001, nearest=0.5, nearest_base=0.1),
    files={"own.jsonl": compare([True] * 40, [False] * 40, kinds=["own"] * 40)},
    canaries=canaries.Canaries(
        space=100_000,
        trained=canaries.levels([Exposed(n, float(n), n == 16) for n in (0, 1, 4, 16) for _ in range(6)]),
        base=canaries.levels([Exposed(n, 1.0, False) for n in (0, 1, 4, 16) for _ in range(6)]),
        dev_score=0.9,
    ),
    staleness=staleness.judge(
        CASES, CHANGED, [Answer(text=str(n)) for n in range(20)], [Answer(text="0")] * 20, reads=True, dated=4, rows=50
    ),
    unknown=unknown.judge([f"r{n}" for n in range(40)], [[False] * 12] * 40),
    not_measured={"robustness": "there are no <b>development</b> rows"},
)


def test_every_measured_probe_has_a_line_and_numbers_with_their_n() -> None:
    told = list(lines(EVERYTHING))
    assert {name for name, _ in told} == set(NAMES) - {"robustness"}
    text = "\n".join(line for _, line in told)
    for words in (
        "n = 60",
        "of 36",
        "n = 40",
        "seen 16 times",
        "16.0 bits",
        "6 of 6 come out",
        "of 20 answers",
        "12 tries",
    ):
        assert words in text, words


def test_the_base_alone_is_told_with_intervals_and_what_was_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    score = FileScore(form="BLiMP", n=500, items=998, equal=2, right=wilson(300, 500))
    found = Beforehand(files={"p.jsonl": score}, unknown=EVERYTHING.unknown, not_measured={"drift": "not asked for: x"})
    printing.probes("prompt", found, Path("here"), as_json=True)
    out, err = capsys.readouterr()
    assert Beforehand.model_validate(json.loads(out)) == found
    told = " ".join(err.split())
    assert "p.jsonl: 60.0 % (55.6 – 64.2 %) right of 500 items (BLiMP, drawn from 998, 2 pairs of equal" in told
    assert "100.0 % (91.2 – 100.0 %) of 40 training answers never given" in told
    assert "not asked for: drift" in told


def test_an_arm_that_knew_nothing_before_is_not_called_stale() -> None:
    none = [Answer(text="?")] * 20
    found = Probes(staleness=staleness.judge(CASES, CHANGED, none, none, reads=False, dated=0, rows=5))
    assert "not measurable" in dict(reversed(list(lines(found))))["staleness"]


def test_who_is_probed_where_nobody_is_named() -> None:
    assert printing.subject(["unknown"]) == "prompt"
    assert printing.subject(["unknown", "drift"]) == printing.subject(["files"]) == "lora"


def test_what_was_not_measured_has_no_line() -> None:
    assert list(lines(Probes())) == []
    assert list(Probes().warnings()) == []


def test_warnings_name_what_to_mind() -> None:
    told = "\n".join(EVERYTHING.warnings())
    for words in (
        "trained on score",
        "requests that the base declines",
        "word for word",
        "own.jsonl",
        "documents change",
    ):
        assert words in told, words
    assert "own.jsonl" not in "\n".join(EVERYTHING.warnings(files=False))


def test_the_report_shows_them_with_the_scores_over_time_and_escapes_them() -> None:
    page = render(sample().model_copy(update={"probes": {"lora": EVERYTHING}}))
    assert 'id="beside"' in page
    assert "training loss" in page
    assert "not measured: there are no &lt;b&gt;development" in page
    assert 'id="beside"' not in render(sample())


def test_the_terminal_and_machines_get_the_same_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    printing.probes("lora", EVERYTHING, Path("here"), as_json=True)
    out, err = capsys.readouterr()
    assert Probes.model_validate(json.loads(out)) == EVERYTHING
    assert "not measured" in err
    assert "seen 16 times" in err


def test_probes_are_asked_for_by_name() -> None:
    assert printing.chosen(["drift", "canaries"]) == ("drift", "canaries")
    assert printing.chosen(["all"]) == NAMES
    with pytest.raises(TuneworthyError, match="no probe called 'drfit'"):
        printing.chosen(["drfit"])
