"""A tiny random Llama with a byte-level tokenizer and a chat template: a real model folder, made in milliseconds."""

from __future__ import annotations

from pathlib import Path

SPECIALS = ("<|bos|>", "<|start|>", "<|end|>", "<|pad|>")
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def tiny_model(folder: Path, *, seed: int = 0) -> Path:
    """Write the model to `folder` and return it. Vocabulary: 256 bytes and 4 special tokens; context 512."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(folder)
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIALS}
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.4,  # with the usual 0.02 the frozen head could not express a sure answer
        tie_word_embeddings=True,
        bos_token_id=ids["<|bos|>"],
        eos_token_id=ids["<|end|>"],
        pad_token_id=ids["<|pad|>"],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LlamaForCausalLM(config)
    network.generation_config = GenerationConfig(
        bos_token_id=ids["<|bos|>"], eos_token_id=ids["<|end|>"], pad_token_id=ids["<|pad|>"]
    )
    network.save_pretrained(folder)
    return folder


def tiny_tokenizer(template: str = TEMPLATE):  # type: ignore[no-untyped-def]
    """One token per byte, so that every text can be written and no two tokens merge."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = Tokenizer(models.BPE(vocab={character: number for number, character in enumerate(alphabet)}, merges=[]))
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens,
        bos_token="<|bos|>",
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|start|>"],
    )
    tokenizer.chat_template = template
    return tokenizer
