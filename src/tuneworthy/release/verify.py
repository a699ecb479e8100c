"""Is a release what it says? Everything that can be told without asking the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tuneworthy.answering import candidate_digest
from tuneworthy.content import file_digest
from tuneworthy.errors import SuiteChanged
from tuneworthy.models.local.files import weights_digest
from tuneworthy.release import signature
from tuneworthy.release.package import ADAPTER, CASES, LOCK, TUNED, Release
from tuneworthy.release.records import MANIFEST, Manifest
from tuneworthy.suite import lock as suite_lock


def problems(release: Release, base: Path | None = None, key: Path | None = None) -> list[str]:
    """What is not as the manifest says, one sentence each; empty when all is well.

    Args:
        base: folder of the base model, to compare its files too; None = not looked at.
        key: public key of whoever signed it; None = the signature is not looked at.

    Raises:
        MissingExtra: what verifies signatures is not installed. TuneworthyError: the key cannot be read.
    """
    return [
        *_name(release),
        *_files(release),
        *_weights(release),
        *_suite(release),
        *([] if base is None else _base(release, base)),
        *([] if key is None else filter(None, [signature.problem(release.folder, key)])),
    ]


def _name(release: Release) -> Iterator[str]:
    """The folder carries the hash of the manifest, so an edited manifest no longer fits its name."""
    named = Manifest.named(json.loads((release.folder / MANIFEST).read_bytes()))
    if release.folder.name != named:
        yield f"the manifest is that of {named}, not of {release.folder.name}: one of them was changed"


def _files(release: Release) -> Iterator[str]:
    folder, wanted = release.folder, release.manifest.files
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_symlink()}
    for name in sorted(wanted.keys() - there):
        yield f"{name} is missing"
    for name in sorted(there - wanted.keys() - {MANIFEST, signature.FILE}):
        yield f"{name} was added"
    for name in sorted(wanted.keys() & there):
        if (folder / name).is_symlink():
            yield f"{name} is a link, and what it points to can change"
        elif file_digest(folder / name) != wanted[name].sha256:
            yield f"{name} was changed"


def _weights(release: Release) -> Iterator[str]:
    candidate = release.manifest.candidate
    for ref, place in ((candidate.adapter, ADAPTER), (candidate.tuned, TUNED)):
        if ref is None:
            continue
        if ref.path != place:
            yield f"the candidate's weights lie outside of the release: {ref.path}"
        elif weights_digest(release.folder / place) != ref.weights:
            yield f"{place}/ does not hold the weights that were measured"
    if candidate_digest(candidate) != release.manifest.measured.arm.candidate:
        yield "the candidate is not the one that was measured"


def _suite(release: Release) -> Iterator[str]:
    try:
        lock = suite_lock.read(release.folder / LOCK)
        if lock.digest != release.manifest.suite_lock:
            yield f"{LOCK} is not the lock of the run"
        if {case.id for case in release.cases} != set(lock.cases):
            yield f"{CASES} does not hold the locked cases"
    except (SuiteChanged, ValueError) as error:
        yield f"the suite cannot be read: {str(error).splitlines()[0]}"


def _base(release: Release, folder: Path) -> Iterator[str]:
    for name, wanted in release.manifest.base.files.items():
        path = folder / name
        if not path.is_file():
            yield f"the base model lacks {name}"
        elif file_digest(path) != wanted:
            yield f"{name} of the base model is another one"
