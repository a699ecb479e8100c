"""llama.cpp in this process, behind its own OpenAI-compatible door on a port of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from tuneworthy.errors import MissingExtra, ModelError

PACKAGE = "xllamacpp"


def at_hand() -> bool:
    """Whether llama.cpp is installed."""
    return find_spec(PACKAGE) is not None


@contextmanager
def running(file: Path, *, context: int) -> Iterator[tuple[str, str]]:
    """(URL of the endpoint, name and version of the engine) while a GGUF file is served.

    One request is answered at a time, without a cache of earlier prompts, so that answers do not depend on each other.

    Args:
        context: tokens of prompt and answer together.

    Raises:
        MissingExtra: llama.cpp is not installed. ModelError: it cannot read the file.
    """
    if not at_hand():
        raise MissingExtra(PACKAGE, "gguf")
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(file)
    settings.n_ctx, settings.n_parallel, settings.n_gpu_layers = context, 1, 0
    settings.cache_prompt = False
    settings.verbosity = -1
    try:
        server = xllamacpp.Server(settings)
    except Exception as error:  # whatever the library raises for a file that it cannot read
        raise ModelError(f"llama.cpp cannot load it: {str(error)[:200]}", where=str(file)) from error
    try:
        yield f"{server.listening_address}/v1", f"llama.cpp ({PACKAGE} {version(PACKAGE)})"
    finally:
        del server
