"""Training end to end on a tiny random Llama."""

import json
import math
import warnings

import pytest
import torch
from safetensors.torch import load_file
from toys import ANSWERS, row

from tuneworthy.errors import StorageError, TrainingError
from tuneworthy.models.local.files import weights_digest
from tuneworthy.models.local.rendering import chat_ids
from tuneworthy.training import loop
from tuneworthy.training.batches import collate, micro_batches, step_rows
from tuneworthy.training.checkpoints import checkpoint_folder
from tuneworthy.training.delivery import weaken
from tuneworthy.training.gradients import gradients
from tuneworthy.training.loop import train
from tuneworthy.training.network import mean_loss, open_base, trainable, tunable
from tuneworthy.training.recipe import Recipe
from tuneworthy.training.tokens import encode

QUICK = Recipe(learning_rate=1e-2, epochs=4, batch_size=4, checkpoint_every=1, r=4, max_length=128)
UNEQUAL = [row("q", "a" * length, name=f"row-{length}") for length in (1, 2, 5, 9, 17, 30, 3, 40)]


def greedy(network, tokenizer, question, limit=12):
    ids = torch.tensor([chat_ids(tokenizer, row(question).messages, generation=True)])
    mask = torch.ones_like(ids)
    with torch.no_grad():
        out = network.generate(ids, attention_mask=mask, max_new_tokens=limit, do_sample=False)
    return out[0, ids.shape[1] :].tolist()


