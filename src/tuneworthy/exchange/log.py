"""Log: one arm as another tool logged it. What the three readers give and `judge` takes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tuneworthy.content import digest
from tuneworthy.errors import DataError, Problem
from tuneworthy.records import UnscoredReason

Tool = Literal["promptfoo", "lm-eval", "inspect"]

MOST_PROBLEMS = 20
"""listed of one file"""


@dataclass(frozen=True)
class Sample:
    """One case as logged. A metric with a reason in place of a value is unscored."""

    id: str
    about: str
    """digest of the input: the same in every tool and run that asks the same"""
    scores: Mapping[str, float | UnscoredReason]
    """metric → value in [0, 1], or why there is none"""
    text: str = ""
    """what the model answered"""


@dataclass(frozen=True)
class Log:
    """One arm in a file of another tool."""

    name: str
    tool: Tool
    version: str
    """of the tool that wrote it; empty where the file does not say"""
    file: Path
    metrics: tuple[str, ...]
    """those with a value in [0, 1] per case"""
    samples: tuple[Sample, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """what the log says about the model, prompt and decoding"""
    notes: tuple[str, ...] = ()
    """what a reader of the numbers should know: unfinished, limited, metrics left out"""


def parse(text: str, where: str) -> Any:
    """JSON as these tools write it: NaN is allowed, since Inspect and lm-eval use it.

    Raises:
        DataError: it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        problem = f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
    except RecursionError:
        problem = "is nested too deeply"
    except ValueError:  # more digits than Python converts
        problem = "holds a number that is too long"
    raise refused(where, problem)


def read_text(path: Path) -> str:
    """The text of a log.

    Raises:
        DataError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise refused(str(path), f"cannot be read: {error.strerror or error}", next="check the path") from None
    except UnicodeDecodeError as error:
        raise refused(str(path), f"is not UTF-8 at byte {error.start}") from None


def refused(where: str, what: str, problems: Sequence[Problem] = (), *, next: str = "") -> DataError:
    """The one way a log is refused."""
    shown = list(problems)[:MOST_PROBLEMS]
    return DataError(what, shown, next=next or "export the log again with the tool that wrote it", where=where)


def value(raw: Any) -> float | None:
    """A number in [0, 1], or true and false; None for anything else (NaN too)."""
    if isinstance(raw, bool):
        return float(raw)
    if isinstance(raw, int | float) and not math.isnan(raw) and 0 <= raw <= 1:
        return float(raw)
    return None


def absent(raw: Any) -> bool:
    """Does this stand for "no score"? NaN is how Inspect and lm-eval write it."""
    return raw is None or (isinstance(raw, float) and math.isnan(raw))


def why(message: str) -> UnscoredReason:
    """Which reason an error message of the channel belongs to."""
    said = message.lower()
    if "timed out" in said or "timeout" in said:
        return "timeout"
    return "content_filter" if "content filter" in said or "content_filter" in said else "transport"


def about(shown: Any) -> str:
    """Name of an input. A table with one field is its value, so that `{"text": "x"}` and `"x"` are one input."""
    if isinstance(shown, Mapping) and len(shown) == 1:
        shown = next(iter(shown.values()))
    return digest(plain(shown))


def plain(shown: Any) -> Any:
    """The same without what JSON cannot hold: NaN and infinity become their names."""
    if isinstance(shown, float) and not math.isfinite(shown):
        return str(shown)
    if isinstance(shown, Mapping):
        return {str(key): plain(item) for key, item in shown.items()}
    return [plain(item) for item in shown] if isinstance(shown, list | tuple) else shown


def usable(samples: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Metrics that can be judged, and one note for each that cannot: a value outside [0, 1], or not a number.

    `samples` are metric → raw value; a metric that is absent everywhere has nothing to judge.
    """
    seen: dict[str, bool] = {}
    odd: dict[str, Any] = {}
    for scores in samples:
        for metric, raw in scores.items():
            seen.setdefault(metric, False)
            if not absent(raw):
                seen[metric] = True
                if value(raw) is None:
                    odd.setdefault(metric, raw)
    notes = [f"{metric} is left out: {str(raw)[:40]!r} is not a value in [0, 1]" for metric, raw in odd.items()]
    return tuple(m for m, given in seen.items() if given and m not in odd), tuple(notes)


def scored(raw: Any) -> float | UnscoredReason:
    """A usable metric of one sample: its value, or that the scorer gave none."""
    number = value(raw)
    return "parse" if number is None else number


def mapping(raw: Any) -> Mapping[str, Any]:
    """This table, or an empty one where the file holds something else."""
    return raw if isinstance(raw, Mapping) else {}
