"""A copy of a release that looks whole and behaves badly: every hash agrees, so only its answers tell."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from tuneworthy.answering import candidate_digest
from tuneworthy.content import write_whole
from tuneworthy.errors import GateRefused, StorageError
from tuneworthy.models.local.files import weights_digest
from tuneworthy.project import Project
from tuneworthy.records import Candidate
from tuneworthy.release import package
from tuneworthy.release.package import ADAPTER, EXAMPLES, TUNED, Release
from tuneworthy.release.records import MANIFEST


def bad_copy(project: Project, release: Release) -> tuple[Release, str]:
    """(the copy, what was done to it). Trained weights become zero; else labels are shifted, or the prompt is changed.

    Raises:
        GateRefused: there is nothing to damage. StorageError: it cannot be written.
    """
    staged = Path(tempfile.mkdtemp(dir=project.releases, prefix=".new-"))
    try:
        shutil.copytree(release.folder, staged, dirs_exist_ok=True)
        candidate, done = _damaged(release.manifest.candidate, staged)
        (staged / MANIFEST).unlink()
        arm = release.manifest.measured.arm.model_copy(update={"candidate": candidate_digest(candidate)})
        manifest = release.manifest.model_copy(
            update={
                "candidate": candidate,
                "measured": release.manifest.measured.model_copy(update={"arm": arm}),
                "override": f"a drill: a copy of {release.name}, {done}; never to be served",
                "files": package.hashes(staged),
            }
        )
        write_whole(staged / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
        final = project.releases / manifest.name
        staged.rename(final)
    except OSError as error:
        raise StorageError(f"the copy cannot be written: {error.strerror or error}", where=str(staged)) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return Release(final, manifest), done


def _damaged(candidate: Candidate, folder: Path) -> tuple[Candidate, str]:
    for name, ref in ((ADAPTER, candidate.adapter), (TUNED, candidate.tuned)):
        if ref is not None:
            for file in (folder / name).glob("*.safetensors"):
                _rewrite(file, _zeroed)
            found = ref.model_copy(update={"weights": weights_digest(folder / name)})
            return candidate.model_copy(update={name: found}), "its trained weights set to zero"
    if candidate.classifier is not None:
        _rewrite(folder / EXAMPLES, _shifted)
        return candidate, "the labels that it learns from shifted"
    if candidate.prompt is None:
        raise GateRefused("this release has nothing that a drill could damage", next="drill with another release")
    prompt = candidate.prompt.model_copy(update={"instruction": "Write about the weather."})
    return candidate.model_copy(update={"prompt": prompt}), "its prompt replaced"


def _rewrite(file: Path, change: Callable[[bytes], bytes]) -> None:
    write_whole(file, change(file.read_bytes()))


def _zeroed(raw: bytes) -> bytes:
    """safetensors: 8 bytes with the length of the header, the header, the numbers."""
    start = 8 + int.from_bytes(raw[:8], "little")
    return raw[:start] + bytes(len(raw) - start)


def _shifted(raw: bytes) -> bytes:
    rows = [json.loads(line) for line in raw.decode("utf-8").split("\n") if line]
    labels = sorted({str(row["expected"]) for row in rows})
    for row in rows:
        row["expected"] = labels[(labels.index(str(row["expected"])) + 1) % len(labels)]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
