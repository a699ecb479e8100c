"""Chat rows: OpenAI messages (role, content) and ShareGPT (from, value), of one exchange or several.

Every answer that may be learned is an example of its own. What was said before it is its input: the user's text where
there is one exchange, and the whole conversation as one text (`transcript`) where there are several. The examples of
one conversation share a cluster, so that the split and the suite never tear it apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tuneworthy.content import digest
from tuneworthy.data.rows import RawRow

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


def by_answer(row: RawRow, column: str) -> list[RawRow]:
    """One row per answer that may be learned, each ending with it; a row that has none, or is no chat, as it is."""
    turns = row.values.get(column)
    if row.problem or not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        return [row]
    ends = [n for n, turn in enumerate(turns, start=1) if _is_answer(turn) and not _left_out(turn)]
    if not ends or (len(ends) == 1 and ends[0] == len(turns)):
        return [row]
    shared = {} if row.values.get("cluster") or len(ends) == 1 else {"cluster": conversation(turns)}
    values = [{**row.values, **shared, column: turns[:end]} for end in ends]
    return [replace(row, values=v, text=json.dumps(v, ensure_ascii=False, default=str)) for v in values]


def conversation(turns: Sequence[Mapping[str, Any]]) -> str:
    """A name for a conversation: the hash of its first exchange, so that it stays as the conversation grows."""
    said = [(ROLES.get(str(_role(turn))), str(turn.get("content", turn.get("value")))) for turn in turns]
    first = [next((text for role, text in said if role == wanted), "") for wanted in ("user", "assistant")]
    return f"chat-{digest(first)[:12]}"


def last_exchange(turns: Any, column: str) -> tuple[Any, Any]:
    """What stands before the last answer, and the answer.

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
    spoken = [role for role in roles if role != "system"]
    if not spoken or len(spoken) % 2 or spoken != ["user", "assistant"] * (len(spoken) // 2):
        raise ValueError(
            f"{column}: has the turns {', '.join(roles)[:80]}; user and assistant take turns, the user first, and the "
            "last word is the assistant's"
        )
    if _left_out(said[-1]):
        raise ValueError(f"{column}: the answer is marked as not to be learned (weight 0)")
    texts = [_said(turn) for turn in said]
    before = list(zip(spoken, texts, strict=True))[:-1]
    return texts[0] if len(before) == 1 else transcript(before), texts[-1]


def transcript(turns: Sequence[tuple[str, Any]]) -> str:
    """A conversation as one text: `User: …` and `Assistant: …`, a turn each, an empty line between two.

    Raises:
        ValueError: a turn is not text.
    """
    for role, text in turns:
        if not isinstance(text, str):
            raise ValueError(f"a turn of the {role} is not text")
    return "\n\n".join(f"{role.capitalize()}: {text.strip()}" for role, text in turns)


def _role(turn: Mapping[str, Any]) -> Any:
    return turn.get("role", turn.get("from"))


def _is_answer(turn: Mapping[str, Any]) -> bool:
    return ROLES.get(str(_role(turn))) == "assistant"


def _left_out(turn: Mapping[str, Any]) -> bool:
    return turn.get("weight") == 0 or turn.get("train") is False


def _said(turn: Mapping[str, Any]) -> Any:
    """The text of a turn; text parts of a list are joined."""
    content = turn.get("content", turn.get("value"))
    if not isinstance(content, list):
        return content
    if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
        raise ValueError("a turn holds something else than text (an image, a sound, a tool call)")
    return "".join(part["text"] for part in content)
