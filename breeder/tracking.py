"""Runs in MLflow: one parent for a breeding, one child for each descendant. Tracking never fails training.

Everything stays below `mlruns/`: the database beside its artifacts, never the file store that MLflow is giving up.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logging.getLogger("modelbreeder.breeder")
_Result = TypeVar("_Result")
_EXPERIMENT = "modelbreeder"


class TrackedRun(Protocol):
    """One run being recorded."""

    @property
    def run_id(self) -> str | None:
        """The tracker's id of this run; None where nothing is recorded."""

    def log(
        self,
        *,
        parameters: Mapping[str, object] | None = None,
        metrics: Mapping[str, float] | None = None,
        step: int = 0,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Record parameters, metrics of a step, and tags."""

    def attach(self, path: Path, folder: str = "") -> None:
        """Keep a file with the run."""


class Tracker(Protocol):
    """Where runs are recorded."""

    def run(
        self, name: str, parent: TrackedRun | None = None, earlier: str | None = None
    ) -> AbstractContextManager[TrackedRun]:
        """Open a run, as a child of `parent` where given; it ends FAILED when the block raises.

        `earlier` is the id of a run that was cut off: it goes on, where it is still there.
        """


class MlflowTracker:
    """Record runs in the MLflow database below one folder."""

    def __init__(self, mlruns: Path) -> None:
        self._mlruns = mlruns
        self._client: MlflowClient | None = None
        self._experiment_id = ""

    def _open(self) -> MlflowClient:
        if self._client is None:
            self._mlruns.mkdir(parents=True, exist_ok=True)
            self._client = open_client(tracking_uri(self._mlruns))
            experiment = self._client.get_experiment_by_name(_EXPERIMENT)
            self._experiment_id = (
                experiment.experiment_id
                if experiment
                else self._client.create_experiment(_EXPERIMENT, artifact_location=str(self._mlruns / "artifacts"))
            )
        return self._client

    @contextmanager
    def run(self, name: str, parent: TrackedRun | None = None, earlier: str | None = None) -> Iterator[TrackedRun]:
        """Open an MLflow run."""
        tracked = _attempt(lambda: self._start(name, parent, earlier)) or _MlflowRun(None, None)
        try:
            yield tracked
        except BaseException:
            tracked.end("FAILED")
            raise
        tracked.end("FINISHED")

    def _start(self, name: str, parent: TrackedRun | None, earlier: str | None) -> _MlflowRun:
        client = self._open()
        if earlier and client.search_runs([self._experiment_id], f"attributes.run_id = '{earlier}'"):
            client.update_run(earlier, status="RUNNING")
            return _MlflowRun(client, earlier)
        tags = {"mlflow.parentRunId": parent.run_id} if parent is not None and parent.run_id else {}
        run = client.create_run(self._experiment_id, run_name=name, tags=tags)
        return _MlflowRun(client, run.info.run_id)


class _MlflowRun:
    """One MLflow run; without a client, a run that could not be opened and records nothing."""

    def __init__(self, client: MlflowClient | None, run_id: str | None) -> None:
        self._client = client
        self._run_id = run_id

    @property
    def run_id(self) -> str | None:
        """MLflow's id of this run."""
        return self._run_id

    def log(
        self,
        *,
        parameters: Mapping[str, object] | None = None,
        metrics: Mapping[str, float] | None = None,
        step: int = 0,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Send one batch: single calls cost 2.6 ms each."""
        client, run_id = self._client, self._run_id
        if client is None or run_id is None:
            return
        from mlflow.entities import Metric, Param, RunTag

        now = time.time_ns() // 1_000_000
        _attempt(
            lambda: client.log_batch(
                run_id,
                metrics=[Metric(key, float(value), now, step) for key, value in (metrics or {}).items()],
                params=[Param(key, str(value)[:500]) for key, value in (parameters or {}).items()],
                tags=[RunTag(key, value) for key, value in (tags or {}).items()],
            )
        )

    def attach(self, path: Path, folder: str = "") -> None:
        """Copy a file into the run's artifacts."""
        client, run_id = self._client, self._run_id
        if client is not None and run_id is not None:
            _attempt(lambda: client.log_artifact(run_id, str(path), folder or None))

    def end(self, status: str) -> None:
        """Close the run."""
        client, run_id = self._client, self._run_id
        if client is not None and run_id is not None:
            _attempt(lambda: client.set_terminated(run_id, status))


def tracking_uri(mlruns: Path) -> str:
    """Return the MLflow store of a home."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{mlruns / 'mlflow.db'}"


def open_client(uri: str) -> MlflowClient:
    """Return a client of a store, with MLflow's own log turned down."""
    from mlflow import MlflowClient

    # MLflow sets its own levels when it is imported, and tells of every table that it makes.
    for name in ("alembic", "mlflow", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri)


def _attempt(action: Callable[[], _Result]) -> _Result | None:
    """Do it, or say in one line that it could not be recorded and go on."""
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - tracker fan-out: whatever MLflow raises, breeding goes on
        _log.warning("MLflow could not record this: %s", error)
        return None
