"""What the gateway takes and gives, as OpenAPI 3.1. A test holds it against the routes, and another fuzzes it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_COUNT: Json = {"type": "integer", "minimum": 0}


def document() -> Json:
    """The document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tuneworthy gateway", "version": version("tuneworthy")},
        "security": [{}, {"key": []}],
        "paths": {
            "/v1/chat/completions": {"post": _taking("Ask the release that an alias leads to.", _CHAT, _ANSWERS)},
            "/v1/feedback": {"post": _taking("Say whether an answer was right.", _FEEDBACK, _SAID)},
            "/v1/models": {
                "get": _giving("What can be asked for.", {"200": _json(_MODELS), **_refused(401, 429, 503)})
            },
            "/health": {
                "get": {
                    **_giving("Whether anything is live.", {code: _json(_HEALTH) for code in ("200", "503")}),
                    "security": [{}],
                }
            },
            "/metrics": {
                "get": {
                    **_giving(
                        "Prometheus; where there are keys, on a port of its own.",
                        {"200": {"description": "text", "content": {"text/plain": {}}}, **_refused(404)},
                    ),
                    "security": [{}],
                }
            },
            "/openapi.json": {
                "get": {**_giving("This document.", {"200": _json({"type": "object"})}), "security": [{}]}
            },
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _ERROR},
        },
    }


def _giving(what: str, responses: Json) -> Json:
    return {"summary": what, "responses": responses}


def _taking(what: str, body: Json, answers: Json) -> Json:
    return {
        **_giving(what, answers),
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
    }


def _json(schema: Json) -> Json:
    return {"description": "JSON", "content": {"application/json": {"schema": schema}}}


def _refused(*codes: int) -> Json:
    return {str(code): _json({"$ref": "#/components/schemas/Error"}) for code in codes}


def _object(required: tuple[str, ...], **fields: Json) -> Json:
    return {"type": "object", "required": list(required), "properties": fields}


_ERROR = _object(
    ("error",),
    error=_object(("message", "type", "param", "code"), message=_TEXT, type=_TEXT, param={"type": ["string", "null"]}),
)
_PART = _object(("type", "text"), type={"const": "text"}, text=_TEXT)
_TURN = _object(
    ("role", "content"), role={"const": "user"}, content={"anyOf": [_TEXT, {"type": "array", "items": _PART}]}
)
_CHAT = _object(
    ("model", "messages"),
    model={"type": "string", "minLength": 1, "examples": ["champion"]},
    messages={"type": "array", "items": _TURN, "minItems": 1, "maxItems": 1},
    stream={"type": "boolean"},
    user=_TEXT,
)
_CHOICE = _object(
    ("index", "message", "finish_reason"),
    index={"const": 0},
    message=_object(("role", "content"), role={"const": "assistant"}, content=_TEXT),
    finish_reason={"enum": ["stop", "length"]},
)
_COMPLETION = _object(
    ("id", "object", "created", "model", "choices", "usage"),
    id=_TEXT,
    object={"const": "chat.completion"},
    created=_COUNT,
    model=_TEXT,
    choices={"type": "array", "items": _CHOICE},
    usage=_object((), prompt_tokens=_COUNT, completion_tokens=_COUNT, total_tokens=_COUNT),
    passages={"type": "array", "items": _TEXT},
)
_ANSWERS: Json = {
    "200": {
        "description": "the answer; with stream, as server-sent events",
        "content": {"application/json": {"schema": _COMPLETION}, "text/event-stream": {}},
    },
    **_refused(400, 401, 404, 408, 413, 415, 429, 502, 503, 504),
}
_FEEDBACK = _object(
    ("id",),
    id={"type": "string", "pattern": "^chatcmpl-[0-9]{8}-[0-9a-f]{24}$"},
    right={"type": "boolean"},
    correction={},
    input={},
    note={"type": "string", "maxLength": 2000},
)
_SAID: Json = {
    "200": _json(_object(("id", "object"), id=_TEXT, object={"const": "feedback"}, correction=_TEXT)),
    **_refused(400, 401, 403, 404, 408, 409, 413, 415, 429, 503),
}
_MODELS = _object(
    ("object", "data"),
    object={"const": "list"},
    data={"type": "array", "items": _object(("id", "object"), id=_TEXT, object={"const": "model"}, release=_TEXT)},
)
_HEALTH = _object(("live",), live={"type": "object", "additionalProperties": _TEXT})
