"""Project: a use-case folder on disk. The only module that knows file names.

my-usecase/
  usecase.toml              what the user writes
  data/examples.jsonl       what the user has (also .csv, .parquet)
  suite/cases.jsonl         what counts; suite.lock once locked; openings.jsonl and registrations.jsonl: append-only
                            judged.jsonl: what people say of answers; judge.json: how far a judge agrees with them
  docs/                     the documents, if knowledge is needed
  probes/*.jsonl            abilities beside the task that must stay, if there are any
  .tuneworthy/              versions, answers, adapters, runs: content-addressed, safe to delete;
                            releases, deployments.jsonl and feedback: not to be deleted
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tuneworthy import usecase as usecases
from tuneworthy.content import folder_digest, storage_error
from tuneworthy.errors import DataError, ProjectBusy
from tuneworthy.usecase import UseCase

DATA_FORMATS = (".jsonl", ".csv", ".parquet", ".json")


@dataclass(frozen=True)
class Project:
    """A use-case folder. Paths only; reading and writing belong to the stages."""

    folder: Path

    @cached_property
    def usecase(self) -> UseCase:
        """The validated usecase.toml. Raises UseCaseError."""
        return usecases.load(self.folder / "usecase.toml")

    # --- what the user writes ---

    @property
    def usecase_file(self) -> Path:
        return self.folder / "usecase.toml"

    @property
    def examples_file(self) -> Path | None:
        """data/examples.* in whichever format the user has; None where there is none.

        Raises:
            DataError: several files claim to be the examples.
        """
        found = [path for ending in DATA_FORMATS if (path := self.folder / "data" / f"examples{ending}").exists()]
        if len(found) > 1:
            raise DataError(
                f"several files claim to be the examples: {', '.join(path.name for path in found)}",
                [],
                next="keep one, or merge them with: tuneworthy data import FILE",
                where=str(self.folder / "data"),
            )
        return found[0] if found else None

    @property
    def native_examples(self) -> Path:
        """Where `data import` writes."""
        return self.folder / "data" / "examples.jsonl"

    @property
    def decisions_file(self) -> Path:
        """What was decided about which rows: append-only."""
        return self.folder / "data" / "decisions.jsonl"

    @property
    def audit_file(self) -> Path:
        """Random rows for a person to judge."""
        return self.folder / "data" / "audit.jsonl"

    @property
    def review_file(self) -> Path:
        """The most doubtful rows for a person to judge."""
        return self.folder / "data" / "review.jsonl"

    @property
    def to_label_file(self) -> Path:
        """Rows for a person to label."""
        return self.folder / "data" / "to_label.jsonl"

    @property
    def labels_file(self) -> Path:
        """Who labelled which row how: append-only."""
        return self.folder / "data" / "labels.jsonl"

    @property
    def statement_file(self) -> Path:
        return self.folder / "data" / "STATEMENT.md"

    @property
    def docs(self) -> Path | None:
        name = self.usecase.docs_folder
        return None if name is None else self.folder / name

    @cached_property
    def docs_digest(self) -> str:
        """Digest over the documents' names and contents; empty where there are none."""
        return folder_digest(self.docs) if self.docs is not None and self.docs.is_dir() else ""

    # --- the suite ---

    @property
    def cases_file(self) -> Path:
        return self.folder / "suite" / "cases.jsonl"

    @property
    def lock_file(self) -> Path:
        return self.folder / "suite" / "suite.lock"

    @property
    def openings_file(self) -> Path:
        return self.folder / "suite" / "openings.jsonl"

    @property
    def registrations_file(self) -> Path:
        return self.folder / "suite" / "registrations.jsonl"

    @property
    def judged_file(self) -> Path:
        """Answers that people judged, or pairs that they voted on: what a judge is held against."""
        return self.folder / "suite" / "judged.jsonl"

    @property
    def calibration_file(self) -> Path:
        """What holding the judge against people found."""
        return self.folder / "suite" / "judge.json"

    @property
    def probe_files(self) -> tuple[Path, ...]:
        """The user's own probes of other abilities: probes/*.jsonl."""
        return tuple(sorted((self.folder / "probes").glob("*.jsonl")))

    # --- what is derived; safe to delete ---

    @property
    def store(self) -> Path:
        return self.folder / ".tuneworthy"

    @property
    def versions(self) -> Path:
        return self.store / "data"

    @property
    def answers(self) -> Path:
        return self.store / "answers"

    @property
    def adapters(self) -> Path:
        return self.store / "adapters"

    @property
    def small_arms(self) -> Path:
        """Trainings on parts of the examples, and their scores."""
        return self.store / "small-arms"

    def kept_curves(self) -> list[Path]:
        """Learning curves that were measured."""
        return sorted((self.store / "curves").glob("*.json"))

    def curve(self, lever: str) -> Path:
        """The last learning curve of a lever."""
        return self.store / "curves" / f"{lever}.json"

    @property
    def indexes(self) -> Path:
        return self.store / "indexes"

    @property
    def calibration(self) -> Path:
        """Speed measured here."""
        return self.store / "calibration.json"

    @property
    def plan_file(self) -> Path:
        """The last plan."""
        return self.store / "plan.json"

    @property
    def sky_file(self) -> Path:
        """The SkyPilot file of the last plan."""
        return self.store / "sky.yaml"

    @property
    def probes(self) -> Path:
        """What probes of trained candidates found."""
        return self.store / "probes"

    @property
    def runs(self) -> Path:
        return self.store / "runs"

    def run(self, run_id: str) -> Path:
        return self.runs / run_id

    @property
    def live_file(self) -> Path:
        """What the run that the workbench started last says of itself; held while it runs."""
        return self.store / "live.jsonl"

    @property
    def votes(self) -> Path:
        """Blind pairs that the workbench shows, and the votes on them."""
        return self.store / "blind"

    @property
    def releases(self) -> Path:
        """One folder for each release, named by its content: what was measured, to be served. Not to be deleted."""
        return self.store / "releases"

    @property
    def exports(self) -> Path:
        """Releases in forms that other engines load; can be made again."""
        return self.store / "exports"

    @property
    def deployments_file(self) -> Path:
        """Which release answered under which alias, when and why: append-only."""
        return self.store / "deployments.jsonl"

    @property
    def traces(self) -> Path:
        """What the gateway answered, a file a day."""
        return self.store / "traces"

    @property
    def feedback(self) -> Path:
        """What clients said of answers, a file a day. Not to be deleted."""
        return self.store / "feedback"

    def pairs_file(self, challenger: str, champion: str) -> Path:
        """What two releases did on the same live requests, by the hashes in their names: numbers only."""
        return self.store / "pairs" / f"{challenger[-12:]}-beside-{champion[-12:]}.jsonl"

    @property
    def split_file(self) -> Path:
        """The secret that divides clients between champion and canary."""
        return self.store / "split.key"

    def watched(self, release: str, alias: str) -> Path:
        """The first days of a release under an alias in numbers, which later ones are held against. Not to be
        deleted."""
        return self.store / "watch" / f"{release}--{alias}.json"

    @property
    def reevaluations(self) -> Path:
        """The suite asked again through the gateway: append-only."""
        return self.store / "watch" / "suite.jsonl"

    def blind_key(self, pair: str) -> Path:
        """The key to blind pairs, by the name of one of them; apart from the pairs."""
        return self.store / "blind" / f"{re.sub('[^0-9a-f]', '', pair.split('-')[0])[:8] or 'none'}.json"

    @property
    def keys_file(self) -> Path:
        """Who may ask the gateway: hashes only."""
        return self.store / "keys.json"

    def latest_run(self) -> Path | None:
        """The run whose verdict was written last."""
        verdicts = sorted(self.runs.glob("*/verdict.json"), key=lambda path: path.stat().st_mtime_ns)
        return verdicts[-1].parent if verdicts else None

    @contextmanager
    def busy(self, doing: str) -> Iterator[None]:
        """Hold the folder while writing to it. The lock goes with the process, so a killed run leaves none behind.

        Raises:
            ProjectBusy: another process holds it; its owner is named.
            StorageError: the folder cannot be written.
        """
        others = "another run works on this folder", "two runs at once would spoil each other's records"
        with self._held("lock", doing, *others, next="wait for it, or stop it; then run the same command again"):
            yield

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Hold the right to serve this folder, beside whoever else works on it.

        Raises:
            ProjectBusy: another gateway holds it. StorageError: the folder cannot be written.
        """
        others = "another gateway serves this folder", "both would follow one deployment log"
        with self._held("serve.lock", "serve", *others, next="stop it, or serve another folder"):
            yield

    @contextmanager
    def _held(self, name: str, doing: str, what: str, why: str, *, next: str) -> Iterator[None]:
        path = self.store / name
        try:
            self.store.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise storage_error(error, path) from error
        try:
            self._take(handle, path, doing, what, why, next)
            yield
        finally:
            os.close(handle)

    def _take(self, handle: int, path: Path, doing: str, what: str, why: str, next: str) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.truncate(handle, 0)
            owner = {"user": user(), "host": socket.gethostname(), "pid": os.getpid(), "doing": doing}
            os.write(handle, json.dumps(owner).encode())
        except BlockingIOError:
            held_by = os.pread(handle, 1000, 0).decode("utf-8", "replace").strip()
            raise ProjectBusy(
                f"{what}: {held_by or 'owner not known'}",
                why=why,
                next=next,
                where=str(self.folder),
            ) from None
        except OSError as error:
            raise storage_error(error, path) from error


def user() -> str:
    """The user's name, or number where the machine has no name for it, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def open_project(folder: Path | str) -> Project:
    """The project in a folder, its usecase.toml validated.

    Raises:
        UseCaseError: no usecase.toml, or mistakes in it.
    """
    project = Project(Path(folder).resolve())
    _ = project.usecase
    return project
