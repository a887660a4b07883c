"""One breeding's folder below `data/runs/`: what an interrupted breeding finds again, and the lock on it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import orjson

from breeder.dataset import Dataset, load, write_atomically
from registry.errors import ArtifactError, ConflictError

_LONGEST_HOLDER = 40


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A breeding of one dataset by one recipe; `result` comes when it ends."""

    path: Path
    dataset: Dataset

    @property
    def result(self) -> bytes | None:
        """The recorded end of this breeding as JSON, or None while it is unfinished."""
        file = self.path / "result.json"
        return file.read_bytes() if file.exists() else None

    def finish(self, result: bytes) -> None:
        """Record the end; the last thing that a breeding does."""
        write_atomically(self.path / "result.json", result)


@contextmanager
def exclusive(parent: Path, workflow: str) -> Iterator[Path]:
    """Hold the workflow's breeding lock; a dead holder's lock is free.

    Raises:
        ConflictError: another process breeds this workflow now.
    """
    folder = parent / f"breed-{workflow}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                f"workflow {workflow!r} is being bred or evaluated by {_holder(lock)}; wait for it, or end it"
            ) from error
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()
        yield folder


def _holder(lock: TextIO) -> str:
    """Return which process has a lock, and since when: it writes itself down as soon as it has it."""
    lock.seek(0)
    since = datetime.fromtimestamp(os.fstat(lock.fileno()).st_mtime, UTC)
    return f"{lock.read(_LONGEST_HOLDER) or 'another process'} since {since:%Y-%m-%d %H:%M} UTC"


def open_run(folder: Path, key: str, datasets: Path, freeze: Callable[[], Dataset]) -> RunFolder:
    """Return the unfinished run of this key with what it began on, else one for a newly frozen dataset.

    `key` stands for the recipe and the generations asked for. A run whose dataset is damaged is left alone.
    """
    for path in sorted(folder.glob(f"*-{key}")):
        if (path / "plan.json").exists() and not (path / "result.json").exists():
            plan = orjson.loads((path / "plan.json").read_bytes())
            with suppress(ArtifactError):
                return RunFolder(path, load(datasets / plan["dataset"]))
    dataset = freeze()
    path = folder / f"{dataset.digest[:8]}-{key}"
    if not (path / "result.json").exists():
        path.mkdir(exist_ok=True)
        write_atomically(path / "plan.json", orjson.dumps({"dataset": dataset.folder.name}))
    return RunFolder(path, dataset)
