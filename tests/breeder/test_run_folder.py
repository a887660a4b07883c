from pathlib import Path

import pytest

from breeder.dataset import Dataset, freeze
from breeder.recipe import DataPart
from breeder.run_folder import RunFolder, exclusive, open_run
from registry.errors import ConflictError
from tests.breeder.makers import mined


def freezing(root: Path, rows: int) -> Dataset:
    return freeze("w", mined(rows), "text", DataPart(minimum_rows=10), root / "datasets")


def opened(root: Path, rows: int, key: str = "k") -> RunFolder:
    return open_run(root, key, root / "datasets", lambda: freezing(root, rows))


def test_an_unfinished_run_goes_on_with_the_dataset_it_began_with(tmp_path: Path):
    begun = opened(tmp_path, 50)
    again = opened(tmp_path, 60)
    assert (again.path, again.dataset.digest) == (begun.path, begun.dataset.digest)


def test_a_finished_run_is_not_repeated_but_new_rows_or_another_recipe_begin_another(tmp_path: Path):
    opened(tmp_path, 50).finish(b"{}")
    assert opened(tmp_path, 50).result == b"{}"
    assert opened(tmp_path, 60).result is None
    assert opened(tmp_path, 50, key="other").result is None


def test_a_run_whose_dataset_is_damaged_does_not_stop_a_new_one(tmp_path: Path):
    begun = opened(tmp_path, 50)
    (begun.dataset.folder / "holdout.jsonl").write_bytes(b"")
    assert opened(tmp_path, 60).path != begun.path


def test_two_breedings_of_one_workflow_do_not_run_at_once(tmp_path: Path):
    with exclusive(tmp_path, "w"):
        with pytest.raises(ConflictError, match="'w' is being bred"), exclusive(tmp_path, "w"):
            pass
        with exclusive(tmp_path, "other"):
            pass
    with exclusive(tmp_path, "w"):
        pass
