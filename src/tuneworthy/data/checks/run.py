"""All checks, in one list. Each is a pure function from a Batch; the report puts the worst finding first."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tuneworthy.data.checks import (
    audit,
    consistency,
    contradictions,
    coverage,
    duplicates,
    facts,
    labels,
    language,
    leakage,
    personal,
    presidio,
    shape,
    sources,
    tokens,
)
from tuneworthy.data.findings import Batch, Check, CheckReport, Finding, NotMeasured, worst_first
from tuneworthy.data.version import manifest

WITHOUT_MODEL: Mapping[str, Check] = {
    "shape": shape.check,
    "audit": audit.check,
    "consistency": consistency.check,
    "duplicates": duplicates.check,
    "contradictions": contradictions.check,
    "coverage": coverage.check,
    "leakage": leakage.check,
    "personal_data": personal.check,
    "facts": facts.check,
    "sources": sources.check,
    "language": language.check,
}
"""Checks that train nothing and load no weights."""

WITH_MODEL: Mapping[str, Check] = {
    "tokens": tokens.check,
    "labels": labels.check,
    "rephrased": leakage.check_rephrased,
}
"""Checks that load a tokenizer, fit a classifier, or embed."""


GATE: Mapping[str, Check] = {
    "shape": shape.check,
    "audit": audit.check,
    "contradictions": contradictions.exact,
    "facts": facts.check,
}
"""What the gate before training looks at: row by row, so that looking takes no time worth mentioning."""


def gate(batch: Batch) -> tuple[Finding, ...]:
    """The findings of GATE, worst first."""
    return worst_first(item for check in GATE.values() for item in check(batch) if isinstance(item, Finding))


def run(batch: Batch, *, quick: bool = False, names: bool = False) -> CheckReport:
    """Run the checks.

    Args:
        quick: only those without a model; the others are reported as not measured.
        names: with Presidio's names, places and further numbers.

    Raises:
        MissingExtra: Presidio is asked for and not installed.
    """
    found: list[Finding] = []
    missing: list[NotMeasured] = []
    seconds = {}
    asked = {"presidio": presidio.check} if names else {}
    for name, check in {**WITHOUT_MODEL, **({} if quick else WITH_MODEL), **asked}.items():
        start = time.perf_counter()
        for item in check(batch):
            if isinstance(item, Finding):
                found.append(item)
            else:
                missing.append(item)
        seconds[name] = round(time.perf_counter() - start, 3)
    if quick:
        missing += [NotMeasured(check=name, what=name, reason="--quick") for name in WITH_MODEL]
    return CheckReport(
        version=manifest(batch.examples).version if batch.examples else "",
        examples=len(batch.examples),
        cases=len(batch.cases),
        findings=worst_first(found),
        not_measured=tuple(missing),
        seconds=seconds,
    )
