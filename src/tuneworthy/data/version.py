"""Versions of examples: sorted unique rows, each named by the hash of its content, and a manifest.

The same data in another order is the same version; an edited row makes a new one while the old still reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from tuneworthy.content import canonical_json, digest, write_whole
from tuneworthy.errors import DataError, Problem
from tuneworthy.records import Dataset, Example


def store(examples: Sequence[Example], folder: Path) -> Dataset:
    """Write a version, unless it is there already.

    Raises:
        StorageError: the folder cannot be written.
    """
    unique = {example.name: example for example in sorted(examples, key=lambda e: canonical_json(e.model_dump()))}
    rows = [unique[name] for name in sorted(unique)]
    manifest = Dataset(
        version=digest([row.name for row in rows]),
        rows=len(rows),
        exact_duplicates=len(examples) - len(rows),
        sources=tuple(sorted({row.provenance.source for row in rows})),
    )
    path = folder / f"{manifest.version}.jsonl"
    if not path.exists():
        write_whole(path, "".join(f"{canonical_json(row.model_dump(mode='json'))}\n" for row in rows))
        write_whole(path.with_suffix(".json"), canonical_json(manifest.model_dump(mode="json")) + "\n")
    return manifest


def load(version: str, folder: Path) -> tuple[Example, ...]:
    """Read a version back.

    Raises:
        DataError: it is not there, or its rows are not what its name says.
    """
    path = folder / f"{version}.jsonl"
    try:
        lines = path.read_text("utf-8").split("\n")
        rows = tuple(Example.model_validate_json(line) for line in lines if line)
    except (OSError, ValidationError) as error:
        raise DataError(
            f"the data version {version[:12]} cannot be read: {type(error).__name__}",
            [],
            next="import the data again",
            where=str(path),
        ) from None
    if digest([row.name for row in rows]) != version:
        raise DataError(
            "the rows are not what the version's name says",
            [Problem(path.name, "", "was edited after it was stored")],
            next="delete the file and run again: it is made from data/ anew",
            where=str(path),
        )
    return rows
