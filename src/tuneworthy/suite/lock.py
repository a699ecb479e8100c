"""The lock: cases, scorers, bar, output and decoding settings frozen before any training.

`suite.lock` holds the digest of each part, so that a refusal can say exactly what changed. Paths, times and the order
of rows are not part of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue, ValidationError

from tuneworthy.content import digest, write_whole
from tuneworthy.errors import SuiteChanged, SuiteNotLocked
from tuneworthy.project import Project
from tuneworthy.records import Case, Record
from tuneworthy.rendering import render_expected
from tuneworthy.scorers.judge import Judge
from tuneworthy.scorers.open import open_scorers, scorer_record
from tuneworthy.usecase import UseCase

MIN_CASES = 30
"""Fewer cases carry no claim: at 80 % accuracy one standard error is 7 points (evidence: statistics, fact 2)."""

_CASE_FIELDS = ("input", "expected", "evidence", "tags", "cluster")


class SuiteLock(Record):
    """What was frozen. `digest` (of the whole record) names it."""

    format: Literal[1] = 1
    cases: dict[str, dict[str, str]]
    """case id → field → digest of its content"""
    scorers: tuple[dict[str, JsonValue], ...]
    decision: dict[str, JsonValue]
    """metric, bar, smallest difference, alpha, power"""
    output: dict[str, JsonValue]
    decoding: dict[str, JsonValue]


def lock(
    project: Project,
    usecase: UseCase,
    cases: Sequence[Case],
    *,
    again: bool = False,
    answer_tokens: Callable[[str], int] | None = None,
) -> SuiteLock:
    """Freeze the suite into suite.lock.

    Args:
        again: replace an existing lock.
        answer_tokens: text of an answer → its tokens, stop token included; None where they cannot be counted.

    Raises:
        SuiteNotLocked: fewer than 30 cases, cases without expected output or with one that the scorer of the bar does
            not accept, the same id or input twice, answers longer than output.max_tokens.
        SuiteChanged: another lock exists and `again` is not given.
    """
    _require_lockable(usecase, cases, project.folder)
    if answer_tokens is not None:
        _require_room(usecase, cases, answer_tokens)
    fresh = describe(usecase, cases, project.folder)
    if project.lock_file.exists() and not again:
        old = read(project.lock_file)
        changes = list(_changes(old, fresh))
        if changes:
            raise _changed(changes, project.lock_file)
        return old
    content = {"digest": fresh.digest, **fresh.model_dump(mode="json")}
    write_whole(project.lock_file, json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
    return fresh


def verify(project: Project, usecase: UseCase, cases: Sequence[Case]) -> SuiteLock:
    """The lock, when everything still is as it was frozen.

    Raises:
        SuiteNotLocked: there is no lock.
        SuiteChanged: something differs; all differences are named.
    """
    if not project.lock_file.exists():
        raise SuiteNotLocked(
            "the suite is not locked",
            why="a suite that can still change proves nothing",
            next="run: tuneworthy suite lock",
            where=str(project.lock_file),
        )
    locked = read(project.lock_file)
    twice = [f"case {case} stands twice" for case in _repeated(case.id for case in cases)]
    changes = [*twice, *_changes(locked, describe(usecase, cases, project.folder))]
    if changes:
        raise _changed(changes, project.lock_file)
    return locked


def read(path: Path) -> SuiteLock:
    """Read a lock file. Raises SuiteChanged when it is damaged or was edited."""
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        named = content.pop("digest")
        named_now = digest(content)
        found = SuiteLock.model_validate(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise SuiteChanged(
            f"the lock cannot be read: {type(error).__name__}",
            next="restore it from version control, or lock again: tuneworthy suite lock --again",
            where=str(path),
        ) from None
    if named != named_now:
        raise SuiteChanged(
            "the lock was edited: its content does not match its digest",
            next="restore it from version control, or lock again: tuneworthy suite lock --again",
            where=str(path),
        )
    return found


def describe(usecase: UseCase, cases: Sequence[Case], folder: Path = Path()) -> SuiteLock:
    """What a lock would say about this suite. `folder` holds usecase.toml."""
    primary, others = open_scorers(usecase, folder)
    return SuiteLock(
        cases={case.id: _fields(case) for case in cases},
        scorers=tuple(scorer_record(scorer) for scorer in (primary, *others)),
        decision=usecase.bar.model_dump(mode="json"),
        output=usecase.output.model_dump(mode="json"),
        decoding={"max_tokens": usecase.output.max_tokens, "temperature": 0.0},
    )


def _require_lockable(usecase: UseCase, cases: Sequence[Case], folder: Path) -> None:
    if len(cases) < MIN_CASES:
        raise SuiteNotLocked(
            f"{len(cases)} cases cannot be locked",
            why=f"fewer than {MIN_CASES} cases carry no claim",
            next=f"add {MIN_CASES - len(cases)} real cases to suite/cases.jsonl, or draw them: tuneworthy suite build",
        )
    without = [case.id for case in cases if case.expected is None]
    if without:
        raise SuiteNotLocked(
            f"{len(without)} cases have no expected output: {_some(without)}", next="write what a right answer is"
        )
    same_id = _repeated(case.id for case in cases)
    if same_id:
        raise SuiteNotLocked(f"several cases have the same id: {_some(same_id)}", next="give each case its own id")
    same_input = set(_repeated(digest(case.input) for case in cases))
    if same_input:
        raise SuiteNotLocked(
            f"the same input stands in several cases: {_some([c.id for c in cases if digest(c.input) in same_input])}",
            why="a case that counts twice makes the interval too narrow",
            next="keep one of each",
        )
    _require_winnable(usecase, cases, folder)


def _require_winnable(usecase: UseCase, cases: Sequence[Case], folder: Path) -> None:
    """The expected output itself must be a right answer: an unknown label or a broken schema makes a case that no
    lever can win. A judge errs at times, which its calibration counts, so it is not asked."""
    primary, _ = open_scorers(usecase, folder)
    if isinstance(primary, Judge):
        return
    lost = {}
    for case in cases:
        score = primary.score(case, render_expected(usecase.output, case.expected))
        if score.value != 1.0:
            lost[case.id] = score.explanation or score.unscored or f"it gets {score.value}"
    if lost:
        name, reason = next(iter(lost.items()))
        raise SuiteNotLocked(
            f"the expected output of {len(lost)} cases would itself be judged wrong by {primary.name}: "
            f"{_some(list(lost))} ({name}: {reason})",
            why="no answer could ever win these cases",
            next="correct their expected output, or the metric and output in usecase.toml",
        )


def _require_room(usecase: UseCase, cases: Sequence[Case], answer_tokens: Callable[[str], int]) -> None:
    """A limit that cuts right answers off would make every model look worse than it is."""
    texts = {render_expected(usecase.output, case.expected) for case in cases} | set(usecase.output.labels)
    longest, text = max((answer_tokens(text), text) for text in texts)
    if longest > usecase.output.max_tokens:
        raise SuiteNotLocked(
            f"output.max_tokens = {usecase.output.max_tokens} is too short: {text[:80]!r} takes {longest} tokens",
            why="a right answer would be cut off, and no lever could ever give it",
            next=f"set output.max_tokens = {longest + longest // 4 + 1} or more in usecase.toml",
        )


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _fields(case: Case) -> dict[str, str]:
    content = case.model_dump(mode="json")
    return {field: digest(content[field])[:16] for field in _CASE_FIELDS}


def _changes(old: SuiteLock, new: SuiteLock) -> Iterator[str]:
    for case in sorted(set(old.cases) | set(new.cases)):
        if case not in new.cases:
            yield f"case {case} was removed"
        elif case not in old.cases:
            yield f"case {case} was added"
        elif old.cases[case] != new.cases[case]:
            edited = [f for f in _CASE_FIELDS if old.cases[case].get(f) != new.cases[case].get(f)]
            yield f"case {case} was edited: {', '.join(edited)}"
    yield from _scorer_changes(old, new)
    for part in ("decision", "output", "decoding"):
        before, after = getattr(old, part), getattr(new, part)
        for key in sorted(set(before) | set(after)):
            if before.get(key) != after.get(key):
                yield f"{part}.{key}: {json.dumps(before.get(key))} → {json.dumps(after.get(key))}"


def _scorer_changes(old: SuiteLock, new: SuiteLock) -> Iterator[str]:
    before = {str(scorer["name"]): scorer for scorer in old.scorers}
    after = {str(scorer["name"]): scorer for scorer in new.scorers}
    for name in sorted(set(before) | set(after)):
        if name not in after or name not in before:
            yield f"scorer {name} was {'removed' if name in before else 'added'}"
        elif before[name] != after[name]:
            for key in sorted(set(before[name]) | set(after[name])):
                old_value, new_value = before[name].get(key), after[name].get(key)
                if old_value != new_value:
                    shown = "changed" if key == "code" else f"{json.dumps(old_value)} → {json.dumps(new_value)}"
                    yield f"scorer {name}: {key} {shown}"


def _changed(changes: list[str], path: Path) -> SuiteChanged:
    listed = "\n".join(f"  · {change}" for change in changes[:20])
    more = f"\n  … and {len(changes) - 20} more" if len(changes) > 20 else ""
    return SuiteChanged(
        f"{len(changes)} thing{'s' * (len(changes) > 1)} changed since the suite was locked:\n{listed}{more}",
        why="results before and after a change cannot be compared",
        next="undo the change; or lock anew, old results stay with the old lock: tuneworthy suite lock --again",
        where=str(path),
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
