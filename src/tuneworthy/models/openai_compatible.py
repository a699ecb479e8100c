"""Any OpenAI-compatible endpoint. A request that fails is recorded with its reason; it is never an empty answer."""

from __future__ import annotations

import ipaddress
import json
import os
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import httpx

from tuneworthy.content import digest
from tuneworthy.errors import ModelError, PrivacyRefused
from tuneworthy.records import Completion, Constraint, Message, Request, UnscoredReason
from tuneworthy.usecase import ModelChoice, Privacy

AGAIN = (408, 409, 429, 500, 502, 503, 504)
"""Statuses after which asking again makes sense."""

_INTERNAL = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
_OWN = tuple(
    ipaddress.ip_network(network)
    for network in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)
"""This machine, RFC 1918 and RFC 4193. Python's `is_private` also holds ranges that are nobody's own network:
link-local (where clouds answer for themselves), documentation, benchmarking, Teredo."""


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
    require_allowed(choice.endpoint, privacy)
    key = os.environ.get(choice.api_key_env, "").strip() if choice.api_key_env else ""
    if choice.api_key_env and not key:
        raise ModelError(f"the environment variable {choice.api_key_env} is not set", next="set it to the API key")
    if not (key.isascii() and key.isprintable()):
        raise ModelError(f"the environment variable {choice.api_key_env} holds no API key", next="copy the key again")
    return Endpoint(choice.base, choice.endpoint.rstrip("/"), key, patience or Patience())


def require_allowed(endpoint: str, privacy: Privacy) -> None:
    """Refuse a host that the privacy posture does not allow; nothing is sent.

    Raises:
        PrivacyRefused: on_premises, and the host is neither this machine nor in a private network.
        ModelError: the URL is none.
    """
    host = _host(endpoint)
    if privacy == "on_premises" and not is_private(host):
        raise PrivacyRefused(
            f"the privacy posture is on_premises, but {host} is not a host of your own network",
            next="use a local model, or change privacy in usecase.toml if sending the data there is allowed",
        )


def is_private(host: str) -> bool:
    """Loopback, private ranges, and names that only a private network resolves."""
    name = host.lower()
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        # A number without dots is an IPv4 address to the resolver: 134744072 is 8.8.8.8.
        number = re.fullmatch(r"\d+|0x[0-9a-f]*", name)
        known = ("." not in name and not number) or name.endswith(_INTERNAL)
        return known and re.fullmatch(r"[a-z0-9_.-]+", name) is not None
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_unspecified or any(address in network for network in _OWN)


def _host(endpoint: str) -> str:
    """The host that would be asked, read by the library that asks it."""
    try:
        url = httpx.URL(endpoint)
        known = url.scheme in ("http", "https") and (url.port or 0) <= 65535
        host = url.raw_host.decode("ascii") if known else ""
    except (httpx.InvalidURL, ValueError):
        url, host = httpx.URL(), ""
    if not host:
        raise ModelError("the endpoint is not a URL", next="e.g. http://localhost:8000/v1", where="model.endpoint")
    if url.userinfo:
        raise ModelError(
            "the endpoint holds a user name or password, which would be written to files",
            next="put the key into an environment variable and name that as model.api_key_env",
            where="model.endpoint",
        )
    return host


