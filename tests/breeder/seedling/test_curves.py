import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typing_extensions import override

from breeder.seedling.curves import tracked
from breeder.seedling.places import Places
from breeder.seedling.pretrain import Progress
from breeder.seedling.recipe import SeedlingRecipe
from breeder.tracking import MlflowTracker, TrackedRun, Tracker


@dataclass
class Notes(TrackedRun):
    """A run kept in memory."""

    id: str | None
    parameters: dict[str, object] = field(default_factory=dict)
    metrics: dict[int, dict[str, float]] = field(default_factory=dict)

    @property
    @override
    def run_id(self) -> str | None:
        return self.id

    @override
    def log(
        self,
        *,
        parameters: Mapping[str, object] | None = None,
        metrics: Mapping[str, float] | None = None,
        step: int = 0,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.parameters.update(parameters or {})
        self.metrics.setdefault(step, {}).update(metrics or {})

    @override
    def attach(self, path: Path, folder: str = "") -> None:
        raise AssertionError


class NotingTracker(Tracker):
    """Keeps runs in memory; one that records nothing gives them no id."""

    def __init__(self, *, recording: bool = True) -> None:
        self.recording, self.runs = recording, list[Notes]()

    @override
    @contextmanager
    def run(self, name: str, parent: TrackedRun | None = None, earlier: str | None = None) -> Iterator[Notes]:
        found = next((run for run in self.runs if earlier and run.id == earlier), None)
        if found is None:
            found = Notes(f"run{len(self.runs)}" if self.recording else None)
            self.runs.append(found)
        yield found


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
    tracker = NotingTracker()
    record(tracker, places, progress(50), progress(100, {"copy": 1.0, "sort": 0.5}))
    metrics = tracker.runs[0].metrics
    assert metrics[50] == {"loss": 2.5, "learning_rate": 1e-3, "tokens": 5000, "tokens_per_s": 900.0}
    scored = {"exact": 0.75, "exact/copy": 1.0, "exact/sort": 0.5}
    assert metrics[100] == {"loss": 2.5, "learning_rate": 1e-3, "tokens": 10000, **scored}


def test_the_parameters_are_the_resolved_recipe(places: Places) -> None:
    tracker = NotingTracker()
    record(tracker, places)
    told = tracker.runs[0].parameters
    assert (told["shape.hidden_size"], told["optimizer"], told["text_shards"]) == (256, "adamw", '["a", "b"]')
    assert json.loads(str(told["phases"]))[0]["rows"] == 16


def test_a_pretraining_that_goes_on_goes_on_in_its_run_and_a_fresh_one_does_not(places: Places) -> None:
    tracker = NotingTracker()
    record(tracker, places, progress(50))
    record(tracker, places, progress(100))
    record(tracker, places, progress(50), resume=False)
    assert [sorted(run.metrics) for run in tracker.runs] == [[0, 50, 100], [0, 50]]


def test_a_tracker_that_records_nothing_leaves_no_note(places: Places) -> None:
    record(NotingTracker(recording=False), places, progress(50))
    assert not list(places.work.parent.glob("*.tracked"))


def test_a_run_that_is_gone_from_mlflow_is_begun_again(places: Places, tmp_path: Path) -> None:
    places.work.parent.mkdir()
    places.work.with_suffix(".tracked").write_text("0" * 32)
    record(MlflowTracker(tmp_path / "mlruns"), places, progress(50))
    assert places.work.with_suffix(".tracked").read_text() != "0" * 32
