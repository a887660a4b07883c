"""Read rehearsal files: JSON lines of tasks, gzipped or not. An invalid line is counted and named, not fatal."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from registry.errors import DataError, NotFoundError
from router.hints import NAME_PATTERN
from router.redaction.redactor import Redactor


class RehearsalTask(BaseModel):
    """One task: the prompt that is played, and the reference that only stand-ins and the final score see."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    workload: str = Field(pattern=rf"^{NAME_PATTERN.pattern}$")
    id: str = Field(min_length=1)
    prompt: str = Field(min_length=1)
    system: str | None = None
    reference: str = Field(min_length=1)
    split: Literal["train", "test"]

    def messages(self) -> list[dict[str, str]]:
        """Return the task as OpenAI chat messages."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": self.prompt}]


def as_sent(task: RehearsalTask, redactor: Redactor) -> RehearsalTask:
    """Return a task as a cloud gets it: prompt and reference masked alike."""
    masked = redactor.redact({"messages": task.messages()})
    *system, user = TypeAdapter(list[dict[str, str]]).validate_python(masked.body["messages"])
    return task.model_copy(
        update={
            "system": system[0]["content"] if system else None,
            "prompt": user["content"],
            "reference": str(masked.masker.mask_json(task.reference)),
        }
    )


@dataclass(frozen=True, slots=True)
class Workload:
    """The tasks of one workload in file order."""

    name: str
    train: tuple[RehearsalTask, ...]
    test: tuple[RehearsalTask, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What files held: workloads in order of first appearance, and the lines that were left out, by name."""

    workloads: tuple[Workload, ...]
    invalid: tuple[str, ...]


def read_tasks(files: Sequence[Path], limit: int | None = None) -> Reading:
    """Read all files; `limit` keeps the first so many lines of each split of each workload.

    Raises:
        NotFoundError: a file is not there.
        DataError: one cannot be read, or no valid line is left.
    """
    tasks: dict[str, list[RehearsalTask]] = {}
    seen: set[tuple[str, str]] = set()
    invalid: list[str] = []
    for file in files:
        for number, line in _lines(file):
            task = _task(line)
            if isinstance(task, str):
                invalid.append(f"{file.name}:{number}: {task}")
            elif (task.workload, task.id) in seen:
                invalid.append(f"{file.name}:{number}: id {task.id!r} was there before")
            else:
                seen.add((task.workload, task.id))
                tasks.setdefault(task.workload, []).append(task)
    if not tasks:
        raise DataError(
            f"no valid task in {', '.join(map(str, files))}; {invalid[0] if invalid else 'the file is empty'}"
        )
    return Reading(tuple(_workload(name, found, limit) for name, found in tasks.items()), tuple(invalid))


def _workload(name: str, tasks: Sequence[RehearsalTask], limit: int | None) -> Workload:
    train = tuple(task for task in tasks if task.split == "train")[:limit]
    test = tuple(task for task in tasks if task.split == "test")[:limit]
    return Workload(name, train, test)


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with open(file, "rb") as raw:
            zipped = raw.peek(2)[:2] == b"\x1f\x8b"
            for number, line in enumerate(gzip.GzipFile(fileobj=raw) if zipped else raw, 1):
                if line.strip():
                    yield number, line
    except FileNotFoundError as error:
        raise NotFoundError(f"{file} is not there; give files of JSON lines, gzipped or not") from error
    except (OSError, EOFError, io.UnsupportedOperation) as error:
        raise DataError(f"{file} cannot be read: {error}; give JSON lines, gzipped or not") from error


def _task(line: bytes) -> RehearsalTask | str:
    """Return the task of a line, or what is wrong with it."""
    try:
        return RehearsalTask.model_validate(orjson.loads(line))
    except orjson.JSONDecodeError as error:
        return f"not JSON ({error})"
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "line"
        return f"{where}: {problem['msg']}"
