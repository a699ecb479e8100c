"""What a release has to pass before anybody is answered by it: is what was loaded what was measured?

    files        every hash of the manifest, and of the base model
    prompt       rendered by the template byte for byte as recorded
    effect       answers differ from the untrained model's where they must
    answers      as recorded, and with the recorded log-probabilities where the engine tells them
    doubt        those of the answers that it was least sure of, where small changes of the weights show first
    suite        a part of the locked suite through the real endpoint scores within the offline interval

The order is that of evidence/operations, 2.3. Nothing is routed to a release that fails one of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from tuneworthy.answering import Answerer
from tuneworthy.measure.evaluate import Yardstick
from tuneworthy.measure.statistics import mean_interval, wilson
from tuneworthy.records import Answer, Case, Input
from tuneworthy.release import fingerprint, verify
from tuneworthy.release.fingerprint import Check
from tuneworthy.release.package import Release
from tuneworthy.scorers.open import open_scorers

SLICE = 40
"""cases asked through the endpoint; they are part of the suite that the release was measured on"""

Ask = Callable[[Input], Awaitable[str]]
"""an input → the text that the endpoint answers"""


def before_loading(release: Release, base: Path | None) -> list[Check]:
    """Files, before a weight is read."""
    found = verify.problems(release, base)
    told = "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
    hashed = len(release.manifest.files) + (0 if base is None else len(release.manifest.base.files))
    checks = [Check(what="files as released", state="failed" if found else "passed", found=told or f"{hashed} files")]
    if base is None and release.manifest.base.files:
        told = "the engine holds it elsewhere: only its answers tell"
        checks.append(Check(what="files of the base model", state="not measured", found=told))
    return checks


def after_loading(release: Release, answerer: Answerer) -> list[Check]:
    """The fingerprint."""
    return fingerprint.check(release.manifest.fingerprint, answerer)


async def through_endpoint(release: Release, ask: Ask) -> list[str]:
    """The answers to a part of the suite, asked as a client asks."""
    return [await ask(case.input) for case in release.cases[:SLICE]]


def suite(release: Release, texts: Sequence[str]) -> Check:
    """Do these answers score as they did offline?

    The part's own 99 % interval has to overlap the offline interval: the cases are the same, so only a real change
    moves it out.
    """
    measured, cases = release.manifest.measured.arm, release.cases[:SLICE]
    what = "the suite through the endpoint"
    if measured.interval is None:
        return Check(what=what, state="not measured", found="the run has no interval to hold it against")
    primary, others = open_scorers(release.usecase)
    values = _scores(Yardstick(primary, tuple(others)), cases, texts)
    if not values:
        return Check(what=what, state="failed", found="no answer could be scored")
    mean = sum(values) / len(values)
    found = wilson(sum(values), len(values), level=0.99) if primary.binary else mean_interval(values, level=0.99)
    low, high = (found.low, found.high) if found else (mean, mean)
    inside = low <= measured.interval.high and high >= measured.interval.low
    return Check(
        what=what,
        state="passed" if inside else "failed",
        found=f"{100 * mean:.1f} % of {len(values)} cases; offline {100 * measured.interval.low:.1f} to "
        f"{100 * measured.interval.high:.1f} %",
    )


def refused(checks: Sequence[Check]) -> str:
    """Why the gate says no, in a sentence; empty when it does not."""
    return "; ".join(f"{check.what}: {check.found}" for check in checks if check.state == "failed")


def _scores(yardstick: Yardstick, cases: Sequence[Case], texts: Sequence[str]) -> list[float]:
    judged = [yardstick.judge(case, Answer(text=text)) for case, text in zip(cases, texts, strict=True)]
    return [result.score.value for result in judged if result.score.value is not None]
