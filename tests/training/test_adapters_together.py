"""Several adapters in the same passes: each ends as it would alone; memory that runs out halves the passes."""

import pytest
import torch
from safetensors.torch import load_file
from shapes import SHAPES, shaped
from test_prefix import SYSTEM, rows
from toys import row

from tuneworthy.errors import TrainingError
from tuneworthy.models.local.files import silent_peft
from tuneworthy.training import gradients as stepping
from tuneworthy.training import loop, run
from tuneworthy.training.checkpoints import OPTIMIZER, checkpoint_folder, last_step
from tuneworthy.training.gradients import gradients, within_memory
from tuneworthy.training.loop import apart, train, train_all
from tuneworthy.training.network import adapter_name, trainable, tunable
from tuneworthy.training.recipe import Recipe
from tuneworthy.training.run import Training
from tuneworthy.training.side_by_side import is_plain, side_by_side
from tuneworthy.training.tokens import encode

RECIPE = Recipe(learning_rate=2e-3, epochs=6, batch_size=4, checkpoint_every=2, r=4, max_length=256, patience=9)


def taught(base, count=8):
    made = [row(f"q{number}", ("red", "green")[number % 2], name=f"row-{number}", system=SYSTEM) for number in range(8)]
    return encode(base.tokenizer, made[:count], 256, stop_ids=base.stop_ids)


def several(network, count, *, scale=1.0):
    """LoRA adapters of different weights and strengths in one network, float64."""
    from peft import LoraConfig, get_peft_model

    with silent_peft():
        for number in range(count):
            config = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8 * scale + number, target_modules="all-linear")
            if number:
                network.add_adapter(adapter_name(number), config)
            else:
                network = get_peft_model(network, config)
    network.double().train()
    for name, weight in network.named_parameters():
        weight.requires_grad_("lora_" in name)
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    return network


def graded(network, groups, adapters, **settings):
    network.zero_grad()
    losses = gradients(network, groups, micro_batch=settings.pop("micro_batch", 10_000), **settings)
    return losses, [[weight.grad.clone() for weight in trainable(network, name).values()] for name in adapters]


@pytest.mark.parametrize("shape", SHAPES)
def test_t1_the_layer_equals_that_of_peft_to_nine_digits(shape):
    network = several(shaped(shape), 1)
    wanted = graded(network, [rows(5, (1, 5, 9))], ["default"])
    side_by_side(network, ["default"])
    found = graded(network, [rows(5, (1, 5, 9))], ["default"])
    assert found[0] == pytest.approx(wanted[0], rel=1e-9)
    for ours, peft in zip(found[1][0], wanted[1][0], strict=True):
        assert float((ours - peft).norm()) <= 1e-9 * float(peft.norm())


@pytest.mark.parametrize("prefix", [0, 11])
@pytest.mark.parametrize("micro_batch", [1, 10_000])
@pytest.mark.parametrize("shape", SHAPES)
def test_t1_each_of_three_gets_the_gradient_that_it_gets_alone(shape, micro_batch, prefix):
    network = several(shaped(shape), 3)
    names = [adapter_name(number) for number in range(3)]
    groups = [rows(11, (3, 7, 1), seed=number) for number in range(3)]
    side_by_side(network, names)
    losses, together = graded(network, groups, names, micro_batch=micro_batch, prefix=prefix)
    for name, group, loss, grads in zip(names, groups, losses, together, strict=True):
        side_by_side(network, [name])
        (lone,), (wanted,) = graded(network, [group], [name])
        assert loss == pytest.approx(lone, rel=1e-9)
        for ours, alone in zip(grads, wanted, strict=True):
            assert float((ours - alone).norm()) <= 1e-9 * float(alone.norm())


def test_t7_an_adapter_that_changes_leaves_the_others_as_they_are():
    network = several(shaped("llama"), 2)
    names = [adapter_name(number) for number in range(2)]
    groups = [rows(11, (3, 7), seed=number) for number in range(2)]
    side_by_side(network, names)
    before, (first, _) = graded(network, groups, names, prefix=11)
    for weight in trainable(network, names[1]).values():
        weight.data.add_(0.1)
    after, (again, _) = graded(network, groups, names, prefix=11)
    assert after[0] == pytest.approx(before[0], rel=1e-12)
    assert after[1] != pytest.approx(before[1], rel=1e-5)
    for one, two in zip(first, again, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-7, atol=1e-12)


