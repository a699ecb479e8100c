"""Two append-only, hash-chained logs: what was registered before the locked cases were looked at, and every look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from tuneworthy import chain
from tuneworthy.records import Record


class Opening(Record):
    """One look at the locked cases."""

    lock: str
    arm: str
    arm_digest: str
    contrast: str
    exploratory: bool
    """this contrast was opened before with another candidate: it cannot support `tune`"""
    at: str


def register(
    file: Path,
    *,
    lock_digest: str,
    reference: str,
    contrasts: Sequence[str],
    n: int,
    settings: dict[str, JsonValue],
) -> None:
    """Write down what will be compared, before any locked score is computed. The same registration is not repeated."""
    content: dict[str, JsonValue] = {
        "lock": lock_digest,
        "reference": reference,
        "contrasts": list(contrasts),
        "n": n,
        "settings": settings,
        "looks": 1,
    }
    known = [{k: v for k, v in line.items() if k not in ("at", "previous", "hash", "torn")} for line in read(file)]
    if content not in known:
        chain.append(file, {**content, "at": _now()})


def open_cases(file: Path, *, lock_digest: str, arm: str, arm_digest: str, contrast: str) -> Opening:
    """Log a look at the locked cases by one arm. The same candidate again in this arm is the same look: nothing is
    logged twice. Another candidate in an arm or a contrast that was opened before is exploratory."""
    looks = [Opening(**{key: line[key] for key in Opening.model_fields}) for line in read(file)]
    earlier = [look for look in looks if look.lock == lock_digest and (look.arm == arm or look.contrast == contrast)]
    for look in earlier:
        if (look.arm, look.arm_digest) == (arm, arm_digest):
            return look
    exploratory = any(look.arm_digest != arm_digest for look in earlier)
    opening = Opening(
        lock=lock_digest, arm=arm, arm_digest=arm_digest, contrast=contrast, exploratory=exploratory, at=_now()
    )
    chain.append(file, opening.model_dump(mode="json"))
    return opening


def read(file: Path) -> list[dict[str, Any]]:
    """All lines, the chain verified. Raises LogEdited when a line was edited or removed."""
    return chain.read(file)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
