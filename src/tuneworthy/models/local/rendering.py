"""Messages → token ids, in one place: training, evaluation and serving ask with the same tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2.exceptions import TemplateError

from tuneworthy.errors import ModelError
from tuneworthy.records import Message


def chat_ids(tokenizer: Any, messages: Sequence[Message], *, generation: bool) -> list[int]:
    """Token ids of a conversation, with at most one beginning-of-sequence token.

    Args:
        generation: end with what opens an assistant's answer.

    Raises:
        ModelError: the base model has no chat template, or it refuses these messages.
    """
    return text_ids(tokenizer, chat_text(tokenizer, messages, generation=generation))


def chat_text(tokenizer: Any, messages: Sequence[Message], *, generation: bool) -> str:
    """A conversation as the chat template writes it, special tokens included. Raises as `chat_ids` does."""
    if not tokenizer.chat_template:
        raise ModelError("the base model has no chat template", next="use its instruct version")
    turns = [{"role": message.role, "content": message.content} for message in messages]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=generation)
    except TemplateError as error:
        raise ModelError(f"the chat template of the base model refuses these messages: {error}") from error
    return str(text)


def text_ids(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a rendered conversation."""
    # The template writes the special tokens; adding them once more would double the beginning-of-sequence token.
    # Not verbose: prompts that are too long are refused by name where they are asked, not logged by the tokenizer.
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids
