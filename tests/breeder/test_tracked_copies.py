"""MLflow's runs of a dataset lose their files, those within them too, and no other run does."""

from __future__ import annotations

from pathlib import Path

from breeder.tracked_copies import remove_files, tracked_copies
from breeder.tracking import MlflowTracker, open_client, tracking_uri
from registry.home import Home


def test_runs_of_a_dataset_and_within_them_lose_their_files_and_keep_their_numbers(tmp_path: Path) -> None:
    home, file = Home.at(tmp_path), tmp_path / "dataset.json"
    file.write_text("rows")
    tracker = MlflowTracker(home.mlruns)
    ids = {}
    for digest in ("a" * 64, "b" * 64):
        with tracker.run("parent") as parent, tracker.run("child", parent) as child:
            parent.log(parameters={"dataset_digest": digest}, metrics={"coverage": 0.5})
            child.attach(file)
            ids[digest[0]] = {parent.run_id, child.run_id}

    found = tracked_copies(home, ["a" * 16], ())
    assert {copy.run_id for copy in found} == ids["a"]
    assert tracked_copies(home, (), sorted(ids["b"])) != found
    assert tracked_copies(home, (), ()) == []
    assert remove_files(home, [copy.run_id for copy in found], "2026-01-01") == []

    left = [path.parent.parent.name for path in home.mlruns.rglob("dataset.json")]
    assert len(left) == 1
    assert set(left) <= ids["b"]
    client = open_client(tracking_uri(home.mlruns))
    metrics = [client.get_run(run_id).data.metrics for run_id in sorted(ids["a"])]
    assert {"coverage": 0.5} in metrics
    assert not any(copy.holds_files for copy in tracked_copies(home, ["a" * 16], ()))
