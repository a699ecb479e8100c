"""Logs of other tools, judged by our statistics: the same cases paired, every arm against one reference.

Exploratory by nature: nobody locked the cases, and whoever chose the prompts may have seen them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue

from tuneworthy.content import digest
from tuneworthy.errors import NotComparable, TuneworthyError
from tuneworthy.exchange import inspect_log, lm_eval, promptfoo
from tuneworthy.exchange.log import Log, Sample, mapping, parse, plain, read_text, refused
from tuneworthy.measure.compare import arm_interval, compare, unscored_gate
from tuneworthy.measure.statistics import holm
from tuneworthy.records import Answer, Arm, Candidate, CaseResult, Comparison, Interval, Record, Score, UnscoredReason

ENDINGS = (".json", ".jsonl", ".eval")
_KNOWN = "promptfoo results (.json), lm-eval samples (.jsonl), Inspect logs (.eval, .json)"


class JudgedArm(Record):
    """One arm of another tool in numbers."""

    name: str
    tool: str
    """the tool, with its version where the file says"""
    file: str
    interval: Interval | None
    """mean score over the scored cases; None when none was scored, or when graded scores do not vary"""
    n: int
    unscored: dict[UnscoredReason, int] = {}
    """reason → cases: errors of the source, which it may have counted as zeros"""
    notes: tuple[str, ...] = ()


class Judged(Record):
    """What other tools' logs say when every case is paired with itself. Never registered: it cannot support `tune`."""

    metric: str
    paired_by: Literal["id", "input"]
    reference: str
    arms: tuple[JudgedArm, ...]
    comparisons: tuple[Comparison, ...]
    """every other arm against the reference; p adjusted after Holm where there are several"""
    settings: dict[str, dict[str, JsonValue]] = {}
    """what differs between the arms' logs besides their names: setting → arm → value"""
    problems: dict[str, str] = {}
    """arm → why unscored cases forbid a conclusion"""


def read(path: Path) -> list[Log]:
    """Every arm in a log of promptfoo, lm-eval or Inspect, told apart by its content.

    Raises:
        DataError: the file is none of these, or broken. MissingExtra: an .eval file without inspect-ai.
    """
    ending = path.suffix.lower()
    if not path.is_file():
        raise refused(str(path), "there is no such file", next="check the path")
    if ending == ".eval":
        return inspect_log.read(inspect_log.unpack(path), path)
    if ending == ".jsonl":
        return lm_eval.read(path)
    content = mapping(parse(read_text(path), str(path)))
    if inspect_log.is_it(content):
        return inspect_log.read(content, path)
    if promptfoo.is_it(content):
        return promptfoo.read(content, path)
    if {"results", "configs", "versions"} <= content.keys():
        raise refused(
            str(path), "these are the totals of lm-eval, without its cases", next="name its samples_*.jsonl instead"
        )
    raise refused(str(path), "this is no log that can be read", next=f"name {_KNOWN}")


def judge(paths: Sequence[Path], *, metric: str = "", against: str = "", alpha: float = 0.05) -> Judged:
    """Compare the arms in these files, case by case, on one metric that they share.

    Args:
        metric: which one decides; may be left out where they share exactly one.
        against: name of the reference; the first arm where left out.

    Raises:
        DataError: a file cannot be read. TuneworthyError: no two arms, no such arm, or the metric must be named.
        NotComparable: the arms share no cases.
    """
    logs = _named([log for path in paths for log in read(path)])
    if len(logs) < 2:
        raise TuneworthyError("one arm alone cannot be compared", next="name another log with the same cases")
    names = [log.name for log in logs]
    if against and against not in names:
        raise TuneworthyError(f"no arm is called {against!r}", next=f"known: {', '.join(names)}")
    first = names.index(against) if against else 0
    logs = [logs[first], *logs[:first], *logs[first + 1 :]]
    chosen = _metric(logs, metric)
    paired_by = _pairing(logs)
    arms = [_arm(log, chosen, paired_by) for log in logs]
    clusters = _clusters(logs, paired_by)
    binary = all(score in (0.0, 1.0) for arm in arms for score in arm.scores().values())
    found = [compare(arms[0], a, binary=binary, registered=False, alpha=alpha, clusters=clusters) for a in arms[1:]]
    if len(found) > 1:
        adjusted = holm([comparison.p for comparison in found])
        found = [c.model_copy(update={"p_adjusted": p}) for c, p in zip(found, adjusted, strict=True)]
    gates = {arm.name: unscored_gate(arms[0], arm) for arm in arms[1:]}
    return Judged(
        metric=chosen,
        paired_by=paired_by,
        reference=arms[0].name,
        arms=tuple(_told(log, arm, binary, clusters, 1 - alpha) for log, arm in zip(logs, arms, strict=True)),
        comparisons=tuple(found),
        settings=_differing(logs),
        problems={name: problem for name, problem in gates.items() if problem},
    )


