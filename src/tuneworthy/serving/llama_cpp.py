"""llama.cpp's server with one GGUF: a quantised export is another model, so the gate measures it like any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tuneworthy.content import file_digest
from tuneworthy.errors import ModelError
from tuneworthy.project import Project
from tuneworthy.records import Message
from tuneworthy.release.package import Release
from tuneworthy.seams import Model
from tuneworthy.serving.engines import Attached, EngineChoice, Started, free_port

SLOTS = 4
"""requests that it answers at once; the context is divided among them"""
CONTEXT = 4096
"""tokens of each"""


class LlamaCpp(Attached):
    """One llama-server, started or attached. Trained weights are inside the GGUF, so they need no name of their own."""

    def __init__(self, choice: EngineChoice, project: Project) -> None:
        self._started: Started | None = None
        if not choice.url:
            if choice.gguf is None or not choice.gguf.is_file():
                raise ModelError(
                    "llama.cpp needs a GGUF file", next="name it: --gguf FILE", where=str(choice.gguf or "--gguf")
                )
            port, name = free_port(), gguf_name(choice.gguf)
            choice = replace(choice, url=f"http://127.0.0.1:{port}/v1", model=name)
            self._started = Started(command(choice.gguf or Path(), name, port))
        super().__init__(choice, project)

    def open(self, release: Release) -> Model:
        """See Attached."""
        if self._started is not None:
            self._started.run(self.project.store / "llama_cpp.log")
        return super().open(release)

    def close(self) -> None:
        """End the server, where it was started here."""
        if self._started is not None:
            self._started.stop()

    def put_in(self, path: Path) -> str:
        """They are in the GGUF; whether these ones are, only the answers tell."""
        return self.choice.model

    def rendered(self, name: str, messages: Sequence[Message]) -> str:
        """By llama-server's own /apply-template."""
        reply = self.post("/apply-template", {"messages": [message.model_dump(mode="json") for message in messages]})
        try:
            found = reply.json() if reply.is_success else {}
        except ValueError:
            return ""
        return str(found.get("prompt", "")) if isinstance(found, dict) else ""


def command(gguf: Path, name: str, port: int) -> tuple[str, ...]:
    """llama-server on this machine alone."""
    return (
        *("llama-server", "--model", str(gguf.resolve()), "--alias", name),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--ctx-size", str(SLOTS * CONTEXT), "--parallel", str(SLOTS), "--seed", "0", "--jinja"),
    )


def gguf_name(file: Path) -> str:
    """By its content."""
    return f"gguf-{file_digest(file)[:16]}"
