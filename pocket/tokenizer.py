"""The tokenizer: byte-level BPE, digits one by one, line breaks always a token of their own."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from pocket.corpus import Generator, training_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedTokenizerFast

SPECIALS = ["<|pad|>", "<|bos|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
CHAT_TEMPLATE = (
    "<|bos|>{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def _corpus(seed: int, items: int) -> Iterator[str]:
    """Training text, and every training word with and without a leading space."""
    generator = Generator(f"{seed}-tokenizer")
    mix = {"repeat": 3.0, "read": 3.0, "shots": 3.0, "labels": 2.0, "extract": 2.0}
    for _ in islice(iter(int, 1), items):
        yield "\n".join(x for _, parts in generator.draw(mix, long=True).messages for x, _ in parts)
    for word in sorted(training_words()):
        yield f"{word} {word} " * 12


def train_tokenizer(seed: int, vocab: int = 2048, items: int = 12000) -> Tokenizer:
    """Train on generated text. Newline tokens stand alone, so a prompt's ids begin the full chat's ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("\n"), "isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_corpus(seed, items), trainer)
    return tokenizer


def as_transformers(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """The same tokenizer in the form that AutoTokenizer loads."""
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        bos_token="<|bos|>",
        eos_token="<|end|>",
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
        padding_side="left",
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
