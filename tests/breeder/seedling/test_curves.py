import json
from pathlib import Path

import pytest

from breeder.seedling.curves import tracked
from breeder.seedling.places import Places
from breeder.seedling.pretrain import Progress
from breeder.seedling.recipe import SeedlingRecipe
from breeder.tracking import MlflowTracker, Tracker
from tests.breeder.notebook import Notebook


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "seedling", tmp_path / "seedling.work" / "abc")


RECIPE = SeedlingRecipe(text_shards=("a", "b"))


def progress(step: int, exact: dict[str, float] | None = None) -> Progress:
    return Progress(step, step * 100, 0.5, 2.5, 1e-3, None if exact else 900.0, 60.0, exact)


def record(tracker: Tracker, places: Places, *told: Progress, resume: bool = True) -> None:
    places.work.parent.mkdir(exist_ok=True)
    with tracked(tracker, RECIPE, places, resume=resume) as tell:
        for one in told:
            tell(one)


def test_the_curves_hold_loss_speed_rate_and_exactness_at_optimizer_steps(places: Places) -> None:
    tracker = Notebook()
    record(tracker, places, progress(50), progress(100, {"copy": 1.0, "sort": 0.5}))
    metrics = tracker.runs[0].steps
    assert metrics[50] == {"loss": 2.5, "learning_rate": 1e-3, "tokens": 5000, "tokens_per_s": 900.0}
    scored = {"exact": 0.75, "exact/copy": 1.0, "exact/sort": 0.5}
    assert metrics[100] == {"loss": 2.5, "learning_rate": 1e-3, "tokens": 10000, **scored}


def test_the_parameters_are_the_resolved_recipe(places: Places) -> None:
    tracker = Notebook()
    record(tracker, places)
    told = tracker.runs[0].parameters
    assert (told["shape.hidden_size"], told["optimizer"], told["text_shards"]) == (256, "adamw", '["a", "b"]')
    assert json.loads(str(told["phases"]))[0]["rows"] == 16


def test_a_pretraining_that_goes_on_goes_on_in_its_run_and_a_fresh_one_does_not(places: Places) -> None:
    tracker = Notebook()
    record(tracker, places, progress(50))
    record(tracker, places, progress(100))
    record(tracker, places, progress(50), resume=False)
    assert [sorted(run.steps) for run in tracker.runs] == [[0, 50, 100], [0, 50]]


def test_a_tracker_that_records_nothing_leaves_no_note(places: Places) -> None:
    record(Notebook(recording=False), places, progress(50))
    assert not list(places.work.parent.glob("*.tracked"))


def test_a_run_that_is_gone_from_mlflow_is_begun_again(places: Places, tmp_path: Path) -> None:
    places.work.parent.mkdir()
    places.work.with_suffix(".tracked").write_text("0" * 32)
    record(MlflowTracker(tmp_path / "mlruns"), places, progress(50))
    assert places.work.with_suffix(".tracked").read_text() != "0" * 32
