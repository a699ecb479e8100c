"""What the base can before anything is trained: training answers that it can never give, and the user's own probes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuneworthy.answering import Answerer
from tuneworthy.content import digest, write_whole
from tuneworthy.errors import ModelError
from tuneworthy.levers.bench import Bench
from tuneworthy.measure import probe_files, unknown
from tuneworthy.measure.probes import NAMES, NOT_ASKED, Beforehand, FileScore, ProbeName
from tuneworthy.models.answers import AnswerStore
from tuneworthy.records import Answer, Case, Decoding, Shots
from tuneworthy.retrievers.examples import query_text

ASKED_VERSION = 2
"""of stores that `asked` fills; the first could hold the answers to other inputs"""


class NotMeasured(Exception):
    """Why a probe did not run. Never leaves `measured`."""


def probe(bench: Bench, names: Sequence[ProbeName]) -> Beforehand:
    """The base alone: `unknown` and `files`. All others hold a trained model against it.

    Raises:
        TuneworthyError: a probe file is wrong.
    """
    run: dict[ProbeName, Callable[[], Any]] = {"files": lambda: _files(bench), "unknown": lambda: unknown_facts(bench)}
    found, missing, seconds = measured(
        run, names, lambda name: unknown_kept(bench) if name == "unknown" else None, bench, "base"
    )
    for name in NAMES:
        if name in names and name not in run:
            missing[name] = f"holds a trained model against its base: tuneworthy eval --probe {name} --lever lora"
    return Beforehand(**found, not_measured=missing, seconds=seconds)


def measured(
    run: Mapping[ProbeName, Callable[[], Any]],
    names: Sequence[ProbeName],
    kept: Callable[[ProbeName], Any],
    bench: Bench,
    whose: str,
) -> tuple[dict[str, Any], dict[str, str], dict[str, float]]:
    """Probe → what the named ones found, and what was kept of others; why not; and wall time."""
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for name, ask in run.items():
        held = kept(name)
        if held is None and name in names:
            bench.tell(f"{whose}: probe {name}", 0, 1)
            began = time.monotonic()
            try:
                held = ask()
            except (NotMeasured, ModelError) as reason:
                missing[name] = str(reason)
            seconds[name] = round(time.monotonic() - began, 2)
        if held is not None:
            found[name] = held
        elif name not in missing:
            missing[name] = f"{NOT_ASKED}: tuneworthy eval --probe {name}"
    return found, missing, seconds


def asked(answerer: Answerer, inputs: Sequence[Any], store: Path, also: str = "") -> list[Answer]:
    """Answers to inputs that are no cases, in order; equal inputs are asked once. Kept as all answers are, in a store
    of their own. `also`: what else decides them."""
    kept = AnswerStore(store, digest([ASKED_VERSION, answerer.key, also]))
    names = [digest(dict(row)) for row in inputs]
    unlike = dict(zip(names, inputs, strict=True))
    given = {name: answer for name, row in unlike.items() if (answer := kept.get(row)) is not None}
    fresh = [name for name in unlike if name not in given]

    def keep(place: int, answer: Answer) -> None:
        kept.keep(unlike[fresh[place]], answer)

    if fresh:
        new = answerer.answer([unlike[name] for name in fresh], keep)
        given |= dict(zip(fresh, new, strict=True))  # failures are not kept
    return [given[name] for name in names]


# --- the probes -----------------------------------------------------------------------------------


def _files(bench: Bench) -> dict[str, FileScore]:
    paths = bench.project.probe_files
    if not paths:
        raise NotMeasured("there are no files in probes/")
    found = {}
    for path in paths:
        file = probe_files.read(path, seed=bench.usecase.seed)
        bench.tell(f"base: {file.name}, {len(file.items)} items", 0, 1)
        right = probe_files.probe(bench.sources.model, file, bench.project.answers)
        found[file.name] = FileScore.of(file, right)
    return found


def unknown_facts(bench: Bench) -> unknown.Unknown:
    """Training answers that the base can never give, asked closed-book with examples in the prompt; kept.

    Raises:
        NotMeasured: the outputs teach no facts, there are too few rows, one does not fit the context, or an answer
            could not be judged.
        ModelError: a row could not be asked.
    """
    if bench.usecase.output.kind != "text":
        raise NotMeasured(f"outputs are of kind {bench.usecase.output.kind}: they teach behaviour, not facts")
    start = bench.found.get("prompt")
    drawn = unknown.drawn([row.name for row in bench.train], bench.usecase.seed)
    if start is None or len(drawn.asked) < unknown.FEWEST_PER_TOPIC:
        raise NotMeasured("no prompt was measured" if start is None else "there are too few training rows")
    by_name = bench.sources.by_name
    cases = [Case(id=name, input=by_name[name].input, expected=by_name[name].expected) for name in drawn.asked]
    tries = unknown.tries()

    def answer(one: unknown.Try) -> list[Answer]:
        bench.tell("unknown facts: rows asked in different ways", tries.index(one), len(tries))
        names = drawn.shots[one.variant]
        shots = Shots(pick="fixed", k=len(names), names=names, data_version=bench.sources.data_version)
        decoding = Decoding(max_tokens=bench.usecase.output.max_tokens, temperature=one.temperature, seed=one.seed)
        answerer = Answerer(start.model_copy(update={"shots": shots, "decoding": decoding}), bench.sources)
        return asked(answerer, [case.input for case in cases], bench.project.answers)

    def right(row: int, given: Answer) -> bool:
        if given.too_long:
            raise NotMeasured(f"a training row does not fit the model's context: {given.detail}")
        if given.error is not None:
            raise ModelError(f"a row could not be asked: {given.detail}")
        score = bench.yardstick.judge(cases[row], given).lenient
        if score.value is None:
            raise NotMeasured(f"an answer could not be judged: {score.unscored}: {score.explanation}")
        return score.value >= bench.yardstick.right_from(bench.usecase.bar)

    topics = unknown.topics_of([query_text(case.input) for case in cases])
    found = unknown.judge(drawn.asked, unknown.ask(drawn.asked, answer, right), topics)
    write_whole(_place(bench), found.model_dump_json() + "\n")
    return found


def unknown_kept(bench: Bench) -> unknown.Unknown | None:
    """What was found for these rows and this base before."""
    return unknown.kept(_place(bench)) if bench.usecase.output.kind == "text" else None


def _place(bench: Bench) -> Path:
    return unknown.place(bench.project, bench.usecase, bench.sources.data_version, bench.yardstick)
