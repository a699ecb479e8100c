"""Runs the probes of a trained lever at the bench: the trained candidate against the base that it was trained from.

Everything is development data. What was found is kept by the hash of all that went into it, so a stopped probe goes on
and a repeated one is instant.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tuneworthy.answering import Answerer
from tuneworthy.content import digest, write_whole
from tuneworthy.data.checks import facts
from tuneworthy.data.findings import Batch, Finding
from tuneworthy.levers import beforehand, tuned
from tuneworthy.levers.beforehand import NotMeasured, asked, measured
from tuneworthy.levers.bench import Bench
from tuneworthy.measure import (
    canaries,
    copying,
    drift,
    overfit,
    probe_files,
    refusals,
    retention,
    robustness,
    staleness,
    unknown,
)
from tuneworthy.measure.compare import compare
from tuneworthy.measure.evaluate import mean_score
from tuneworthy.measure.probes import ProbeName, Probes
from tuneworthy.records import Arm, Candidate, Case, Message, Record, RetrieverRef
from tuneworthy.rendering import render_expected
from tuneworthy.retrievers.documents import ENDINGS
from tuneworthy.retrievers.examples import query_text
from tuneworthy.seams import Model, Transparent

VERSION = 1
"""of what is kept: a change of a probe's code makes another"""


def probe(bench: Bench, lever: str, names: Sequence[ProbeName]) -> Probes:
    """The named probes of a lever that was trained at this bench, and what was kept of others.

    Raises:
        TuneworthyError: a probe file is wrong.
    """
    subject = _Subject(bench, lever)
    run = {name: partial(_kept, subject, name) for name in _RUN}
    found, missing, seconds = measured(run, names, subject.kept, bench, lever)
    return Probes(**found, not_measured=missing, seconds=seconds)


def _kept(subject: _Subject, name: ProbeName) -> Any:
    found = _RUN[name](subject)
    subject.keep(name, found)
    return found


@dataclass(frozen=True)
class _Subject:
    """One trained lever and what it came from."""

    bench: Bench
    lever: str

    @property
    def candidate(self) -> Candidate:
        return self.bench.found[self.lever]

    @cached_property
    def start(self) -> Candidate:
        """The candidate that training began from."""
        return self.bench.found["rag" if self.candidate.retriever else "prompt"]

    @cached_property
    def answerer(self) -> Answerer:
        return Answerer(self.candidate, self.bench.sources)

    @cached_property
    def base(self) -> Model:
        return self.bench.sources.model

    @property
    def store(self) -> Path:
        return self.bench.project.answers

    def transparent(self) -> tuple[Transparent, Transparent]:
        """Base and trained model, if their probabilities can be read."""
        base, trained = self.base, self.answerer.model
        if not isinstance(base, Transparent) or not isinstance(trained, Transparent):
            raise NotMeasured("the model does not show its probabilities")
        return base, trained

    def arm(self, candidate: Candidate, cases: Sequence[Case], label: str) -> Arm:
        """A candidate on cases of this probe."""
        return self.bench.try_out(candidate, f"{self.lever}: {label}", cases=cases)

    # --- what was found before ---

    def kept(self, name: str) -> Any:
        if name == "unknown":
            return beforehand.unknown_kept(self.bench)
        path = self._file(name)
        try:
            held = json.loads(path.read_text("utf-8"))
            return Probes.model_validate({name: held}).__getattribute__(name)
        except (OSError, ValueError, ValidationError):
            return None

    def keep(self, name: str, found: Any) -> None:
        """Write it down; probe files are read anew each time, since their answers are kept; `unknown` is the base's."""
        if name not in ("files", "unknown"):
            plain = found.model_dump(mode="json") if isinstance(found, Record) else found
            write_whole(self._file(name), json.dumps(plain, ensure_ascii=False) + "\n")

    def _file(self, name: str) -> Path:
        bench = self.bench
        answers, scores = self.answerer.key, [*bench.yardstick.decides(bench.usecase), bench.usecase.bar.alpha]
        parts = [VERSION, name, answers, scores, bench.sources.data_version, bench.project.docs_digest]
        return bench.project.probes / f"{digest(parts)[:32]}.json"


# --- the probes -----------------------------------------------------------------------------------


