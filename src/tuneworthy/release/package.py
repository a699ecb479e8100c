"""A candidate becomes a release: one folder that holds exactly what was measured, and opens without the project.

releases/<name>/
  manifest.json       what it is, and the hash of every other file
  adapter/ or tuned/  the trained weights
  docs/               the documents that it retrieves from
  examples.jsonl      the rows that its prompt shows or its classifier learns from, where it does so
  suite.lock, cases.jsonl   the locked suite that it was measured on: the gate asks a part of it again
  README.md           the model card
  DATA.md             the data statement
  bom.cdx.json        the bill of materials, CycloneDX
  model.sig           the signature, where it was signed; the only file that the manifest does not name
  NOTICE.md           what the licences ask, and the base model's licence files beside it
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from tuneworthy.answering import Answerer, Sources, candidate_digest
from tuneworthy.content import canonical_json, file_digest, write_whole
from tuneworthy.data import engine
from tuneworthy.errors import GateRefused, ModelError, StorageError
from tuneworthy.ground import Ground
from tuneworthy.models.local.files import file_digests
from tuneworthy.plan.after_run import licence_of
from tuneworthy.plan.licence import name_problem
from tuneworthy.plan.records import Licence
from tuneworthy.project import Project
from tuneworthy.records import Candidate, Case, Example
from tuneworthy.release import bom, card, fingerprint, signature
from tuneworthy.release.records import MANIFEST, BaseModelRef, FileHash, Manifest, Measured
from tuneworthy.retrievers.embedders import minilm_at_hand, open_minilm
from tuneworthy.retrievers.open import LEXICAL
from tuneworthy.runs import RunRecord
from tuneworthy.seams import Model
from tuneworthy.usecase import ModelChoice, UseCase

EXAMPLES, CASES, LOCK = "examples.jsonl", "cases.jsonl", "suite.lock"
DATA = "DATA.md"
DOCS, ADAPTER, TUNED = "docs", "adapter", "tuned"


@dataclass(frozen=True)
class Release:
    """A release on disk."""

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """Name of its folder; `verify` says whether the manifest is that of this name."""
        return self.folder.name

    @cached_property
    def usecase(self) -> UseCase:
        return UseCase.model_validate(self.manifest.usecase)

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """The suite that it was measured on."""
        return tuple(Case.model_validate_json(line) for line in _lines(self.folder / CASES))

    def answerer(self, model: Model) -> Answerer:
        """The one path that answers, as in evaluation.

        Raises:
            ModelError: `model` is not the base that the release was measured with, or weights were changed.
        """
        return Answerer(self.manifest.candidate, self.sources(model))

    def sources(self, model: Model) -> Sources:
        """What its candidate refers to, opened from the release itself."""
        candidate = self.manifest.candidate
        embeds = candidate.retriever is not None and candidate.retriever.name not in LEXICAL
        embeds = embeds or (candidate.classifier is not None and candidate.classifier.features == "embeddings")
        return Sources(
            usecase=self.usecase,
            folder=self.folder,
            model=model,
            pool=tuple(Example.model_validate_json(line) for line in _lines(self.folder / EXAMPLES)),
            data_version=self.manifest.data_version,
            embedder=open_minilm() if embeds and minilm_at_hand() else None,
        )


def build(
    ground: Ground, sources: Sources, record: RunRecord, arm: str, *, override: str = "", key: Path | None = None
) -> Release:
    """Package one measured candidate.

    Args:
        sources: what its references name, opened.
        arm: name of the arm, as in the record's table.
        override: the written reason for releasing against the verdict.
        key: private key to sign with; None = not signed.

    Raises:
        MissingExtra: what signs is not installed.
        GateRefused: the verdict does not allow it, or the folder is not what the run measured.
        StorageError: nothing half-written is left behind.
    """
    if key is not None:
        signature.require(key)
    _require_allowed(record, arm, override)
    _require_unchanged(ground, record)
    held = licence_of(ground, today=datetime.now(UTC).date())
    _require_licence(held, ground.usecase.name, override)
    report = next(report for report in record.arms if report.name == arm)
    candidate, project = record.candidates[arm], ground.project
    release = Answerer(candidate, sources)
    untrained = _untrained(candidate, sources)
    mark = fingerprint.take(release, untrained, [case.input for case in ground.dev])
    project.releases.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=project.releases, prefix=".new-"))
    try:
        packed = _pack(staged, candidate, ground)
        manifest = Manifest(
            number=1 + max((release.manifest.number for release in releases(project)), default=0),
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            usecase=_usecase_inside(ground.usecase),
            candidate=packed,
            base=_base(ground.usecase.model, sources.model),
            data_version=ground.version,
            suite_lock=ground.lock.digest if ground.lock else "",
            measured=Measured(
                run=record.run_id,
                arm=report,
                comparisons=tuple(c for c in record.comparisons if arm in (c.candidate, c.reference)),
                decision=record.verdict.decision,
                sentences=record.verdict.sentences,
                not_measured=record.not_measured,
            ),
            override=override,
            fingerprint=mark,
            licence=held,
            versions=record.versions,
        )
        write_whole(staged / card.FILE, card.page(manifest))
        write_whole(staged / card.NOTICE, card.notice(manifest))
        for path in _licence_files(sources.model):
            shutil.copyfile(path, staged / f"BASE-{path.name}")
        if ground.examples:
            engine.write_statement(project.folder, staged / DATA)
        write_whole(staged / bom.FILE, bom.page(manifest.model_copy(update={"files": hashes(staged)})))
        manifest = manifest.model_copy(update={"files": hashes(staged)})
        write_whole(staged / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
        if key is not None:
            signature.sign(staged, key)
        final = project.releases / manifest.name
        staged.chmod(0o755)
        staged.rename(final)
    except OSError as error:
        raise StorageError(f"the release cannot be written: {error.strerror or error}", where=str(staged)) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return Release(final, manifest)


def open_release(folder: Path) -> Release:
    """Read the manifest of a release; `verify` says whether the rest is as it says.

    Raises:
        ModelError: there is no manifest, or it is damaged.
    """
    try:
        return Release(folder, Manifest.model_validate_json((folder / MANIFEST).read_bytes()))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the release cannot be read: {str(error).splitlines()[0]}",
            next="copy the whole folder again, or release anew: tuneworthy release build",
            where=str(folder / MANIFEST),
        ) from None


def releases(project: Project) -> list[Release]:
    """Every release of a project, oldest first."""
    found = [open_release(path.parent) for path in project.releases.glob(f"*/{MANIFEST}")]
    return sorted(found, key=lambda release: release.manifest.number)


def find(project: Project, name: str) -> Release:
    """A release by its name, or by an unmistakable part of it; empty = the newest.

    Raises:
        ModelError: there is none, or several.
    """
    known = releases(project)
    found = known[-1:] if not name else [release for release in known if name in release.name]
    if len(found) != 1:
        listed = ", ".join(release.name for release in known) or "none"
        raise ModelError(
            f"{len(found)} releases are called {name!r}" if name else "there is no release yet",
            next=f"known: {listed}" if known else "run: tuneworthy release build",
            where=str(project.releases),
        )
    return found[0]


def _require_allowed(record: RunRecord, arm: str, override: str) -> None:
    if arm not in record.candidates:
        known = ", ".join(record.candidates) or "none; run again: tuneworthy run"
        raise GateRefused(f"the last run has no arm called {arm!r}", next=f"known: {known}")
    verdict = record.verdict
    if override or (verdict.bar_met and verdict.lever == arm):
        return
    said = f"{verdict.decision.replace('_', ' ')}" + (f" ({verdict.lever})" if verdict.lever else "")
    raise GateRefused(
        f"the verdict of the last run is {said}: it does not carry a release of {arm}",
        why=verdict.sentences[0],
        next='release what the verdict names, or write down why: --override "the reason, in a sentence"',
    )


def _require_licence(held: Licence | None, name: str, override: str) -> None:
    """Refuse what a licence forbids, and a name that it does not allow. Unknown is told, and left to a person."""
    problem = name_problem(name, held) if held is not None else ""
    if held is not None and held.answer == "not allowed":
        problem = "; ".join(refusal.what for refusal in held.refusals)
    if problem and not override:
        raise GateRefused(
            f"the licence stands against this release: {problem}",
            why="a release is what is passed on",
            next='choose another base model or name; or write down why it is allowed: --override "the reason"',
        )


def _licence_files(model: Model) -> list[Path]:
    here: Path | None = getattr(model, "folder", None)
    return [] if here is None else sorted(p for kind in ("LICENSE*", "LICENCE*", "NOTICE*") for p in here.glob(kind))


def _require_unchanged(ground: Ground, record: RunRecord) -> None:
    changed = [
        name
        for name, now, then in (
            ("the suite", ground.lock.digest if ground.lock else "", record.suite.lock if record.suite else ""),
            ("the examples", ground.version, record.data.version),
            ("usecase.toml", ground.usecase.model_dump(mode="json", by_alias=True), record.usecase),
        )
        if now != then
    ]
    if changed:
        raise GateRefused(
            f"{' and '.join(changed)} changed since the last run",
            why="a release holds exactly what was measured",
            next="run: tuneworthy run (arms that are not concerned are reused)",
            where=str(ground.project.folder),
        )


def _untrained(candidate: Candidate, sources: Sources) -> Answerer | None:
    if candidate.adapter is None and candidate.tuned is None:
        return None
    return Answerer(candidate.model_copy(update={"adapter": None, "tuned": None}), sources)


def _pack(folder: Path, candidate: Candidate, ground: Ground) -> Candidate:
    """Copy what the candidate refers to; the candidate with its references inside the release."""
    project, inside = ground.project, {}
    for field, place in (("adapter", ADAPTER), ("tuned", TUNED)):
        ref = getattr(candidate, field)
        if ref is not None:
            shutil.copytree(project.folder / ref.path, folder / place)
            inside[field] = ref.model_copy(update={"path": place})
    if candidate.retriever is not None and project.docs is not None:
        shutil.copytree(project.docs, folder / DOCS)
    shown = _shown(candidate, ground.train)
    if shown:
        write_whole(folder / EXAMPLES, _jsonl(shown))
    write_whole(folder / CASES, _jsonl(ground.cases))
    shutil.copyfile(project.lock_file, folder / LOCK)
    packed = candidate.model_copy(update=inside)
    assert candidate_digest(packed) == candidate_digest(candidate)  # where weights lie does not count
    return packed


def _shown(candidate: Candidate, train: Sequence[Example]) -> Sequence[Example]:
    """The examples that answers depend on: those in the prompt, or all that shots or a classifier draw from."""
    if candidate.classifier is not None or (candidate.shots is not None and candidate.shots.pick == "nearest"):
        return train
    names = set(candidate.shots.names) if candidate.shots is not None else set()
    return [example for example in train if example.name in names]


def _usecase_inside(usecase: UseCase) -> dict[str, Any]:
    plain = usecase.model_dump(mode="json", by_alias=True)
    if usecase.docs_folder is not None:
        plain["change"]["knowledge"] = DOCS
    return plain


def _base(choice: ModelChoice, model: Model) -> BaseModelRef:
    here: Path | None = getattr(model, "folder", None)
    return BaseModelRef(
        name=choice.base,
        revision=choice.revision,
        endpoint=choice.endpoint,
        identity=model.digest,
        files=file_digests(here) if here is not None else {},
    )


def hashes(folder: Path) -> Mapping[str, FileHash]:
    """path → hash of every file of a release but its manifest."""
    return {
        str(path.relative_to(folder)): FileHash(sha256=file_digest(path), bytes=path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _jsonl(rows: Sequence[Example] | Sequence[Case]) -> str:
    return "".join(f"{canonical_json(row.model_dump(mode='json'))}\n" for row in rows)


def _lines(path: Path) -> list[str]:
    """At line feeds alone: JSON carries U+2028 and its like unescaped, and `splitlines` would cut there."""
    return [line for line in path.read_text("utf-8").split("\n") if line] if path.is_file() else []
