"""The base model in training: opening it, putting LoRA in and taking it out, the loss of a batch, weights to disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch.nn import functional

from tuneworthy.content import folder_digest, write_whole
from tuneworthy.errors import ModelError, TrainingError, UnsafeModel
from tuneworthy.models.local.files import silent_peft, silent_transformers
from tuneworthy.models.local.model import read_network
from tuneworthy.training.batches import IGNORED, Batch, EncodedRow, collate, micro_batches
from tuneworthy.training.prefix import Beginning, autocast
from tuneworthy.training.recipe import Recipe
from tuneworthy.training.side_by_side import side_by_side


@dataclass(frozen=True)
class Base:
    """A base model that is loaded and can be trained."""

    network: Any
    """transformers model for causal language modelling"""
    tokenizer: Any
    name: str
    """folder or hub name, written into the adapter as `base_model_name_or_path`"""
    digest: str
    """names weights, configuration, tokenizer and chat template"""
    revision: str = ""
    """commit at the hub; empty where there is none"""

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end generation: those of the generation config."""
        ids = self.network.generation_config.eos_token_id
        if ids is None:
            ids = self.tokenizer.eos_token_id
        return frozenset([ids] if isinstance(ids, int) else ids or [])

    @property
    def parameters(self) -> int:
        """Number of weights, shared ones once."""
        return sum(weight.numel() for weight in self.network.parameters())


def open_base(
    folder: Path,
    *,
    name: str = "",
    revision: str = "",
    precision: Literal["fp32", "bf16"] = "fp32",
    device: str = "cpu",
) -> Base:
    """Load a model folder for training. Only safetensors, no code from the folder, no network.

    Args:
        name: what the adapter calls its base; default: the folder.
        precision: of the frozen weights; full fine-tuning wants fp32 here and bf16 in the recipe.

    Raises:
        UnsafeModel: no safetensors weights in the folder.
        ModelError: the folder cannot be loaded, or lacks weights.
    """
    from transformers import AutoTokenizer

    if not any(folder.glob("*.safetensors")):
        raise UnsafeModel(
            "there are no safetensors weights in this folder",
            why="pickle files can run code when they are loaded, so they are never read",
            next="convert the model to safetensors, or name another base model",
            where=str(folder),
        )
    network = read_network(folder, torch.bfloat16 if precision == "bf16" else torch.float32)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(f"the base model cannot be loaded: {error}", where=str(folder)) from error
    return Base(
        network=network.to(device),
        tokenizer=tokenizer,
        name=name or str(folder),
        digest=folder_digest(folder),
        revision=revision,
    )


@contextmanager
def tunable(base: Base, *recipes: Recipe) -> Iterator[Any]:
    """The network with what the recipes train set to be trained: with several, a LoRA adapter for each.

    LoRA is taken out again at the end; after full tuning the network keeps its tuned weights. The caller's random
    state is left alone.
    """
    devices = [base.network.device] if base.network.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        if recipes[0].method == "full":
            torch.manual_seed(recipes[0].seed)
            base.network.requires_grad_(True)
            yield base.network
            base.network.eval()
            return
        network = _with_lora(base, recipes)
        try:
            yield network
        finally:
            network.unload()
            base.network.eval()


def adapter_name(number: int) -> str:
    """What peft calls the adapter of a recipe while it is trained; on disk none has a name."""
    return "default" if number == 0 else f"beside-{number}"


