"""Any OpenAI-compatible endpoint. A request that fails is recorded with its reason; it is never an empty answer."""

from __future__ import annotations

import ipaddress
import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from tuneworthy.content import digest
from tuneworthy.errors import ModelError, PrivacyRefused
from tuneworthy.records import Completion, Constraint, Message, Request, UnscoredReason
from tuneworthy.usecase import ModelChoice, Privacy

AGAIN = (408, 409, 429, 500, 502, 503, 504)
"""Statuses after which asking again makes sense."""

_INTERNAL = (".local", ".internal", ".lan", ".home.arpa")


@dataclass(frozen=True)
class Patience:
    """How long to try."""

    attempts: int = 5
    first_wait: float = 0.5
    """seconds; doubled after each attempt, with up to half of it added at random so that callers spread out"""
    longest_wait: float = 60.0
    """seconds; a server that asks for a longer wait is not waited for"""
    timeout: float = 120.0
    """seconds for one answer"""
    at_once: int = 4
    """requests under way at a time"""


def open_endpoint(choice: ModelChoice, *, privacy: Privacy, patience: Patience | None = None) -> Endpoint:
    """The model at an endpoint.

    Raises:
        PrivacyRefused: on_premises, and the host is neither this machine nor in a private network.
        ModelError: the environment variable for the key is not set, or the URL is none.
    """
    host = urlsplit(choice.endpoint).hostname
    if not host or urlsplit(choice.endpoint).scheme not in ("http", "https"):
        raise ModelError("the endpoint is not a URL", next="e.g. http://localhost:8000/v1", where=choice.endpoint)
    if privacy == "on_premises" and not is_private(host):
        raise PrivacyRefused(
            f"the privacy posture is on_premises, but {host} is not a host of your own network",
            next="use a local model, or change privacy in usecase.toml if sending the data there is allowed",
        )
    key = os.environ.get(choice.api_key_env, "") if choice.api_key_env else ""
    if choice.api_key_env and not key:
        raise ModelError(f"the environment variable {choice.api_key_env} is not set", next="set it to the API key")
    return Endpoint(choice.base, choice.endpoint.rstrip("/"), key, patience or Patience())


