import pytest
from pydantic import ValidationError

from tuneworthy.training.recipe import LARGE_RATES, TINY_RATES, Recipe, recipe_for


@pytest.mark.parametrize(
    ("examples", "tokens_each", "epochs", "batch"),
    [
        (800, 40, 5, 20),
        (3_000, 40, 3, 32),
        (800, 4, 10, 32),  # short labels
        (300, 40, 5, 8),
        (30, 40, 14, 4),  # at least 100 steps
        (3, 40, 20, 3),  # never more rows in a batch than there are
    ],
)
def test_epochs_and_batch_follow_from_the_number_of_examples(examples, tokens_each, epochs, batch):
    recipe = recipe_for(examples, examples * tokens_each, 8_000_000_000).recipe
    assert (recipe.epochs, recipe.batch_size) == (epochs, batch)


def test_rates_to_screen_depend_on_the_size_of_the_base():
    assert recipe_for(800, 32_000, 900_000).learning_rates == TINY_RATES
    assert recipe_for(800, 32_000, 500_000_000).learning_rates == LARGE_RATES
    full = recipe_for(800, 32_000, 500_000_000, method="full")
    assert full.learning_rates == pytest.approx([1e-5, 2e-5, 5e-5])
    assert full.recipe.dropout == 0


def test_a_tiny_base_gets_more_epochs_and_steps():
    recipe = recipe_for(300, 12_000, 1_300_000).recipe
    assert (recipe.epochs, recipe.batch_size, recipe.checkpoint_every) == (12, 8, 2)
    assert recipe_for(5, 200, 1_300_000).recipe.batch_size == 5


def test_rank_and_dropout():
    assert recipe_for(800, 32_000, 10**9).recipe.r == 16
    assert recipe_for(5_000, 2_500_000, 10**9).recipe.r == 32
    assert recipe_for(499, 32_000, 10**9).recipe.dropout == 0.05
    assert recipe_for(500, 32_000, 10**9).recipe.dropout == 0


def test_rate_rises_then_falls_to_nearly_zero():
    recipe = Recipe(learning_rate=1.0, warmup=0.1)
    rates = [recipe.rate(step, 100) for step in range(100)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert max(rates) == rates[9] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(1 / 90)
    cosine = recipe.model_copy(update={"schedule": "cosine"})
    assert cosine.rate(55, 100) == pytest.approx(0.5)


def test_checkpoints_are_evenly_spaced_and_end_with_the_last_step():
    recipe = Recipe(epochs=2, batch_size=10, checkpoint_every=0.5)
    assert recipe.steps(100) == 20
    assert recipe.checkpoint_steps(100) == [5, 10, 15, 20]
    assert Recipe(epochs=1, batch_size=64).checkpoint_steps(8) == [1]


def test_a15_an_unknown_key_is_refused():
    with pytest.raises(ValidationError, match="max_seq_length"):
        Recipe.model_validate({"max_seq_length": 512})


def test_no_examples_is_refused():
    with pytest.raises(ValueError, match="at least one example"):
        recipe_for(0, 0, 10**9)