def test_each_begins_with_the_weights_of_its_own_seed(base):
    recipes = [RECIPE.model_copy(update={"seed": seed}) for seed in (3, 4)]
    with tunable(base, *recipes) as network:
        together = [trainable(network, adapter_name(number)) for number in range(2)]
        kept = [{name: weight.detach().clone() for name, weight in weights.items()} for weights in together]
    for recipe, weights in zip(recipes, kept, strict=True):
        with tunable(base, recipe) as network:
            alone = trainable(network)
            assert alone.keys() == weights.keys()
            assert all(torch.equal(weight, weights[name]) for name, weight in alone.items())


def adapter(folder):
    return torch.cat([w.flatten() for _, w in sorted(load_file(folder / "adapter_model.safetensors").items())])


def trainings(base, place, *, evaluate=None):
    """Seeds, rates, sizes of data and lengths, each another."""
    asked = [({"seed": 0}, 8), ({"seed": 1, "learning_rate": 4e-3}, 8), ({"seed": 2, "epochs": 3.0}, 6)]
    return [
        Training(RECIPE.model_copy(update=change), taught(base, count), place / str(number), evaluate)
        for number, (change, count) in enumerate(asked)
    ]


def test_trained_together_each_ends_as_alone(base, tmp_path):
    alone = [train(base, t.recipe, t.encoded, t.out) for t in trainings(base, tmp_path / "alone")]
    together = train_all(base, trainings(base, tmp_path / "together"), together=True)
    for number, (one, other) in enumerate(zip(alone, together, strict=True)):
        assert (one.stopped, one.steps, one.identity, one.prefix) == (
            other.stopped,
            other.steps,
            other.identity,
            other.prefix,
        )
        assert other.losses == pytest.approx(one.losses, rel=1e-4)
        near = torch.cosine_similarity(*(adapter(tmp_path / way / str(number)) for way in ("alone", "together")), dim=0)
        assert float(near) >= 0.9999
    settings = [(tmp_path / way / "1" / "adapter_config.json").read_text() for way in ("alone", "together")]
    assert settings[0] == settings[1]


def test_each_is_scored_and_stopped_for_itself(base, tmp_path):
    scores = iter([0.5, 1.0, 0.6, 0.7])  # the second is perfect at once
    asked = [
        Training(RECIPE.model_copy(update={"seed": s}), taught(base), tmp_path / str(s), lambda _: (next(scores), 0.01))
        for s in range(2)
    ]
    first, second = train_all(base, asked, together=True)
    assert (first.stopped, [point.dev for point in first.history]) == ("finished", [0.5, 0.6, 0.7])
    assert (second.stopped, second.steps) == ("perfect", 4)


@pytest.mark.parametrize("killed_in", ["step", "save"])
def test_killed_together_and_continued_together_the_bits_are_the_same(base, tmp_path, monkeypatch, killed_in):
    whole = [done.weights for done in train_all(base, trainings(base, tmp_path / "whole"), together=True)]
    place, real, saved = tmp_path / "cut", run.checkpoints.save, []

    def save(out, *arguments, **named):
        if killed_in == "save" and len(saved) == 4:  # the first of three has written its second checkpoint
            raise KeyboardInterrupt
        saved.append(out)
        real(out, *arguments, **named)

    def stop(progress):
        if killed_in == "step" and progress.step == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(run.checkpoints, "save", save)
    asked = trainings(base, place)
    with pytest.raises(KeyboardInterrupt):
        train_all(base, [Training(t.recipe, t.encoded, t.out, on_progress=stop) for t in asked], together=True)
    monkeypatch.undo()
    assert [done.weights for done in train_all(base, asked, together=True)] == whole


def seeds(base, place, *, stop=None):
    """Three that differ in their seed alone; the first tells `stop` of each step."""
    told = (stop, None, None)
    return [
        Training(RECIPE.model_copy(update={"seed": s}), taught(base), place / str(s), on_progress=told[s])
        for s in range(3)
    ]


