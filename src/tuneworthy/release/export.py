"""A release in a form that other engines load. It is another model until it was measured, and not called equal before.

exports/<release>-<form>/
  merged   config.json, model.safetensors, tokenizer, chat template: plain transformers, vLLM
  gguf     model.gguf: llama.cpp, LM Studio
  ollama   model.gguf and a Modelfile
  and in each: export.json, what was compared with the release, and README.md

What an export holds are weights and chat template. Instruction, examples and documents of the release stay with whoever
asks: in export.json stands how its first recorded question is put.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from pydantic import JsonValue

from tuneworthy.answering import Answerer
from tuneworthy.content import file_digest, storage_error, write_whole
from tuneworthy.errors import GateRefused, TuneworthyError
from tuneworthy.measure.evaluate import Yardstick
from tuneworthy.measure.statistics import mean_interval, wilson
from tuneworthy.models.open import open_model
from tuneworthy.records import Answer, Interval, Record
from tuneworthy.release import gguf_file, merged, modelfile
from tuneworthy.release.package import Release
from tuneworthy.release.records import FileHash
from tuneworthy.scorers.open import open_scorers
from tuneworthy.seams import Model, Tunable
from tuneworthy.usecase import ModelChoice

RECORD = "export.json"
WEIGHTS = "model.gguf"

Form = Literal["merged", "gguf", "ollama"]


class Remeasured(Record):
    """The release and its export, asked the same cases one after the other."""

    engine: str
    """what ran the export"""
    n: int
    """cases of the locked suite"""
    same: int
    """answered word for word alike"""
    different: tuple[str, ...]
    """names of the other cases"""
    released: Interval | None
    """score of the release, now"""
    exported: Interval | None
    """score of the export"""


class Export(Record):
    """What an export is, and how it compares with its release."""

    release: str
    form: Form
    made: str
    precision: str
    state: Literal["equal", "differs", "not measured"]
    """equal = every answer on every case of the suite is the same, word for word"""
    why: str
    measured: Remeasured | None
    messages: JsonValue
    """how the first recorded question is put"""
    files: dict[str, FileHash]


def export(release: Release, base: Model, form: str, folder: Path) -> Export:
    """Write an export, ask it the suite, and keep what came out.

    Args:
        base: the base model that the release was measured with, opened.
        form: merged, gguf or ollama.
        folder: where it comes to lie; must not be there yet.

    Raises:
        GateRefused: there are no weights to export, or something lies there already.
        ModelError: the model cannot be written in this form. MissingExtra: a package is not installed.
        StorageError: nothing half-written is left behind.
    """
    if form not in get_args(Form):
        raise TuneworthyError(f"{form!r} is not a form of export", next=f"known: {', '.join(get_args(Form))}")
    if not isinstance(base, Tunable) or release.manifest.candidate.classifier is not None:
        raise GateRefused(
            f"{release.name} has no weights that could be exported",
            why="it asks an endpoint or a plain classifier",
            next="serve it as it is: tuneworthy serve",
        )
    if folder.exists():
        raise GateRefused(
            "an export is there already", next="delete it, or name another place: --out", where=str(folder)
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
    try:
        found = _fill(release, base, form, staged)
        staged.chmod(0o755)
        staged.rename(folder)
    except OSError as error:
        raise storage_error(error, folder) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return found


def _fill(release: Release, base: Tunable, form: str, folder: Path) -> Export:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".merged-") as held:
        whole = folder if form == "merged" else Path(held)
        merged.write(release, base, whole)
        if form != "merged":
            gguf_file.write(whole, folder / WEIGHTS, name=release.name)
        if form == "ollama":
            write_whole(folder / "Modelfile", modelfile.text(release, base, WEIGHTS))
        measured, why = _remeasured(release, base, form, folder)
    state: Literal["equal", "differs", "not measured"] = "not measured"
    if measured is not None:
        state = "equal" if measured.same == measured.n else "differs"
    found = Export(
        release=release.name,
        form=form,  # type: ignore[arg-type]  # looked at before
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        precision=str(base.network.dtype).removeprefix("torch."),  # type: ignore[attr-defined]
        state=state,
        why=why or _told(measured),
        measured=measured,
        messages=json.loads(release.manifest.fingerprint.messages),
        files={
            str(path.relative_to(folder)): FileHash(sha256=file_digest(path), bytes=path.stat().st_size)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    )
    write_whole(folder / "README.md", _page(found))
    write_whole(folder / RECORD, found.model_dump_json(indent=1) + "\n")
    return found


def _remeasured(release: Release, base: Tunable, form: str, folder: Path) -> tuple[Remeasured | None, str]:
    """(what was compared, why nothing was)."""
    with _opened(release, base, form, folder) as (model, engine):
        if model is None:
            return None, engine
        answerer = _answerer(release, model)
        problem = model.constraint_problem(answerer.request(release.cases[0].input, ()))
        if problem:
            return None, f"the constraint of the release cannot be enforced there: {problem}"
        inputs = [case.input for case in release.cases]
        theirs = answerer.answer(inputs)
        failed = next((answer for answer in theirs if answer.error is not None), None)
        if failed is not None:
            return None, f"the export did not answer: {failed.error}: {failed.detail}"[:300]
        return _compared(release, engine, release.answerer(base).answer(inputs), theirs), ""


@contextmanager
def _opened(release: Release, base: Tunable, form: str, folder: Path) -> Iterator[tuple[Model | None, str]]:
    """(the exported model, what runs it), or (None, why it cannot be run here)."""
    choice = release.usecase.model
    if form == "merged":
        place = ModelChoice(base=str(folder.resolve()), precision=choice.precision)
        yield open_model(release.usecase.model_copy(update={"model": place}), folder), "transformers"
        return
    from tuneworthy.models import llama_cpp

    if not llama_cpp.at_hand():
        yield None, "llama.cpp is not here: pip install 'tuneworthy[gguf]' brings it"
        return
    with llama_cpp.running(folder / WEIGHTS, context=base.context or 4096) as (url, engine):
        place = ModelChoice(base=release.name, endpoint=url)
        yield open_model(release.usecase.model_copy(update={"model": place}), folder), engine


def _answerer(release: Release, model: Model) -> Answerer:
    """The release with the exported weights in the place of its own."""
    candidate = release.manifest.candidate.model_copy(update={"adapter": None, "tuned": None, "model": model.digest})
    return Answerer(candidate, release.sources(model))


def _compared(release: Release, engine: str, ours: list[Answer], theirs: list[Answer]) -> Remeasured:
    primary, others = open_scorers(release.usecase)
    yardstick = Yardstick(primary, others)
    pairs = list(zip(release.cases, ours, theirs, strict=True))
    different = tuple(case.id for case, a, b in pairs if a.text != b.text)

    def score(answers: list[Answer]) -> Interval | None:
        judged = [yardstick.judge(case, a).score.value for case, a in zip(release.cases, answers, strict=True)]
        values = [value for value in judged if value is not None]
        if not values:
            return None
        return wilson(sum(values), len(values)) if primary.binary else mean_interval(values)

    return Remeasured(
        engine=engine,
        n=len(pairs),
        same=len(pairs) - len(different),
        different=different,
        released=score(ours),
        exported=score(theirs),
    )


def _told(found: Remeasured | None) -> str:
    if found is None:
        return ""
    scores = (f"{100 * s.value:.1f} %" if s else "not measured" for s in (found.exported, found.released))
    return (
        f"{found.same} of {found.n} answers are those of the release, word for word; score {{}}, release {{}}".format(
            *scores
        )
        + f" ({found.engine})"
    )


def _page(found: Export) -> str:
    return (
        f"# {found.release}, exported as {found.form}\n\n"
        f"Compared with the release: **{found.state}**. {found.why}\n\n"
        f"Weights in {found.precision}. {RECORD} holds the hash of every file, the cases that were answered otherwise, "
        "and how a question is put: instruction, examples and documents are not in the weights.\n"
        "The licence duties of the release hold for the export as well.\n"
    )
