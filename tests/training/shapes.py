"""Small random networks of the architectures that are trained, with LoRA that already changes something."""

from functools import partial

import torch

from tuneworthy.models.local.files import silent_peft

SMALL = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
SHAPES = {
    "llama": ("Llama", {"num_key_value_heads": 4, "tie_word_embeddings": False}),
    "llama, tied, grouped": ("Llama", {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "qwen2, tied": ("Qwen2", {"num_key_value_heads": 1, "tie_word_embeddings": True}),
    "qwen3": ("Qwen3", {"num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": False}),
    "gpt-neox": ("GPTNeoX", {"tie_word_embeddings": False}),
}


def shaped(shape, *, seed=0):
    """The network without LoRA, float64."""
    import transformers

    family, settings = SHAPES[shape]
    torch.manual_seed(seed)
    config = getattr(transformers, f"{family}Config")(**SMALL, **settings)
    network = getattr(transformers, f"{family}ForCausalLM")(config).double()
    for module in network.modules():
        if type(module).__name__.endswith("RMSNorm"):  # transformers rounds to fp32 in there, whatever the weights are
            module.forward = partial(_rms_norm, module)
    return network


def _rms_norm(module, hidden):
    return torch.nn.functional.rms_norm(hidden, module.weight.shape, module.weight, module.variance_epsilon)


def with_lora(network, *, dropout=0.0, rank=4):
    """As plain peft puts it in; B is not 0, so that A has a gradient."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(task_type="CAUSAL_LM", r=rank, lora_dropout=dropout, target_modules="all-linear")
    with silent_peft():
        tuned = get_peft_model(network, config).double().train()
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    return tuned
