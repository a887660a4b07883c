"""A tracker in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override

from breeder.tracking import TrackedRun, Tracker


@dataclass
class NotedRun(TrackedRun):
    """What a run was told; `steps` are its metrics by step, `metrics` the newest of each."""

    name: str
    parent: str | None = None
    id: str | None = None
    parameters: dict[str, object] = field(default_factory=dict)
    steps: dict[int, dict[str, float]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

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
        self.parameters |= parameters or {}
        self.steps.setdefault(step, {}).update(metrics or {})
        self.metrics |= metrics or {}
        self.tags |= tags or {}

    @override
    def attach(self, path: Path, folder: str = "") -> None:
        assert path.exists()


class Notebook(Tracker):
    """Keeps runs in memory; one that records nothing gives them no id."""

    def __init__(self, *, recording: bool = True) -> None:
        self.recording, self.runs = recording, list[NotedRun]()

    @override
    @contextmanager
    def run(self, name: str, parent: TrackedRun | None = None, earlier: str | None = None) -> Iterator[NotedRun]:
        found = next((run for run in self.runs if earlier and run.id == earlier), None)
        if found is None:
            above = parent.name if isinstance(parent, NotedRun) else None
            found = NotedRun(name, above, f"run{len(self.runs)}" if self.recording else None)
            self.runs.append(found)
        yield found