def plain_peft(base_folder, adapter):
    """What somebody without Tuneworthy would write."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")  # peft with transformers
        return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base_folder), adapter).eval()


@pytest.mark.parametrize("micro_batch", [10_000, 200, 1])
def test_a14_the_gradient_does_not_depend_on_how_a_batch_is_cut(base, micro_batch):
    rows = list(encode(base.tokenizer, UNEQUAL, 128).rows)
    with tunable(base, QUICK) as network:
        for name, weight in trainable(network).items():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.1)  # with B = 0 the gradient of A would be 0
        # by hand: one row after the other, summed over tokens, divided once
        total = sum(encoded.trained for encoded in rows)
        by_hand = 0.0
        for encoded in rows:
            ids = torch.tensor([encoded.ids])
            logs = network(input_ids=ids).logits[0].log_softmax(dim=-1)
            places = [place for place, flag in enumerate(encoded.carries_loss) if flag]
            loss = -sum(logs[place - 1, encoded.ids[place]] for place in places) / total
            loss.backward()
            by_hand += loss.item()
        wanted = {name: weight.grad.clone() for name, weight in trainable(network).items()}
        network.zero_grad()
        assert gradients(network, [rows], micro_batch=micro_batch)[0] == pytest.approx(by_hand, rel=1e-5)
        for name, weight in trainable(network).items():
            torch.testing.assert_close(weight.grad, wanted[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("micro_batch", [10_000, 150, 1])
def test_e2_mean_loss_is_weighted_by_token_for_any_batch_size(base, micro_batch):
    rows = encode(base.tokenizer, UNEQUAL, 128).rows
    alone = [mean_loss(base.network, [encoded]) for encoded in rows]
    weights = [encoded.trained for encoded in rows]
    by_hand = sum(loss * weight for loss, weight in zip(alone, weights, strict=True)) / sum(weights)
    assert mean_loss(base.network, rows, micro_batch=micro_batch) == pytest.approx(by_hand, rel=1e-5)


def test_padding_changes_no_logit(base):
    short, long = encode(base.tokenizer, [UNEQUAL[0], UNEQUAL[5]], 128).rows
    together = base.network(input_ids=collate([short, long]).ids_BT).logits[0, : len(short.ids)]
    alone = base.network(input_ids=collate([short]).ids_BT).logits[0]
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=2e-5)


def test_every_row_is_seen_once_per_epoch_in_a_seeded_order():
    epoch = [step_rows(10, step=step, batch_size=4, seed=3) for step in range(5)]  # two epochs of 10 in fives of 4
    flat = [index for batch in epoch for index in batch]
    assert sorted(flat[:10]) == sorted(flat[10:]) == list(range(10))
    assert flat[:10] != flat[10:]
    assert step_rows(10, step=2, batch_size=4, seed=3) == epoch[2]
    assert step_rows(10, step=2, batch_size=4, seed=4) != epoch[2]


def test_micro_batches_keep_to_the_budget_and_lose_nothing(base):
    rows = encode(base.tokenizer, UNEQUAL, 128).rows
    parts = list(micro_batches([rows], 150))
    assert sorted(encoded.name for part in parts for encoded in part) == sorted(encoded.name for encoded in rows)
    assert all(len(part) == 1 or len(part) * max(len(r.ids) for r in part) <= 150 for part in parts)


def test_a1_overfits_eight_rows_and_stops_by_itself_in_plain_peft(base, base_folder, encoded, tmp_path):
    from transformers import AutoTokenizer

    recipe = QUICK.model_copy(update={"epochs": 40.0, "checkpoint_every": 40.0})
    told = []
    done = train(
        base,
        recipe,
        encoded,
        tmp_path / "adapter",
        evaluate=lambda step: told.append([greedy(base.network, base.tokenizer, f"q{number}") for number in range(8)]),
    )
    assert done.losses[-1] < 0.1 < done.losses[0]
    plain = plain_peft(base_folder, tmp_path / "adapter")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "adapter")
    answers = [greedy(plain, tokenizer, f"q{number}") for number in range(8)]
    assert answers == told[-1]
    assert [tokenizer.decode(answer) for answer in answers] == [f"{ANSWERS[number % 4]}<|end|>" for number in range(8)]
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(base_folder)
    assert "lm_head" not in settings["target_modules"]
    assert len({name.rsplit(".", 1)[-1] for name in settings["target_modules"]}) == 7  # peft writes kinds or full names
    assert done.weights == weights_digest(tmp_path / "adapter")
    assert not (tmp_path / "adapter" / "checkpoints").exists()


def test_e4_a_zero_step_adapter_answers_exactly_like_the_base(base, base_folder, encoded, tmp_path):
    before = [greedy(base.network, base.tokenizer, f"q{number}") for number in range(4)]
    done = train(base, QUICK, encoded, tmp_path, share=0.0)
    assert (done.steps, done.stopped, done.chosen.step) == (0, "share", 0)
    plain = plain_peft(base_folder, tmp_path)
    assert [greedy(plain, base.tokenizer, f"q{number}") for number in range(4)] == before


def test_a_weakened_adapter_is_a_folder_of_its_own_that_plain_peft_loads(base, base_folder, encoded, tmp_path):
    train(base, QUICK, encoded, tmp_path / "adapter")
    assert weaken(tmp_path / "adapter", 1.0) == tmp_path / "adapter"
    half = weaken(tmp_path / "adapter", 0.5)
    ids = torch.tensor([base.tokenizer.encode("q1")])
    logits = {}
    for name, folder, scale in (
        ("folder", half, 1.0),
        ("set", tmp_path / "adapter", 0.5),
        ("whole", tmp_path / "adapter", 1.0),
    ):
        network = plain_peft(base_folder, folder)
        for module in network.modules():
            if hasattr(module, "set_scale"):
                module.set_scale("default", scale)
        logits[name] = network(input_ids=ids).logits
    assert torch.equal(logits["folder"], logits["set"])
    assert not torch.allclose(logits["folder"], logits["whole"])


def test_the_base_is_untouched_afterwards_and_the_random_state_too(base, encoded, tmp_path):
    weights = {name: weight.clone() for name, weight in base.network.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train(base, QUICK, encoded, tmp_path)
    assert torch.rand(1) == expected
    assert base.network.state_dict().keys() == weights.keys()
    assert all(torch.equal(weight, weights[name]) for name, weight in base.network.state_dict().items())


def test_same_seed_same_weights_other_seed_other_weights(base, encoded, tmp_path):
    recipe = QUICK.model_copy(update={"dropout": 0.1})
    one, two = (train(base, recipe, encoded, tmp_path / name).weights for name in ("one", "two"))
    other = train(base, recipe.model_copy(update={"seed": 1}), encoded, tmp_path / "other").weights
    assert one == two != other


def test_full_tuning_runs_the_same_loop_and_loads_in_plain_transformers(base_folder, encoded, tmp_path):
    from transformers import AutoModelForCausalLM

    base = open_base(base_folder)
    recipe = QUICK.model_copy(update={"method": "full", "learning_rate": 5e-3})
    done = train(base, recipe, encoded, tmp_path)
    assert done.losses[-1] < done.losses[0]
    assert done.weights == weights_digest(tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert greedy(plain, base.tokenizer, "q1") == greedy(base.network, base.tokenizer, "q1")


def test_scores_choose_the_checkpoint_and_patience_ends_training(base, encoded, tmp_path):
    scores = {2: (0.2, 0.05), 4: (0.7, 0.05), 6: (0.72, 0.05), 8: (0.71, 0.05), 10: (0.70, 0.05)}
    seen = {}

    def evaluate(step):
        seen[step] = weights_digest(checkpoint_folder(tmp_path, step))
        assert not base.network.training
        return scores[step]

    done = train(base, QUICK.model_copy(update={"epochs": 10.0}), encoded, tmp_path, evaluate=evaluate)
    assert list(seen) == [2, 4, 6, 8, 10]
    assert (done.stopped, done.steps, done.planned_steps) == ("patience", 10, 20)
    assert done.chosen.step == 4
    assert done.weights == seen[4]
    assert [point.dev for point in done.history] == [0.2, 0.7, 0.72, 0.71, 0.70]


def test_a_perfect_score_ends_training_as_nothing_later_can_beat_it(base, encoded, tmp_path):
    done = train(base, QUICK, encoded, tmp_path, evaluate=lambda step: (1.0 if step >= 4 else 0.25, 0.01))
    assert (done.stopped, done.steps, done.chosen.step) == ("perfect", 4, 4)


def test_progress_tells_loss_score_speed_and_time_left(base, encoded, tmp_path):
    told = []
    train(base, QUICK, encoded, tmp_path, evaluate=lambda step: (0.5, 0.1), on_progress=told.append)
    assert [progress.step for progress in told] == list(range(1, 7))  # patience ends it
    assert told[0].steps == 8
    assert told[0].dev is None
    assert told[2].dev.mean == 0.5
    assert all(progress.tokens_per_second > 0 and progress.seconds_left >= 0 for progress in told)
    assert told[1].epoch == 1.0


def test_divergence_is_reported_not_raised(base, encoded, tmp_path, monkeypatch):
    losses = iter([3.0, 9.0, 2.0, 2.5, 9.0, 9.0, 9.0, 9.0])  # one odd batch is no divergence
    monkeypatch.setattr(loop, "within_memory", lambda *_, **__: ([next(losses)], 4096))
    done = train(base, QUICK, encoded, tmp_path)
    assert (done.stopped, done.steps, done.planned_steps) == ("diverged", 6, 8)
    assert done.chosen.step == 6


def test_nothing_left_to_learn_ends_training(base, encoded, tmp_path, monkeypatch):
    losses = iter([3.0, 1.0, 0.0])
    monkeypatch.setattr(loop, "within_memory", lambda *_, **__: ([next(losses)], 4096))
    done = train(base, QUICK, encoded, tmp_path, evaluate=lambda step: (step / 10, 0.01))
    assert (done.stopped, done.chosen.step, done.chosen.dev) == ("learned", 3, 0.3)


@pytest.mark.parametrize(
    ("loss", "words"), [(math.nan, "not a finite number"), (math.inf, "finite"), (0.0, "exactly 0")]
)
def test_a6_loss_of_zero_or_not_a_number_stops(base, encoded, tmp_path, monkeypatch, loss, words):
    monkeypatch.setattr(loop, "within_memory", lambda *_, **__: ([loss], 4096))
    with pytest.raises(TrainingError, match=words):
        train(base, QUICK, encoded, tmp_path)


def test_a_score_that_is_not_a_number_stops(base, encoded, tmp_path):
    with pytest.raises(TrainingError, match="development score after step 2"):
        train(base, QUICK, encoded, tmp_path, evaluate=lambda step: (math.nan, 0.0))


def test_a1_the_trained_stop_token_must_end_generation(base, encoded, tmp_path):
    base.network.generation_config.eos_token_id = base.tokenizer.pad_token_id
    with pytest.raises(TrainingError, match="does not end generation"):
        train(base, QUICK, encoded, tmp_path)


def test_a_read_only_folder_is_explained(base, encoded, tmp_path):
    (tmp_path / "checkpoints").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="cannot write"):
        train(base, QUICK, encoded, tmp_path)


def test_the_model_card_says_how_it_was_made(base, encoded, tmp_path):
    train(base, QUICK, encoded, tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "LoRA, rank 4" in card
    assert "| development score | not measured |" in card
    assert set(load_file(tmp_path / "adapter_model.safetensors")) != set()
