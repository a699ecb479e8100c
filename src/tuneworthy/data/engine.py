"""What the verbs of `tuneworthy data` do with a folder. The checks, rules and comparisons themselves are pure."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tuneworthy.content import storage_error, write_whole
from tuneworthy.data import decisions, diff, export, fix, read, redact, statement, version
from tuneworthy.data.checks import audit, labels
from tuneworthy.data.checks import run as checks
from tuneworthy.data.decisions import Change, Decision
from tuneworthy.data.findings import Batch, CheckReport, NotMeasured, Tokens
from tuneworthy.errors import DataError, TuneworthyError
from tuneworthy.models.open import answer_tokens, context_tokens
from tuneworthy.project import Project, open_project, user
from tuneworthy.records import Dataset, Example, Record

_RESTORE = "with its key file: tuneworthy data redact --restore --key FILE"
NOW = "now"
"""The name of the version that stands in data/examples.*."""


class VersionInfo(Record):
    """One version of the examples."""

    dataset: Dataset
    when: str
    """when it was first written"""
    current: bool = False
    runs: tuple[str, ...] = ()
    """runs that measured it"""
    releases: tuple[str, ...] = ()
    """releases of such runs"""
    how: str = ""
    """the decision that made it; empty = imported or edited"""


@dataclass(frozen=True)
class Checked:
    """A report, and the files that were written for a person to fill in."""

    report: CheckReport
    written: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Fixed:
    """What a fix did, or would do."""

    decision: Decision | None
    """None = nothing to change"""
    done: bool
    kept: tuple[Path, ...] = ()
    """files that still hold the rows as they were before a redaction"""


def check(folder: Path, *, quick: bool = False, review: bool = False, names: bool = False) -> Checked:
    """Run all checks. Nothing but the two files of a review is written, and a file with verdicts is never replaced.

    Args:
        names: with Presidio. Raises MissingExtra where it is not installed.
    """
    project = open_project(folder)
    batch = load(project)
    if not quick:
        batch = replace(batch, tokens=_tokens(project))
    report = checks.run(batch, quick=quick, names=names)
    return Checked(report, _write_review(project, batch) if review else ())


def _tokens(project: Project) -> Tokens | None:
    count = answer_tokens(project.usecase, project.folder)
    return Tokens(count, context_tokens(project.usecase, project.folder)) if count else None


def load(project: Project) -> Batch:
    """The examples as they stand, with the cases and what a person has judged.

    Raises:
        DataError: there are no examples, or a file cannot be read.
    """
    path = project.examples_file
    if path is None:
        raise DataError("there are no examples", [], next="run: tuneworthy data import FILE", where=str(project.folder))
    reading = read.read_examples(path, project.usecase)
    cases = read.read_cases(project.cases_file, project.usecase) if project.cases_file.exists() else ()
    place = path.relative_to(project.folder)
    return Batch(
        usecase=project.usecase,
        examples=reading.examples,
        cases=cases,
        places=tuple(f"{place}:{line}" for line in reading.lines),
        problems=reading.problems,
        audit=audit.read(project.audit_file),
    )


def _write_review(project: Project, batch: Batch) -> tuple[Path, ...]:
    """data/audit.jsonl, at random; for labels data/review.jsonl, the most doubtful first."""
    files = {project.audit_file: audit.sample(batch, seed=batch.usecase.seed)}
    queue = labels.ranked(batch) if batch.usecase.output.kind == "label" else []
    if not isinstance(queue, NotMeasured) and queue:
        files[project.review_file] = tuple(audit.to_judge(batch, number, instead) for number, instead in queue)
    written = []
    with project.busy("data check"):
        for path, rows in files.items():
            if not any(row.verdict for row in audit.read(path)):
                write_whole(
                    path, "".join(f"{json.dumps(r.model_dump(mode='json'), ensure_ascii=False)}\n" for r in rows)
                )
                written.append(path)
    return tuple(written)


# --- versions ------------------------------------------------------------------------------------


def versions(folder: Path, *, row: str = "") -> tuple[VersionInfo, ...]:
    """All versions that are stored, and the one that stands now; the newest last.

    Args:
        row: only versions that hold this row, under any of the names that it had or has (the log tells), so that an
            erasure request knows which runs and releases learned from it.

    Raises:
        DataError: no version holds the row.
    """
    project = open_project(folder)
    log = decisions.read(project.decisions_file)
    made = {d.version_after: d for d in log}
    rows = load(project).examples if project.examples_file else ()
    now = version.manifest(rows) if rows else None
    found = {}
    for path in sorted(project.versions.glob("*.json")):
        found[path.stem] = (Dataset.model_validate_json(path.read_bytes()), path.stat().st_mtime)
    if now is not None and project.examples_file is not None:
        found.setdefault(now.version, (now, project.examples_file.stat().st_mtime))
    if row:
        names = set(decisions.descent(log, _full_name(project, row, rows)))
        found = {name: info for name, info in found.items() if names & _names_of(project, name, rows)}
    return tuple(
        VersionInfo(
            dataset=dataset,
            when=_time(seconds),
            current=now is not None and name == now.version,
            runs=_naming(name, project.runs, "verdict.json"),
            releases=_naming(name, project.releases, "manifest.json"),
            how=f"{made[name].rule} by {made[name].who}" if name in made else "",
        )
        for name, (dataset, seconds) in sorted(found.items(), key=lambda item: item[1][1])
    )


def _names_of(project: Project, name: str, now: Sequence[Example]) -> set[str]:
    """Names of the rows of a version."""
    stored = (project.versions / f"{name}.jsonl").exists()
    return {example.name for example in (version.load(name, project.versions) if stored else now)}


def _full_name(project: Project, start: str, now: Sequence[Example]) -> str:
    """The row whose name begins so, in any version."""
    known = {example.name for example in now}
    for path in project.versions.glob("*.jsonl"):
        known |= _names_of(project, path.stem, now)
    fitting = sorted(name for name in known if name.startswith(start))
    if len(fitting) != 1:
        what = f"{len(fitting)} rows begin with {start!r}" if fitting else f"no version holds the row {start!r}"
        raise DataError(what, [], next="name it as `data check` does, with more digits", where=str(project.versions))
    return fitting[0]


def _naming(version: str, folder: Path, record: str) -> tuple[str, ...]:
    """Runs or releases whose record names this data version."""
    paths = sorted(folder.glob(f"*/{record}"))
    return tuple(path.parent.name for path in paths if f'"{version}"' in path.read_text("utf-8", "replace"))


def _time(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def compare(folder: Path, before: str, after: str) -> diff.Difference:
    """Two versions by row. A version is the beginning of its name, `now`, or a file of examples.

    Raises:
        DataError: a version is not known, or its name fits several.
    """
    project = open_project(folder)
    sides = [_version(project, name) for name in (before, after)]
    names = tuple(version.manifest(side).version for side in sides)
    return diff.difference(*sides, names=(names[0], names[1]), log=decisions.read(project.decisions_file))


def _version(project: Project, name: str) -> tuple[Example, ...]:
    if name == NOW:
        return load(project).examples
    stored = sorted({path.stem for path in project.versions.glob(f"{name}*.jsonl")}) if name.isalnum() else []
    if len(stored) == 1:
        return version.load(stored[0], project.versions)
    if not stored and load(project).examples and version.manifest(load(project).examples).version.startswith(name):
        return load(project).examples
    if Path(name).is_file():
        reading = read.read_examples(Path(name), project.usecase)
        reading.require_whole()
        return reading.examples
    what = f"{len(stored)} versions begin with {name!r}" if stored else f"there is no version {name!r}"
    raise DataError(what, [], next="run: tuneworthy data versions", where=str(project.versions))


# --- changes -------------------------------------------------------------------------------------


def repair(
    folder: Path, *, rule: str = "", drop: Sequence[str] = (), reviewed: bool = False, why: str = "", dry: bool = False
) -> Fixed:
    """Apply one rule, leave rows out by name, or take over what a person judged; on record, as a new version.

    Raises:
        TuneworthyError: not exactly one of the three is asked for, or it cannot be done.
    """
    if bool(rule) + bool(drop) + reviewed != 1:
        raise TuneworthyError("say what to do", next=f"one of --rule {'|'.join(fix.RULES)}, --drop NAME, --reviewed")
    if rule and rule not in fix.RULES:
        raise TuneworthyError(f"{rule!r} is not a rule; known: {', '.join(fix.RULES)}", next="correct --rule")
    project = open_project(folder)
    with project.busy("data fix"):
        batch = _whole(project)
        try:
            if rule:
                changes = fix.RULES[rule](batch)
            elif drop:
                changes = fix.dropped(batch, drop)
            else:
                changes = fix.reviewed(batch, [*audit.read(project.review_file), *batch.audit])
        except ValueError as error:
            raise DataError(str(error), [], next="correct it there, or in the command", where=str(folder)) from None
        return _make(project, batch.examples, changes, rule or ("drop" if drop else "reviewed"), why, dry=dry)


def undo(folder: Path, *, why: str = "", dry: bool = False) -> Fixed:
    """Take back the last decision that is in effect: an entry of its own in the log.

    Raises:
        DataError: there is none, or the rows were changed by other means since.
    """
    project = open_project(folder)
    with project.busy("data fix"):
        examples = _whole(project).examples
        log = decisions.read(project.decisions_file)
        last = decisions.last_in_effect(log, examples)
        if last is None:
            what = "the examples were changed by other means since the last decision" if log else "nothing was decided"
            raise DataError(what, [], next="run: tuneworthy data versions", where=str(project.decisions_file))
        if not last.changes:
            raise DataError("the last decision was a redaction, which the log cannot take back", [], next=_RESTORE)
        before = decisions.revert(examples, last.changes)
        entry = decisions.decide(
            examples, before, last.changes, rule=last.rule, why=why or "undone", who=user(), undoes=last.digest
        )
        if not dry:
            _write(project, examples, before, entry)
        return Fixed(entry, done=not dry)


def _whole(project: Project) -> Batch:
    """The batch, if it can be written back as it is.

    Raises:
        DataError: rows cannot be read, or the file is not ours to write.
    """
    batch = load(project)
    path = project.examples_file
    assert path is not None
    if path != project.native_examples:
        raise DataError(
            f"data/{path.name} is the source, and sources are never changed",
            [],
            next=f"move {path.name} out of the data folder and import it: tuneworthy data import {path.name}",
            where=str(path),
        )
    if batch.problems:
        raise DataError("some rows cannot be read", batch.problems, next="repair these lines first", where=str(path))
    return batch


def _make(
    project: Project, examples: tuple[Example, ...], changes: list[Change], rule: str, why: str, *, dry: bool
) -> Fixed:
    if not changes:
        return Fixed(None, done=False)
    after = decisions.apply(examples, changes)
    if not after:
        raise DataError("no row would be left", [], next="leave fewer rows out", where=str(project.native_examples))
    entry = decisions.decide(examples, after, changes, rule=rule, why=why, who=user())
    if not dry:
        _write(project, examples, after, entry)
    return Fixed(entry, done=not dry)


def _write(project: Project, before: Sequence[Example], after: Sequence[Example], entry: Decision) -> None:
    """Versions first, then the log, then the rows: a kill between any two loses nothing and is told by the log."""
    version.store(before, project.versions)
    version.store(after, project.versions)
    decisions.append(project.decisions_file, entry)
    _write_rows(project.native_examples, after)


def _write_rows(path: Path, rows: Sequence[Example]) -> None:
    write_whole(path, "".join(f"{json.dumps(row.model_dump(mode='json'), ensure_ascii=False)}\n" for row in rows))


# --- personal data -------------------------------------------------------------------------------


def redact_data(folder: Path, *, key: Path | None, restore: bool = False, why: str = "", dry: bool = False) -> Fixed:
    """Replace personal data by placeholders, or put it back with the key file.

    The log names the rows but does not hold what they said; versions that were stored before are left to the user.

    Raises:
        TuneworthyError: restoring without a key file, or a key file inside the use-case folder.
    """
    project = open_project(folder)
    if restore and key is None:
        raise TuneworthyError("only the key file leads back", next="name it: --key FILE")
    if key is not None and key.resolve().is_relative_to(project.folder):
        why_not = "whoever gets the folder would get the key"
        raise TuneworthyError("the key file lies in the use-case folder", why=why_not, next="keep it elsewhere")
    with project.busy("data redact"):
        examples = _whole(project).examples
        held = _key(key)
        redaction = redact.Redaction(held)
        changes = redact.restorations(examples, held) if restore else redact.redactions(examples, redaction)
        if not changes:
            return Fixed(None, done=False)
        after = decisions.apply(examples, changes)
        rule = decisions.RESTORE if restore else "redact"
        entry = decisions.decide(examples, after, changes, rule=rule, why=why, who=user(), keep=False)
        if not dry:
            if key is not None and not restore:
                _write_key(key, redaction.kept())
            decisions.append(project.decisions_file, entry)
            _write_rows(project.native_examples, after)
        shown = [Change(at=c.at, before=c.after or c.before, after=c.after) for c in changes]
        kept = () if restore else _still_holding(project, redaction.values.values())
        return Fixed(entry.model_copy(update={"changes": tuple(shown)}), done=not dry, kept=kept)


def _key(path: Path | None) -> redact.KeyFile:
    if path is None or not path.exists():
        return redact.new_key()
    try:
        return redact.KeyFile.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        raise DataError("this is not a key file", [], next="name another, or a new one", where=str(path)) from None


def _write_key(path: Path, key: redact.KeyFile) -> None:
    """Before the rows are written, so that no value is lost; readable by its owner only."""
    write_whole(path, json.dumps(key.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n")
    try:
        os.chmod(path, stat.S_IRUSR | stat.S_IWUSR)
    except OSError as error:
        raise storage_error(error, path) from error


def _still_holding(project: Project, values: Iterable[str]) -> tuple[Path, ...]:
    """Files that hold one of the values: earlier versions, what an import replaced or rejected, reviews, the log."""
    beside = [project.native_examples.with_name(name) for name in ("examples.jsonl.old", "rejects.jsonl")]
    files = [
        *project.versions.glob("*.jsonl"),
        *beside,
        project.audit_file,
        project.review_file,
        project.decisions_file,
    ]
    wanted = [json.dumps(value, ensure_ascii=False)[1:-1] for value in values]
    return tuple(path for path in sorted(files) if path.exists() and _holds(path, wanted))


def _holds(path: Path, wanted: Sequence[str]) -> bool:
    text = path.read_text("utf-8", "replace")
    return any(value in text for value in wanted)


# --- pages and other formats ---------------------------------------------------------------------


def write_statement(folder: Path, out: Path | None) -> Path:
    """Write the data statement as Markdown."""
    project = open_project(folder)
    batch = load(project)
    path = out or project.statement_file
    log = decisions.read(project.decisions_file)
    write_whole(path, statement.page(batch, checks.run(batch, quick=True), log))
    return path


def write_export(folder: Path, out: Path, form: str) -> Path:
    """Write the examples in another format.

    Raises:
        TuneworthyError: the format is not known, or the file is there already.
    """
    if form not in export.FORMS:
        raise TuneworthyError(f"{form!r} is not a format; known: {', '.join(export.FORMS)}", next="correct --to")
    if out.exists():
        raise TuneworthyError("the file is there already", next="name another", where=str(out))
    project = open_project(folder)
    write_whole(out, export.lines(project.usecase, load(project).examples, form))
    return out
