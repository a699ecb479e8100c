"""A model folder as one GGUF file for llama.cpp, Ollama and LM Studio. For models shaped like Llama.

llama.cpp turns pairs of neighbours where transformers turns halves, so rows of queries and keys change places for the
architecture `llama` (llama.cpp, conversion of LlamaModel); `qwen2` keeps them. Text is cut into tokens by rules that
llama.cpp knows by name only; what it does not know is refused rather than guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tuneworthy.errors import MissingExtra, ModelError
from tuneworthy.models.local.files import read_object, weight_files

ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2"}
"""model_type of config.json → architecture of GGUF"""

_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CUTTING = {
    ("split", _LLAMA3): "llama-bpe",
    ("split", _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")): "qwen2",
    ("digits", ""): "smollm",
    ("bytes", ""): "gpt-2",
}
"""how a tokenizer cuts text before merging → llama.cpp's name for it (llama-vocab.cpp)"""


def write(model: Path, file: Path, *, name: str) -> None:
    """Write `file` from a model folder, in the precision of its weights (float32 or bfloat16).

    Raises:
        ModelError: another kind of model or tokenizer. MissingExtra: the package gguf is not installed.
    """
    try:
        import gguf
    except ImportError:
        raise MissingExtra("gguf", "gguf") from None
    config = read_object(model / "config.json")
    arch = ARCHITECTURES.get(str(config.get("model_type")))
    if arch is None:
        raise _unknown(f"a model of the kind {config.get('model_type')}", model)
    tokenizer = read_object(model / "tokenizer.json")
    cutting = _cutting(tokenizer, model)
    writer = gguf.GGUFWriter(file, arch)
    writer.add_name(name)
    _shape(writer, config, model)
    _tokens(writer, tokenizer, cutting, config, model)
    names = gguf.get_tensor_name_map(
        {"llama": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2}[arch], config["num_hidden_layers"]
    )
    for key, weight in _weights(model):
        place = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if place is None:
            raise _unknown(f"a weight called {key}", model)
        array = turned(key, weight, config) if arch == "llama" else weight
        keep = weight.ndim == 1 or str(config.get("dtype")) != "bfloat16"  # norms stay float32, as llama.cpp has them
        kind = gguf.GGMLQuantizationType.F32 if keep else gguf.GGMLQuantizationType.BF16
        writer.add_tensor(place, array if keep else gguf.quants.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def turned(key: str, weight: np.ndarray, config: Mapping[str, Any]) -> np.ndarray:
    """Rows of a query or key projection in llama.cpp's order; shape (heads · head size, inputs) stays."""
    heads = {"q_proj": config["num_attention_heads"], "k_proj": _kv_heads(config)}.get(key.split(".")[-2])
    if heads is None:
        return weight
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))


def _shape(writer: Any, config: Mapping[str, Any], model: Path) -> None:
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or {"rope_theta": config.get("rope_theta", 10000.0)}
    if rope.get("rope_type", "default") != "default" or config.get("rope_scaling"):
        raise _unknown("scaled positions (rope_scaling)", model)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(_kv_heads(config))
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _tokens(writer: Any, tokenizer: Mapping[str, Any], cutting: str, config: Mapping[str, Any], model: Path) -> None:
    import gguf

    size = config["vocab_size"]
    texts = [f"[PAD{number}]" for number in range(size)]
    kinds = [int(gguf.TokenType.UNUSED)] * size
    for text, number in tokenizer["model"]["vocab"].items():
        texts[number], kinds[number] = text, int(gguf.TokenType.NORMAL)
    for token in tokenizer.get("added_tokens", []):
        kind = gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED
        texts[token["id"]], kinds[token["id"]] = token["content"], int(kind)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(cutting)
    writer.add_token_list(texts)
    writer.add_token_types(kinds)
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in merges])
    generation = model / "generation_config.json"
    ends = (read_object(generation) if generation.is_file() else {}).get("eos_token_id", config.get("eos_token_id"))
    for token, add in ((config.get("bos_token_id"), writer.add_bos_token_id), (ends, writer.add_eos_token_id),
                       (config.get("pad_token_id"), writer.add_pad_token_id)):  # fmt: skip
        if token is not None:
            add(token[0] if isinstance(token, list) else token)
    writer.add_add_bos_token(False)  # the chat template writes it, as it did when the release was measured
    writer.add_chat_template(chat_template(model))


def chat_template(model: Path) -> str:
    """The Jinja text of a model folder."""
    file = model / "chat_template.jinja"
    return file.read_text("utf-8") if file.is_file() else read_object(model / "tokenizer_config.json")["chat_template"]


def _cutting(tokenizer: Mapping[str, Any], model: Path) -> str:
    """llama.cpp's name for the way in which this tokenizer cuts text."""
    if not tokenizer["model"].get("merges"):
        raise _unknown("a tokenizer without merges", model)
    held = tokenizer.get("pre_tokenizer") or {}
    steps = held.get("pretokenizers", [held])
    kinds = [step.get("type") for step in steps]
    if tokenizer["model"].get("type") == "BPE" and kinds[-1:] == ["ByteLevel"] and not tokenizer.get("normalizer"):
        patterns = [step["pattern"].get("Regex", "") for step in steps if step["type"] == "Split"]
        digits = any(step.get("individual_digits") for step in steps if step["type"] == "Digits")
        # Splitting at line breaks alone changes nothing: no merge crosses one in the other rules either.
        patterns = [pattern for pattern in patterns if pattern != "\n"]
        key = ("split", patterns[0]) if patterns else ("digits", "") if digits else ("bytes", "")
        if key in CUTTING and len(patterns) < 2:
            return CUTTING[key]
    raise _unknown(f"a tokenizer that cuts text by {' and '.join(map(str, kinds))}", model)


def _weights(model: Path) -> Any:
    from safetensors.torch import load_file

    tied = read_object(model / "config.json").get("tie_word_embeddings")
    for file in weight_files(model):
        for key, weight in load_file(file).items():
            if not (tied and key == "lm_head.weight"):
                yield key, weight.float().numpy()


def _kv_heads(config: Mapping[str, Any]) -> int:
    return int(config.get("num_key_value_heads") or config["num_attention_heads"])


def _unknown(what: str, model: Path) -> ModelError:
    return ModelError(
        f"{what} cannot be written as GGUF here",
        why="llama.cpp would read it in another way than it was measured",
        next="export it --as merged, and convert that folder with llama.cpp's convert_hf_to_gguf.py",
        where=str(model),
    )
