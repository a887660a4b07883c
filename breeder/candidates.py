"""What a breeding measures: candidates with their numbers, on one bench, each a run of the tracker.

Imports no training library: a breeding that a simple rung wins needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from breeder.dataset import Dataset
from breeder.grammars import grammar_name
from breeder.measuring import (
    HOPE,
    NOT_JUDGED,
    Bench,
    Candidate,
    Measured,
    finalist,
    judge_measured,
    measure,
    refused,
)
from breeder.progress import Report
from breeder.recipe import Recipe
from breeder.tracking import TrackedRun, Tracker
from registry.entities import Verdict

if TYPE_CHECKING:
    from breeder.bases import Base
    from breeder.canaries import Canary
    from breeder.descendants import Descendant


@dataclass(frozen=True, slots=True)
class Bred:
    """A measured candidate and where it comes from; `parents` are names of candidates, `base` None needs none."""

    measured: Measured
    recipe: Recipe
    tracked: TrackedRun
    base: Base | None = None
    generation: int = 0
    parents: tuple[str, ...] = ()
    descendant: Descendant | None = None
    quantization: str = ""

    @property
    def name(self) -> str:
        """The candidate's name within this breeding."""
        return self.measured.candidate.name

    @property
    def passed(self) -> bool:
        """Say whether it was judged and passed."""
        return self.measured.judged and self.measured.result.verdict is Verdict.PASS


@dataclass(frozen=True, slots=True)
class Breeding:
    """What all candidates of one breeding share.

    `judged_at` returns the look at which this breeding judged a candidate before it was interrupted, else None.
    """

    dataset: Dataset
    bench: Bench
    recipe: Recipe
    folder: Path
    tracker: Tracker
    report: Report
    judged_at: Callable[[Bred], int | None]
    canaries: tuple[Canary, ...] = field(default=(), repr=False)
    """What is planted in the training of each descendant, and must not come out of it."""
    seal_key: str = field(default="", repr=False)
    """With what the home seals its checkpoints: no others are gone on from."""

    def at_look(self, look: int) -> Breeding:
        """Return it as it stands when so many looks at this workflow's holdouts were taken."""
        return replace(self, bench=replace(self.bench, look=look))

    def measure(self, candidate: Candidate, run: TrackedRun, *, trained: bool = False) -> Measured:
        """Measure a candidate on the calibration slice, and record and report it; one that gives away is refused."""
        self.report(f"{self.dataset.workflow}: measuring {candidate.name}")
        measured = measure(self.bench, candidate, self.report)
        if trained and self.canaries:
            measured = self._probed(measured, run)
        self._tell(measured, run)
        return measured

    def _probed(self, measured: Measured, run: TrackedRun) -> Measured:
        # Imported here: who trains nothing plants nothing.
        from breeder.canaries import probe

        found = probe(self.bench, measured.candidate, self.canaries, self.dataset.rows["train"])
        said, planted = found.given_away, len(self.canaries)
        run.log(metrics={"canaries": planted, "canaries_given_away": said, "canaries_by_heart": found.by_heart})
        why = f"it gives away {said} of {planted} made-up secrets that stood among its training rows"
        return refused(measured, why if said else "")

    def judge_favourite(self, group: Sequence[Bred]) -> list[Bred]:
        """Judge on the holdout the one of a rung that the calibration slice favours, where it has hope."""
        favoured = finalist([one.measured for one in group])
        return [self._judge(one) if one.measured is favoured else one for one in group]

    def _judge(self, one: Bred) -> Bred:
        """Judge it where it has hope; what was judged before is judged again, at the look that it has taken."""
        look = self.judged_at(one)
        if look is None and one.measured.chance < HOPE:
            return one
        bench = self.bench if look is None else self.at_look(look).bench
        self.report(f"{self.dataset.workflow}: judging {one.name} on the holdout")
        judged = judge_measured(bench, one.measured, self.report)
        self._tell(judged, one.tracked)
        return replace(one, measured=judged)

    def _tell(self, measured: Measured, run: TrackedRun) -> None:
        result, candidate = measured.result, measured.candidate
        verdict = f"{result.verdict}: " if measured.judged else ""
        self.report(f"  {candidate.name}: {verdict}{result.reason.removeprefix(NOT_JUDGED)}")
        tags = {"kind": candidate.kind, "verdict": result.verdict, "reason": result.reason}
        run.log(metrics=measured.metrics(), tags={**tags, "grammar": grammar_name(candidate.stack.grammar)})

    def describe(self, run: TrackedRun) -> None:
        """Record in a parent run what is bred from what."""
        sizes = {f"rows_{name}": len(rows) for name, rows in self.dataset.rows.items()}
        run.log(
            parameters={
                "workflow": self.dataset.workflow,
                "dataset_digest": self.dataset.digest,
                "recipe_digest": self.recipe.digest,
                "scorer": self.dataset.scorer,
                **sizes,
            }
        )
        run.attach(self.dataset.folder / "dataset.json", "dataset")