class Endpoint:
    """Asks over HTTP, a few requests at a time, with patience."""

    def __init__(self, name: str, url: str, key: str, patience: Patience) -> None:
        self.name = name
        self.context: int | None = None
        self.digest = digest(["endpoint", url, name])  # the key decides nothing and is never written
        self._url, self._patience = f"{url}/chat/completions", patience
        self._key = key
        self.at_once = patience.at_once
        """requests that it may be asked at a time"""

    def complete(
        self, requests: Sequence[Request], on_done: Callable[[int, Completion], None] | None = None
    ) -> list[Completion]:
        """One completion per request, in order; `on_done` in the order in which they arrive."""
        done: dict[int, Completion] = {}
        stopped = threading.Event()
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        with (
            httpx.Client(timeout=self._patience.timeout, headers=headers, trust_env=False, verify=tls()) as client,
            ThreadPoolExecutor(self._patience.at_once) as pool,
        ):
            waiting = {pool.submit(self._ask, client, request, stopped): n for n, request in enumerate(requests)}
            try:
                for future in as_completed(waiting):
                    index = waiting[future]
                    done[index] = future.result()
                    if on_done is not None:
                        on_done(index, done[index])
            except BaseException:  # Ctrl-C: what was not sent yet is not sent any more
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [done[index] for index in range(len(requests))]

    def count_tokens(self, messages: Sequence[Message]) -> None:
        """Cannot be known without asking."""
        return

    def constraint_problem(self, request: Request) -> str:
        """Exact label scores need log-probabilities of given texts, which this interface does not offer."""
        wanted = request.constraint
        return "an endpoint cannot score given labels" if wanted is not None and wanted.how == "score" else ""

    def _ask(self, client: httpx.Client, request: Request, stopped: threading.Event) -> Completion:
        completion = self._tried(client, request, stopped)
        if self._key and self._key in completion.detail:  # a server may repeat it when it refuses
            return completion.model_copy(update={"detail": completion.detail.replace(self._key, "(key)")})
        return completion

    def _tried(self, client: httpx.Client, request: Request, stopped: threading.Event) -> Completion:
        started = time.perf_counter()
        dice = random.Random(digest(request.model_dump(mode="json")))
        failure = Completion(finish="error", error="transport", detail="not asked")
        for attempt in range(self._patience.attempts):
            try:
                response = client.post(self._url, json=_body(self.name, request))
            except httpx.TimeoutException:
                failure = _failed("timeout", f"no answer within {self._patience.timeout:g} s")
                wait = self._wait(attempt, dice)
            except httpx.HTTPError as error:
                failure = _failed("transport", f"{type(error).__name__}: {error}")
                wait = self._wait(attempt, dice)
            else:
                if response.status_code not in AGAIN:
                    return _read(response, request, time.perf_counter() - started)
                failure = _failed("transport", f"HTTP {response.status_code}")
                asked = _asked_wait(response.status_code, response.headers)
                wait = self._wait(attempt, dice) if asked is None else asked
            if wait > self._patience.longest_wait or attempt + 1 == self._patience.attempts or stopped.wait(wait):
                break
        return failure.model_copy(update={"seconds": time.perf_counter() - started})

    def _wait(self, attempt: int, dice: random.Random) -> float:
        """Seconds, doubling, with a random part."""
        return self._patience.first_wait * 2.0**attempt * (1 + dice.random() / 2)


@cache
def tls() -> ssl.SSLContext:
    """The certificates that are trusted, read once: reading them takes longer than a short answer."""
    return httpx.create_ssl_context(trust_env=False)


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
    if not response.is_success:  # other addresses are not followed: they might be elsewhere
        return _failed(_refusal(response), f"HTTP {response.status_code}: {response.text[:200]}")
    try:
        body = response.json()
        choice = body["choices"][0]
        text, finish = choice["message"]["content"], choice.get("finish_reason")
        usage = body.get("usage")
        if finish == "content_filter":
            return _failed("content_filter", "the endpoint withheld the answer")
        if not isinstance(text, str):
            return _failed("parse", "the answer holds no text")
        return Completion(
            text=_whole(_label(text, request.constraint)),
            tokens_in=_count(usage, "prompt_tokens"),
            tokens_out=_count(usage, "completion_tokens"),
            seconds=seconds,
            finish="length" if finish == "length" else "stop",
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        return _failed("parse", f"the response is not a chat completion: {type(error).__name__}")


def _label(text: str, constraint: Constraint | None) -> str:
    """Labels travel in an object, because the interface enforces objects only. Where the endpoint enforced nothing or
    the object was cut, the text stays as the model wrote it: a malformed answer is judged, not left out."""
    if constraint is None or constraint.kind != "labels":
        return text
    try:
        answer = json.loads(text)["answer"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return text
    return answer if isinstance(answer, str) else text


def _whole(text: str) -> str:
    """Halves of surrogate pairs, which JSON can carry and no file can, become the replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _count(usage: Any, name: str) -> int:
    """Tokens, or 0 where the endpoint does not tell."""
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and value > 0 else 0


def _refusal(response: httpx.Response) -> UnscoredReason:
    return "content_filter" if "content_filter" in response.text else "transport"


def _failed(reason: UnscoredReason, detail: str) -> Completion:
    return Completion(finish="error", error=reason, detail=detail)


def _asked_wait(status: int, headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait; None where it asks for nothing that can be read."""
    value = headers.get("retry-after", "")
    asked = _seconds(value)
    if asked is None:
        asked = _until(value)
    if asked is None and status == 429:  # sent with every answer, and about nothing but the limit
        asked = _seconds(headers.get("x-ratelimit-reset-requests", ""))
    return asked


def _seconds(value: str) -> float | None:
    """Seconds, with or without their unit: 2, 2s, 200ms."""
    try:
        found = float(value.removesuffix("ms")) / 1000 if value.endswith("ms") else float(value.removesuffix("s"))
    except ValueError:
        return None
    return found if 0 <= found < float("inf") else None


def _until(value: str) -> float | None:
    """Seconds until a date as HTTP writes it."""
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
