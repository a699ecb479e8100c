"""Rows and chat templates for the tests of training."""

from tuneworthy.records import Message
from tuneworthy.training.tokens import TrainingRow

CHATML = (
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start|>{{ m.role }}<|start|>\n\n{{ m.content | trim }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant<|start|>\n\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content }}<|end|>"
    "{% else %}[INST] {{ m.content }} [/INST]{% endif %}{% endfor %}"
)
END_WITH_NEXT = (  # the end-of-turn token is written before the next turn, and once more at the very end
    "{% for m in messages %}{% if not loop.first %}<|end|>{% endif %}<|start|>{{ m.role }}\n{{ m.content }}"
    "{% if loop.last and m.role == 'assistant' %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|end|><|start|>assistant\n{% endif %}"
)
FAMILIES = {"chatml": CHATML, "llama3": LLAMA3, "mistral": MISTRAL, "end_with_next": END_WITH_NEXT}
ANSWERS = ("red", "green", "blue", "grey")


def row(*turns: str, name: str = "row-1", system: str = "") -> TrainingRow:
    """user, assistant, user, assistant … texts in turn."""
    roles = ("user", "assistant")
    messages = [Message(role=roles[number % 2], content=text) for number, text in enumerate(turns)]
    first = [Message(role="system", content=system)] if system else []
    return TrainingRow(name=name, messages=(*first, *messages))


def toy_rows(count: int) -> list[TrainingRow]:
    return [row(f"q{number}", ANSWERS[number % 4], name=f"row-{number}") for number in range(count)]
