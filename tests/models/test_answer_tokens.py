"""Answers are counted without torch, with the tokenizer of the base model and its stop token."""

import subprocess
import sys
from pathlib import Path

from tuneworthy.models.open import answer_tokens
from tuneworthy.usecase import Bar, InputField, ModelChoice, Output, UseCase


def usecase(**choice):
    return UseCase(
        name="count",
        instruction="Name the team, please.",
        input={"text": InputField()},
        output=Output(kind="label", labels=("a", "b")),
        bar=Bar(metric="exact", at_least=0.5, smallest_difference=0.1),
        model=ModelChoice(**choice),
    )


def test_a_digit_is_one_token_and_the_stop_token_counts():
    count = answer_tokens(usecase(base="pocket"), Path())
    assert count is not None
    assert count("48213") == 5 + 1


def test_what_is_not_here_is_not_counted(tmp_path):
    assert answer_tokens(usecase(base="m", endpoint="http://localhost:1/v1"), tmp_path) is None
    assert answer_tokens(usecase(base="scripted"), tmp_path) is None
    assert answer_tokens(usecase(base="./missing"), tmp_path) is None


def test_counting_loads_no_torch():
    code = (
        "import sys; from pathlib import Path; from tuneworthy.models.local.files import resolve;"
        "from tuneworthy.models.open import answer_tokens; print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