def stop_after(steps):
    def stop(progress):
        if progress.step == steps:
            raise KeyboardInterrupt

    return stop


def test_where_one_ends_off_a_mark_the_others_go_on_from_there_after_a_kill(base, tmp_path, monkeypatch):
    real = run.Run._stopped

    def stopped(one):
        ends = one.recipe.seed == 1 and one.standing.step == 5
        return "learned" if ends else real(one)

    monkeypatch.setattr(run.Run, "_stopped", stopped)
    whole = train_all(base, seeds(base, tmp_path / "whole"), together=True)
    assert [done.steps for done in whole] == [12, 5, 12]
    with pytest.raises(KeyboardInterrupt):
        train_all(base, seeds(base, tmp_path / "cut", stop=stop_after(6)), together=True)
    assert [last_step(tmp_path / "cut" / name) for name in "02"] == [5, 5]
    continued = train_all(base, seeds(base, tmp_path / "cut"), together=True)
    assert [done.weights for done in continued] == [done.weights for done in whole]


def test_killed_while_saving_and_killed_again_all_still_stand_at_the_same_step(base, tmp_path, monkeypatch):
    whole = [done.weights for done in train_all(base, seeds(base, tmp_path / "whole"), together=True)]
    place, real, saved = tmp_path / "cut", run.checkpoints.save, []

    def save(out, *arguments, **named):
        if len(saved) == 4:  # the first of three has written its second checkpoint
            raise KeyboardInterrupt
        saved.append(out)
        real(out, *arguments, **named)

    def step(*_):
        raise KeyboardInterrupt

    for owner, name, patched in ((run.checkpoints, "save", save), (loop._Together, "_step", step)):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, patched)
            with pytest.raises(KeyboardInterrupt):
                train_all(base, seeds(base, place), together=True)
    outs = [place / str(number) for number in range(3)]
    at = min(map(last_step, outs))
    assert all((checkpoint_folder(out, at) / OPTIMIZER).is_file() for out in outs)
    assert [done.weights for done in train_all(base, seeds(base, place), together=True)] == whole


def test_trainings_that_do_not_fit_side_by_side_take_turns_and_end_as_alone(base, tmp_path, monkeypatch):
    alone = [train(base, t.recipe, t.encoded, t.out) for t in seeds(base, tmp_path / "alone")]
    real, refused = stepping.negative_log_likelihood, []

    def capped(network, batch, **named):
        if len(batch.ids_BT) > 2:
            refused.append(batch.ids_BT.shape)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(network, batch, **named)

    monkeypatch.setattr(stepping, "negative_log_likelihood", capped)
    together = train_all(base, seeds(base, tmp_path / "together"), together=True)
    assert refused
    for one, other in zip(alone, together, strict=True):
        assert other.losses == pytest.approx(one.losses, rel=1e-4)
        assert other.micro_batch < one.micro_batch
    assert len(refused) < 12  # found once, kept for the rest of the run


def test_the_record_tells_what_was_shared_and_the_difference_where_it_was_measured(base, tmp_path):
    first, second, third = train_all(base, seeds(base, tmp_path), together=True)
    assert first.prefix == second.prefix == third.prefix > 16
    assert "computed both ways, differ by" in first.sharing
    for done in (second, third):
        assert "checked on a training beside it" in done.sharing
        assert "differ by" not in done.sharing


def test_one_that_was_begun_alone_with_nothing_shared_shares_nothing_beside_others(base, tmp_path, monkeypatch):
    one, other, _ = seeds(base, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "sharing", lambda *_: (0, "not asked for"))
        train(base, one.recipe, one.encoded, one.out, share=0.3)
    real, used = loop.within_memory, []

    def spied(network, groups, *, prefix, **named):
        if len(groups[0]) == RECIPE.batch_size:  # two rows are computed both ways before the first step
            used.append((len(groups), prefix))
        return real(network, groups, prefix=prefix, **named)

    monkeypatch.setattr(loop, "within_memory", spied)
    done = train_all(base, [one, other], together=True)
    assert (done[0].prefix, done[0].sharing) == (0, "not asked for")
    assert done[1].prefix > 16
    assert set(used) == {(1, 0), (1, done[1].prefix)}


