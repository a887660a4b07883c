"""What MLflow keeps of breedings: the runs of some datasets, and the files beside them, which hold what rows said.

Parameters, metrics and tags are digests, names and numbers: they stay, so that descendants can still be compared.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from breeder.tracking import open_client, tracking_uri
from registry.home import Home

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_AT_ONCE = 500
_FORGOTTEN = "modelbreeder.forgotten"


@dataclass(frozen=True, slots=True)
class TrackedCopy:
    """One run of MLflow; `folder` is where its files lie, None where that is not below the home."""

    run_id: str
    name: str
    folder: Path | None

    @property
    def holds_files(self) -> bool:
        """Say whether there is anything of it that could quote a row; elsewhere nobody knows."""
        return self.folder is None or self.folder.exists()


def tracked_copies(home: Home, dataset_digests: Collection[str], run_ids: Collection[str]) -> list[TrackedCopy]:
    """Return the runs of some datasets, those within them, and some further ones; none where MLflow has no record.

    Of a dataset's digest its beginning will do.
    """
    uri = tracking_uri(home.mlruns)
    if not (dataset_digests or run_ids) or (uri.startswith("sqlite:") and not (home.mlruns / "mlflow.db").exists()):
        return []
    client = open_client(uri)
    found: dict[str, Run] = {}
    for begins in sorted(filter(str.isalnum, dataset_digests)):
        parents = {run.info.run_id: run for run in _search(client, f"params.dataset_digest LIKE '{begins}%'")}
        for run_id in parents:
            found |= {run.info.run_id: run for run in _search(client, f"tags.`mlflow.parentRunId` = '{run_id}'")}
        found |= parents
    for run_id in sorted(set(run_ids) - found.keys()):
        found |= {run.info.run_id: run for run in _search(client, f"attributes.run_id = '{run_id}'")}
    return [TrackedCopy(run.info.run_id, run.info.run_name or "", _folder(home, run)) for run in found.values()]


def remove_files(home: Home, run_ids: Collection[str], when: str) -> list[str]:
    """Remove the files of runs and mark those as forgotten; return the runs whose files lie elsewhere."""
    elsewhere = []
    client = open_client(tracking_uri(home.mlruns)) if run_ids else None
    for copy in tracked_copies(home, (), run_ids):
        if copy.folder is None:
            elsewhere.append(copy.run_id)
            continue
        if copy.folder.exists():
            shutil.rmtree(copy.folder)
        if client is not None:
            client.set_tag(copy.run_id, _FORGOTTEN, when)
    return elsewhere


def _search(client: MlflowClient, condition: str) -> Iterator[Run]:
    from mlflow.entities import ViewType

    experiments = [one.experiment_id for one in client.search_experiments(view_type=ViewType.ALL)]
    token: str | None = None
    while True:
        page = client.search_runs(experiments, condition, ViewType.ALL, _AT_ONCE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _folder(home: Home, run: Run) -> Path | None:
    parts = urlsplit(run.info.artifact_uri or "")
    if parts.scheme not in ("", "file") or not parts.path:
        return None
    folder = Path(unquote(parts.path)).resolve()
    return folder if folder.is_relative_to(home.mlruns.resolve()) else None
