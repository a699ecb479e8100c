"""The beginning that rows share, computed once: the same loss and the same gradients as each row whole."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import SHAPES, shaped, with_lora
from toys import row

from tuneworthy.training import loop, prefix
from tuneworthy.training.batches import EncodedRow, collate, step_rows
from tuneworthy.training.gradients import gradients
from tuneworthy.training.loop import train
from tuneworthy.training.network import negative_log_likelihood, trainable, tunable
from tuneworthy.training.recipe import Recipe
from tuneworthy.training.tokens import encode

SYSTEM = "Name the colour of what is asked about."
RECIPE = Recipe(learning_rate=1e-2, epochs=8, batch_size=4, checkpoint_every=2, r=4, max_length=256)


def rows(shared, own, *, answer=2, seed=0):
    """One row for each length in `own`: the shared tokens, as many of its own, and the answer."""
    draw = random.Random(seed)
    first = [draw.randrange(97) for _ in range(shared)]
    made = []
    for number, length in enumerate(own):
        ids = [number, *(draw.randrange(97) for _ in range(length - 1))] if length else []
        ids = first + ids + [draw.randrange(97) for _ in range(answer)]
        made.append(EncodedRow(f"row-{number}", tuple(ids), (False,) * (len(ids) - answer) + (True,) * answer))
    return made


def both_ways(network, taught, *, micro_batch=10_000):
    """(losses, gradients) with each row whole and with the beginning shared."""
    found = []
    for tokens in (0, prefix.common(taught)):
        network.zero_grad()
        losses = gradients(network, [taught], micro_batch=micro_batch, prefix=tokens)
        found.append((losses, {name: weight.grad.clone() for name, weight in trainable(network).items()}))
    return found


def assert_equal(found, within):
    (loss, wanted), (shared_loss, shared) = found
    assert shared_loss == pytest.approx(loss, rel=within)
    for name, gradient in wanted.items():
        assert float((gradient - shared[name]).norm()) <= within * float(gradient.norm()), name


@pytest.mark.parametrize("shape", SHAPES)
def test_t1_loss_and_gradients_equal_the_plain_ones_to_nine_digits(shape):
    network = with_lora(shaped(shape))
    assert_equal(both_ways(network, rows(17, (1, 5, 9, 2, 13))), 1e-9)


@pytest.mark.parametrize("micro_batch", [1, 40, 10_000])
@pytest.mark.parametrize(
    ("shared", "own"),
    [(11, (3,)), (0, (4, 7, 2)), (12, (0, 6)), (12, (1, 1, 1)), (1, (3, 2))],
    ids=["one row", "nothing shared", "nothing but the answer of its own", "one token of its own", "one token shared"],
)
def test_t8_boundaries_however_the_batch_is_cut(grouped, shared, own, micro_batch):
    assert_equal(both_ways(grouped, rows(shared, own), micro_batch=micro_batch), 1e-9)


def test_full_tuning_gets_the_same_gradients_too():
    network = shaped("llama, tied, grouped").train()
    assert_equal(both_ways(network, rows(17, (1, 5, 9))), 1e-9)


@pytest.fixture(scope="module")
def grouped():
    return with_lora(shaped("llama, tied, grouped"))


@settings(max_examples=15, deadline=None, database=None)
@given(
    shared=st.integers(0, 30),
    own=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    answer=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_any_lengths(grouped, shared, own, answer, seed):
    assert_equal(both_ways(grouped, rows(shared, own, answer=answer, seed=seed), micro_batch=64), 1e-9)


def test_t7_a_row_that_changes_leaves_the_others_as_they_are():
    network = with_lora(shaped("llama"))
    taught = rows(17, (5, 9, 7))
    other = EncodedRow("row-2", (*taught[2].ids[:-4], 1, 2, 3, 4), taught[2].carries_loss)
    losses = []
    for batch in (taught, [*taught[:2], other]):
        with torch.no_grad():
            beginning = prefix.begin(network, torch.tensor([taught[0].ids[:17]]))
            told = negative_log_likelihood(network, collate(batch, prefix=17), beginning=beginning, groups=1)
            each = negative_log_likelihood(network, collate(batch), groups=3)
        losses.append(each.tolist())
        assert float(told.sum()) == pytest.approx(sum(losses[-1]), rel=1e-9)
    assert losses[0][:2] == pytest.approx(losses[1][:2], rel=1e-12)
    assert losses[0][2] != pytest.approx(losses[1][2], rel=1e-3)


def test_what_is_shared_ends_before_the_position_that_predicts_the_first_answer():
    same = [EncodedRow(str(n), (1, 2, 3, 4, 5, 6), (False, False, False, True, False, True)) for n in range(3)]
    assert prefix.common(same) == 2  # token 3 predicts token 4, which is trained
    assert prefix.common([EncodedRow("a", (1, 2), (False, True))]) == 0


def taught(base, count=8, system=SYSTEM):
    made = [row(f"q{number}", ("red", "green")[number % 2], name=f"row-{number}", system=system) for number in range(8)]
    return encode(base.tokenizer, made[:count], 256, stop_ids=base.stop_ids)


def test_t2_thirty_steps_end_where_a_plain_loop_of_torch_and_peft_ends(base, tmp_path):
    from peft import get_peft_model_state_dict
    from safetensors.torch import load_file

    recipe = RECIPE.model_copy(update={"epochs": 15.0, "checkpoint_every": 15.0, "learning_rate": 2e-3})
    encoded = taught(base)
    with tunable(base, recipe) as network:
        for module in network.modules():
            module.__dict__.pop("forward", None)  # peft's own layers
        weights = list(trainable(network).values())
        optimizer = torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=0.0)
        losses = []
        for step in range(30):
            order = step_rows(8, step=step, batch_size=4, seed=0)
            batch = collate([encoded.rows[number] for number in order])
            logits = network(input_ids=batch.ids_BT).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets_BT.flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, recipe.max_grad_norm)
            optimizer.param_groups[0]["lr"] = recipe.rate(step, 30)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        wanted = torch.cat([weight.flatten() for _, weight in sorted(get_peft_model_state_dict(network).items())])
    done = train(base, recipe, encoded, tmp_path)
    assert done.prefix > 16
    assert done.losses[:10] == pytest.approx(losses[:10], rel=1e-5)
    assert done.losses == pytest.approx(losses, rel=1e-3)
    found = torch.cat([w.flatten() for _, w in sorted(load_file(tmp_path / "adapter_model.safetensors").items())])
    assert float(torch.cosine_similarity(found, wanted.detach(), dim=0)) >= 0.9999


def test_t10_the_first_batch_is_computed_both_ways_and_the_record_says_so(base, tmp_path):
    done = train(base, RECIPE, taught(base), tmp_path)
    assert done.prefix == prefix.common(taught(base).rows)
    assert f"the {done.prefix} tokens that all rows begin with are computed once a step" in done.sharing
    assert "computed both ways, differ by" in done.sharing


def test_t10_another_gradient_falls_back_and_the_record_says_so(base, tmp_path, monkeypatch):
    plain = train(base, RECIPE, taught(base, system=""), tmp_path / "plain")
    assert plain.prefix == 0
    right = prefix.Beginning.backward
    monkeypatch.setattr(prefix.Beginning, "backward", lambda beginning: None)  # the gradient of the beginning is lost
    done = train(base, RECIPE, taught(base), tmp_path / "wrong")
    assert done.prefix == 0
    assert "computed with each of them: shared, the gradient of the first rows differed" in done.sharing
    monkeypatch.setattr(prefix.Beginning, "backward", right)
    monkeypatch.setattr(loop, "sharing", lambda *_: (0, "not asked for"))
    assert train(base, RECIPE, taught(base), tmp_path / "whole").weights == done.weights


def test_resumed_with_a_shared_beginning_the_weights_are_the_same_bits(base, tmp_path, monkeypatch):
    monkeypatch.setattr("tuneworthy.training.run.SAVE_SECONDS", 0.0)
    whole = train(base, RECIPE, taught(base), tmp_path / "whole")
    assert whole.prefix > 16

    def stop(progress):
        if progress.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(base, RECIPE, taught(base), tmp_path / "cut", on_progress=stop)
    continued = train(base, RECIPE, taught(base), tmp_path / "cut")
    assert (continued.weights, continued.sharing) == (whole.weights, whole.sharing)


def test_dropout_sliding_windows_and_checkpointing_are_reasons_not_to_share():
    many = rows(40, (3, 5, 4))
    assert prefix.sharing(with_lora(shaped("llama")), many, 3)[0] == 40
    assert prefix.sharing(with_lora(shaped("llama")), rows(12, (3, 5, 4)), 3)[0] == 0
    assert prefix.sharing(with_lora(shaped("llama")), many, 1)[0] == 0
    tokens, why = prefix.sharing(with_lora(shaped("llama"), dropout=0.1), many, 3)
    assert (tokens, "dropout (0.1) draws another mask" in why) == (0, True)
    checkpointed = shaped("llama")
    checkpointed.activation_checkpointing_enable()
    tokens, why = prefix.sharing(with_lora(checkpointed), many, 3)
    assert (tokens, "gradient checkpointing" in why) == (0, True)
    from shapes import SMALL
    from transformers import MistralConfig, MistralForCausalLM

    sliding = MistralForCausalLM(MistralConfig(**SMALL, num_key_value_heads=4, sliding_window=8))
    tokens, why = prefix.sharing(sliding, many, 3)
    assert (tokens, "does not keep the keys and values" in why) == (0, True)


def test_t3_in_bf16_the_loss_is_within_two_percent(grouped):
    taught = rows(40, (3, 9, 5, 1))
    network = with_lora(shaped("llama, tied, grouped").float()).float()
    whole, shared = (
        gradients(network, [taught], micro_batch=4096, precision="bf16", prefix=tokens)[0] for tokens in (0, 40)
    )
    (exact,) = gradients(network, [taught], micro_batch=4096)
    assert shared == pytest.approx(whole, rel=2e-2)
    assert shared == pytest.approx(exact, rel=2e-2)
