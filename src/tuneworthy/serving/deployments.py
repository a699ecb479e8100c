"""Which release answers under which alias: an append-only, chained log, and nothing else.

    asked      somebody wants this release under this alias
    live       the gateway passed it through the gate, and answers with it
    refused    the gate said no, or a live release no longer behaves as recorded; what was live before stays
    rollback   somebody wants back to the release that was live before
    ended      somebody took it away
    enough     a canary was shown to be no worse; it stays at its share until somebody deploys it
    injected   a drill: a bad copy, put past the gate under the alias of drills alone

An entry is about all traffic of the alias, or about a challenger beside it (`mode`): a canary answers a share of the
clients, a shadow answers copies that nobody sees. An alias has one challenger at most, and a change of what is live
ends it, because it was compared with what was live before.

State is what follows from the lines, so a process that is killed at any moment leaves nothing in between: a wish
without an answer is worked off when the gateway starts again. What was live at any time is a question to the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from tuneworthy import chain
from tuneworthy.errors import GateRefused
from tuneworthy.project import Project, user
from tuneworthy.records import Record
from tuneworthy.release.fingerprint import Check

CHAMPION = "champion"
DRILL = "drill"
"""an alias that only the gate may ask"""

Action = Literal["asked", "live", "refused", "rollback", "ended", "enough", "injected"]
Mode = Literal["all", "canary", "shadow"]


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
    mode: Mode = "all"
    share: float = Field(default=1.0, gt=0, le=1)
    """of the clients (canary) or of the requests (shadow)"""
    drill: bool = False
    """nothing of this was meant for anybody"""


def read(project: Project) -> tuple[Entry, ...]:
    """All entries, oldest first.

    Raises:
        LogEdited: the log was edited.
    """
    lines = chain.read(project.deployments_file)
    return tuple(Entry(**{key: line[key] for key in Entry.model_fields if key in line}) for line in lines)


def write(
    project: Project,
    alias: str,
    action: Action,
    release: str,
    *,
    why: str,
    checks: Sequence[Check] = (),
    mode: Mode = "all",
    share: float = 1.0,
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
        mode=mode,
        share=share,
        drill=alias == DRILL,
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
    entries = [entry for entry in entries if entry.mode == "all"]
    for number, entry in enumerate(entries):
        if entry.action == "ended":
            found.pop(entry.alias, None)
            continue
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
        if entry.mode != "all":
            continue
        names = found.setdefault(entry.alias, [])
        if entry.action in ("live", "refused") and entry.release in names:
            names.remove(entry.release)
        if entry.action == "live":
            names.append(entry.release)
        if entry.action == "ended":
            names.clear()
    return found


def challengers(entries: Iterable[Entry]) -> dict[str, Entry]:
    """alias → the entry (asked or live) of the challenger beside what is live there."""
    found: dict[str, Entry] = {}
    for entry in entries:
        beside = entry.mode != "all"
        if beside and entry.action in ("asked", "live"):
            found[entry.alias] = entry
        elif entry.action in (("refused", "ended") if beside else ("live", "ended")):
            found.pop(entry.alias, None)
    return found


def taken_out(entries: Iterable[Entry], alias: str, release: str) -> Entry | None:
    """The last entry that took this release out as a canary of this alias; None where there is none."""
    found = [e for e in entries if (e.alias, e.release, e.mode, e.action) == (alias, release, "canary", "refused")]
    return found[-1] if found else None


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
