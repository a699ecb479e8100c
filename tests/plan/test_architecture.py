"""Dimensions from config.json: held to transformers' own classes and to published totals; bad files named by field."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneworthy.errors import DataError
from tuneworthy.plan.architecture import FAMILIES, parse_config, read_config
from tuneworthy.plan.models import known

SMALL = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "intermediate_size": 160,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 300,
    "max_position_embeddings": 128,
}
EXPERTS = {
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2_moe": {
        "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 96, "shared_expert_intermediate_size": 80,
    },
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 96},
}  # fmt: skip
KNOWN = known(dt.date(2026, 11, 25))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_those_of_transformers(family, tied):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    more = {} if family not in ("phi", "gpt_neox") else {"num_key_value_heads": 4}
    config = {**SMALL, **EXPERTS.get(family, {}), **more, "model_type": family, "tie_word_embeddings": tied}
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config, pad_token_id=None))
    expected = sum(weight.numel() for weight in {id(w): w for w in network.parameters()}.values())
    if tied:
        network.tie_weights()
        expected = sum(weight.numel() for weight in {id(w): w for w in network.parameters()}.values())
    assert parse_config(config, source="test").parameters == expected


@pytest.mark.parametrize("name", [name for name, row in KNOWN.items() if row.parameters])
def test_known_models_have_their_published_number_of_parameters(name):
    assert parse_config(KNOWN[name].config, source=name).parameters == KNOWN[name].parameters


def test_only_the_chosen_experts_are_active():
    mixtral = parse_config(KNOWN["mixtral-8x7b"].config, source="test")
    assert 12.8e9 < mixtral.active < 13.0e9  # published: 12.9 billion active


def test_a_model_with_pictures_is_planned_by_the_part_that_writes():
    inner = {**SMALL, "model_type": "gemma3_text"}
    outer = {"model_type": "gemma3", "text_config": inner, "vision_config": {"hidden_size": 9}}
    assert parse_config(outer, source="a").parameters == parse_config(inner, source="b").parameters


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model_type": "mamba"}, "model_type"),
        ({"model_type": None}, "model_type"),
        ({"hidden_size": None}, "hidden_size"),
        ({"hidden_size": -64}, "hidden_size"),
        ({"hidden_size": "64"}, "hidden_size"),
        ({"hidden_size": True}, "hidden_size"),
        ({"vocab_size": 10**12}, "vocab_size"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"num_key_value_heads": 3}, "num_key_value_heads"),
        ({"head_dim": None, "num_attention_heads": 7, "num_key_value_heads": 7}, "num_attention_heads"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings"),
    ],
)
def test_bad_fields_are_named(change, field):
    config = {k: v for k, v in {**SMALL, "model_type": "llama", **change}.items() if v is not None}
    with pytest.raises(DataError) as caught:
        parse_config(config, source="config.json")
    assert field in [problem.where for problem in caught.value.problems]


def test_all_missing_fields_are_told_at_once(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(DataError, match=r"config\.json") as caught:
        read_config(tmp_path)
    assert len(caught.value.problems) >= 6


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([1])


@given(
    family=st.sampled_from([*FAMILIES, "mamba", ""]),
    change=st.dictionaries(st.sampled_from([*SMALL, "num_experts", "num_experts_per_tok", "text_config"]), VALUES),
)
def test_any_object_gives_an_architecture_or_a_named_mistake(family, change):
    try:
        found = parse_config({**SMALL, **EXPERTS.get(family, {}), "model_type": family, **change}, source="x")
    except DataError as error:
        assert error.problems or "object" in error.what  # noqa: PT017
        return
    assert 0 < found.active <= found.parameters


@given(content=st.binary(max_size=60))
def test_any_file_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("config") / "config.json"
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_config(path)
