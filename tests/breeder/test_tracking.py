from pathlib import Path

import pytest

from breeder.tracking import MlflowTracker


def test_runs_nest_and_end_as_the_block_did(tmp_path: Path):
    from mlflow import MlflowClient

    tracker = MlflowTracker(tmp_path / "mlruns")
    with tracker.run("generation") as parent:
        with tracker.run("child", parent) as child:
            child.log(parameters={"rank": 8}, metrics={"loss": 0.5}, step=3)
        with pytest.raises(RuntimeError), tracker.run("broken", parent):
            raise RuntimeError
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    runs = {run.info.run_name: run for run in client.search_runs(["1"])}
    assert runs["child"].data.tags["mlflow.parentRunId"] == parent.run_id
    assert (runs["child"].data.params["rank"], runs["child"].data.metrics["loss"]) == ("8", 0.5)
    assert {name: run.info.status for name, run in runs.items()} == {
        "generation": "FINISHED",
        "child": "FINISHED",
        "broken": "FAILED",
    }
    assert not (Path.cwd() / "mlflow.db").exists()


def test_an_earlier_run_goes_on(tmp_path: Path):
    from mlflow import MlflowClient

    with pytest.raises(RuntimeError), MlflowTracker(tmp_path / "mlruns").run("cut off") as first:
        first.log(metrics={"loss": 2.0}, step=1)
        raise RuntimeError
    with MlflowTracker(tmp_path / "mlruns").run("cut off", earlier=first.run_id) as second:
        second.log(metrics={"loss": 1.0}, step=2)
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    assert [run.info.status for run in client.search_runs(["1"])] == ["FINISHED"]
    assert [(point.step, point.value) for point in client.get_metric_history(first.run_id, "loss")] == [(1, 2), (2, 1)]


def test_a_tracker_that_cannot_write_is_told_once_and_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "mlruns").write_text("a file, not a folder")
    with MlflowTracker(tmp_path / "mlruns").run("generation") as run:
        run.log(metrics={"loss": 1.0})
        run.attach(tmp_path / "mlruns")
    assert run.run_id is None
    assert "could not record" in caplog.text
