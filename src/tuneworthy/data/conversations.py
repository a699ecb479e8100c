"""Chat rows: OpenAI messages (role, content) and ShareGPT (from, value)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}
"""Role names of OpenAI messages and ShareGPT."""


def system_texts(turns: Any) -> list[str]:
    """What the system says in a list of turns; nothing where it is no such list."""
    turns = [turn for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
    return [
        str(turn.get("content", turn.get("value"))).strip() for turn in turns if ROLES.get(str(_role(turn))) == "system"
    ]


def one_exchange(turns: Any, column: str) -> tuple[Any, Any]:
    """The user's and the assistant's text of a conversation that has one of each.

    Raises:
        ValueError: `<column>: why`.
    """
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
        raise ValueError(f"{column}: is missing, or is not a list of turns")
    roles = []
    for number, turn in enumerate(turns):
        role = ROLES.get(str(_role(turn)))
        if role is None:
            raise ValueError(f"{column}[{number}]: unknown role {str(_role(turn))[:40]!r}; known: {', '.join(ROLES)}")
        roles.append(role)
    said = [turn for turn, role in zip(turns, roles, strict=True) if role != "system"]
    if [role for role in roles if role != "system"] != ["user", "assistant"]:
        raise ValueError(
            f"{column}: has the turns {', '.join(roles)[:80]}; a row is one input and one output, so write one row per "
            "answer, with what was said before in the user turn"
        )
    if said[1].get("weight") == 0 or said[1].get("train") is False:
        raise ValueError(f"{column}: the answer is marked as not to be learned (weight 0)")
    return _said(said[0]), _said(said[1])


def _role(turn: Mapping[str, Any]) -> Any:
    return turn.get("role", turn.get("from"))


def _said(turn: Mapping[str, Any]) -> Any:
    """The text of a turn; text parts of a list are joined."""
    content = turn.get("content", turn.get("value"))
    if not isinstance(content, list):
        return content
    if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
        raise ValueError("a turn holds something else than text (an image, a sound, a tool call)")
    return "".join(part["text"] for part in content)
