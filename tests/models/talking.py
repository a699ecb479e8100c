"""A real HTTP server on this machine that talks like an OpenAI-compatible endpoint, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def chat(text, *, finish="stop", tokens_in=7, tokens_out=3):
    """The body of a chat completion."""
    return {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": tokens_in, "completion_tokens": tokens_out},
    }


def echo(body):
    """Answers with the last message in capitals."""
    return 200, {}, chat(body["messages"][-1]["content"].upper())


class Server:
    """`reply(body)` gives (status, headers, body); a body of bytes is sent as it is."""

    def __init__(self):
        self.reply = echo
        self.asked, self.headers, self.paths, self.times = [], [], [], []
        self.most_at_once = self._at_once = 0
        self._lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def script(self, *replies):
        """Give these replies one after the other, then echo."""
        left = list(replies)
        self.reply = lambda body: left.pop(0) if left else echo(body)

    def __enter__(self):
        talk = self

        class Talk(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with talk._lock:
                    talk._at_once += 1
                    talk.most_at_once = max(talk.most_at_once, talk._at_once)
                    talk.asked.append(body)
                    talk.headers.append(dict(self.headers))
                    talk.paths.append(self.path)
                    talk.times.append(time.monotonic())
                status, headers, answer = talk.reply(body)
                with talk._lock:
                    talk._at_once -= 1
                raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    for name, value in {"Content-Type": "application/json", **headers}.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(raw)))
                    self.end_headers()
                    self.wfile.write(raw)
                except OSError:
                    self.close_connection = True  # the client had waited long enough

            do_GET = do_POST

            def log_message(self, *args):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Talk)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
