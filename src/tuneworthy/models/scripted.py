"""A deterministic fake that ships with the product: a function from request to text, as a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tuneworthy.content import digest
from tuneworthy.errors import ModelError
from tuneworthy.records import Completion, Message, Request, UnscoredReason


class Scripted:
    """Answers as it is told. Tokens are words; time is always 0.

    Args:
        reply: request → text.
        failing: (texts that a last message contains) → the reason with which such a request fails.
    """

    def __init__(
        self,
        reply: Callable[[Request], str],
        *,
        name: str = "scripted",
        context: int | None = None,
        failing: Mapping[str, UnscoredReason] | None = None,
    ) -> None:
        self.name, self.context = name, context
        self.digest = digest(["scripted", name])
        self._reply, self._failing = reply, dict(failing or {})

    def complete(
        self, requests: Sequence[Request], on_done: Callable[[int, Completion], None] | None = None
    ) -> list[Completion]:
        """One completion per request, in order."""
        completions = []
        for index, request in enumerate(requests):
            completions.append(self._one(request))
            if on_done is not None:
                on_done(index, completions[-1])
        return completions

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Words."""
        return sum(len(message.content.split()) for message in messages)

    def constraint_problem(self, request: Request) -> str:
        """Only labels can be enforced: the script knows nothing of schemas."""
        wanted = request.constraint
        return "the scripted model enforces labels only" if wanted is not None and wanted.kind != "labels" else ""

    def _one(self, request: Request) -> Completion:
        asked = request.messages[-1].content
        reason = next((why for part, why in self._failing.items() if part in asked), None)
        if reason is not None:
            return Completion(finish="error", error=reason, detail="scripted to fail")
        text = self._reply(request)
        if request.constraint is not None and request.constraint.kind == "labels":
            labels = request.constraint.labels
            text = next((label for label in labels if label in text), labels[0])
        return Completion(text=text, tokens_in=self.count_tokens(request.messages), tokens_out=len(text.split()))


def open_scripted(folder: Path) -> Scripted:
    """Rules from scripted.json beside usecase.toml: {"text in the last message": "reply", "": "otherwise"}.

    Raises:
        ModelError: the file is missing or is not an object of texts.
    """
    path = folder / "scripted.json"
    try:
        rules = json.loads(path.read_text("utf-8"))
        if not isinstance(rules, dict) or not all(isinstance(text, str) for text in rules.values()):
            raise ValueError("not an object of texts")
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"the scripted model has no rules: {error}", next="write scripted.json", where=str(path)
        ) from None
    ordered = sorted(rules.items(), key=lambda rule: -len(rule[0]))

    def reply(request: Request) -> str:
        asked = request.messages[-1].content
        return next((text for part, text in ordered if part in asked), "")

    return Scripted(reply, name=f"scripted {digest(rules)[:8]}")
