"""Where releases run: in this process, or in an engine that is asked over HTTP. One seam (seams.Engine), four of them.

    in_process          transformers, as in evaluation; or the endpoint that the use case names
    openai_compatible   any URL that serves the base, and trained weights under the names that `adapter_name` gives
    vllm                started or attached; adapters are put in while it runs (vllm.py)
    llama_cpp           started or attached, one GGUF (llama_cpp.py)

Of an engine elsewhere nothing is believed: its weights cannot be hashed from here, so the gate tells by its answers. An
engine that is away is waited for; a release is not refused for it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tuneworthy.errors import ModelError
from tuneworthy.models.local.files import weights_digest
from tuneworthy.models.open import open_model
from tuneworthy.models.openai_compatible import Endpoint, Patience, open_endpoint, require_allowed, tls
from tuneworthy.project import Project
from tuneworthy.records import Completion, Message, Request
from tuneworthy.release.package import Release
from tuneworthy.seams import Model

AT_ONCE = 32
"""requests that an engine elsewhere is asked at a time; it batches them itself"""
PING = 2.0
"""seconds for a question about the engine itself"""


class EngineAway(ModelError):
    """The engine does not answer: started too late, stopped, or hung. What it served is waited for."""


@dataclass(frozen=True)
class EngineChoice:
    """Which engine, and how to reach it."""

    name: str = "in_process"
    url: str = ""
    """of its OpenAI interface, e.g. http://127.0.0.1:8000/v1; empty = it is started here"""
    model: str = ""
    """name under which an attached engine serves the base model"""
    gguf: Path | None = None
    seconds: float = 60.0
    """longest time until an answer"""


class InProcess:
    """As in evaluation. Releases on one base share it."""

    def __init__(self, choice: EngineChoice, project: Project) -> None:
        self._choice, self._project = choice, project
        self._models: dict[str, Model] = {}

    def open(self, release: Release) -> Model:
        wanted = release.manifest.base.identity
        if wanted not in self._models:
            model = self._opened(release)
            if model.digest != wanted:
                raise ModelError(
                    f"the base model here is another one than {release.name} was measured with",
                    next="put the base model of the manifest in its place",
                )
            self._models[wanted] = model
        return self._models[wanted]

    def alive(self) -> bool:
        return True

    def close(self) -> None:
        self._models.clear()

    def _opened(self, release: Release) -> Model:
        usecase = release.usecase
        if usecase.model.endpoint:  # a client waits: less patience than in an evaluation
            return open_endpoint(usecase.model, privacy=usecase.privacy, patience=patience(self._choice.seconds))
        return open_model(usecase, self._project.folder)


@dataclass
class Remote:
    """A base model that an engine elsewhere serves, for one release; with its adapter under another name."""

    name: str
    digest: str
    """the base that the release was measured with: claimed, as it cannot be seen from here"""
    engine: Attached
    folder: Path | None = None
    context: int | None = None
    device: str = "elsewhere"
    at_once: int = AT_ONCE

    def complete(
        self, requests: Sequence[Request], on_done: Callable[[int, Completion], None] | None = None
    ) -> list[Completion]:
        """One completion per request, in order."""
        return self.engine.endpoint(self.name).complete(requests, on_done)

    def count_tokens(self, messages: Sequence[Message]) -> int | None:
        """As the engine counts them; None where it does not tell."""
        return self.engine.count_tokens(self.name, messages)

    def constraint_problem(self, request: Request) -> str:
        """Why the engine cannot enforce the constraint; empty when it can."""
        return self.engine.endpoint(self.name).constraint_problem(request)

    def with_adapter(self, path: Path, scale: float = 1.0) -> Remote:
        """The same base with an adapter, under the adapter's own name.

        Raises:
            ModelError: the engine does not have it and does not take it, or it is weakened.
        """
        if scale != 1.0:
            raise ModelError("an engine elsewhere cannot weaken an adapter", next="serve it with --engine in_process")
        return self._named(self.engine.put_in(path))

    def with_weights(self, path: Path) -> Remote:
        """The fully tuned model, which the engine serves under its own name."""
        return self._named(self.engine.put_in(path))

    def answer_logprob(self, request: Request, text: str) -> float | None:
        """Not told by these engines for a given text."""
        return None

    def rendered(self, messages: Sequence[Message]) -> str:
        """The prompt as the engine's template writes it; empty where it does not tell."""
        return self.engine.rendered(self.name, messages)

    def _named(self, name: str) -> Remote:
        return Remote(name, self.digest, self.engine, self.folder, self.context)


