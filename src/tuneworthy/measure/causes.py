"""The causes of a failure, and the rules that name one (evidence/statistics, section 13)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

Cause = Literal[
    "measurement", "format", "behaviour", "knowledge", "retrieval", "reasoning", "consistency",
    "skill", "capability", "out_of_reach", "unmended", "unexplained", "not_measured",
]  # fmt: skip

POINTS_TO: dict[Cause, str] = {
    "measurement": "repair the case; never train on it",
    "format": "constrained decoding, or a clearer prompt",
    "behaviour": "few-shot; training where the prompt grows too long",
    "knowledge": "retrieval",
    "retrieval": "a better index or query; not training",
    "reasoning": "room to reason, tools, or a larger base model",
    "consistency": "voting over repeats, or training",
    "skill": "training: it mends them, and nothing cheaper that was tried does",
    "capability": "another base model",
    "out_of_reach": "drop the case, or define it anew",
    "unmended": "training may tell; else a larger base model: nothing that was tried mends them",
    "unexplained": "look at these cases: something mended them, and no rule says what",
    "not_measured": "no rule that could be measured applies; see what was not tried",
}
"""Cause → the lever that it points to, in the order in which the rules are tried."""


class Outcomes(NamedTuple):
    """Did one case pass under each intervention? None = not tried, or not scored."""

    base: bool | None
    lenient: bool | None = None
    """the same output, read leniently"""
    shaped: bool | None = None
    """is there an answer of the declared shape in the output at all, read leniently"""
    constrained: bool | None = None
    shots: bool | None = None
    shuffled: bool | None = None
    """the same shots, each with another one's target"""
    gold: bool | None = None
    """with the passage that holds the facts"""
    distractor: bool | None = None
    """with another passage of about that length"""
    retrieved: bool | None = None
    reasoned: bool | None = None
    """room to reason, and the gold passage where there is one"""
    repeats: tuple[bool, ...] = ()
    trained: bool | None = None
    """a trained lever"""
    stronger: bool | None = None
    """a stronger model with the gold passage"""
    disputed: bool | None = None
    """a person judged the expected answer to be wrong, or another row contradicts it"""


def classify(outcomes: Outcomes) -> Cause:
    """The first rule that applies (evidence/statistics, section 13). A rule whose arms were not run is passed over. Of
    the cases that no rule takes, `unmended` are those that nothing mended, examples included; the others are
    `unexplained` when all rules could speak, and `not_measured` otherwise.

    Beside the table: an output without any readable answer, which the constraint alone makes right, failed by its
    format too; what a trained lever alone gets right is a `skill`; a disputed answer needs no stronger model.
    """
    o = outcomes
    if o.base is None or o.disputed:
        return "measurement"
    fails = not o.base
    mended = _either(*(getattr(o, name) for name in _MENDING), _any_of(o.repeats))
    facts = _both(fails, _no(o.shots), o.gold, _no(o.distractor))
    rules: tuple[tuple[Cause, bool | None], ...] = (
        ("format", _both(fails, _either(o.lenient, _both(_no(o.shaped), o.constrained)))),
        ("behaviour", _both(fails, o.shots, _no(o.shuffled))),
        ("knowledge", _both(facts, o.retrieved)),
        ("retrieval", _both(facts, _no(o.retrieved))),
        ("reasoning", _both(fails, o.gold is not True, o.reasoned)),
        ("consistency", _any_of(o.repeats, and_not_all=True)),
        ("skill", _both(fails, o.trained)),
        ("capability", _both(_no(mended), o.stronger)),
        ("out_of_reach", _both(_no(mended), _no(o.stronger))),
        ("unmended", _both(_no(_any_true(o)), o.shots is not None)),
    )
    for cause, applies in rules:
        if applies:
            return cause
    return "not_measured" if any(applies is None for _, applies in rules) else "unexplained"


# --- three-valued logic -----------------------------------------------------------------------------

_MENDING = ("lenient", "constrained", "shots", "gold", "retrieved", "reasoned")


def _any_true(o: Outcomes) -> bool:
    """Did anything that was tried mend it?"""
    return any(getattr(o, name) for name in (*_MENDING, "trained", "stronger")) or any(o.repeats)


def _no(value: bool | None) -> bool | None:
    return None if value is None else not value


def _both(*values: bool | None) -> bool | None:
    """All of them, where None is not known (Kleene)."""
    if any(value is False for value in values):
        return False
    return None if any(value is None for value in values) else True


def _either(*values: bool | None) -> bool | None:
    return _no(_both(*(_no(value) for value in values)))


def _any_of(repeats: Sequence[bool], *, and_not_all: bool = False) -> bool | None:
    if not repeats:
        return None
    return any(repeats) and not (and_not_all and all(repeats))
