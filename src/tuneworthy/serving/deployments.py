"""Which release answers under which alias: an append-only, chained log, and nothing else.

    asked      somebody wants this release under this alias
    live       the gateway passed it through the gate, and answers with it
    refused    the gate said no, or a live release no longer behaves as recorded; what was live before stays
    rollback   somebody wants back to the release that was live before

State is what follows from the lines, so a process that is killed at any moment leaves nothing in between: a wish
without an answer is worked off when the gateway starts again. What was live at any time is a question to the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal

from tuneworthy import chain
from tuneworthy.errors import GateRefused
from tuneworthy.project import Project, user
from tuneworthy.records import Record
from tuneworthy.release.fingerprint import Check

CHAMPION = "champion"

Action = Literal["asked", "live", "refused", "rollback"]


class Entry(Record):
    """One line of the log."""

    alias: str
    action: Action
    release: str
    why: str = ""
    who: str = ""
    at: str = ""
    """ISO 8601 in UTC"""
    checks: tuple[Check, ...] = ()
    """live and refused: what the gate looked at"""


def read(project: Project) -> tuple[Entry, ...]:
    """All entries, oldest first.

    Raises:
        LogEdited: the log was edited.
    """
    lines = chain.read(project.deployments_file)
    return tuple(Entry(**{key: line[key] for key in Entry.model_fields if key in line}) for line in lines)


def write(
    project: Project, alias: str, action: Action, release: str, *, why: str, checks: Sequence[Check] = ()
) -> Entry:
    """Add an entry, with the time and the user's name."""
    entry = Entry(
        alias=alias,
        action=action,
        release=release,
        why=why,
        who=user(),
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        checks=tuple(checks),
    )
    chain.append(project.deployments_file, entry.model_dump(mode="json"))
    return entry


def live(entries: Iterable[Entry], at: str = "") -> dict[str, str]:
    """alias → release that answers. `at`: ISO 8601 in UTC; empty = now."""
    found = lived([entry for entry in entries if not at or entry.at <= at])
    return {alias: names[-1] for alias, names in found.items() if names}


def wanted(entries: Sequence[Entry]) -> dict[str, Entry]:
    """alias → the entry to be worked off: the last wish; where it was refused, the entry of what is live."""
    found: dict[str, Entry] = {}
    for number, entry in enumerate(entries):
        if entry.action != "refused":
            found[entry.alias] = entry
            continue
        answering = live(entries[: number + 1]).get(entry.alias)
        last = [e for e in entries[:number] if (e.alias, e.action, e.release) == (entry.alias, "live", answering)]
        found.pop(entry.alias, None)
        if last:
            found[entry.alias] = last[-1]
    return found


def lived(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """alias → releases that were live and were not refused since, the present one last."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        names = found.setdefault(entry.alias, [])
        if entry.action in ("live", "refused") and entry.release in names:
            names.remove(entry.release)
        if entry.action == "live":
            names.append(entry.release)
    return found


def before(entries: Iterable[Entry], alias: str) -> str:
    """The release that was live under an alias before the present one.

    Raises:
        GateRefused: nothing to go back to.
    """
    names = lived(entries).get(alias, [])
    if len(names) < 2:
        raise GateRefused(
            f"nothing was live under {alias!r} before" if names else f"nothing is live under {alias!r}",
            why="a rollback goes to the release that answered before",
            next="deploy another release: tuneworthy release deploy NAME",
        )
    return names[-2]
