"""The gateway: an OpenAI-compatible door in front of releases. Aliases move, releases do not.

    POST /v1/chat/completions   model = an alias, or the full name of a loaded release
    POST /v1/feedback           what a client says of an answer
    GET  /v1/models             what can be asked for
    GET  /health                200 when every alias answers
    GET  /metrics               Prometheus, until there are keys: then on a port of its own
    GET  /openapi.json          all of this for machines

Answers come from `release.answerer`, the path that was measured. No content is logged.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tuneworthy.errors import DataError
from tuneworthy.records import Answer
from tuneworthy.serving import deployments, openapi
from tuneworthy.serving.asking import Asked, Refused, chunks, completion, read_request, read_row
from tuneworthy.serving.beside import Beside
from tuneworthy.serving.keys import Keys
from tuneworthy.serving.lane import AWAY, Lane, LaneDown, LaneFull
from tuneworthy.serving.split import client_of
from tuneworthy.watch.feedback import Said, read_given
from tuneworthy.watch.traces import FeedbackRefused, Served, Traces, answer_id

GATE_HEADER = "x-tuneworthy-gate"
_OUTCOMES = {429: "full", 503: "down", 504: "timeout"}
_UNREAD = (408, 413)
"""statuses after which the rest of a body is not waited for"""


@dataclass(frozen=True)
class Limits:
    """What one client may ask of the machine."""

    body_bytes: int = 1_000_000
    waiting: int = 256
    """requests that may wait for one release; the next one gets 429"""
    seconds: float = 60.0
    """longest time until an answer, and until a body has arrived"""
    head_seconds: float = 20.0
    """longest time until the head of a request has arrived"""
    per_minute: int = 0
    """requests of one key; 0 = no limit"""
    at_once: int = 0
    """requests of one key that may be under way; 0 = no limit"""


@dataclass
class Gateway:
    """What is loaded, and which alias leads where."""

    keys: Callable[[], Keys]
    limits: Limits
    lanes: dict[str, Lane] = field(default_factory=dict)
    """release name → loaded release, whether anybody may ask it or not"""
    routes: dict[str, str] = field(default_factory=dict)
    """alias → name of the release that answers; replaced as a whole, so that a request sees one state"""
    traces: Traces | None = None
    """where answers are noted; None = nowhere"""
    besides: dict[str, Beside] = field(default_factory=dict)
    """alias → challenger beside what is live there"""
    keys_wanted: bool = False
    """nobody gets in without a key; stays so once there was a key, also when the last one was taken back"""
    gate_secret: str = field(default_factory=lambda: secrets.token_hex(16))
    """lets the gate ask a release that nobody else may ask yet"""
    _asked: dict[str, list[float]] = field(default_factory=dict)
    _open: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.registry = CollectorRegistry()
        kinds = ("alias", "release", "outcome")
        self._requests = Counter("tuneworthy_requests", "Requests", kinds, registry=self.registry)
        self._seconds = Histogram("tuneworthy_seconds", "Time to the answer", ("alias",), registry=self.registry)
        self._tokens = Counter("tuneworthy_tokens", "Tokens", ("alias", "direction"), registry=self.registry)
        self._traces = Counter(
            "tuneworthy_traces", "Traces, by what became of them", ("state",), registry=self.registry
        )
        self._feedback = Counter("tuneworthy_feedback", "Feedback", ("alias", "said"), registry=self.registry)
        if self.traces is not None:
            self.traces.count = lambda state: self._traces.labels(state).inc()
        self._copies = Counter(
            "tuneworthy_copies", "Copies for comparison", ("alias", "outcome"), registry=self.registry
        )
        self._live = Gauge("tuneworthy_live", "1 = this release is live", ("alias", "release"), registry=self.registry)

    def app(self, lifespan: Callable[[Starlette], Any] | None = None, *, metrics: bool = True) -> Starlette:
        """The web application for clients. `metrics`: nobody else reaches this port, so they may see them until there
        are keys: those are for strangers."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._guarded(self._chat), methods=["POST"]),
                Route("/v1/feedback", self._guarded(self._said), methods=["POST"]),
                Route("/v1/models", self._guarded(self._models)),
                Route("/health", self._health),
                *([Route("/metrics", self._metrics_of_clients)] if metrics else []),
                Route("/openapi.json", self._document),
            ],
            lifespan=lifespan,
        )

    def admin(self) -> Starlette:
        """The web application for whoever runs it: a port of its own, on this machine only."""
        return Starlette(routes=[Route("/health", self._health), Route("/metrics", self._metrics)])

    def route(self, alias: str, name: str) -> None:
        """Let an alias lead to a loaded release: one assignment, so no request sees anything between."""
        before = self.routes.get(alias)
        self.routes = {**self.routes, alias: name}
        if before is not None and before != name:
            self._live.labels(alias, before).set(0)
        self._live.labels(alias, name).set(1)

    def close(self, alias: str) -> None:
        """Let an alias lead nowhere."""
        self._live.labels(alias, self.routes[alias]).set(0)
        self.routes = {other: name for other, name in self.routes.items() if other != alias}

    def copied(self, alias: str, outcome: str) -> None:
        """Count a copy that a challenger, or its champion, was asked."""
        self._copies.labels(alias, outcome).inc()

    # --- endpoints ---

    async def _chat(self, request: Request, allowed: tuple[str, ...]) -> Response:
        asked = read_request(await self._body(request))
        alias, lane = self._lane(asked, request, allowed)
        row = read_row(asked.messages, lane.release.usecase)
        number, arrived, key = answer_id(), time.perf_counter(), request.state.client
        until = asyncio.get_running_loop().time() + self.limits.seconds
        beside = self.besides.get(alias) if asked.model == alias and key is not None else None
        client = client_of(key or "", asked.user)
        answer = await self._of_canary(beside, row, until) if beside is not None and beside.takes(client) else None
        canary = answer is not None
        started = arrived if canary else time.perf_counter()  # what the canary took in vain is not the champion's
        lane = beside.challenger if beside is not None and canary else lane
        note = partial(self._note, Served(number, alias, key or "", lane.release, row), key is not None, started)
        if answer is None:
            try:
                answer = await self._answer(alias, lane, row, until)
            except Refused as refused:
                note(outcome=_OUTCOMES.get(refused.status, "refused"))
                raise
        outcome = "ok" if answer.error is None else str(answer.error)
        self._count(alias, lane.release.name, outcome)
        self._seconds.labels(alias).observe(time.perf_counter() - arrived)
        note(outcome=outcome, answer=answer)
        if beside is not None:
            beside.answered(number, client, row, answer, time.perf_counter() - started, canary=canary)
        if answer.error is not None:
            raise Refused(f"the model did not answer: {answer.error}", status=502, kind="api_error")
        self._tokens.labels(alias, "in").inc(answer.tokens_in)
        self._tokens.labels(alias, "out").inc(answer.tokens_out)
        headers = {"x-tuneworthy-release": lane.release.name}
        if asked.ignored:
            headers["x-tuneworthy-ignored"] = ", ".join(asked.ignored)
        if asked.stream:
            pieces = chunks(answer, name=lane.release.name, number=number)
            return StreamingResponse(pieces, media_type="text/event-stream", headers=headers)
        return JSONResponse(completion(answer, name=lane.release.name, number=number), headers=headers)

    async def _said(self, request: Request, allowed: tuple[str, ...]) -> Response:
        raw = await self._body(request)
        if self.traces is None:
            raise Refused("this gateway keeps no traces, so it takes no feedback", status=409)
        client = request.state.client or ""
        try:
            given = read_given(raw)
            async with asyncio.timeout(self.limits.seconds):
                said = await asyncio.wrap_future(self.traces.feedback(given, client, known=bool(client)))
        except TimeoutError:
            raise Refused("it could not be kept in time; send it again", status=503, kind="api_error") from None
        except ValueError as error:
            raise Refused(str(error)) from None
        except FeedbackRefused as refused:
            raise Refused(str(refused), status=refused.status) from None
        for beside in list(self.besides.values()):  # what is said can take one out
            beside.said(said.id, said.right, given.correction)
        self._feedback.labels(said.alias, "right" if said.right else "wrong").inc()
        told = {} if given.correction is None else {"correction": _kept(said)}
        return JSONResponse({"id": said.id, "object": "feedback", **told})

    async def _models(self, request: Request, allowed: tuple[str, ...]) -> Response:
        names = [alias for alias in self._open_routes if not allowed or alias in allowed]
        shared = {"object": "model", "owned_by": "tuneworthy"}
        data = [{"id": name, **shared, "release": self.routes[name]} for name in names]
        return JSONResponse({"object": "list", "data": data})

    async def _health(self, request: Request) -> Response:
        live = self._open_routes
        down = {alias: lane.down for alias, name in live.items() if (lane := self.lanes.get(name)) and lane.down}
        return JSONResponse(
            {"live": live, **({"down": down} if down else {})}, status_code=200 if live and not down else 503
        )

    async def _metrics(self, request: Request) -> Response:
        return PlainTextResponse(generate_latest(self.registry), media_type="text/plain; version=0.0.4")

    async def _metrics_of_clients(self, request: Request) -> Response:
        with suppress(DataError):
            self._known_keys()
            if not self.keys_wanted:
                return await self._metrics(request)
        refused = Refused("with keys, metrics are on a port of their own: serve --admin-port", status=404)
        return JSONResponse(refused.body(), status_code=404)

    async def _document(self, request: Request) -> Response:
        return JSONResponse(openapi.document())

    # --- what stands before an answer ---

    def _guarded(
        self, endpoint: Callable[[Request, tuple[str, ...]], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                allowed = self._enter(request)
                with self._under_way(request.state.client or ""):
                    return await endpoint(request, allowed)
            except Refused as refused:
                headers = {"retry-after": str(refused.wait)} if refused.status in (429, 503) else {}
                headers |= {"connection": "close"} if refused.status in _UNREAD else {}
                return JSONResponse(refused.body(), status_code=refused.status, headers=headers)
            except ClientDisconnect:
                return Response(status_code=499)

        return guarded

    def _enter(self, request: Request) -> tuple[str, ...]:
        """Aliases that this client may ask; empty = all. `state.client`: whose key it is; None for the gate."""
        request.state.client = None
        if self._is_gate(request):
            return ()
        try:
            known = self._known_keys()
        except DataError as error:
            raise Refused("the gateway cannot read its keys", status=503, kind="api_error") from error
        request.state.client = ""
        if not self.keys_wanted:
            return ()
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        holder = known.holder(given.strip()) if kind.lower() == "bearer" else None
        if holder is None:
            raise Refused(
                "this gateway wants a key: Authorization: Bearer tw-…", status=401, kind="authentication_error"
            )
        name, key = holder
        request.state.client = name
        self._not_too_often(name)
        return key.aliases

    def _known_keys(self) -> Keys:
        """Raises DataError: they cannot be read."""
        known = self.keys()
        self.keys_wanted = self.keys_wanted or bool(known.keys)
        return known

    def _is_gate(self, request: Request) -> bool:
        """As bytes: `compare_digest` refuses texts beyond ASCII, and a client can send any."""
        given = request.headers.get(GATE_HEADER, "").encode()
        return secrets.compare_digest(given, self.gate_secret.encode())

    @contextmanager
    def _under_way(self, name: str) -> Iterator[None]:
        """Count the requests of a key; one too many is told to come back."""
        if not name or not self.limits.at_once:
            yield
            return
        if self._open.get(name, 0) >= self.limits.at_once:
            raise Refused(f"at most {self.limits.at_once} requests at once", status=429, kind="rate_limit_error")
        self._open[name] = self._open.get(name, 0) + 1
        try:
            yield
        finally:
            self._open[name] -= 1

    def _not_too_often(self, name: str) -> None:
        if not self.limits.per_minute:
            return
        now = time.monotonic()
        recent = [moment for moment in self._asked.get(name, []) if now - moment < 60]
        if len(recent) >= self.limits.per_minute:
            again = math.ceil(60 - (now - recent[0]))
            raise Refused(
                f"at most {self.limits.per_minute} requests a minute", status=429, kind="rate_limit_error", wait=again
            )
        self._asked[name] = [*recent, now]

    async def _body(self, request: Request) -> bytes:
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise Refused("send application/json", param="content-type", status=415)
        raw = bytearray()
        try:
            async with asyncio.timeout(self.limits.seconds):
                async for piece in request.stream():
                    raw += piece
                    if len(raw) > self.limits.body_bytes:
                        raise Refused(f"the body is larger than {self.limits.body_bytes:,} bytes", status=413)
        except TimeoutError:
            raise Refused("the body did not arrive in time", status=408) from None
        return bytes(raw)

    def _lane(self, asked: Asked, request: Request, allowed: tuple[str, ...]) -> tuple[str, Lane]:
        """(alias, the release that answers). What is loaded but not live is for the gate alone."""
        routes = self._open_routes
        name = routes.get(asked.model)
        if name is not None and (not allowed or asked.model in allowed):
            return asked.model, self.lanes[name]
        gate = self._is_gate(request)
        live = {release: alias for alias, release in routes.items() if not allowed or alias in allowed}
        if asked.model in self.lanes and (gate or asked.model in live):
            return live.get(asked.model, "gate"), self.lanes[asked.model]
        known = [alias for alias in routes if not allowed or alias in allowed]
        raise Refused(
            f"nothing is served as {asked.model[:80]!r}; known: {', '.join(known) or 'nothing yet'}",
            param="model",
            status=404 if routes else 503,
        )

    @property
    def _open_routes(self) -> dict[str, str]:
        """What clients may ask for: the alias of drills is not."""
        return {alias: name for alias, name in self.routes.items() if alias != deployments.DRILL}

    async def _of_canary(self, beside: Beside, row: Any, until: float) -> Answer | None:
        """The canary's answer; None where it gives none in half of the time: then the champion has the rest.

        That counts as a failure, unless it says nothing of the release: no room, or an engine elsewhere that is away.
        """
        started = time.perf_counter()
        alias, lane = beside.entry.alias, beside.challenger
        try:
            answer = await self._answer(alias, lane, row, until - self.limits.seconds / 2)
        except Refused as refused:
            excused = lane.elsewhere or refused.status != 504
        else:
            if answer.error is None:
                return answer
            self._count(alias, lane.release.name, str(answer.error))
            excused = lane.elsewhere and answer.error in AWAY
        if not excused:
            beside.failed(time.perf_counter() - started)
        return None

    async def _answer(self, alias: str, lane: Lane, row: Any, until: float) -> Answer:
        """`until`: by the clock of the loop. Raises Refused."""
        try:
            async with asyncio.timeout_at(until):
                return await lane.answer(row)
        except LaneFull:
            self._count(alias, lane.release.name, "full")
            raise Refused("too many requests wait already", status=429, kind="rate_limit_error") from None
        except LaneDown as down:
            self._count(alias, lane.release.name, "down")
            raise Refused(f"what answers is away: {down}", status=503, kind="api_error") from None
        except TimeoutError:
            self._count(alias, lane.release.name, "timeout")
            raise Refused(f"no answer within {self.limits.seconds:g} s", status=504, kind="api_error") from None

    def _note(self, served: Served, wanted: bool, started: float, **became: Any) -> None:
        """Leave a trace; what the gate asks leaves none."""
        if wanted and self.traces is not None:
            self.traces.offer(replace(served, seconds=time.perf_counter() - started, **became))

    def _count(self, alias: str, release: str, outcome: str) -> None:
        self._requests.labels(alias, release, outcome).inc()


def _kept(said: Said) -> str:
    """What became of a correction, for the client."""
    if said.locked:
        return "not kept: it stands in the locked suite"
    return "not kept: send the input too" if said.input is None else "kept, for a person to look at"
