"""Names that people give: of aliases and of keys. They stand in logs, metrics, requests and on terminals."""

from __future__ import annotations

import re

from tuneworthy.errors import TuneworthyError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def require_name(what: str, name: str) -> None:
    """Raises TuneworthyError where `name` is no plain word."""
    if not _NAME.fullmatch(name):
        raise TuneworthyError(
            f"{name[:80]!r} is not a name for {what}",
            next="use letters, digits, dots, dashes and underscores, at most 80",
        )