# --- which metric, which cases -------------------------------------------------------------------


def _metric(logs: Sequence[Log], asked: str) -> str:
    shared = [metric for metric in logs[0].metrics if all(metric in log.metrics for log in logs)]
    if asked in shared or (not asked and len(shared) == 1):
        return asked or shared[0]
    if not asked and set(shared) == {"score", "pass"} and all(_same_twice(log) for log in logs):
        return "score"  # promptfoo writes a right or wrong case under both names
    owned = "; ".join(f"{log.name}: {', '.join(log.metrics) or 'none in [0, 1]'}" for log in logs)
    if asked:
        raise TuneworthyError(f"not every arm has the metric {asked!r}", next=f"name one of theirs ({owned})")
    if not shared:
        raise TuneworthyError("the arms share no metric", next=f"score them alike; theirs: {owned}")
    raise TuneworthyError(
        f"the arms share {len(shared)} metrics: {', '.join(shared)}",
        why="choosing one after seeing the results would make any of them look good",
        next="say which decides: --metric NAME",
    )


def _same_twice(log: Log) -> bool:
    return all(sample.scores["score"] == sample.scores["pass"] for sample in log.samples)


def _pairing(logs: Sequence[Log]) -> Literal["id", "input"]:
    """By id where the same id always means the same input; else by input, where no arm asks one twice."""
    first = {sample.id: sample.about for sample in logs[0].samples}
    by_id = by_input = True
    for log in logs[1:]:
        own = {sample.id: sample.about for sample in log.samples}
        shared = own.keys() & first.keys()
        by_id &= bool(shared) and all(own[case] == first[case] for case in shared)
        by_input &= bool(set(own.values()) & set(first.values()))
    by_input &= all(len({s.about for s in log.samples}) == len(log.samples) for log in logs)
    if by_id:
        return "id"
    if by_input:
        return "input"
    raise NotComparable(
        f"the arms {', '.join(log.name for log in logs)} do not ask the same cases",
        why="the same id stands for different inputs, and the inputs cannot be told apart or do not overlap",
        next="evaluate both on the same cases",
    )


def _case(sample: Sample, paired_by: str) -> str:
    return sample.id if paired_by == "id" else sample.about


def _clusters(logs: Sequence[Log], paired_by: str) -> dict[str, str]:
    """Cases that ask the same are one cluster."""
    return {_case(sample, paired_by): sample.about for log in logs for sample in log.samples}


# --- arms ----------------------------------------------------------------------------------------


def _named(logs: Sequence[Log]) -> list[Log]:
    """Names that tell the arms apart: a number behind those that are alike."""
    counts, seen = Counter(log.name for log in logs), Counter[str]()
    named = []
    for log in logs:
        seen[log.name] += 1
        number = f" #{seen[log.name]}" if counts[log.name] > 1 else ""
        named.append(replace(log, name=log.name + number))
    return named


def _arm(log: Log, metric: str, paired_by: str) -> Arm:
    results = []
    for sample in log.samples:
        found = sample.scores[metric]
        score = Score(value=found) if isinstance(found, float) else Score(unscored=found)
        answer = Answer(text=sample.text, error=score.unscored)
        results.append(CaseResult(case=_case(sample, paired_by), answer=answer, score=score, lenient=score))
    model = digest({"tool": log.tool, "settings": plain(log.settings)})
    return Arm(
        name=log.name,
        candidate=Candidate(lever=log.tool, model=model),
        cases="outside",
        results=tuple(results),
        exploratory=True,
    )


def _told(log: Log, arm: Arm, binary: bool, clusters: Mapping[str, str], level: float) -> JudgedArm:
    return JudgedArm(
        name=log.name,
        tool=f"{log.tool} {log.version}".strip(),
        file=str(log.file),
        interval=arm_interval(arm, binary, clusters=clusters, level=level),
        n=len(arm.scores()),
        unscored=dict(Counter(arm.unscored.values())),
        notes=log.notes,
    )


def _differing(logs: Sequence[Log]) -> dict[str, dict[str, JsonValue]]:
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(name for log in logs for name in log.settings):
        values = {log.name: plain(log.settings.get(name)) for log in logs}
        if len({digest(one) for one in values.values()}) > 1:
            found[name] = values
    return found
