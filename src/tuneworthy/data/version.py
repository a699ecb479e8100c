"""Versions of examples: sorted unique rows, each named by the hash of its content, and a manifest.

The same data in another order is the same version; an edited row makes a new one while the old still reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tuneworthy.content import canonical_json, digest, write_whole
from tuneworthy.errors import DataError, Problem
from tuneworthy.records import Dataset, Example


def store(examples: Sequence[Example], folder: Path) -> Dataset:
    """Write a version as `<version>.jsonl` (rows by name) and `<version>.json` (manifest), unless it is there.

    Raises:
        StorageError: the folder cannot be written.
    """
    unique = _unique(examples)
    found = manifest(examples)
    path = folder / f"{found.version}.jsonl"
    for target, content in (
        (path.with_suffix(".json"), canonical_json(found.model_dump(mode="json")) + "\n"),
        (path, "".join(f"{unique[name][0]}\n" for name in sorted(unique))),
    ):
        if not target.exists():
            write_whole(target, content)
    return found


def manifest(examples: Sequence[Example]) -> Dataset:
    """What a version of these examples is called and holds; nothing is written."""
    names = {example.name for example in examples}
    return Dataset(
        version=digest(sorted(names)),
        rows=len(names),
        exact_duplicates=len(examples) - len(names),
        sources=tuple(sorted({example.provenance.source for example in examples})),
    )


def _unique(examples: Sequence[Example]) -> dict[str, tuple[str, Example]]:
    # of equal rows from several sources, the first provenance in sorted order is kept, whatever the order given
    unique: dict[str, tuple[str, Example]] = {}
    for example in examples:
        line = canonical_json(example.model_dump(mode="json"))
        if example.name not in unique or line < unique[example.name][0]:
            unique[example.name] = (line, example)
    return unique


def load(version: str, folder: Path) -> tuple[Example, ...]:
    """Read a version back, sorted by name.

    Raises:
        DataError: it is not there, or its rows are not what its name says.
    """
    path = folder / f"{version}.jsonl"
    advice = "delete the file and run again: it is made anew from the data folder"
    rows = []
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        reason = f"the data version {version[:12]} cannot be read: {error.strerror or error}"
        raise DataError(reason, [], next="import the data again", where=str(path)) from None
    for number, line in enumerate(lines, start=1):
        try:
            rows += [Example.model_validate_json(line)] if line else []
        except ValueError:
            problem = Problem(f"{path.name}:{number}", "", "is not a stored row")
            raise DataError("was edited or cut after it was stored", [problem], next=advice, where=str(path)) from None
    if digest([row.name for row in rows]) != version:
        raise DataError(
            "was edited after it was stored: its rows are not what its name says", [], next=advice, where=str(path)
        )
    return tuple(rows)
