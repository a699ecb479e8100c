"""Every error of Tuneworthy, on one page.

    TuneworthyError                 something a user can act on; the command line prints it without a traceback
    ├── UseCaseError                usecase.toml is wrong: all mistakes at once
    ├── DataError                   rows that cannot be read: file, line, field, why
    ├── GateRefused                 a rule of the method says no (exit 3)
    │   ├── SuiteNotLocked          no lock, or too few cases to lock
    │   │   └── JudgeNotCalibrated  the judge was not held against people, or fell short
    │   ├── SuiteChanged            something differs from what was locked
    │   └── LogEdited               an append-only log was edited
    ├── NotComparable               two arms differ in more than what was declared
    ├── ModelError                  a model cannot be loaded or asked
    │   ├── UnsafeModel             pickle weights or remote code
    │   └── PrivacyRefused          the privacy posture forbids this host (exit 3)
    ├── TrainingError               training cannot start or went wrong (loss not finite, nothing to learn from)
    ├── ProjectBusy                 another process works on this folder
    ├── StorageError                the disk is full, the folder is read-only
    └── MissingExtra                an optional package is not installed

Each says what happened, why it matters where that is not plain, and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class TuneworthyError(Exception):
    """Something went wrong that the user can act on.

    Args:
        what: what happened, one sentence.
        why: why it matters; empty where plain.
        next: what to do or run next.
        where: file, line or field, as `path:line` where known.
    """

    exit_code = 1

    def __init__(self, what: str, *, why: str = "", next: str = "", where: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.next, self.where = what, why, next, where

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        lines = [head, self.why, f"Next: {self.next}" if self.next else ""]
        return "\n".join(line for line in lines if line)


@dataclass(frozen=True)
class Problem:
    """One mistake in a file that a user wrote: `where` is a key (`bar.at_least`) or `file:line`."""

    where: str
    value: str
    reason: str
    suggestion: str = ""

    def __str__(self) -> str:
        value = f" = {self.value}" if self.value else ""
        suggestion = f" — {self.suggestion}" if self.suggestion else ""
        return f"{self.where}{value}: {self.reason}{suggestion}"


class _ManyProblems(TuneworthyError):
    def __init__(self, what: str, problems: Sequence[Problem], *, next: str = "", where: str = "") -> None:
        super().__init__(what, next=next, where=where)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        listed = [f"  · {problem}" for problem in self.problems[:50]]
        hidden = len(self.problems) - len(listed)
        more = [f"  … and {hidden} more"] if hidden else []
        return "\n".join([head, *listed, *more, *([f"Next: {self.next}"] if self.next else [])])


class UseCaseError(_ManyProblems):
    """usecase.toml is wrong; `problems` lists every mistake."""


class DataError(_ManyProblems):
    """Rows cannot be read; `problems` lists every bad line."""


class GateRefused(TuneworthyError):
    """A rule of the method refuses this step."""

    exit_code = 3


class SuiteNotLocked(GateRefused):
    """There is no lock, or the suite cannot be locked."""


class JudgeNotCalibrated(SuiteNotLocked):
    """The judge was not held against people, or fell short of what its use asks for."""


class SuiteChanged(GateRefused):
    """Something differs from what was locked."""


class LogEdited(GateRefused):
    """A line of an append-only log was edited or removed."""


class NotComparable(TuneworthyError):
    """Two arms differ in more than what was declared."""


class ModelError(TuneworthyError):
    """A model cannot be loaded or asked."""


class UnsafeModel(ModelError):
    """Pickle weights or code from elsewhere."""


class PrivacyRefused(ModelError):
    """The privacy posture of the use case forbids sending data to this host."""

    exit_code = 3


class TrainingError(TuneworthyError):
    """Training cannot start or went wrong."""


class ProjectBusy(TuneworthyError):
    """Another process works on this folder."""


class StorageError(TuneworthyError):
    """The disk is full or the folder cannot be written."""


class MissingExtra(TuneworthyError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"the package {package} is not installed", next=f"run: pip install 'tuneworthy[{extra}]'")
