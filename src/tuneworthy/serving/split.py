"""Which clients a canary answers: always the same ones, and not by the client's choice.

A client is who it says it is (`user` of the request), within its key; without either it stays with the champion, as
nothing would hold it to one side. HMAC-SHA256 over alias, release and client under a secret of this folder gives a
number in [0, 1); below the share the canary answers. A larger share only adds clients; another release draws others.
"""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from tuneworthy.errors import StorageError


class Split:
    """The keyed hash of one folder."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def place(self, alias: str, release: str, client: str) -> float:
        """Where a client stands, in [0, 1)."""
        return int.from_bytes(self._digest(alias, release, client)[:8], "big") / 2**64

    def alias_of(self, client: str) -> str:
        """A name for a client that says nothing about it, for logs."""
        return self._digest("who", client).hex()[:16]

    def _digest(self, *parts: str) -> bytes:
        told = b"".join(len(raw).to_bytes(4, "big") + raw for raw in (p.encode("utf-8", "replace") for p in parts))
        return hmac.digest(self._secret, told, "sha256")


def client_of(key: str, user: str) -> str:
    """Names a client: the key that it came with, and who it says it is; empty = not known."""
    return f"{key}\0{user}" if key or user else ""


def open_split(file: Path) -> Split:
    """The split of a folder; its secret is made on first use and readable by its owner only.

    Raises:
        StorageError: the secret cannot be read or written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
        if not file.exists():
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(handle, secrets.token_bytes(32))
            os.fsync(handle)
            os.close(handle)
            try:
                os.link(fresh, file)  # whoever comes second takes what is there
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        secret = file.read_bytes()
    except OSError as error:
        raise StorageError(f"the secret of the split cannot be read: {error.strerror}", where=str(file)) from error
    if len(secret) != 32:
        raise StorageError(
            "the secret of the split is damaged", next="delete it: clients are divided anew", where=str(file)
        )
    return Split(secret)
