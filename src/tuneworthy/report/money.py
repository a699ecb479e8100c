"""The money section of the report: when each lever pays, and what the licence asks."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError

from tuneworthy.plan.records import BreakEven, Figure, Licence, Months, Payback
from tuneworthy.records import Record
from tuneworthy.report import wording
from tuneworthy.runs import RunRecord

NEVER = "never"


def section(record: RunRecord) -> dict[str, Any]:
    """What the template needs: `sum` and `licence` are None in records that hold none (older versions)."""
    held = read_sum(record)
    return {
        "sum": held,
        "rows": [_row(payback) for payback in held.paybacks] if held else [],
        "licence": _read(Licence, record.licence),
    }


def read_sum(record: RunRecord) -> BreakEven | None:
    """The sum in euros of a run; None in records of older versions."""
    return _read(BreakEven, record.money)


Kind = TypeVar("Kind", bound=Record)


def _read(kind: type[Kind], held: Any) -> Kind | None:
    try:
        return kind.model_validate(held) if held else None
    except ValidationError:  # written by another version
        return None


def _row(payback: Payback) -> dict[str, Any]:
    return {
        "lever": payback.lever,
        "reference": payback.reference,
        "n": payback.n,
        "gain": payback.gain,
        "once": euros(payback.once),
        "monthly": euros(payback.monthly),
        "months": months(payback.months),
        "months_range": months_range(payback.months),
        "never": wording.percent(payback.never),
        "net": euros(payback.net),
        "net_range": euros_range(payback.net),
        "smallest": wording.points(payback.smallest_gain.value).removeprefix("+"),
        "matters": payback.swings[0].name if payback.swings else wording.NOT_MEASURED,
    }


def months(found: Months) -> str:
    """The middle draw: 7.9 months, or never."""
    return NEVER if found.median is None else f"{found.median:.1f}"


def months_range(found: Months) -> str:
    """Its 80 % interval: 5.1 to never."""
    ends = [NEVER if end is None else f"{end:.1f}" for end in (found.low, found.high)]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def euros(figure: Figure) -> str:
    """Whole euros, thousands apart; not measured where there is no number."""
    return wording.NOT_MEASURED if figure.value is None else _whole(figure.value)


def euros_range(figure: Figure) -> str:
    """The limits of a figure in whole euros; empty without a range."""
    return "" if figure.low is None or figure.high is None else f"{_whole(figure.low)} to {_whole(figure.high)}"


def _whole(value: float) -> str:
    text = f"{round(value):,d}".replace(",", "\u202f").replace("-", "−")
    return f"{text}\u202f€"
