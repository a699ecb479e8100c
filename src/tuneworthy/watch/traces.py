"""Traces: one line for each answer, written beside the gateway and never in its way.

    requests → bounded queue → one thread → traces/<day>.jsonl

A full queue drops the trace, a full disk loses it; either is counted and told, and serving goes on. Content is kept
only for the share of answers that was asked for, with personal data replaced. Files older than the stated days are
removed.
"""

from __future__ import annotations

import json
import queue
import random
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from tuneworthy.data.decisions import mapped
from tuneworthy.errors import StorageError, TuneworthyError
from tuneworthy.project import Project
from tuneworthy.records import Answer, Input, Trace
from tuneworthy.release import package
from tuneworthy.release.package import Release
from tuneworthy.usecase import UseCase
from tuneworthy.watch import feedback
from tuneworthy.watch.feedback import Given, Said, personal_out, redacted
from tuneworthy.watch.looking import Looker, open_looker
from tuneworthy.watch.otel import Spans

ROOM = 10_000
"""traces that may wait to be written"""
LEAST_DAYS = 16
"""days to keep for `watch` to tell drift: the reference (drift.REFERENCE_DAYS whole days), today, and one to spare"""


@dataclass(frozen=True)
class Keeping:
    """What is kept of answers."""

    on: bool = True
    content: float = 0.0
    """share of answers whose request and answer are kept, redacted; 0 = none"""
    days: int = 30
    """traces and feedback older than this are removed"""


@dataclass(frozen=True)
class Served:
    """One request and what became of it, as the gateway knows it."""

    id: str
    alias: str
    client: str
    release: Release
    row: Input
    seconds: float = 0.0
    outcome: str = "ok"
    answer: Answer = field(default_factory=Answer)
    when: datetime = field(default_factory=lambda: datetime.now(UTC))