def _fit(subject: _Subject) -> overfit.Fit:
    bench = subject.bench
    history = bench.histories.get(subject.lever)
    if history is None:
        raise NotMeasured("the training log is not at hand")
    marks, chosen = history
    step = max(1, len(bench.train) // overfit.MOST)
    seen = tuple(
        Case(id=row.name, input=row.input, expected=row.expected, evidence=row.evidence)
        for row in bench.train[::step][: overfit.MOST]
    )
    train = subject.arm(subject.candidate, seen, "rows that it was trained on").scores().values()
    return overfit.fit(marks, chosen, list(train), list(bench.dev_arms[subject.lever].scores().values()))


def _drift(subject: _Subject) -> drift.Drift:
    base, trained = subject.transparent()
    bench = subject.bench
    if not bench.dev:
        raise NotMeasured("there are no development rows")
    chats = [
        (
            *subject.answerer.messages(case.input, subject.answerer.passages(case.input)),
            Message(role="assistant", content=render_expected(bench.usecase.output, case.expected)),
        )
        for case in bench.dev[: drift.MOST]
    ]
    return drift.measure(base, trained, chats)


def _refusals(subject: _Subject) -> refusals.Refusals:
    answers = (refusals.probe(model, subject.store) for model in (subject.base, subject.answerer.model))
    return refusals.compare(*answers)


def _robustness(subject: _Subject) -> robustness.Robustness:
    bench, candidate = subject.bench, subject.candidate
    cases = bench.dev[: robustness.MOST]
    if not cases:
        raise NotMeasured("there are no development rows")
    as_they_are = subject.arm(candidate, cases, "inputs as they are")
    fields = bench.usecase.input
    variants = []
    for change in robustness.CHANGES:
        spoiled = robustness.changed(cases, change, fields, bench.usecase.seed)
        variants.append(_variant(subject, change, as_they_are, subject.arm(candidate, spoiled, change)))
    if len(fields) > 1:
        variants.append(_variant(subject, "fields in another order", as_they_are, _reordered(subject, cases)))
    outside = robustness.outside(fields)
    answers = asked(subject.answerer, outside, subject.store)
    return robustness.Robustness(
        n=len(cases),
        score=mean_score(as_they_are),
        variants=tuple(variants),
        not_applicable=() if len(fields) > 1 else ("fields in another order: the input has one field",),
        n_outside=len(outside),
        **robustness.judged(answers, bench.usecase.output),
    )


def _variant(subject: _Subject, change: str, as_they_are: Arm, spoiled: Arm) -> robustness.Variant:
    bench = subject.bench
    found = compare(
        as_they_are,
        spoiled.model_copy(update={"name": change}),
        binary=bench.yardstick.primary.binary,
        registered=False,
        seed=bench.usecase.seed,
        alpha=bench.usecase.bar.alpha,
        clusters={},
    )
    return robustness.Variant(change=change, score=mean_score(spoiled), comparison=found)


def _reordered(subject: _Subject, cases: Sequence[Case]) -> Arm:
    """The same inputs with their fields laid out from the last to the first."""
    bench = subject.bench
    fields = dict(reversed(bench.usecase.input.items()))
    sources = replace(bench.sources, usecase=bench.usecase.model_copy(update={"input": fields}))
    answerer = Answerer(subject.candidate, sources)
    answers = answerer.answer([case.input for case in cases])
    results = tuple(bench.yardstick.judge(case, answer) for case, answer in zip(cases, answers, strict=True))
    return Arm(name="fields in another order", candidate=subject.candidate, cases="dev", results=results)


def _copying(subject: _Subject) -> copying.Copying:
    bench, output = subject.bench, subject.bench.usecase.output
    if output.kind != "text":
        raise NotMeasured(f"outputs are of kind {output.kind}: right answers stand in the training rows by nature")
    trained = bench.dev_arms[subject.lever]
    base = subject.arm(subject.start, bench.dev, "the base before training")
    rows = copying.TrainingOutputs([render_expected(output, row.expected) for row in bench.train])
    cases = {case.id: case for case in bench.dev}

    def nearest(arm: Arm) -> list[copying.Copied]:
        own = ((result.answer.text, cases[result.case]) for result in arm.results)
        return [rows.nearest(text, query_text(c.input), render_expected(output, c.expected)) for text, c in own]

    found = copying.compare(nearest(base), nearest(trained))
    if found is None:
        raise NotMeasured(f"fewer than {copying.FEWEST} development rows")
    return found


def _files(subject: _Subject) -> dict[str, retention.Retention]:
    bench = subject.bench
    paths = bench.project.probe_files
    if not paths:
        raise NotMeasured("there are no files in probes/")
    found = {}
    for path in paths:
        file = probe_files.read(path, seed=bench.usecase.seed)
        before, after = (probe_files.probe(m, file, subject.store) for m in (subject.base, subject.answerer.model))
        demanded = bench.usecase.bar.largest_loss
        found[file.name] = retention.compare(before, after, demanded=demanded, kinds=file.kinds)
    return found


def _canaries(subject: _Subject) -> canaries.Canaries:
    base, _ = subject.transparent()
    secrets = canaries.drawn(subject.bench.usecase.seed)
    candidate, trained = tuned.retrained(subject.bench, subject.lever, canaries.planted(secrets))
    model = Answerer(candidate, subject.bench.sources).model
    assert isinstance(model, Transparent)  # a view of the base
    subject.bench.tell(f"{subject.lever}: weighing {len(secrets)} secrets", 0, 1)
    return canaries.Canaries(
        space=10**canaries.DIGITS,
        trained=canaries.levels(canaries.exposures(model, secrets, subject.store)),
        base=canaries.levels(canaries.exposures(base, secrets, subject.store)),
        epochs=trained.chosen.epoch,
        dev_score=trained.chosen.dev,
    )


def _staleness(subject: _Subject) -> staleness.Staleness:
    bench = subject.bench
    docs, output = bench.project.docs, bench.usecase.output
    if docs is None or output.kind == "json":
        raise NotMeasured("the use case has no documents" if docs is None else "answers are JSON, not single facts")
    texts = {
        str(path.relative_to(docs)): path.read_text("utf-8-sig")
        for path in sorted(docs.rglob("*"))
        if path.suffix.lower() in ENDINGS and path.is_file()
    }
    changed = staleness.changes(bench.dev, texts, bench.usecase.seed)
    cases = [case for case in bench.dev if case.id in changed]
    if len(cases) < staleness.FEWEST:
        raise NotMeasured(f"only {len(cases)} development answers stand in the documents")
    new = staleness.apply(texts, changed)
    there = bench.project.probes / f"docs-{digest(new)[:16]}"
    for name, text in new.items():
        write_whole(there / name, text)
    before = subject.arm(subject.candidate, cases, "documents as they are")
    after = asked(_with_documents(subject, there), [case.input for case in cases], subject.store, str(there))
    found = staleness.judge(
        cases,
        changed,
        [result.answer for result in before.results],
        after,
        reads=subject.candidate.retriever is not None,
        dated=_dated(bench),
        rows=len(bench.train),
    )
    if found is None:
        raise NotMeasured(f"fewer than {staleness.FEWEST} answers came")
    return found


def _with_documents(subject: _Subject, there: Path) -> Answerer:
    """The candidate over other documents; nothing else changes."""
    bench = subject.bench
    change = bench.usecase.change.model_copy(update={"knowledge": str(there)})
    sources = replace(bench.sources, usecase=bench.usecase.model_copy(update={"change": change}))
    ref: RetrieverRef | None = subject.candidate.retriever
    new = ref.model_copy(update={"docs": there.name}) if ref else None
    return Answerer(subject.candidate.model_copy(update={"retriever": new}), sources)


def _dated(bench: Bench) -> int:
    """Training rows whose output holds a date or a price that stands nowhere else."""
    batch = Batch(usecase=bench.usecase, examples=bench.train)
    found = (f for f in facts.check(batch) if isinstance(f, Finding) and f.kind == "dated")
    return sum(len(finding.rows) for finding in found)


def _unknown(subject: _Subject) -> unknown.Unknown:
    return beforehand.unknown_facts(subject.bench)


_RUN: dict[ProbeName, Callable[[_Subject], Any]] = {
    "fit": _fit,
    "drift": _drift,
    "refusals": _refusals,
    "robustness": _robustness,
    "copying": _copying,
    "files": _files,
    "canaries": _canaries,
    "staleness": _staleness,
    "unknown": _unknown,
}
