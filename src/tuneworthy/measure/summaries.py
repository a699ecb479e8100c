"""What a whole arm says beyond its mean: labels confused, fields found. Pure functions over answers and expectations.

Proportions get Wilson's interval. Macro-F1 is no mean over cases, so it gets a percentile bootstrap over cases; below
FEWEST_FOR_BOOTSTRAP cases it is descriptive only (evidence/statistics, section 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from tuneworthy.measure.statistics import wilson
from tuneworthy.records import Case, Interval, Record
from tuneworthy.scorers.classification import Classification, classification_report
from tuneworthy.scorers.fields import Place, leaves, same
from tuneworthy.scorers.reading import strict_json
from tuneworthy.usecase import Output

FEWEST_FOR_BOOTSTRAP = 100
RESAMPLES = 2_000
"""2,000 place the limits of a 95 % interval to about a tenth of its width."""


class LabelSummary(Record):
    """One label as expected and as answered. An interval is None where there is nothing to divide by."""

    label: str
    expected: int
    answered: int
    right: int
    precision: Interval | None
    """of the answers that give this label, the share that is right"""
    recall: Interval | None
    """of the cases that expect this label, the share that is found"""
    f1: float | None


class ClassificationSummary(Record):
    """An arm on a label task."""

    n: int
    accuracy: Interval
    macro_f1: float
    """mean of the F1 of the labels that are expected at least once"""
    macro_f1_interval: Interval | None
    """percentile bootstrap over cases; None below 100 cases"""
    labels: tuple[LabelSummary, ...]
    confusion: dict[str, dict[str, int]]
    """expected label → answered label (empty = none of the labels) → cases"""


class FieldSummary(Record):
    """One field of an extraction, list items together. A field that was not expected and not given counts nowhere."""

    field: str
    expected: int
    given: int
    right: int
    precision: Interval | None
    """of the values given, the share that is right"""
    recall: Interval | None
    """of the values expected, the share that is right"""
    f1: float | None


class ExtractionSummary(Record):
    """An arm on an extraction task. No partial credit within a field: a value is right or wrong."""

    n: int
    unreadable: int
    """answers that are not JSON: every field expected there is missed"""
    whole: Interval
    """share of the cases with every field right and none extra"""
    fields: tuple[FieldSummary, ...]
    micro: FieldSummary
    """all fields together"""


def classification_summary(
    pairs: Sequence[tuple[str, str | None]], labels: Sequence[str], *, seed: int = 0, level: float = 0.95
) -> ClassificationSummary:
    """Summary of (expected, answered) labels; None = the answer gives none of the labels.

    Raises:
        ValueError: there is no pair, or a pair holds a label that is not among `labels`.
    """
    report = classification_report(pairs, labels)
    right = sum(expected == answered for expected, answered in pairs)
    return ClassificationSummary(
        n=len(pairs),
        accuracy=wilson(right, len(pairs), level=level),
        macro_f1=report.macro_f1,
        macro_f1_interval=_bootstrap_macro_f1(pairs, labels, seed, level, report.macro_f1),
        labels=tuple(_label(label, pairs, level) for label in labels),
        confusion=report.confusion,
    )


def extraction_summary(
    pairs: Sequence[tuple[JsonValue, JsonValue | None]], *, level: float = 0.95
) -> ExtractionSummary:
    """Summary of (expected, answered) objects; None = the answer is not JSON.

    Raises:
        ValueError: there is no pair.
    """
    if not pairs:
        raise ValueError("a summary needs at least one case")
    counts: dict[str, list[int]] = {}
    whole = 0
    for expected, answered in pairs:
        wanted, found = _by_place(expected), {} if answered is None else _by_place(answered)
        hits = {p for p in wanted if p in found and same(found[p], wanted[p], lenient=False)}
        whole += len(hits) == len(wanted) == len(found)
        for places, position in ((wanted, 0), (found, 1), (hits, 2)):
            for place in places:
                counts.setdefault(_field(place), [0, 0, 0])[position] += 1
    total = [sum(count[i] for count in counts.values()) for i in range(3)]
    return ExtractionSummary(
        n=len(pairs),
        unreadable=sum(answered is None for _, answered in pairs),
        whole=wilson(whole, len(pairs), level=level),
        fields=tuple(_field_summary(name, *counts[name], level=level) for name in sorted(counts)),
        micro=_field_summary("all fields", *total, level=level),
    )


def summarise(
    output: Output, cases: Iterable[tuple[Case, str]], *, seed: int = 0, level: float = 0.95
) -> ClassificationSummary | ExtractionSummary | None:
    """The summary that fits the output, over (case, answer), read strictly; None for texts, and without a case whose
    expected output has the declared shape."""
    pairs = list(cases)
    if output.kind == "label":
        scorer = Classification(output)
        known = [
            (case.expected, scorer.read(text))
            for case, text in pairs
            if isinstance(case.expected, str) and case.expected in output.labels
        ]
        return classification_summary(known, output.labels, seed=seed, level=level) if known else None
    if output.kind == "json":
        read = [(case.expected, _read_json(text)) for case, text in pairs if case.expected is not None]
        return extraction_summary(read, level=level) if read else None
    return None


# --- parts ---------------------------------------------------------------------------------------


def _label(label: str, pairs: Sequence[tuple[str, str | None]], level: float) -> LabelSummary:
    expected = sum(wanted == label for wanted, _ in pairs)
    answered = sum(given == label for _, given in pairs)
    right = sum(wanted == given == label for wanted, given in pairs)
    return LabelSummary(
        label=label,
        expected=expected,
        answered=answered,
        right=right,
        precision=_part(right, answered, level),
        recall=_part(right, expected, level),
        f1=_f1(right, expected, answered),
    )


def _field_summary(name: str, expected: int, given: int, right: int, *, level: float) -> FieldSummary:
    return FieldSummary(
        field=name,
        expected=expected,
        given=given,
        right=right,
        precision=_part(right, given, level),
        recall=_part(right, expected, level),
        f1=_f1(right, expected, given),
    )


def _part(right: int, of: int, level: float) -> Interval | None:
    return wilson(right, of, level=level) if of else None


def _f1(right: int, expected: int, given: int) -> float | None:
    return 2 * right / (expected + given) if expected + given else None


def _bootstrap_macro_f1(
    pairs: Sequence[tuple[str, str | None]], labels: Sequence[str], seed: int, level: float, value: float
) -> Interval | None:
    """Cases drawn with replacement; the labels that count are those expected in the draw."""
    if len(pairs) < FEWEST_FOR_BOOTSTRAP:
        return None
    number: Mapping[str | None, int] = {label: i for i, label in enumerate(labels)} | {None: len(labels)}
    cells = np.array([(number[expected], number[answered]) for expected, answered in pairs])
    kinds_K2, counts_K = np.unique(cells, axis=0, return_counts=True)
    draws_RK = np.random.default_rng(seed).multinomial(len(pairs), counts_K / len(pairs), size=RESAMPLES)
    low, high = np.quantile(_macro_f1(draws_RK, kinds_K2, len(labels)), [0.5 - level / 2, 0.5 + level / 2])
    return Interval(value=value, low=float(low), high=float(high), level=level, method="percentile bootstrap")


def _macro_f1(draws_RK: NDArray[np.int64], kinds_K2: NDArray[np.int64], labels: int) -> NDArray[np.float64]:
    """Macro-F1 of each draw, given as counts of each kind of (expected, answered); `labels` itself stands for none."""
    expected_KL, answered_KL = (np.eye(labels + 1)[kinds_K2[:, side], :labels] for side in (0, 1))
    draws = draws_RK.astype(np.float64)
    there, given, right = draws @ expected_KL, draws @ answered_KL, draws @ (expected_KL * answered_KL)
    f1 = 2 * right / np.maximum(there + given, 1)
    counted = there > 0
    return np.asarray((f1 * counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1))


def _by_place(value: JsonValue) -> dict[Place, JsonValue]:
    return dict(leaves(value))


def _field(place: Place) -> str:
    """Items of a list are one field, and so are the same keys of its objects."""
    steps = ["[]" if isinstance(step, int) else f".{step}" for step in place]
    return "".join(steps).removeprefix(".") or "(whole)"


def _read_json(text: str) -> JsonValue | None:
    try:
        value: JsonValue = strict_json(text)
    except ValueError:
        return None
    return value