class FeedbackRefused(Exception):
    """Feedback that cannot be taken: `str` says why. `status` is that of HTTP."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.status = status


Count = Callable[[str], None]


@dataclass
class Traces:
    """Writes what it is offered, in the order in which it came."""

    project: Project
    keeping: Keeping
    tell: Callable[[str], None]
    count: Count = lambda outcome: None
    """called with written, dropped or failed for each trace, and with removed for each old file"""
    spans: Spans | None = None
    """where every trace is sent as well; None = nowhere"""
    room: int = ROOM
    _lookers: dict[str, Looker | None] = field(default_factory=dict)
    _failing: bool = False
    _cleaned: date | None = None
    _draw: random.Random = field(default_factory=random.SystemRandom)

    def __post_init__(self) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(self.room)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write. Says so where too few days are kept to tell drift."""
        if self.keeping.on and self.keeping.days < LEAST_DAYS:
            self.tell(
                f"traces are kept for {self.keeping.days} days: `watch` cannot tell drift, unless it has its reference "
                f"already (--trace-days {LEAST_DAYS} or more)"
            )
        self._thread = threading.Thread(target=self._work, name="traces", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end."""
        if self._thread is not None and self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(30)
        if self.spans is not None:
            self.spans.close()

    def offer(self, served: Served) -> None:
        """Take a trace, if there is room. Never waits."""
        if not self.keeping.on:
            return
        try:
            self._queue.put_nowait(served)
        except queue.Full:
            self.count("dropped")

    def feedback(self, given: Given, client: str, known: bool) -> Future[Said]:
        """Keep what a client said of an answer. `known`: the gateway has keys, so only who asked may say.

        The future raises FeedbackRefused where it cannot be taken.
        """
        told: Future[Said] = Future()
        if not self.keeping.on:
            told.set_exception(FeedbackRefused("this gateway keeps no traces, so it cannot tell the answer", 409))
            return told
        try:
            self._queue.put_nowait((given, client, known, told))
        except queue.Full:
            told.set_exception(FeedbackRefused("too much waits to be written; try again", 429))
        return told

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, Served):
                try:
                    self._clean()
                    self._write(item)
                except Exception as error:  # a broken scorer of a plug-in must not end all traces
                    self._lost(f"{type(error).__name__}: {error}")
            else:
                given, client, known, told = item
                if not told.set_running_or_notify_cancel():  # the client was told that it came too late
                    continue
                try:
                    self._clean()
                    told.set_result(self._said(given, client, known))
                except Exception as error:  # whoever waits for it is told; the thread has to go on
                    told.set_exception(error)

    # --- traces ---

    def _write(self, served: Served) -> None:
        trace = self._trace(served)
        if self.spans is not None:
            self.spans.send(trace)
        try:
            path = self.project.traces / f"{trace.when[:10]}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab", buffering=0) as file:
                file.write(_line(trace, torn=_is_torn(path)))
        except OSError as error:
            self._lost(f"{error.strerror or error}: {self.project.traces}")
            return
        self.count("written")
        if self._failing:
            self.tell("traces are written again")
        self._failing = False

    def _lost(self, why: str) -> None:
        """Count it; tell it once."""
        self.count("failed")
        if not self._failing:
            self.tell(f"traces are lost, answers go on: {why}")
        self._failing = True

    def _trace(self, served: Served) -> Trace:
        release, answer = served.release, served.answer
        looker = self._looker(release) if self._queue.qsize() < self.room // 2 else None
        whole = self._draw.random() < self.keeping.content
        question: dict[str, Any] = (
            {"messages": [{"role": "user", "content": _text(served.row, release.usecase)}]} if whole else {}
        )
        given = {"message": {"role": "assistant", "content": personal_out(answer.text)}} if whole else {}
        finish = "length" if answer.finish == "length" else "stop"
        ok = served.outcome == "ok"
        response: dict[str, Any] = {"model": release.name}
        if ok:
            response["choices"] = [{"index": 0, **given, "finish_reason": finish}]
            response["usage"] = {"prompt_tokens": answer.tokens_in, "completion_tokens": answer.tokens_out}
        else:
            response["error"] = served.outcome
        return Trace(
            id=served.id,
            when=served.when.isoformat(timespec="milliseconds"),
            request={"model": served.alias, **question},
            response=response,
            release=release.name,
            alias=served.alias,
            client=served.client,
            outcome=served.outcome,
            seconds=round(served.seconds, 4),
            passages=answer.passages,
            measured=looker.measured(served.row, answer.text) if looker and ok else {},
            scores=looker.scores(served.row, answer.text) if looker and ok else {},
        )

    def _looker(self, release: Release) -> Looker | None:
        if release.name not in self._lookers:
            try:
                self._lookers[release.name] = open_looker(self.project, release)
            except TuneworthyError as error:
                self.tell(f"answers of {release.name} are not measured: {error.what}")
                self._lookers[release.name] = None
        return self._lookers[release.name]

    def _clean(self) -> None:
        """Once a day: remove what is older than it may be. What cannot be removed is told and stays until tomorrow."""
        today = datetime.now(UTC).date()
        if self._cleaned == today:
            return
        self._cleaned = today
        stuck = ""
        for folder in (self.project.traces, self.project.feedback):
            for path, day in days(folder):
                if day <= today - timedelta(days=self.keeping.days):
                    try:
                        path.unlink(missing_ok=True)
                    except OSError as error:
                        stuck = f"{error.strerror or error}: {path}"
                    else:
                        self.count("removed")
        if stuck:
            self.tell(f"traces or feedback older than {self.keeping.days} days cannot be removed: {stuck}")

    # --- feedback ---

    def _said(self, given: Given, client: str, known: bool) -> Said:
        trace = find(self.project.traces, given.id)
        if trace is None or (known and trace.client != client):
            raise FeedbackRefused("no answer with this id was given to you, or it is no longer kept", 404)
        release = next((release for release in package.releases(self.project) if release.name == trace.release), None)
        if release is None:
            raise FeedbackRefused("the release that gave this answer is gone", 404)
        try:
            correction, row = feedback.understood(given, release.usecase)
        except ValueError as error:
            raise FeedbackRefused(str(error)) from None
        row = row if row is not None else asked(trace, release.usecase)
        locked = row is not None and feedback.in_suite(row, release.cases)
        said = Said(
            id=given.id,
            when=datetime.now(UTC).isoformat(timespec="milliseconds"),
            client=client,
            alias=trace.alias,
            release=trace.release,
            right=bool(given.right),
            correction=None if locked else mapped(correction, personal_out),
            input=None if locked or row is None else redacted(row),
            answer="" if locked else answered(trace),
            note=personal_out(given.note),
            locked=locked,
        )
        try:
            feedback.keep(self.project.feedback, said)
        except StorageError as error:
            raise FeedbackRefused(f"it could not be kept: {error.what}", 503) from None
        return said


def answer_id(now: datetime | None = None) -> str:
    """A new id, which names the day of the trace."""
    return f"chatcmpl-{now or datetime.now(UTC):%Y%m%d}-{secrets.token_hex(12)}"


def days(folder: Path) -> Iterator[tuple[Path, date]]:
    """The files of a folder that are named after a day, oldest first."""
    for path in sorted(folder.glob("*.jsonl")):
        try:
            yield path, date.fromisoformat(path.stem)
        except ValueError:
            continue  # not ours


def read(folder: Path, since: date | None = None) -> tuple[list[Trace], int]:
    """(traces in the order in which they were written, lines that are none)."""
    found, bad = [], 0
    for path, day in days(folder):
        if since is not None and day < since:
            continue
        for line in path.read_bytes().split(b"\n"):
            if not line.strip():
                continue
            try:
                found.append(Trace.model_validate_json(line))
            except ValueError:
                bad += 1
    return found, bad


def find(folder: Path, number: str) -> Trace | None:
    """The trace of an answer, by its id."""
    match = feedback.ID.fullmatch(number)
    if match is None:
        return None
    path = folder / f"{'-'.join(match.groups())}.jsonl"
    wanted = f'"{number}"'.encode()
    if not path.is_file():
        return None
    with path.open("rb") as file:
        for line in file:
            if wanted in line:
                try:
                    trace = Trace.model_validate_json(line)
                except ValueError:
                    continue
                if trace.id == number:
                    return trace
    return None


def asked(trace: Trace, usecase: UseCase) -> dict[str, Any] | None:
    """The input of a trace, redacted; None where its content is not kept."""
    messages = trace.request.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    if not isinstance(first, dict):
        return None
    text = str(first.get("content"))
    if _is_plain(usecase):
        return {next(iter(usecase.input)): text}
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def answered(trace: Trace) -> str:
    """The answer of a trace, redacted; empty where its content is not kept."""
    choices = trace.response.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    message = first.get("message") if isinstance(first, dict) else {}
    return str(message.get("content", "")) if isinstance(message, dict) else ""


def _text(row: Input, usecase: UseCase) -> str:
    """The content of the user's message: the text where the use case has one text field, else its fields as JSON."""
    plain = redacted(row)
    return str(next(iter(plain.values()))) if _is_plain(usecase) else json.dumps(plain, ensure_ascii=False)


def _is_plain(usecase: UseCase) -> bool:
    return [field.type for field in usecase.input.values()] == ["text"]


def _line(trace: Trace, *, torn: bool) -> bytes:
    """One write for the whole line: a killed process leaves a torn line at most, which the next one closes."""
    text = json.dumps(trace.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False)
    return (b"\n" if torn else b"") + text.encode("utf-8", "surrogatepass") + b"\n"


def _is_torn(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(-1, 2)
            return file.read(1) != b"\n"
    except OSError:  # not there yet, or empty
        return False
