"""What a client sends → one input of the use case; an answer → what the client gets. OpenAI's chat completions.

The input is the last message of the user: the plain text where the use case has one text field, else (or with several
fields) a JSON object of the fields. How a release answers was measured, so prompt and decoding are not the client's to
change: earlier messages are refused, and settings that would change the answer are named in a header as ignored.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tuneworthy.data.json_rows import parse_json
from tuneworthy.data.values import read_input
from tuneworthy.records import Answer, Input
from tuneworthy.usecase import UseCase

REFUSED = ("tools", "tool_choice", "functions", "function_call", "response_format", "logprobs", "audio", "modalities")
"""settings that ask for another kind of answer than was measured"""
IGNORED = ("temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed", "presence_penalty")
"""settings that change how an answer is decoded: the release's own, as measured, stay in force"""


class Refused(Exception):
    """The request cannot be answered. `param` names what is wrong."""

    def __init__(
        self,
        message: str,
        *,
        param: str = "",
        status: int = 400,
        kind: str = "invalid_request_error",
        wait: int = 1,
    ) -> None:
        super().__init__(message)
        self.message, self.param, self.status, self.kind = message, param, status, kind
        self.wait = wait
        """429 and 503: seconds after which asking again makes sense"""

    def body(self) -> dict[str, Any]:
        """As OpenAI's API writes an error."""
        message = self.message.encode("utf-8", "backslashreplace").decode()  # it can repeat half a character
        return {"error": {"message": message, "type": self.kind, "param": self.param or None, "code": None}}


class Asked(NamedTuple):
    """A request, understood."""

    model: str
    messages: tuple[Mapping[str, Any], ...]
    stream: bool
    ignored: tuple[str, ...]
    user: str = ""
    """who the client says it is: keeps it on one side of a canary"""


def read_request(raw: bytes) -> Asked:
    """The body of a request.

    Raises:
        Refused: it is no such request.
    """
    try:
        body = parse_json(raw.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise Refused(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise Refused("the body is not a JSON object")
    model, messages, stream = body.get("model"), body.get("messages"), body.get("stream", False)
    if not isinstance(model, str) or not model:
        raise Refused("name an alias or a release", param="model")
    if not isinstance(stream, bool):
        raise Refused("is true or false", param="stream")
    user = body.get("user") or ""
    if not isinstance(user, str) or len(user) > 512:
        raise Refused("is a text of at most 512 characters", param="user")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise Refused("is a list of {role, content}", param="messages")
    for name in REFUSED:
        if body.get(name) not in (None, False):
            raise Refused("a release answers as it was measured; this would ask for something else", param=name)
    if body.get("n", 1) not in (None, 1):
        raise Refused("one answer was measured, so one is given", param="n")
    ignored = tuple(name for name in IGNORED if body.get(name) is not None)
    return Asked(model, tuple(messages), stream, ignored, user)


def read_row(messages: tuple[Mapping[str, Any], ...], usecase: UseCase) -> Input:
    """The input of the use case.

    Raises:
        Refused: there is not exactly one message of the user, or it is not an input of this use case.
    """
    if len(messages) != 1 or messages[0].get("role") != "user":
        raise Refused(
            "send one message with the role user: instruction, examples and documents are the release's own",
            param="messages",
        )
    text = _text(messages[0].get("content"))
    try:
        return read_input(_fields(text, usecase), usecase)
    except ValueError as error:
        raise Refused(str(error), param="messages") from None


def completion(answer: Answer, *, name: str, number: str) -> dict[str, Any]:
    """A chat completion."""
    return {
        "id": number,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": name,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer.text},
                "finish_reason": "length" if answer.finish == "length" else "stop",
            }
        ],
        "usage": {
            "prompt_tokens": answer.tokens_in,
            "completion_tokens": answer.tokens_out,
            "total_tokens": answer.tokens_in + answer.tokens_out,
        },
        "passages": list(answer.passages),
    }


def chunks(answer: Answer, *, name: str, number: str) -> Iterator[str]:
    """The same as server-sent events. Answers are short and come whole: one piece, then the end."""
    first = {"role": "assistant", "content": answer.text}
    finish = "length" if answer.finish == "length" else "stop"
    for delta, reason in ((first, None), ({}, finish)):
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        piece = {"id": number, "object": "chat.completion.chunk", "created": int(time.time()), "model": name}
        yield f"data: {json.dumps({**piece, 'choices': [choice]}, ensure_ascii=False)}\n\n"
    yield "data: [DONE]\n\n"


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(p, dict) and isinstance(p.get("text"), str) for p in content):
        return "".join(part["text"] for part in content)
    raise Refused("is a text, or a list of {type: text, text}", param="messages.content")


def _fields(text: str, usecase: UseCase) -> Mapping[str, Any]:
    only = next(iter(usecase.input)) if len(usecase.input) == 1 else ""
    try:
        value = parse_json(text) if text.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and (not only or set(value) == {only}):
        return value
    if only and usecase.input[only].type == "text":
        return {only: text}
    raise Refused(f"the content is a JSON object with the fields {', '.join(usecase.input)}", param="messages.content")
