"""`recipes ls|show|check`: how descendants are bred."""

from __future__ import annotations

from typing import Annotated

import typer

from router.cli.frame import JsonOption, say, say_json, say_table

app = typer.Typer(no_args_is_help=True, help="How descendants are bred.")
NameArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's name, or a TOML file.")]


@app.command()
def ls(as_json: JsonOption = False) -> None:
    """List the shipped recipes."""
    from breeder.recipe import load_recipe, recipe_names
    from breeder.shipped import shipped

    folder = shipped("recipes")
    found = [load_recipe(name, [folder]) for name in recipe_names(folder)]
    if as_json:
        say_json([one.model_dump(mode="json") for one in found])
        return
    columns = ("recipe", "base", "rank", "epochs", "learning rate")
    say_table(
        columns,
        [
            (
                one.name,
                one.base.model,
                str(one.lora.rank),
                f"{one.training.epochs:g}",
                f"{one.training.learning_rate:g}",
            )
            for one in found
        ],
    )


@app.command()
def show(recipe: NameArgument) -> None:
    """Show a recipe with all defaults resolved."""
    from breeder.recipe import load_recipe
    from breeder.shipped import shipped

    say(load_recipe(recipe, [shipped("recipes")]).resolved().decode())


@app.command()
def check(recipe: NameArgument) -> None:
    """Check that a recipe holds; exits with 2 where it does not."""
    from breeder.recipe import load_recipe
    from breeder.shipped import shipped

    chosen = load_recipe(recipe, [shipped("recipes")])
    say(f"{chosen.name} holds; digest {chosen.digest[:16]}")
