"""Ollama's Modelfile. It says templates in another language: the chat template is taken apart and held against it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from jinja2.exceptions import TemplateError

from tuneworthy.errors import ModelError
from tuneworthy.models.local.model import LocalModel
from tuneworthy.release.package import Release
from tuneworthy.seams import Tunable

_MARK = "§"
"""stands where the text of a message stands; in no template"""
_TRIED = (
    ("user",),
    ("user", "assistant", "user"),
    ("system", "user"),
    ("system", "user", "assistant", "user", "assistant", "user"),
)


class Turns(NamedTuple):
    """A chat template as Ollama can say it: a beginning, pieces around the text of each message, an opening."""

    start: str
    around: dict[str, tuple[str, str]]
    """role → (before, after); a role that the template refuses is not there"""
    opening: str
    """what opens an answer"""

    def render(self, turns: Sequence[dict[str, str]]) -> str:
        """What Ollama makes of a conversation."""
        said = (turn["content"].join(self.around[turn["role"]]) for turn in turns)
        return f"{self.start}{''.join(said)}{self.opening}"

    def go(self) -> str:
        """In Go's template language."""
        pieces = [
            f'{"{{ if" if number == 0 else "{{ else if"} eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{after}'
            for number, (role, (before, after)) in enumerate(self.around.items())
        ]
        return f"{self.start}{{{{ range .Messages }}}}{''.join(pieces)}{{{{ end }}}}{{{{ end }}}}{self.opening}"


def text(release: Release, base: Tunable, weights: str) -> str:
    """The Modelfile. Decoding is that of the release.

    Raises:
        ModelError: the chat template cannot be said in Ollama's language.
    """
    assert isinstance(base, LocalModel)
    candidate = release.manifest.candidate
    system = candidate.prompt.system if candidate.prompt else ""
    turns = taken_apart(base.tokenizer, with_system=bool(system))
    lines = [
        f"# {release.name}. Instruction, examples and documents are not in here: see export.json.",
        f"FROM ./{weights}",
        f'TEMPLATE """{turns.go()}"""',
        *([f'SYSTEM """{system}"""'] if system and '"""' not in system else []),
        f"PARAMETER temperature {candidate.decoding.temperature:g}",
        f"PARAMETER num_predict {candidate.decoding.max_tokens}",
        *([f"PARAMETER num_ctx {base.context}"] if base.context else []),
        *(f"PARAMETER stop {json.dumps(base.tokenizer.decode([token]))}" for token in sorted(base.stop_ids)),
    ]
    return "\n".join(lines) + "\n"


def taken_apart(tokenizer: Any, *, with_system: bool = False) -> Turns:
    """The chat template of a tokenizer as turns, held against the template itself on conversations of up to six turns.

    Args:
        with_system: a system message has to be possible; otherwise it is left out where the template has its own.

    Raises:
        ModelError: the template does more than to put pieces around texts.
    """

    def split(*roles: str, opening: bool = True) -> list[str]:
        turns = [{"role": role, "content": _MARK} for role in roles]
        return _rendered(tokenizer, turns, opening).split(_MARK)

    try:
        (head, closed), (_, tail) = split("user", opening=False), split("user")
        _, middle, after_answer = split("user", "assistant", opening=False)
        before_user = _without(split("user", "assistant", "user")[2], start=after_answer)
        found = Turns(
            start=_without(head, end=before_user),
            around={
                "user": (before_user, closed),
                "assistant": (_without(middle, start=closed), after_answer),
            },
            opening=_without(tail, start=closed),
        )
        _hold(found, tokenizer)
    except (ValueError, IndexError, TemplateError):
        raise _too_rich() from None
    try:
        first, second, _ = split("system", "user")
        around = {"system": (_without(first, start=found.start), _without(second, end=before_user)), **found.around}
        whole = found._replace(around=around)
        _hold(whole, tokenizer)
    except (ValueError, IndexError, TemplateError):
        if with_system:
            raise _too_rich() from None
        return found
    return whole


def _hold(found: Turns, tokenizer: Any) -> None:
    """Raises ValueError where Ollama would render another prompt."""
    for roles in _TRIED:
        turns = [{"role": role, "content": f"{role} {number}: ä {{}}"} for number, role in enumerate(roles)]
        if set(roles) <= found.around.keys() and found.render(turns) != _rendered(tokenizer, turns, True):
            raise ValueError(roles)
    literal = "".join((found.start, found.opening, *(piece for pair in found.around.values() for piece in pair)))
    if "{{" in literal or "}}" in literal or '"""' in literal:
        raise ValueError(literal)


def _rendered(tokenizer: Any, turns: Sequence[dict[str, str]], opening: bool) -> str:
    return str(tokenizer.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=opening))


def _without(whole: str, *, start: str = "", end: str = "") -> str:
    if not (whole.startswith(start) and whole.endswith(end)):
        raise ValueError(whole)
    return whole[len(start) : len(whole) - len(end)]


def _too_rich() -> ModelError:
    return ModelError(
        "the chat template cannot be said in a Modelfile: it does more than to put pieces around texts",
        why="another prompt is another model",
        next="export --as gguf, and use llama.cpp's server, which reads the chat template itself",
    )