class Attached:
    """Any OpenAI-compatible URL. What is special about an engine is in the methods that its class replaces."""

    def __init__(self, choice: EngineChoice, project: Project) -> None:
        if not choice.url:
            raise ModelError("this engine is not started here", next="name its URL: --engine-url http://…/v1")
        require_allowed(choice.url, project.usecase.privacy)
        self.choice, self.project = choice, project
        self.url = choice.url.rstrip("/")
        self.root = self.url.removesuffix("/v1")

    def open(self, release: Release) -> Model:
        """The base model for a release.

        Raises:
            EngineAway: it does not answer. ModelError: it does not serve the base.
        """
        served = self.served()
        name = self.base_name(release)
        if name not in served:
            raise ModelError(
                f"the engine does not serve {name!r}",
                why=f"it serves: {', '.join(served) or 'nothing'}",
                next="name the base model as the engine calls it: --engine-model NAME",
            )
        return Remote(name, release.manifest.base.identity, self, context=served[name])

    def alive(self) -> bool:
        """It answers at all."""
        try:
            self.served()
        except ModelError:
            return False
        return True

    def close(self) -> None:
        """Nothing is held."""

    def base_name(self, release: Release) -> str:
        """What the engine calls the base model."""
        return self.choice.model or release.manifest.base.name

    def endpoint(self, name: str) -> Endpoint:
        """Asks for one name."""
        return Endpoint(name, self.url, "", patience(self.choice.seconds))

    def served(self) -> dict[str, int | None]:
        """name → longest prompt and answer, of what the engine lists.

        Raises:
            EngineAway: it does not answer.
        """
        body = self.get(f"{self.url}/models")
        rows = body.get("data") if isinstance(body, dict) else None
        if not isinstance(rows, list):
            raise EngineAway("the engine does not list its models", where=self.url)
        limits = {str(row.get("id")): row.get("max_model_len") for row in rows if isinstance(row, dict)}
        return {name: limit if isinstance(limit, int) else None for name, limit in limits.items()}

    def put_in(self, path: Path) -> str:
        """The name under which trained weights answer. Here they have to be there already.

        Raises:
            ModelError: they are not.
        """
        name = adapter_name(path)
        if name not in self.served():
            raise ModelError(
                f"the engine does not serve {name!r}",
                why="trained weights are asked for by a name that their content gives them, so none is mistaken",
                next=f"load {path} there under this name",
            )
        return name

    def count_tokens(self, name: str, messages: Sequence[Message]) -> int | None:
        """Not told."""
        return None

    def rendered(self, name: str, messages: Sequence[Message]) -> str:
        """Not told."""
        return ""

    # --- asking about the engine itself ---

    def get(self, url: str) -> Any:
        """JSON. Raises EngineAway."""
        return self._json(lambda client: client.get(url))

    def post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """Raises EngineAway."""
        return self._asked(lambda client: client.post(f"{self.root}{path}", json=body), seconds=self.choice.seconds)

    def _json(self, ask: Callable[[httpx.Client], httpx.Response]) -> Any:
        reply = self._asked(ask, seconds=PING)
        try:
            return reply.raise_for_status().json()
        except (httpx.HTTPStatusError, ValueError) as error:
            raise EngineAway(f"the engine gave no answer: {str(error)[:120]}", where=self.url) from None

    def _asked(self, ask: Callable[[httpx.Client], httpx.Response], *, seconds: float) -> httpx.Response:
        try:
            with httpx.Client(timeout=seconds, trust_env=False, verify=tls()) as client:
                return ask(client)
        except httpx.HTTPError as error:
            raise EngineAway(
                f"the engine does not answer: {type(error).__name__}", next="start it, or wait for it", where=self.url
            ) from None


@dataclass
class Started:
    """An engine's process that belongs to this gateway."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def run(self, log: Path) -> None:
        """Start it where it does not run; its output goes to a file.

        Raises:
            ModelError: the program is not installed.
        """
        if self.process is not None and self.process.poll() is None:
            return
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            try:
                self.process = subprocess.Popen(
                    self.command, stdout=out, stderr=out, env={**os.environ, **self.environment}
                )
            except FileNotFoundError:
                raise ModelError(
                    f"{self.command[0]} is not installed", next="install it, or attach to one: --engine-url"
                ) from None

    def stop(self, patience: float = 20.0) -> None:
        """End it; kill it where it does not end."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        end = time.monotonic() + patience
        while self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def adapter_name(path: Path) -> str:
    """The name of trained weights in an engine: by their content, so one name never means two things, and a cache that
    goes by names (evidence: operations, 2.2) never holds another's answers."""
    return f"tw-{weights_digest(path)[:16]}"


def patience(seconds: float) -> Patience:
    """How long an engine is asked while a client waits."""
    return Patience(attempts=2, first_wait=0.2, longest_wait=1.0, timeout=seconds, at_once=8)


def free_port() -> int:
    """A port of this machine that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
