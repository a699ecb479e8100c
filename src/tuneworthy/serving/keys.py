"""Keys of the gateway: shown once, kept as hashes, each for some aliases or for all, taken back by name."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from tuneworthy.content import write_whole
from tuneworthy.errors import DataError, TuneworthyError
from tuneworthy.records import Record
from tuneworthy.serving.naming import require_name

PREFIX = "tw-"


class Key(Record):
    """A key, without the key."""

    sha256: str
    made: str
    aliases: tuple[str, ...] = ()
    """aliases that it may ask; empty = all"""


class Keys(Record):
    """name → key."""

    keys: dict[str, Key] = {}

    def holder(self, given: str) -> tuple[str, Key] | None:
        """(name, key) of whoever sends this key. All are compared, in constant time each."""
        hashed = _hash(given)
        found = [(name, key) for name, key in self.keys.items() if hmac.compare_digest(key.sha256, hashed)]
        return found[0] if found else None


class KeyFile:
    """The keys of a file, read again when it changes: a key that was taken back is worthless at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._keys = Keys()

    def current(self) -> Keys:
        """Raises DataError when the file is damaged."""
        found = self._path.stat() if self._path.exists() else None
        state = (found.st_mtime_ns, found.st_ino) if found else (0, 0)
        if state != self._seen:
            self._keys, self._seen = read(self._path), state
        return self._keys


def read(file: Path) -> Keys:
    """The keys of a gateway; none where there is no file.

    Raises:
        DataError: the file is damaged: then nobody gets in, rather than everybody.
    """
    if not file.exists():
        return Keys()
    try:
        return Keys.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(
            f"the keys cannot be read: {type(error).__name__}", [], next="restore the file", where=str(file)
        ) from None


def make(file: Path, name: str, aliases: tuple[str, ...] = ()) -> str:
    """A new key, to be shown once. The same name again replaces its key. Raises TuneworthyError: no plain words."""
    require_name("a key", name)
    for alias in aliases:
        require_name("an alias", alias)
    key = PREFIX + secrets.token_urlsafe(32)
    entry = Key(sha256=_hash(key), made=datetime.now(UTC).isoformat(timespec="seconds"), aliases=aliases)
    _write(file, Keys(keys={**read(file).keys, name: entry}))
    return key


def take_back(file: Path, name: str) -> None:
    """Make a key worthless.

    Raises:
        TuneworthyError: there is no key of this name.
    """
    known = read(file).keys
    if name not in known:
        raise TuneworthyError(f"there is no key called {name!r}", next=f"known: {', '.join(known) or 'none'}")
    _write(file, Keys(keys={other: key for other, key in known.items() if other != name}))


def _write(file: Path, keys: Keys) -> None:
    write_whole(file, json.dumps(keys.model_dump(mode="json"), indent=1) + "\n")
    file.chmod(0o600)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