def is_private(host: str) -> bool:
    """Loopback, private ranges, and names that only a private network resolves."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost" or "." not in host or host.endswith(_INTERNAL)


class Endpoint:
    """Asks over HTTP, a few requests at a time, with patience."""

    def __init__(self, name: str, url: str, key: str, patience: Patience) -> None:
        self.name, self.context = name, None
        self.digest = digest(["endpoint", url, name])  # the key decides nothing and is never written
        self._url, self._patience = f"{url}/chat/completions", patience
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def complete(
        self, requests: Sequence[Request], on_done: Callable[[int, Completion], None] | None = None
    ) -> list[Completion]:
        """One completion per request, in order; `on_done` in the order in which they arrive."""
        done: dict[int, Completion] = {}
        with (
            httpx.Client(timeout=self._patience.timeout, headers=self._headers, trust_env=False) as client,
            ThreadPoolExecutor(self._patience.at_once) as pool,
        ):
            waiting = {pool.submit(self._ask, client, request): index for index, request in enumerate(requests)}
            for future in as_completed(waiting):
                index = waiting[future]
                done[index] = future.result()
                if on_done is not None:
                    on_done(index, done[index])
        return [done[index] for index in range(len(requests))]

    def count_tokens(self, messages: Sequence[Message]) -> None:
        """Cannot be known without asking."""
        return

    def constraint_problem(self, request: Request) -> str:
        """Exact label scores need log-probabilities of given texts, which this interface does not offer."""
        wanted = request.constraint
        return "an endpoint cannot score given labels" if wanted is not None and wanted.how == "score" else ""

    def _ask(self, client: httpx.Client, request: Request) -> Completion:
        started = time.perf_counter()
        dice = random.Random(digest(request.model_dump(mode="json")))
        failure = Completion(finish="error", error="transport", detail="not asked")
        for attempt in range(self._patience.attempts):
            try:
                response = client.post(self._url, json=_body(self.name, request))
            except httpx.TimeoutException:
                failure = _failed("timeout", f"no answer within {self._patience.timeout:g} s")
                wait = self._wait(attempt, dice, {})
            except httpx.HTTPError as error:
                failure = _failed("transport", f"{type(error).__name__}: {error}")
                wait = self._wait(attempt, dice, {})
            else:
                if response.status_code not in AGAIN:
                    return _read(response, request, time.perf_counter() - started)
                failure = _failed("transport", f"HTTP {response.status_code}")
                wait = self._wait(attempt, dice, response.headers)
            if wait > self._patience.longest_wait or attempt + 1 == self._patience.attempts:
                break
            time.sleep(wait)
        return failure.model_copy(update={"seconds": time.perf_counter() - started})

    def _wait(self, attempt: int, dice: random.Random, headers: Mapping[str, str]) -> float:
        """Seconds: what the server asks for, else doubling with a random part."""
        asked = _seconds(headers.get("retry-after")) or _seconds(headers.get("x-ratelimit-reset-requests"))
        return asked if asked is not None else self._patience.first_wait * 2**attempt * (1 + dice.random() / 2)


def _body(name: str, request: Request) -> dict[str, Any]:
    decoding = request.decoding
    body: dict[str, Any] = {
        "model": name,
        "messages": [message.model_dump(mode="json") for message in request.messages],
        "max_tokens": decoding.max_tokens,
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "seed": decoding.seed,
    }
    if decoding.stop:
        body["stop"] = list(decoding.stop)
    if request.constraint is not None:
        schema = _schema(request.constraint)
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": schema},
        }
    return body


def _schema(constraint: Constraint) -> Any:
    if constraint.kind == "json_schema":
        return constraint.json_schema
    answer = {"type": "string", "enum": list(constraint.labels)}
    return {"type": "object", "properties": {"answer": answer}, "required": ["answer"], "additionalProperties": False}


def _read(response: httpx.Response, request: Request, seconds: float) -> Completion:
    """A response as a completion; whatever is not as the interface says is a failure of the channel."""
    if response.status_code >= 400:
        return _failed(_refusal(response), f"HTTP {response.status_code}: {response.text[:200]}")
    try:
        body = response.json()
        choice = body["choices"][0]
        text, finish = choice["message"]["content"], choice.get("finish_reason")
        usage = body.get("usage") or {}
        if finish == "content_filter":
            return _failed("content_filter", "the endpoint withheld the answer")
        if not isinstance(text, str):
            return _failed("parse", "the answer holds no text")
        return Completion(
            text=_label(text, request.constraint),
            tokens_in=int(usage.get("prompt_tokens") or 0),
            tokens_out=int(usage.get("completion_tokens") or 0),
            seconds=seconds,
            finish="length" if finish == "length" else "stop",
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        return _failed("parse", f"the response is not a chat completion: {type(error).__name__}")


def _label(text: str, constraint: Constraint | None) -> str:
    """Labels travel in an object, because the interface enforces objects only."""
    if constraint is None or constraint.kind != "labels":
        return text
    value = json.loads(text)
    return str(value["answer"])


def _refusal(response: httpx.Response) -> UnscoredReason:
    return "content_filter" if "content_filter" in response.text else "transport"


def _failed(reason: UnscoredReason, detail: str) -> Completion:
    return Completion(finish="error", error=reason, detail=detail)


def _seconds(value: str | None) -> float | None:
    """Retry-After and rate-limit headers: seconds, with or without their unit. Dates are not understood: None."""
    if value is None:
        return None
    try:
        found = float(value.removesuffix("ms")) / 1000 if value.endswith("ms") else float(value.removesuffix("s"))
    except ValueError:
        return None
    return found if 0 <= found < float("inf") else None
