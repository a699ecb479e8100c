"""A stand-in for vLLM's server: its endpoints, and the ways in which an engine fails. Used by tests and benchmarks.

    python -m benchmarks.stub_engine PORT      answers with words; POST /fault {"mode": "hang"} breaks it

Endpoints as of vLLM's documentation of 2026: /v1/models, /v1/chat/completions, /v1/load_lora_adapter,
/v1/unload_lora_adapter, /tokenize, /detokenize, /health.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = {"pipe": "plumbing", "fuse": "power", "door": "keys"}

Speak = Callable[[str, list[dict[str, str]]], str]
"""(path of the adapter, empty for the base; messages) → the answer"""
Write = Callable[[list[dict[str, str]]], str]
"""messages → the prompt as the template writes it"""

MODES = ("", "hang", "slow", "garbage", "cut", "error", "base_answers")


class StubEngine:
    """One server. Change `mode` to break it."""

    def __init__(
        self, speak: Speak, *, base: str = "base", port: int = 0, write: Write | None = None, runtime: bool = True
    ) -> None:
        self.speak, self.base, self.write, self.runtime = speak, base, write, runtime
        self.mode = ""
        self.seconds = 2.0
        """slow: until an answer"""
        self.adapters: dict[str, str] = {}
        self.loads: list[dict[str, Any]] = []
        self.by_prefix: dict[tuple[str, str], str] = {}
        """(name, first message) → path: vLLM's prefix cache after a reload under the same name (vllm#42125)"""
        self.stale_cache = False
        self.released = threading.Event()
        engine = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                engine.get(self)

            def do_POST(self) -> None:
                with suppress(BrokenPipeError, ConnectionResetError):
                    engine.post(self)

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Answering)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def start(self) -> StubEngine:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def forever(self) -> None:
        self._server.serve_forever()

    # --- what it answers ---

    def get(self, to: BaseHTTPRequestHandler) -> None:
        if self.mode == "hang":
            self.released.wait(300)
        if to.path == "/health":
            return _send(to, 200, {})
        if to.path == "/v1/models":
            names = [self.base, *self.adapters]
            return _send(to, 200, {"object": "list", "data": [{"id": n, "max_model_len": 512} for n in names]})
        return _send(to, 404, {"error": "no such path"})

    def post(self, to: BaseHTTPRequestHandler) -> None:
        body = json.loads(to.rfile.read(int(to.headers["content-length"])))
        if to.path == "/fault":
            self.mode, self.seconds = body["mode"], body.get("seconds", self.seconds)
            self.released.set()
            self.released = threading.Event()
            return _send(to, 200, {})
        if self.mode == "hang":
            self.released.wait(300)
        if to.path == "/v1/load_lora_adapter" and self.runtime:
            self.loads.append(body)
            if body["lora_name"] in self.adapters and not body.get("load_inplace"):
                return _send(to, 400, {"error": "already loaded"})
            self.adapters[body["lora_name"]] = body["lora_path"]
            return _send(to, 200, "Success")
        if to.path == "/v1/unload_lora_adapter" and self.runtime:
            self.adapters.pop(body["lora_name"], None)
            return _send(to, 200, "Success")
        if to.path == "/tokenize" and self.write is not None:
            tokens = list(self.write(body["messages"]).encode())
            return _send(to, 200, {"count": len(tokens), "max_model_len": 512, "tokens": tokens})
        if to.path == "/detokenize" and self.write is not None:
            return _send(to, 200, {"prompt": bytes(body["tokens"]).decode()})
        if to.path == "/v1/chat/completions":
            return self._chat(to, body)
        return _send(to, 404, {"error": "no such path"})

    def _chat(self, to: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        name, messages = body["model"], body["messages"]
        if name != self.base and name not in self.adapters:
            return _send(to, 404, {"error": f"the model {name} does not exist"})
        if self.mode == "error":
            return _send(to, 500, {"error": "CUDA out of memory"})
        if self.mode == "slow":
            time.sleep(self.seconds)
        path = self.adapters.get(name, "")
        if self.mode == "base_answers":
            path = ""
        if self.stale_cache:
            path = self.by_prefix.setdefault((name, messages[0]["content"][:20]), path)
        text = "@@ \x00 not an answer" if self.mode == "garbage" else self.speak(path, messages)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        raw = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 1}}).encode()
        if self.mode == "cut":  # killed in the middle of its answer
            to.send_response(200)
            to.send_header("content-length", str(len(raw)))
            to.end_headers()
            to.wfile.write(raw[: len(raw) // 2])
            to.close_connection = True
            return None
        return _send_raw(to, 200, raw)


def _send(to: BaseHTTPRequestHandler, status: int, body: Any) -> None:
    _send_raw(to, status, json.dumps(body).encode())


def _send_raw(to: BaseHTTPRequestHandler, status: int, raw: bytes) -> None:
    to.send_response(status)
    to.send_header("content-type", "application/json")
    to.send_header("content-length", str(len(raw)))
    to.end_headers()
    to.wfile.write(raw)


def _word(path: str, messages: list[dict[str, str]]) -> str:
    asked = messages[-1]["content"]
    return next((label for word, label in WORDS.items() if word in asked), "none")


if __name__ == "__main__":
    StubEngine(_word, port=int(sys.argv[1])).forever()
