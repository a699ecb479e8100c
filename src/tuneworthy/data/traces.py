"""Traces of an OpenAI-compatible gateway → chat rows. Ours writes records.Trace; others need only request and response.

A correction is the expected output. Else it is the answer that was given: judged where a person called it good, and
named after its model where nobody did, so that `data check` can tell how much of the data a model wrote. What was rated
bad and not corrected, was cut off, or is no text, is listed, never learned.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tuneworthy.data.conversations import conversation
from tuneworthy.data.rows import RawRow

USED = ("request", "response", "feedback", "conversation")
"""Parts of a trace that go somewhere."""


def as_chat(row: RawRow) -> RawRow:
    """The row with `messages`, `cluster`, `model`, `licence` and `date`; or with the reason why it is none."""
    if row.problem:
        return row
    try:
        return replace(row, values=_chat(row.values))
    except ValueError as error:
        return replace(row, problem=str(error))


def _chat(trace: Mapping[str, Any]) -> dict[str, Any]:
    """Raises ValueError with the reason."""
    request, response = (_object(trace, name) for name in ("request", "response"))
    feedback = trace.get("feedback") or {}
    if not isinstance(feedback, dict):
        raise ValueError("feedback: is not an object with rating and correction")
    asked = request.get("messages")
    if not isinstance(asked, list) or not asked or not all(isinstance(turn, dict) for turn in asked):
        raise ValueError("request.messages: is missing, or is not a list of turns")
    correction = feedback.get("correction") or ""
    if not correction and feedback.get("rating") == "bad":
        raise ValueError("feedback: was rated bad, and nobody said what the answer should have been (correction)")
    answer = correction or _answer(response)
    judged = bool(correction) or feedback.get("rating") == "good"
    turns = [*asked, {"role": "assistant", "content": answer}]
    return {
        **{key: value for key, value in trace.items() if key not in USED},
        "date": trace.get("when") or trace.get("created_at") or response.get("created"),
        "model": "" if judged else str(response.get("model") or request.get("model") or "not named"),
        "cluster": str(trace.get("cluster") or trace.get("conversation") or conversation(turns)),
        "messages": turns,
    }


def _object(trace: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = trace.get(name)
    if isinstance(value, str):  # some gateways export the bodies as text
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError(f"{name}: is a text that is not JSON") from None
    if not isinstance(value, dict):
        raise ValueError(f"{name}: is missing, or is not an object")
    return value


def _answer(response: Mapping[str, Any]) -> Any:
    """The one text that was answered."""
    if response.get("error"):
        raise ValueError(f"response.error: {str(response['error'])[:80]}")
    choices = response.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise ValueError("response.choices: is not a list with one choice")
    finish, message = choices[0].get("finish_reason"), choices[0].get("message")
    if finish not in (None, "stop"):
        raise ValueError(f"response.choices[0]: ended by {str(finish)[:40]!r}, so the answer is not whole")
    if not isinstance(message, dict) or not message.get("content"):
        raise ValueError("response.choices[0].message.content: is missing or empty")
    return message["content"]
