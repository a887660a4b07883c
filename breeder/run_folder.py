"""One breeding's folder below `data/runs/`: what an interrupted breeding finds again, and the lock on it."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from breeder.dataset import Dataset, load, write_atomically
from breeder.recipe import Recipe
from registry.errors import ConflictError


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A breeding of one dataset by one recipe; `result` is there once it has ended."""

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
    with open(folder / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                f"workflow {workflow!r} is being bred by another process; wait for it, or end it"
            ) from error
        yield folder


def open_run(folder: Path, recipe: Recipe, freeze: Callable[[], Dataset]) -> RunFolder:
    """Return the unfinished run of this recipe, with the dataset it began on, else one for a newly frozen dataset."""
    for path in sorted(folder.glob(f"*-{recipe.digest[:8]}")):
        plan = path / "plan.json"
        if plan.exists() and not (path / "result.json").exists():
            return RunFolder(path, load(Path(orjson.loads(plan.read_bytes())["dataset"])))
    dataset = freeze()
    path = folder / f"{dataset.digest[:8]}-{recipe.digest[:8]}"
    path.mkdir(exist_ok=True)
    write_atomically(path / "recipe.json", recipe.resolved())
    write_atomically(path / "plan.json", orjson.dumps({"dataset": str(dataset.folder)}))
    return RunFolder(path, dataset)
