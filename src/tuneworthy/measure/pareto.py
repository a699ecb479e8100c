"""Task score against what was kept of other abilities, over checkpoints, rates and adapter scales.

Two single runs compare two settings, not two methods: a method is its whole front of settings that no other setting of
it beats in both. Fronts are compared where all methods reach the same task score.
"""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.records import Record

_SAME = 1e-9
"""scores closer than this are equal: sums of decimals differ in the last digit"""


class Setting(Record):
    """One way of training, measured: a checkpoint, a rate, a scale of an adapter."""

    method: str
    """lora, full, full with replay, …"""
    setting: str
    """the rest of it, in words"""
    task: float
    """score on the development split, in [0, 1]"""
    kept: float
    """difference to the base on the probe of other abilities, in score; below 0 is a loss"""
    seeds: int = 1
    """over which both numbers are means"""


class Matched(Record):
    """The methods at one task score."""

    at_least: float
    """the highest score that every method reaches, less what cannot be told apart"""
    settings: tuple[Setting, ...]
    """of each method the setting that keeps most among those that reach it"""


def front(settings: Sequence[Setting]) -> tuple[Setting, ...]:
    """The settings that no other one beats in both numbers (equal ones once), from the lowest task score up."""
    best: list[Setting] = []
    for one in sorted(settings, key=lambda s: (-s.task, -s.kept, s.setting)):
        if not best or one.kept > best[-1].kept:
            best.append(one)
    return tuple(reversed(best))


def matched(settings: Sequence[Setting], *, tolerance: float = 0.0) -> Matched | None:
    """Each method at the highest task score that all of them reach; None with fewer than two methods.

    Args:
        tolerance: score that cannot be told apart, e.g. a standard error; the settings may fall short by it.
    """
    methods = list(dict.fromkeys(s.method for s in settings))
    if len(methods) < 2:
        return None
    own = {method: [s for s in settings if s.method == method] for method in methods}
    at_least = min(max(s.task for s in group) for group in own.values()) - tolerance
    chosen = [max((s for s in own[m] if s.task >= at_least - _SAME), key=lambda s: (s.kept, s.task)) for m in methods]
    return Matched(at_least=at_least, settings=tuple(chosen))
