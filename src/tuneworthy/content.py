"""Content addressing and whole writes: how things get their names and how files reach the disk.

A name is the SHA-256 of canonical JSON (sorted keys, NFC text, no white space between tokens, no NaN), so the
same content has the same name on every machine and in every order of keys.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tuneworthy.errors import StorageError


def canonical_json(value: Any) -> str:
    """JSON text that is equal for equal content. Raises ValueError on NaN or infinity."""
    return json.dumps(_nfc(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`: 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of the bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path, names: Iterable[str] | None = None) -> str:
    """One digest over the files of a folder (all of them, or the `names` that exist), by name and content."""
    chosen = (
        sorted(names)
        if names is not None
        else sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    )
    return digest([[name, file_digest(folder / name)] for name in chosen if (folder / name).is_file()])


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it is either the old or the new one, never half: write, flush, rename.

    Raises:
        StorageError: the disk is full or the folder is read-only; the old file is untouched.
    """
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise storage_error(error, path) from error


def append_line(path: Path, line: str, *, to_disk: bool = True) -> None:
    """Append one line. A torn last line of a killed process is closed first, for readers to skip; it never swallows
    the next one.

    Args:
        to_disk: wait until the disk has it. Without that a killed process loses nothing, a power cut the latest lines.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(line.encode("utf-8", "surrogatepass") + b"\n")
            file.flush()
            if to_disk:
                os.fsync(file.fileno())
    except OSError as error:
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: Path) -> StorageError:
    """Explain a failed write in the user's terms."""
    reasons = {
        errno.ENOSPC: ("the disk is full", "free some space, then run the same command again: it continues"),
        errno.EROFS: ("the file system is read-only", "copy the folder to a place you can write to"),
        errno.EACCES: ("the folder cannot be written", "change its permissions, or copy it elsewhere"),
    }
    what, next_step = reasons.get(error.errno or 0, (error.strerror or str(error), "check the disk and the path"))
    return StorageError(f"cannot write: {what}", next=next_step, where=str(path))


def _nfc(value: Any) -> Any:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, dict):
        return {_nfc(str(key)): _nfc(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_nfc(item) for item in value]
    return value
