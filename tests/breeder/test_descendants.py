from breeder.descendants import population
from breeder.recipe import PopulationPart, Recipe

RECIPE = Recipe(name="x", population=PopulationPart(size=3))


def test_the_first_generation_begins_with_the_recipe_itself():
    first = population(RECIPE, 0)
    assert first[0] == RECIPE
    assert len({recipe.digest for recipe in first}) == 3


def test_later_generations_are_all_new_and_seeded():
    second = population(RECIPE, 1)
    assert RECIPE.digest not in {recipe.digest for recipe in second}
    assert [recipe.digest for recipe in second] == [recipe.digest for recipe in population(RECIPE, 1)]
    assert {recipe.digest for recipe in second}.isdisjoint(recipe.digest for recipe in population(RECIPE, 0))
