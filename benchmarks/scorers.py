"""How fast are scorers and statistics? `python -m benchmarks.scorers`; writes its part of benchmarks/RESULTS.md.

Targets: a scorer takes less than 1 ms for a case in the median (similarity and judges apart); the statistics of 10 arms
on 2,000 cases take less than 2 s.
"""

from __future__ import annotations

import json
import platform
import statistics as plain
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np

from benchmarks.results import write_part
from tuneworthy import plugins
from tuneworthy.measure.compare import arm_interval, compare, format_and_content, unscored_gate
from tuneworthy.measure.slices import slices
from tuneworthy.measure.spent import spent
from tuneworthy.measure.statistics import holm
from tuneworthy.records import Answer, Arm, Candidate, Case, CaseResult, Score
from tuneworthy.usecase import Output

ROUNDS = 201
TEXT = Output(kind="text")
LABEL = Output(kind="label", labels=tuple(f"label_{i}" for i in range(77)))
JSON = Output(
    kind="json",
    json_schema={
        "type": "object",
        "properties": {f"field_{i}": {"type": ["string", "null"]} for i in range(8)},
        "required": ["field_0"],
    },
)
ANSWER = "The parcel was handed to the carrier on Monday and will reach you within three working days. " * 2
RECORD = {f"field_{i}": f"value {i}" for i in range(8)}
ASKED = Answer(text="x", tokens_in=100, tokens_out=10, seconds=0.2)
STYLES = tuple(tuple(f"{start} {n}, about parcels and carriers." for n in range(200)) for start in ("Dear", "hey!!"))
SETTINGS: dict[str, dict[str, Any]] = {
    "regex": {"pattern": r"(?s).*working days.*"},
    "forbidden_words": {"words": ("synergy", "leverage")},
    "vocabulary": {"words": ("parcel", "carrier")},
    "style_closeness": {"texts": STYLES},
}
LEFT_OUT = {"judge", "similarity", "latency", "tokens", "cost"}
"""They ask a model, or judge no text."""


def main() -> None:
    """Measure and write."""
    lines = [
        "## Scorers and statistics",
        "",
        f"`python -m benchmarks.scorers`, {datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, one process. Median of "
        f"{ROUNDS} calls on an answer of {len(ANSWER.split())} words, 77 labels, or 8 fields.",
        "",
        "| scorer | microseconds for a case |",
        "| --- | ---: |",
        *(f"| `{name}` | {1e6 * seconds:,.0f} |" for name, seconds in medians().items()),
        "",
        "Intervals, 9 paired comparisons with test, format and content, gate, and 10 tags each, for 10 arms on 2,000 "
        f"cases: {statistics_seconds():.2f} s (right/wrong), {statistics_seconds(graded=True):.2f} s (graded).",
    ]
    write_part("scorers", "\n".join(lines))
    print("\n".join(lines))


def medians() -> dict[str, float]:
    """Seconds for one case, by scorer; those that ask a model or judge no text left out."""
    return {name: _median(name) for name in plugins.names("scorers") if name not in LEFT_OUT}


def statistics_seconds(*, graded: bool = False, cases: int = 2_000, arms: int = 10) -> float:
    """Seconds for everything that a run computes from its scores."""
    draw = np.random.default_rng(0)
    made = [
        _arm(f"arm {i}", draw.random(cases) if graded else draw.random(cases) < 0.6 + 0.02 * i) for i in range(arms)
    ]
    tags = {f"c{i}": (f"tag {i % 10}",) for i in range(cases)}
    started = time.perf_counter()
    for arm in made:
        arm_interval(arm, not graded)
        spent([result.answer for result in arm.results])
    found = [compare(made[0], arm, binary=not graded) for arm in made[1:]]
    holm([comparison.p for comparison in found])
    for arm in made[1:]:
        format_and_content(made[0], arm)
        unscored_gate(made[0], arm)
        slices(made[0], arm, tags, binary=not graded)
    return time.perf_counter() - started


def _median(name: str) -> float:
    output, expected, answer = _material(name)
    scorer = plugins.load("scorers", name)(output, **SETTINGS.get(name, {}))
    case = Case(id="1", input={"text": "Where is it?"}, expected=expected, evidence=ANSWER)
    scorer.score(case, answer)
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        scorer.score(case, answer)
        times.append(time.perf_counter() - started)
    return plain.median(times)


def _material(name: str) -> tuple[Output, Any, str]:
    if name == "classification":
        return LABEL, "label_7", "label_8"
    if name in ("fields", "json_exact", "json_schema"):
        return JSON, RECORD, json.dumps({**RECORD, "field_3": "other"})
    return TEXT, "The parcel left on Monday and takes three working days.", ANSWER


def _arm(name: str, values: Any) -> Arm:
    scores = [Score(value=float(value)) for value in values]
    results = tuple(CaseResult(case=f"c{i}", answer=ASKED, score=s, lenient=s) for i, s in enumerate(scores))
    return Arm(name=name, candidate=Candidate(lever="prompt", model="m"), cases="lock", results=results)


if __name__ == "__main__":
    main()
