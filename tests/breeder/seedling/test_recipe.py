import json
from pathlib import Path

import pytest

from breeder.seedling.recipe import SeedlingRecipe, load_recipe
from registry.errors import ConfigError, NotFoundError

ROOT = Path(__file__).parents[3]


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def test_the_shipped_recipe_is_valid() -> None:
    recipe = load_recipe(ROOT / "recipes" / "seedling.toml")
    assert recipe.phases[-1].until == 1.0


def test_the_shipped_seedling_tells_a_recipe_that_still_holds() -> None:
    told = json.loads((ROOT / "data" / "seedling" / "recipe.json").read_text())
    assert SeedlingRecipe.model_validate(told["recipe"])


def test_steps_take_the_place_of_the_default_minutes(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path, "steps = 5"))
    assert (recipe.steps, recipe.minutes) == (5, None)
    assert SeedlingRecipe.model_validate(recipe.model_dump()) == recipe
    assert SeedlingRecipe().minutes == 60.0


def test_peak_rates_are_reached_by_steps_and_left_by_schedule() -> None:
    recipe = SeedlingRecipe(warmup_steps=4, decay_from=0.5)
    assert [recipe.rate_share_at(share, step) for share, step in [(0, 0), (0.1, 3), (0.75, 9), (1, 9)]] == [
        0.25,
        1.0,
        0.5,
        0.0,
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("minutes = 1\nsteps = 5", "exactly one of minutes"),
        ("steps = many", "not valid TOML"),
        ("steps = 0", "recipe.toml: steps: Input should be greater than or equal to 1"),
        ("step = 5", "recipe.toml: step: Extra inputs are not permitted"),
        ("phases = []", "phases: Tuple should have at least 1 item"),
        ("[[phases]]\nuntil = 0.5", "phase ends must rise to 1.0"),
        ("[[phases]]\nuntil = 1.0\nlength = 4096", "beyond shape.max_positions"),
        ("[shape]\nheads = 4\nkv_heads = 3", "shape: Value error, heads (4) must be a multiple of kv_heads (3)"),
        ('optimizer = "sgd"', "optimizer: Input should be 'adamw' or 'muon'"),
        ('text_shards = ["../workloads/x"]', "'../workloads/x' is no shard name"),
        ('text_shards = [".."]', "'..' is no shard name"),
    ],
)
def test_a_wrong_recipe_is_told_with_its_field(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe(written(tmp_path, text))
    assert told in str(caught.value)


def test_a_missing_recipe_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="none.toml cannot be read: No such file"):
        load_recipe(tmp_path / "none.toml")
