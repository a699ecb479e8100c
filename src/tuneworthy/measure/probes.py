"""What training did beside the task, all of it: the probes of one trained candidate.

    told by every run     fit (overfitting), drift, refusals, robustness, copying, and the user's own probe files
    asked for by name     canaries (trains a second copy), staleness (changes the documents), unknown (facts in labels)

Retention and memorisation are measured with the training itself (`retention`, `memorisation`). A probe that did not run
stands in `not_measured` with the reason; it is never green.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

from tuneworthy.measure.canaries import Canaries
from tuneworthy.measure.copying import Copying
from tuneworthy.measure.drift import Drift
from tuneworthy.measure.overfit import Fit
from tuneworthy.measure.probe_files import FEWEST, Form, ProbeFile
from tuneworthy.measure.refusals import Refusals
from tuneworthy.measure.retention import Retention
from tuneworthy.measure.robustness import Robustness
from tuneworthy.measure.staleness import Staleness
from tuneworthy.measure.statistics import wilson
from tuneworthy.measure.unknown import Unknown
from tuneworthy.records import Interval, Record

ProbeName = Literal["fit", "drift", "refusals", "robustness", "copying", "files", "canaries", "staleness", "unknown"]
NAMES: tuple[ProbeName, ...] = get_args(ProbeName)
CHEAP: tuple[ProbeName, ...] = ("fit", "drift", "refusals", "robustness", "copying", "files")
"""what every run measures; with the pocket model 8 s of CPU in all (docs/concepts/probes.md)"""


NOT_ASKED = "not asked for"
"""how the reason begins where a probe was left out"""


class KindScore(Record):
    """One kind of item of a probe file."""

    kind: str
    n: int
    right: Interval


class FileScore(Record):
    """How much of a probe file the base gets right (Wilson)."""

    form: Form
    n: int
    """items asked"""
    items: int
    """in the file"""
    equal: int
    """BLiMP: pairs of equal sentences, left out"""
    right: Interval
    kinds: tuple[KindScore, ...] = ()
    """those with at least twenty items, where there is more than one"""

    @classmethod
    def of(cls, file: ProbeFile, right: Sequence[bool]) -> FileScore:
        """From right or wrong, by item."""
        by_kind: dict[str, list[bool]] = {}
        for kind, flag in zip(file.kinds, right, strict=True):
            by_kind.setdefault(kind, []).append(flag)
        many = ((kind, flags) for kind, flags in sorted(by_kind.items()) if len(flags) >= FEWEST)
        kinds = [KindScore(kind=kind, n=len(flags), right=wilson(sum(flags), len(flags))) for kind, flags in many]
        return cls(
            form=file.form,
            n=len(right),
            items=file.of,
            equal=file.equal,
            right=wilson(sum(right), len(right)),
            kinds=tuple(kinds) if len(by_kind) > 1 else (),
        )


class Beforehand(Record):
    """What the base can before anything is trained. None = not measured; `not_measured` says why."""

    files: dict[str, FileScore] | None = None
    """probe file of the user → its score"""
    unknown: Unknown | None = None
    """training answers that it can never give"""
    not_measured: dict[str, str] = {}
    """probe → why"""
    seconds: dict[str, float] = {}
    """probe → wall time, kept answers not counted again"""


class Probes(Record):
    """The probes of one trained lever. None = not measured; `not_measured` says why."""

    fit: Fit | None = None
    drift: Drift | None = None
    refusals: Refusals | None = None
    robustness: Robustness | None = None
    copying: Copying | None = None
    files: dict[str, Retention] | None = None
    """probe file of the user → trained against base"""
    canaries: Canaries | None = None
    staleness: Staleness | None = None
    unknown: Unknown | None = None
    """of the training rows; measured on the base"""
    not_measured: dict[str, str] = {}
    """probe → why"""
    seconds: dict[str, float] = {}
    """probe → wall time, kept answers not counted again"""

    def warnings(self, *, files: bool = True) -> Iterator[str]:
        """What a person should know before deploying, a sentence each. `files`: with the user's probe files."""
        if self.fit and self.fit.overfitted and self.fit.gap:
            yield f"rows that were trained on score {_points(self.fit.gap.value)} higher than unseen ones"
        if self.refusals and self.refusals.weakened:
            yield f"{self.refusals.lost} of {self.refusals.n} requests that the base declines are answered now"
        for variant in self.robustness.variants if self.robustness else ():
            found = variant.comparison.difference
            if found and found.high < 0:
                yield f"{variant.change} cost {_points(-found.value)} ({_points(-found.high)} at least)"
        if self.copying and self.copying.p < 0.05 and self.copying.trained.value > self.copying.base.value:
            yield f"{100 * self.copying.trained.value:.0f} % of the answers repeat a training output word for word"
        for name, kept in (self.files or {}).items() if files else ():
            if kept.warning:
                yield f"{name}: {100 * kept.interval.value:+.1f} points, a loss is not excluded"
        if self.canaries and self.canaries.failing:
            yield "secrets that stood once among the training rows are remembered"
        s = self.staleness
        if s and s.measurable and not s.follows:
            followed, stale = 100 * s.followed.value, 100 * s.stale.value
            yield f"when the documents change, {followed:.0f} % of the answers follow and {stale:.0f} % stay as trained"
        if self.unknown and self.unknown.state != "sound":
            yield f"the base can never give {100 * self.unknown.unknown.value:.0f} % of the training answers"


def _points(difference: float) -> str:
    return f"{100 * difference:.1f} points"