def negative_log_likelihood(
    network: Any, batch: Batch, *, precision: str = "fp32", beginning: Beginning | None = None, groups: int = 1
) -> torch.Tensor:
    """Sum over the tokens that carry loss of -log p(token), in nats, fp32, one number for each group of rows.

    The head runs only at positions that carry loss.

    Args:
        beginning: of every row, computed before; the batch holds what comes after it.
        groups: the batch is so many parts of equally many rows.
    """
    device = network.device
    ids_BT, targets_BT = batch.ids_BT.to(device), batch.targets_BT.to(device)
    carries_loss_BT = targets_BT != IGNORED
    cache = None if beginning is None else beginning.cache(len(ids_BT) // groups)
    with autocast(device.type, precision), _head_at(network, carries_loss_BT):
        logits_1NV = network(input_ids=ids_BT, cache=cache, use_cache=cache is not None).logits
    logits_NV = logits_1NV[0].to(torch.promote_types(logits_1NV.dtype, torch.float32))
    losses_N = functional.cross_entropy(logits_NV, targets_BT[carries_loss_BT], reduction="none")
    group_N = carries_loss_BT.nonzero()[:, 0] // (len(ids_BT) // groups)
    return torch.zeros(groups, device=device, dtype=losses_N.dtype).index_add(0, group_N, losses_N)


def mean_loss(network: Any, rows: Sequence[EncodedRow], *, micro_batch: int = 4096, precision: str = "fp32") -> float:
    """Mean loss per trained token, in nats; the same for any `micro_batch` (longest forward pass in tokens)."""
    was_training = network.training
    network.eval()
    with torch.no_grad():
        total = sum(
            negative_log_likelihood(network, collate(part), precision=precision).item()
            for part in micro_batches([rows], micro_batch)
        )
    network.train(was_training)
    return total / sum(row.trained for row in rows)


def trainable(network: Any, adapter: str = "default") -> dict[str, torch.nn.Parameter]:
    """name → weight that is trained, of one adapter; the names are those of an adapter that is trained alone."""
    named = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    if not hasattr(network, "peft_config"):
        return named
    part = f".{adapter}."
    return {name.replace(part, ".default."): weight for name, weight in named.items() if part in name}


def save_weights(network: Any, folder: Path, recipe: Recipe, adapter: str = "default") -> None:
    """Write a folder that plain peft (LoRA) or plain transformers (full) loads."""
    if recipe.method == "full":
        with silent_transformers():
            network.save_pretrained(folder, max_shard_size="10TB")
        return
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    weights = get_peft_model_state_dict(network, save_embedding_layers=False, adapter_name=adapter)
    held = {name: weight.detach().cpu().contiguous() for name, weight in sorted(weights.items())}
    save_file(held, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    settings = {**network.peft_config[adapter].to_dict(), "inference_mode": True}
    # peft writes sets in the order of a hash that changes with each process; sorted, the file is the same each time.
    text = json.dumps(settings, indent=2, sort_keys=True, default=_plain)
    write_whole(folder / "adapter_config.json", text + "\n")


def load_weights(network: Any, folder: Path, recipe: Recipe, adapter: str = "default") -> None:
    """Put saved weights into the network.

    Raises:
        TrainingError: names or shapes differ from what this training needs.
    """
    with torch.no_grad():
        if recipe.method == "full":
            from transformers import AutoModelForCausalLM

            with silent_transformers():
                saved = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=network.dtype)
            held: dict[str, torch.Tensor] = dict(saved.named_parameters())
            check_names(held, trainable(network), folder)
            for name, weight in trainable(network).items():
                weight.copy_(held[name])
            return
        from peft import get_peft_model_state_dict, set_peft_model_state_dict
        from safetensors.torch import load_file

        held = load_file(folder / "adapter_model.safetensors")
        wanted = get_peft_model_state_dict(network, save_embedding_layers=False, adapter_name=adapter)
        check_names(held, wanted, folder)
        set_peft_model_state_dict(network, held, adapter_name=adapter)


def check_names(
    held: dict[str, torch.Tensor],
    wanted: dict[str, torch.Tensor] | dict[str, torch.nn.Parameter],
    folder: Path,
) -> None:
    """Raises TrainingError when saved tensors are not exactly the wanted ones."""
    shapes = {name: tuple(weight.shape) for name, weight in wanted.items()}
    found = {name: tuple(weight.shape) for name, weight in held.items()}
    if found == shapes:
        return
    wrong = sorted(name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name))
    raise TrainingError(
        f"the checkpoint does not fit: {len(wrong)} tensors are missing, unknown or of another shape, e.g. {wrong[0]}",
        why="training on would start these weights from nothing",
        next=f"delete {folder.parent} to start again",
        where=str(folder),
    )


def _with_lora(base: Base, recipes: Sequence[Recipe]) -> Any:
    """Each adapter begins as it would alone: from its own seed."""
    from peft import LoraConfig, get_peft_model

    network: Any = None
    for number, recipe in enumerate(recipes):
        config = LoraConfig(
            task_type="CAUSAL_LM",
            r=recipe.r,
            lora_alpha=recipe.alpha,
            lora_dropout=recipe.dropout,
            target_modules=recipe.target,
            base_model_name_or_path=base.name,
            revision=base.revision or None,
        )
        torch.manual_seed(recipe.seed)
        with silent_peft():
            if network is None:
                network = get_peft_model(base.network, config)
            else:
                network.add_adapter(adapter_name(number), config)
        network.peft_config[adapter_name(number)].base_model_name_or_path = base.name
    for name, weight in network.named_parameters():
        weight.requires_grad_("lora_" in name)  # peft lets only the first one learn
    side_by_side(network, [adapter_name(number) for number in range(len(recipes))])
    return network


@contextmanager
def _head_at(network: Any, chosen_BT: torch.Tensor) -> Iterator[None]:
    """Within, the network gives logits of shape (1, N, V): only at the N chosen positions, row by row."""
    head = network.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, inputs: (inputs[0][chosen_BT].unsqueeze(0),))
    try:
        yield
    finally:
        hook.remove()


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set | frozenset) else str(value)
