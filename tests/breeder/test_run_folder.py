from pathlib import Path

import pytest

from breeder.dataset import Dataset, freeze
from breeder.recipe import DataPart, Recipe
from breeder.run_folder import exclusive, open_run
from registry.errors import ConflictError
from tests.breeder.makers import mined

RECIPE = Recipe(name="x")


def freezing(root: Path, rows: int) -> Dataset:
    return freeze("w", mined(rows), "text", DataPart(minimum_rows=10), root / "datasets")


def test_an_unfinished_run_goes_on_with_the_dataset_it_began_on(tmp_path: Path):
    begun = open_run(tmp_path, RECIPE, lambda: freezing(tmp_path, 50))
    again = open_run(tmp_path, RECIPE, lambda: freezing(tmp_path, 60))
    assert (again.path, again.dataset.digest) == (begun.path, begun.dataset.digest)


def test_a_finished_run_is_not_repeated_but_new_rows_begin_another(tmp_path: Path):
    open_run(tmp_path, RECIPE, lambda: freezing(tmp_path, 50)).finish(b"{}")
    assert open_run(tmp_path, RECIPE, lambda: freezing(tmp_path, 50)).result == b"{}"
    assert open_run(tmp_path, RECIPE, lambda: freezing(tmp_path, 60)).result is None


def test_two_breedings_of_one_workflow_do_not_run_at_once(tmp_path: Path):
    with exclusive(tmp_path, "w"):
        with pytest.raises(ConflictError, match="'w' is being bred"), exclusive(tmp_path, "w"):
            pass
        with exclusive(tmp_path, "other"):
            pass
    with exclusive(tmp_path, "w"):
        pass
