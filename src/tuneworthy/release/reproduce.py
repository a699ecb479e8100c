"""Make a release again from what it recorded: the same data, suite, settings and seed lead to the same weights."""

from __future__ import annotations

import shutil
from pathlib import Path

from tuneworthy.answering import candidate_digest
from tuneworthy.content import canonical_json, write_whole
from tuneworthy.data import version
from tuneworthy.errors import GateRefused
from tuneworthy.project import Project, open_project
from tuneworthy.records import Candidate, Record
from tuneworthy.release.package import CASES, DOCS, LOCK, Release


class Reproduction(Record):
    """Both candidates, and whether they are one."""

    release: str
    same_candidate: bool
    """prompt, shots, constraint, retriever, weights and decoding are equal"""
    wanted: str
    """digest of the recorded weights; empty where nothing was trained"""
    found: str
    """digest of the weights that were trained now"""


def lay_out(release: Release, project: Project, folder: Path) -> Project:
    """A use-case folder as it was when the release was measured.

    Raises:
        GateRefused: usecase.toml says something else by now. DataError: the data version is not here any more.
    """
    own = {"data", "suite", project.store.name, project.usecase.docs_folder}
    for path in project.folder.iterdir():
        if path.name not in own:  # usecase.toml, a schema, a base model in the folder
            (folder / path.name).symlink_to(path)
    if project.usecase.docs_folder is not None:
        held = release.folder / DOCS
        shutil.copytree(
            held if held.is_dir() else project.folder / project.usecase.docs_folder,
            folder / project.usecase.docs_folder,
        )
    made = open_project(folder)
    now = made.usecase.model_dump(mode="json", by_alias=True)
    then = release.manifest.usecase
    changed = sorted(key for key in {*now, *then} - {"change"} if now.get(key) != then.get(key))
    if changed:
        raise GateRefused(
            f"usecase.toml has changed since {release.name} was made: {', '.join(changed)}",
            why="another use case makes another candidate",
            next="take the old usecase.toml from version control, then run this again",
            where=str(project.usecase_file),
        )
    rows = version.load(release.manifest.data_version, project.versions)
    lines = (canonical_json(row.model_dump(mode="json")) + "\n" for row in rows)
    write_whole(folder / "data" / "examples.jsonl", "".join(lines))
    made.cases_file.parent.mkdir(parents=True)
    shutil.copyfile(release.folder / CASES, made.cases_file)
    shutil.copyfile(release.folder / LOCK, made.lock_file)
    return made


def compared(release: Release, found: Candidate) -> Reproduction:
    """What was made now against what was released."""
    recorded = release.manifest.candidate
    return Reproduction(
        release=release.name,
        same_candidate=candidate_digest(found) == candidate_digest(recorded),
        wanted=_weights(recorded),
        found=_weights(found),
    )


def _weights(candidate: Candidate) -> str:
    ref = candidate.adapter or candidate.tuned
    return ref.weights if ref is not None else ""
