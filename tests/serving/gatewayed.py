"""A real gateway on a real port, in a thread of its own."""

from __future__ import annotations

import socket
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "release"))

import httpx

from tuneworthy.errors import GateRefused
from tuneworthy.serving import deployments
from tuneworthy.serving.gateway import Limits
from tuneworthy.serving.server import Server

CLIENT = httpx.Client(timeout=60, trust_env=False)
"""one for all: making one takes longer than asking"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def gateway(project, *, limits=Limits(), **settings):  # noqa: B008
    """(server, URL), up and stopped again."""
    server = Server(project, "127.0.0.1", free_port(), lambda text: None, limits, **settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.port}"
    wait(lambda: _up(url))
    try:
        yield server, url
    finally:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()


def wait(done, seconds=60.0):
    """Until something is so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return
        time.sleep(0.05)
    raise AssertionError("it did not become so")


def settled(project, alias="champion"):
    """Until the last wish for an alias was answered; what is live then."""
    wait(lambda: deployments.read(project)[-1].action in ("live", "refused"))
    return deployments.live(deployments.read(project)).get(alias)


def ask(url, content, *, model="champion", headers=None, **settings):
    body = {"model": model, "messages": [{"role": "user", "content": content}], **settings}
    return CLIENT.post(f"{url}/v1/chat/completions", json=body, headers=headers or {})


def _up(url):
    try:
        return httpx.get(f"{url}/health", timeout=5, trust_env=False).status_code in (200, 503)
    except httpx.HTTPError:
        return False


__all__ = ["GateRefused", "ask", "free_port", "gateway", "settled", "wait"]
