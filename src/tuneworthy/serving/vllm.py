"""vLLM: started here or attached; adapters are put in while it runs, each under the name of its content, once.

A name is never loaded again and never unloaded to make room for other weights: after a reload in place vLLM's prefix
cache may answer with the old adapter (vllm#42125). The base has a name of its own that no adapter carries.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from tuneworthy.errors import ModelError
from tuneworthy.models.local.files import resolve
from tuneworthy.project import Project
from tuneworthy.records import Message
from tuneworthy.release import package
from tuneworthy.release.package import ADAPTER, Release
from tuneworthy.seams import Model
from tuneworthy.serving.engines import Attached, EngineAway, EngineChoice, Started, adapter_name, free_port

T = TypeVar("T")
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""what --max-lora-rank takes"""
RUNTIME = "VLLM_ALLOW_RUNTIME_LORA_UPDATING"


class Vllm(Attached):
    """One vLLM server, its base model, and adapters on it."""

    def __init__(self, choice: EngineChoice, project: Project) -> None:
        self._started: Started | None = None
        if not choice.url:
            port = free_port()
            choice = replace(choice, url=f"http://127.0.0.1:{port}/v1")
            self._started = Started(command(project, port), {RUNTIME: "True"})
        super().__init__(choice, project)

    def open(self, release: Release) -> Model:
        """See Attached. A server that is started here is started on first use, and again where it died."""
        if self._started is not None:
            if base_name(release) != base_name(package.releases(self.project)[-1]):
                raise ModelError(
                    f"{release.name} has another base model than the server was started with",
                    why="vLLM serves one base model",
                    next="start a second gateway for it",
                )
            self._started.run(self.project.store / "vllm.log")
        return super().open(release)

    def close(self) -> None:
        """End the server, where it was started here."""
        if self._started is not None:
            self._started.stop()

    def base_name(self, release: Release) -> str:
        return self.choice.model or (base_name(release) if self._started else release.manifest.base.name)

    def put_in(self, path: Path) -> str:
        """Load an adapter under the name of its content, unless it is there.

        Raises:
            ModelError: vLLM does not take it. EngineAway: it does not answer.
        """
        name = adapter_name(path)
        if name in self.served():
            return name
        reply = self.post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(path.resolve())})
        if reply.status_code == 404:
            raise ModelError(
                "vLLM does not load adapters while it runs",
                why=f"{RUNTIME} is not set there",
                next=f"start it with {RUNTIME}=True, or with --lora-modules {name}={path.resolve()}",
            )
        if not reply.is_success:
            raise ModelError(f"vLLM does not take the adapter: {reply.text[:200]}", where=str(path))
        if name not in self.served():
            raise ModelError(f"vLLM took the adapter and does not list {name}", where=str(path))
        return name

    def count_tokens(self, name: str, messages: Sequence[Message]) -> int | None:
        return len(self._tokens(name, messages)) or None

    def rendered(self, name: str, messages: Sequence[Message]) -> str:
        """By vLLM's own /tokenize and /detokenize: the template that really is in use."""
        tokens = self._tokens(name, messages)
        reply = self.post("/detokenize", {"model": name, "tokens": tokens}) if tokens else None
        return _field(reply.json(), "prompt", str, "") if reply is not None and reply.is_success else ""

    def _tokens(self, name: str, messages: Sequence[Message]) -> list[int]:
        body = {
            "model": name,
            "messages": [message.model_dump(mode="json") for message in messages],
            "add_generation_prompt": True,
        }
        try:
            reply = self.post("/tokenize", body)
            return _field(reply.json(), "tokens", list, []) if reply.is_success else []
        except (EngineAway, json.JSONDecodeError):
            return []


def command(project: Project, port: int) -> tuple[str, ...]:
    """The command line for the base model of the newest release, with room for all adapters of the folder.

    Raises:
        ModelError: there is no release, or its base model is not here.
    """
    known = package.releases(project)
    if not known:
        raise ModelError("there is no release to serve", next="run: tuneworthy release build")
    newest = known[-1]
    model = newest.usecase.model
    ranks = [rank for release in known if (rank := _rank(release.folder / ADAPTER))]
    parts = [
        *("vllm", "serve", str(resolve(model, project.folder))),
        *("--served-model-name", base_name(newest)),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--dtype", model.precision),
        *("--seed", "0"),
    ]
    if ranks:
        parts += ["--enable-lora", "--max-loras", str(max(2, min(8, len(ranks)))), "--max-lora-rank", _room(max(ranks))]
    return tuple(parts)


def base_name(release: Release) -> str:
    """The base in vLLM: by its identity, and never an adapter's name."""
    return f"base-{release.manifest.base.identity[:16]}"


def _rank(adapter: Path) -> int:
    """Rank of an adapter; 0 where there is none."""
    try:
        return int(json.loads((adapter / "adapter_config.json").read_text("utf-8"))["r"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _room(rank: int) -> str:
    """The smallest --max-lora-rank that holds it.

    Raises:
        ModelError: vLLM has none.
    """
    found = next((room for room in RANKS if room >= rank), None)
    if found is None:
        raise ModelError(f"vLLM takes adapters up to rank {RANKS[-1]}; one here has {rank}")
    return str(found)


def _field(body: object, name: str, kind: type[T], otherwise: T) -> T:
    value = body.get(name) if isinstance(body, dict) else None
    return value if isinstance(value, kind) else otherwise
