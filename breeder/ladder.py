"""The right-size ladder: a table, a linear classifier, the base with examples, trained descendants; the first to pass.

Every rung is measured on the calibration slice; only one with hope gets a look at the holdout, and each look takes
half of the alpha that is left. A rung that cannot apply is passed over in one line and takes no look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from breeder.answering import Stack
from breeder.candidates import Bred, Breeding
from breeder.labelling import LabelledTask
from breeder.measuring import Candidate
from breeder.mining import Row
from breeder.rung import Rung
from breeder.rungs.linear import fit_linear, why_no_labels
from breeder.rungs.rung_file import write_rung
from breeder.rungs.table import fit_table
from breeder.tracking import TrackedRun
from registry.entities import SpecialistKind
from router.rungs.features import seen
from router.rungs.rung import LinearRecord, TableRecord
from router.rungs.tensor_file import Tensor

if TYPE_CHECKING:
    from breeder.generations import Footing, Generations


@dataclass(frozen=True, slots=True)
class TableTasks:
    """What a table is made of and measured on: all tasks of the two windows, those that came again included."""

    known: Sequence[Row]
    calibration: Sequence[LabelledTask]
    holdout: Sequence[LabelledTask]


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rungs of one breeding; `table` is why there is none where no table can serve enough.

    `footing` prepares the base, when a rung first needs one. `looks` counts the looks at this workflow's holdouts that
    are on record, whoever took them: record each group of candidates before the next one is asked for.
    """

    breeding: Breeding
    table: TableTasks | str
    footing: Callable[[], Footing]
    generations: int
    looks: Callable[[], int]

    def climb(self, start: Rung) -> Iterator[list[Bred]]:
        """Yield the candidates of each rung from `start` on, the judged one with its verdict; end with one that passed.

        The last rung always has candidates.
        """
        rungs = list(Rung)[list(Rung).index(start) : -1]
        if rungs:
            with self.breeding.tracker.run(f"{self.breeding.dataset.workflow} rungs") as parent:
                self.breeding.describe(parent)
                for rung in rungs:
                    group = self._try(rung, self._here(), parent)
                    if group:
                        yield group
                    if any(one.passed for one in group):
                        return
        here = self._here()
        yield here.judge_favourite(self._on_base(here).descend(self.generations))

    def merge(self, one: Bred, quantizations: Sequence[str]) -> list[Bred]:
        """Return a trained candidate merged into its base, once for each quantization; nothing for any other."""
        return self._on_base(self.breeding).merge(one, quantizations) if one.descendant else []

    def _here(self) -> Breeding:
        return self.breeding.at_look(self.looks())

    def _on_base(self, here: Breeding) -> Generations:
        from breeder.generations import Generations

        return Generations(here, self.footing())

    def _try(self, rung: Rung, here: Breeding, parent: TrackedRun) -> list[Bred]:
        """Return a rung's candidates, the judged one with its verdict; none where the rung does not apply."""
        if rung is Rung.TABLE:
            return self._table(here, parent)
        if rung is Rung.LINEAR:
            return _linear(here, parent)
        return here.judge_favourite(self._on_base(here).few_shot(parent))

    def _table(self, here: Breeding, parent: TrackedRun) -> list[Bred]:
        if isinstance(self.table, str):
            here.report(f"{here.dataset.workflow}: no table: {self.table}")
            return []
        tasks = self.table
        here = replace(here, bench=replace(here.bench, calibration=tasks.calibration, holdout=tasks.holdout))
        with here.tracker.run("table", parent) as run:
            record, arrays = fit_table(tasks.known, here.dataset.trim)
            run.log(parameters={"tasks": len(arrays["answers"]), "answers": len(record.answers)})
            return here.judge_favourite([_measured(here, run, record, arrays)])


def _linear(here: Breeding, parent: TrackedRun) -> list[Bred]:
    rows, trim = here.dataset.rows["train"], here.dataset.trim
    why_not = why_no_labels([row.answer for row in rows])
    if why_not:
        here.report(f"{here.dataset.workflow}: no linear classifier: {why_not}")
        return []
    here.report(f"{here.dataset.workflow}: fitting linear on {len(rows)} rows")
    with here.tracker.run("linear", parent) as run:
        fitted = fit_linear([(seen(row.prompt, trim), row.answer) for row in rows], here.recipe.seed)
        run.log(
            parameters={"labels": len(fitted.record.labels), "penalty": fitted.penalty},
            metrics={"cross_validated_accuracy": fitted.accuracy},
        )
        return here.judge_favourite([_measured(here, run, fitted.record, fitted.arrays)])


def _measured(
    here: Breeding, run: TrackedRun, record: TableRecord | LinearRecord, arrays: Mapping[str, Tensor]
) -> Bred:
    """Write a simple rung as the file that would be served, and measure that file."""
    path = here.folder / f"{record.kind}.safetensors"
    write_rung(path, record, arrays)
    run.attach(path, "rung")
    stack = Stack(here.dataset.trim, here.recipe.evaluation.maximum_answer_tokens)
    candidate = Candidate(record.kind, SpecialistKind(record.kind), path, stack)
    return Bred(here.measure(candidate, run), here.recipe, run)
