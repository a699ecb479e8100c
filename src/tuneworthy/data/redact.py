"""Replace personal data by placeholders: the same value by the same placeholder, and back only with the key file.

A placeholder is `[KIND-xxxxxxxx]`, eight digits of an HMAC under a secret key. The key file holds that key and the
values; whoever has it can restore them and redact later rows alike. Without a key file the key is drawn, used once and
forgotten: nothing leads back.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tuneworthy.data.checks import personal
from tuneworthy.data.decisions import Change, mapped
from tuneworthy.records import Example, Record

_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z-]*-[0-9a-f]{8,}\]")


class KeyFile(Record):
    """What leads back. Keep it apart from the data."""

    key: str
    """64 hexadecimal digits, secret"""
    values: dict[str, str] = {}
    """placeholder → what it stands for"""


def new_key() -> KeyFile:
    """A fresh secret key."""
    return KeyFile(key=secrets.token_hex(32))


@dataclass
class Redaction:
    """Replaces values, and remembers which placeholder stands for which."""

    key: KeyFile
    values: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values = dict(self.key.values)

    def placeholder(self, hit: personal.Hit) -> str:
        """Two values never share a placeholder: the digits grow until they differ."""
        value = " ".join(hit.text.split())
        digits = hmac.new(bytes.fromhex(self.key.key), f"{hit.kind}:{value}".encode(), hashlib.sha256).hexdigest()
        for length in range(8, len(digits) + 1, 4):
            name = f"[{hit.kind.upper().replace('_', '-')}-{digits[:length]}]"
            if self.values.setdefault(name, hit.text) == hit.text:
                return name
        return name

    def text(self, text: str) -> str:
        """A text with its personal data replaced."""
        return personal.redacted(text, self.placeholder)

    def kept(self) -> KeyFile:
        """The key with all values so far."""
        return self.key.model_copy(update={"values": dict(sorted(self.values.items()))})


def redactions(examples: Sequence[Example], redaction: Redaction) -> list[Change]:
    """Every row with its personal data replaced, in input, output and evidence."""
    return _changes(examples, redaction.text)


def restorations(examples: Sequence[Example], key: KeyFile) -> list[Change]:
    """Every row with its placeholders put back; those that the key file does not hold stay."""
    return _changes(examples, lambda text: _PLACEHOLDER.sub(lambda m: key.values.get(m.group(), m.group()), text))


def _changes(examples: Sequence[Example], change: Callable[[str], str]) -> list[Change]:
    changes = []
    for number, example in enumerate(examples):
        update = {
            "input": {name: mapped(value, change) for name, value in example.input.items()},
            "expected": mapped(example.expected, change),
            "evidence": change(example.evidence),
        }
        after = example.model_copy(update=update)
        if after != example:
            changes.append(Change(at=number, before=example, after=after))
    return changes
