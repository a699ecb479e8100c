"""Examples in the formats that other tools read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tuneworthy.data.findings import output_text
from tuneworthy.data.near import input_text
from tuneworthy.records import Example, Input
from tuneworthy.usecase import UseCase


def lines(usecase: UseCase, examples: tuple[Example, ...], form: str) -> str:
    """JSON Lines in a format of FORMS. Several acceptable outputs become one row each."""
    write = FORMS[form]
    rows = [write(usecase, example, text) for example in examples for text in _outputs(example)]
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _outputs(example: Example) -> list[str]:
    expected = example.expected
    if isinstance(expected, list) and all(isinstance(text, str) for text in expected):
        return [str(text) for text in expected]
    return [output_text(expected)]


def _asked(fields: Input) -> str:
    """One field as it is; several as a JSON object, so that importing reads them back."""
    return input_text(fields) if len(fields) == 1 else json.dumps(fields, ensure_ascii=False)


def _messages(usecase: UseCase, example: Example, output: str) -> dict[str, Any]:
    turns = [("system", usecase.instruction), ("user", _asked(example.input)), ("assistant", output)]
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def _prompt_completion(usecase: UseCase, example: Example, output: str) -> dict[str, Any]:
    return {"prompt": _asked(example.input), "completion": output}


def _alpaca(usecase: UseCase, example: Example, output: str) -> dict[str, Any]:
    return {"instruction": usecase.instruction, "input": _asked(example.input), "output": output}


FORMS: Mapping[str, Callable[[UseCase, Example, str], dict[str, Any]]] = {
    "messages": _messages,
    "prompt-completion": _prompt_completion,
    "alpaca": _alpaca,
}
"""`messages` is OpenAI's chat format; `prompt-completion` leaves the instruction out."""
