"""Two arms asked several times."""

from __future__ import annotations

from collections.abc import Iterator

from tuneworthy.measure.repeats import Repeated, RepeatedArm
from tuneworthy.printing.console import grid, limits_of, machine, people
from tuneworthy.printing.verdict import outcome
from tuneworthy.records import Comparison
from tuneworthy.report.wording import NOT_MEASURED, p_value, percent, points, points_range

FEW = 5
"""cases named on the terminal; --json has all"""


def repeated(found: Repeated, *, as_json: bool) -> int:
    """How steady two arms are, and what repeats do to their difference; the exit code is that of a comparison."""
    console = people(as_json)
    how = f"temperature {found.temperature:g}" if found.temperature else "greedy, as it was locked"
    console.print(f"{found.repeats} answers to every case, each with its own seed ({how})")
    told = grid(
        ("arm", "left"), ("score", "right"), ("interval", "right"), ("flipping", "right"), ("ever", "right"),
        ("always", "right"), ("SD within", "right"), ("between", "right"),
    )  # fmt: skip
    for arm in (found.reference, found.candidate):
        told.add_row(arm.name, *_numbers(arm))
    console.print(told)
    for arm in (found.reference, found.candidate):
        unsteady = arm.steadiness.unsteady if arm.steadiness else ()
        if unsteady:
            more = f", and {len(unsteady) - FEW} more" if len(unsteady) > FEW else ""
            console.print(f"{arm.name} flips on: {', '.join(unsteady[:FEW])}{more}", markup=False)
    differences = grid((f"{found.candidate.name} against {found.reference.name}", "left"), ("points", "right"),
                       ("interval", "right"), ("p", "right"), ("better", "right"), ("worse", "right"))  # fmt: skip
    differences.add_row("as the run measured it, once", *_difference(found.measured))
    differences.add_row(f"mean of {found.repeats} in every case", *_difference(found.comparison))
    console.print(differences)
    for line in _remarks(found):
        console.print(line, soft_wrap=True)
    if as_json:
        machine(found)
    return outcome(found.comparison)


def _numbers(arm: RepeatedArm) -> tuple[str, ...]:
    score = (percent(arm.mean.value), limits_of(arm.mean)) if arm.mean else ("no spread", "")
    s, flips = arm.steadiness, arm.flipping
    if s is None or flips is None:
        return (*score, NOT_MEASURED, "–", "–", "–", "–")
    share = f"{percent(flips.value)} ({limits_of(flips)})"
    return (*score, share, percent(s.ever), percent(s.always), f"{s.within:.3f}", f"{s.between:.3f}")


def _difference(c: Comparison) -> tuple[str, ...]:
    value, limits = (points(c.difference.value), points_range(c.difference)) if c.difference else ("no interval", "")
    return value, limits, p_value(c.p), str(c.wins), str(c.losses)


def _remarks(found: Repeated) -> Iterator[str]:
    if found.noise is None:
        yield "Nothing varies, so there is no share of noise to tell."
    elif found.noise == 0:
        yield "No answer ever changed its score: asking once tells as much."
    else:
        yield (
            f"{percent(found.noise)} of what is unsure about the mean difference is noise within cases; the rest only "
            f"more cases shrink. The smallest difference that matters takes {found.cases_once} cases asked once, "
            f"{found.cases_repeated} asked {found.repeats} times."
        )
    if found.comparison.dropped:
        yield f"{found.comparison.dropped} cases were never scored in both arms, and are left out."
    yield "Exploratory: these cases were opened before. A verdict rests on the answers of the run."