def test_why_some_are_trained_one_after_the_other(base, tmp_path):
    encoded = taught(base)

    def reason(**change):
        return apart(
            [
                Training(RECIPE, encoded, tmp_path / "a"),
                Training(RECIPE.model_copy(update=change), encoded, tmp_path / "b"),
            ]
        )

    assert reason(seed=5, learning_rate=1e-3) == ""
    plain = encode(base.tokenizer, [row(f"{n}", "red", name=f"row-{n}") for n in range(8)], 256, stop_ids=base.stop_ids)
    begun = [Training(RECIPE, encoded, tmp_path / "a"), Training(RECIPE, plain, tmp_path / "b")]
    assert "beginnings of different lengths" in apart(begun)
    assert "dropout" in reason(dropout=0.1)
    assert "full" in reason(method="full")
    assert reason(batch_size=2) == "they differ in batch_size"
    dropped = [
        Training(RECIPE.model_copy(update={"dropout": 0.1, "seed": s}), encoded, tmp_path / str(s)) for s in (1, 2)
    ]
    done = train_all(base, dropped, together=True)
    assert [trained.recipe.seed for trained in done] == [1, 2]
    assert done[0].weights == train(base, dropped[0].recipe, encoded, tmp_path / "lone").weights


def test_out_of_memory_halves_the_passes_and_the_run_ends_with_the_same_result(base, tmp_path, monkeypatch):
    recipe = RECIPE.model_copy(update={"batch_size": 8})
    whole = train(base, recipe, taught(base), tmp_path / "whole")
    real, refused = stepping.negative_log_likelihood, []

    def capped(network, batch, **named):
        if batch.ids_BT.numel() > 80:
            refused.append(batch.ids_BT.shape)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(network, batch, **named)

    monkeypatch.setattr(stepping, "negative_log_likelihood", capped)
    done = train(base, recipe, taught(base), tmp_path / "capped")
    assert refused
    assert done.losses == pytest.approx(whole.losses, rel=1e-4)
    assert float(torch.cosine_similarity(adapter(tmp_path / "whole"), adapter(tmp_path / "capped"), dim=0)) >= 0.9999
    assert done.micro_batch < RECIPE.micro_batch == whole.micro_batch
    assert len(refused) < 5  # found once, kept for the rest of the run


def test_not_one_row_fits_and_other_errors_pass(base, monkeypatch):
    def fail(words):
        def raising(*_, **__):
            raise RuntimeError(words)

        monkeypatch.setattr(stepping, "negative_log_likelihood", raising)

    with tunable(base, RECIPE) as network:
        fail("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried 12 bytes.")
        with pytest.raises(TrainingError, match="one row does not fit"):
            within_memory(network, [list(taught(base).rows)], micro_batch=4096)
        fail("size mismatch")
        with pytest.raises(RuntimeError, match="size mismatch"):
            within_memory(network, [list(taught(base).rows)], micro_batch=4096)


def test_unusual_layers_keep_the_forward_pass_of_peft(base):
    with tunable(base, RECIPE) as network:
        layers = [module for module in network.modules() if is_plain(module)]
        assert len(layers) == 14
        assert not any(is_plain(module) for module in base.network.lm_head.modules())


def test_on_a_cpu_small_ones_that_share_a_beginning_go_one_after_the_other_and_others_side_by_side(
    base, tmp_path, monkeypatch
):
    plain = encode(base.tokenizer, [row(f"{n}", "red", name=f"row-{n}") for n in range(8)], 256, stop_ids=base.stop_ids)
    assert not loop.pays_side_by_side(base, trainings(base, tmp_path))
    assert loop.pays_side_by_side(base, [Training(RECIPE, plain, tmp_path / name) for name in "ab"])
    monkeypatch.setattr(loop, "SMALL", base.parameters)
    assert loop.pays_side_by_side(base, trainings(base, tmp_path)), "larger ones gain"
