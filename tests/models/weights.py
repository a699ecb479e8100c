"""Asking tiny local models, and what plain transformers and plain peft say to the same prompts."""

from __future__ import annotations

import torch

from tuneworthy.models.local import open_local
from tuneworthy.models.local.files import silent_peft
from tuneworthy.records import Constraint, Decoding, Message, Request
from tuneworthy.usecase import Hardware, ModelChoice

LONG = "You answer letters of customers. Be brief, be kind, and never promise what you cannot keep."
QUESTIONS = (
    "Where is my parcel?",
    "Hi",
    "My invoice of 3 May shows 14.50 instead of 12.90, and nobody answers the telephone. What now?",
    "größer – 東京",
    "Can I pay later?",
    "{}",
)


def opened(folder, **choice):
    return open_local(ModelChoice(base=str(folder), **choice), hardware=Hardware(device="cpu"), folder=folder)


def ask(question, *, system="", constraint=None, **decoding):
    messages = [Message(role="system", content=system)] if system else []
    decoding = Decoding(**{"max_tokens": 16, **decoding})
    return Request(
        messages=(*messages, Message(role="user", content=question)), decoding=decoding, constraint=constraint
    )


def texts(model, requests):
    return [completion.text for completion in model.complete(requests)]


def labels(*names, how="decode"):
    return Constraint(kind="labels", labels=names, how=how)


def prompt_ids(tokenizer, messages):
    turns = [message.model_dump() for message in messages]
    return tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)["input_ids"]


def plain_answer(network, tokenizer, request):
    """Greedy, by transformers alone, one prompt at a time."""
    return tokenizer.decode(plain_ids(network, tokenizer, request), skip_special_tokens=True)


def plain_ids(network, tokenizer, request):
    """The tokens of that answer."""
    ids = torch.tensor([prompt_ids(tokenizer, request.messages)])
    out = network.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=request.decoding.max_tokens,
        pad_token_id=tokenizer.pad_token_id,
    )
    return out[0, ids.shape[1] :].tolist()


def plain_network(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def write_adapter(base_folder, folder, *, seed=0, r=2, targets=("q_proj", "v_proj"), **settings):
    """A LoRA adapter with random weights, saved by peft."""
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng(devices=[]), silent_peft():
        torch.manual_seed(seed)
        config = LoraConfig(
            task_type="CAUSAL_LM", r=r, lora_alpha=4 * r, lora_dropout=0.5, target_modules=list(targets), **settings
        )
        peft = get_peft_model(plain_network(base_folder), config)
        for name, weight in peft.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.5)
    peft.save_pretrained(folder, save_embedding_layers=False)
    return folder


def with_plain_peft(base_folder, adapter):
    from peft import PeftModel

    with silent_peft():
        return PeftModel.from_pretrained(plain_network(base_folder), adapter).eval()
