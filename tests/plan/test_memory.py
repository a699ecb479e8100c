"""Memory: held to published measurements, to tensors counted here, and to what must be true of any model."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneworthy.plan.architecture import parse_config
from tuneworthy.plan.memory import GIB, Setup, adapter_parameters, cache_bytes, demand, figure, fit
from tuneworthy.plan.memory_points import errors, excluded, summary
from tuneworthy.plan.models import known

TODAY = dt.date(2026, 11, 25)
KNOWN = known(TODAY)


def _model(name):
    return parse_config(KNOWN[name].config, source=name)


def test_published_measurements_of_the_handbook_are_met():
    middle, worst = summary([error for error in errors(TODAY) if error.point.handbook])
    assert middle <= 0.10
    assert worst <= 0.25


def test_further_published_measurements_are_met():
    further = [error for error in errors(TODAY) if not error.point.handbook]
    middle, worst = summary(further)
    assert len(further) >= 38
    assert middle <= 0.10
    assert worst <= 0.25


def test_what_is_not_compared_says_why():
    assert all(fact.note for fact in excluded(TODAY))


@pytest.mark.parametrize("weights", ["fp32", "bf16"])
@pytest.mark.parametrize("rank", [0, 8])
def test_what_a_layer_keeps_is_what_torch_keeps(weights, rank):
    """Saved tensors of two and of four layers: the difference is two layers."""
    if weights == "bf16" and not rank:
        pytest.skip("full tuning keeps its weights in fp32")
    autocast = weights == "bf16" or not rank
    counted = (_saved_bytes(4, weights, rank, autocast) - _saved_bytes(2, weights, rank, autocast)) / 2
    model = parse_config(_config(4), source="test")
    setup = Setup(method="lora" if rank else "full", batch=2, length=64, weights=weights, rank=rank or 16)
    kept = demand(model, replace(setup, batch=4)).activations - demand(model, setup).activations
    # rounding: softmax statistics, normalisers and 16-bit copies of the adapters are left out of the formula
    assert kept / 4 == pytest.approx(counted - _copies(model, weights, rank, autocast), rel=0.03)


def _copies(model, weights, rank, autocast):
    """16-bit copies of one layer's weights, which do not grow with the batch."""
    if not autocast:
        return 0
    return 2 * (rank * model.lora_width if rank else model.linear) / model.layers


def _config(layers):
    return {
        "model_type": "llama", "hidden_size": 96, "num_hidden_layers": layers, "intermediate_size": 256,
        "vocab_size": 64, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 32,
        "max_position_embeddings": 128,
    }  # fmt: skip


def _saved_bytes(layers, weights, rank, autocast):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    from tuneworthy.models.local.files import silent_peft

    config = AutoConfig.for_model(**_config(layers))
    network = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    network = network.to(torch.bfloat16 if weights == "bf16" else torch.float32)
    if rank:
        with silent_peft():
            network = get_peft_model(network, LoraConfig(r=rank, target_modules="all-linear", task_type="CAUSAL_LM"))
    own = {t.untyped_storage().data_ptr() for t in (*network.parameters(), *network.buffers())}
    held = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=autocast),
    ):
        output = network(input_ids=torch.ones((2, 64), dtype=torch.long), use_cache=False, logits_to_keep=1)
    assert output.logits is not None  # the graph lives until here
    return sum(held.values())


def test_sizes_of_llama_3_1_8b_are_those_of_the_handbook():
    model = _model("llama-3.1-8b")
    assert adapter_parameters(model, Setup(method="lora", rank=16)) == 41_943_040
    assert cache_bytes(model) == 128 * 1024
    assert demand(model, Setup(method="inference")).weights / GIB == pytest.approx(14.96, abs=0.01)
    nf4 = demand(model, Setup(method="qlora", weights="nf4_double"))
    assert nf4.weights / GIB == pytest.approx(5.3, abs=0.1)


def test_full_tuning_in_mixed_precision_takes_eighteen_bytes_a_weight():
    model = _model("llama-3.1-8b")
    needed = demand(model, Setup(method="full", weights="fp32", batch=1, length=16))
    assert needed.weights + needed.gradients + needed.optimizer == pytest.approx(16 * model.parameters)
    assert needed.activations > 2 * model.linear  # and the 16-bit copies of the matrices


SETUPS = st.builds(
    Setup,
    method=st.sampled_from(["inference", "lora", "qlora", "full"]),
    batch=st.integers(1, 64),
    length=st.integers(1, 8192),
    gpus=st.sampled_from([1, 2, 8]),
    stack=st.sampled_from(["tuneworthy", "transformers", "compiled"]),
    weights=st.sampled_from(["fp32", "bf16", "nf4"]),
    recompute=st.booleans(),
    logits=st.sampled_from(["all", "chunked", "answers"]),
)


@given(
    setup=SETUPS, name=st.sampled_from(["llama-3.2-1b", "mixtral-8x7b", "gemma-2-2b", "pythia-1.4b", "qwen3-30b-a3b"])
)
def test_more_work_never_takes_less_and_more_gpus_never_take_more_for_what_is_shared(setup, name):
    model = _model(name)
    needed = demand(model, setup)
    assert needed.peak > 0
    assert demand(model, replace(setup, batch=setup.batch + 1)).peak >= needed.peak
    assert demand(model, replace(setup, length=setup.length + 1)).peak >= needed.peak
    assert demand(model, replace(setup, gpus=setup.gpus * 2)).weights <= needed.weights
    if setup.method != "inference":
        assert (
            demand(model, replace(setup, recompute=True)).activations
            <= demand(model, replace(setup, recompute=False)).activations
            + demand(model, replace(setup, recompute=True)).activations
        )
    low, usual, high = needed.process
    assert low < usual < high


def test_the_largest_batch_that_fits_fits_and_the_next_does_not():
    model = _model("llama-3.1-8b")
    found = fit(model, Setup(method="lora", length=700), 24 * 1e9 / GIB)
    assert found is not None
    assert figure(model, found).value <= 24 * 1e9 / GIB
    assert figure(model, replace(found, batch=found.batch * 2)).value > 24 * 1e9 / GIB or found.batch == 32
    assert fit(model, Setup(method="full", weights="fp32", length=700), 24.0) is None
