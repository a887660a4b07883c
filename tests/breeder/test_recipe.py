import random
from pathlib import Path

import pytest

from breeder.recipe import Recipe, load_recipe, mutate
from breeder.shipped import shipped
from registry.errors import ConfigError, NotFoundError

FOLDER = [shipped("recipes")]


def test_the_digest_covers_defaults_and_nothing_but_the_values():
    sparse = Recipe(name="x")
    whole = Recipe.model_validate_json(sparse.resolved())
    assert sparse.digest == whole.digest
    assert sparse.digest != sparse.model_copy(update={"seed": 1}).digest


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(NotFoundError, match="seedling-lora"):
        load_recipe("sedling", FOLDER)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[lora]\nrnak = 3", "lora.rnak: Extra inputs are not permitted"),
        ("[lora]\nrank = 0", "lora.rank"),
        ("[data]\nholdout_share = 0.6\ncalibration_share = 0.3", "leave 10% of the rows"),
        ("[lora", "not valid TOML"),
    ],
)
def test_a_wrong_recipe_is_one_clear_line(tmp_path: Path, text: str, told: str):
    file = tmp_path / "r.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_recipe(str(file), FOLDER)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_overrides_win_over_the_file():
    recipe = load_recipe("seedling-lora", FOLDER, ["lora.rank=7", "training.learning_rate=0.5", "base.model=other"])
    assert (recipe.lora.rank, recipe.training.learning_rate, recipe.base.model) == (7, 0.5, "other")


def test_a_mutation_keeps_the_scale_and_is_seeded():
    recipe = Recipe(name="x")
    first, again = mutate(recipe, random.Random(3)), mutate(recipe, random.Random(3))
    assert first == again
    assert first.lora.alpha / first.lora.rank == pytest.approx(recipe.lora.alpha / recipe.lora.rank)
    assert first.training.learning_rate != recipe.training.learning_rate
