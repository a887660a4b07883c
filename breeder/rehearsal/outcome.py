"""What a rehearsal measured: one row for each workload, as JSON and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.table import Table

from breeder.breeding import BreedResult
from breeder.rehearsal.traffic import Served


@dataclass(frozen=True, slots=True)
class WorkloadOutcome:
    """One workload over its test tasks; None where there is nothing to measure."""

    workload: str
    tasks: int
    share_local: float
    accuracy_served: float | None
    accuracy_local: float | None
    accuracy_cloud: float | None
    margin_lower: float | None
    coverage: float | None
    verdict: str
    reason: str
    specialist: str | None
    kind: str | None
    cost_usd: float | None
    cost_all_cloud_usd: float | None
    breed_seconds: float


@dataclass(frozen=True, slots=True)
class RehearsalOutcome:
    """All workloads of a rehearsal and the seconds it took."""

    workloads: tuple[WorkloadOutcome, ...]
    seconds: float

    def to_json(self) -> dict[str, object]:
        """Return the object that `--json` prints."""
        return {"workloads": [asdict(one) for one in self.workloads], "seconds": self.seconds}


@dataclass(frozen=True, slots=True)
class Bred:
    """How breeding a workload ended: a result, or why there is none."""

    result: BreedResult | None
    reason: str
    seconds: float


def summarize(
    workload: str,
    bred: Bred,
    served: Sequence[Served],
    direct: Sequence[Served],
    costs: tuple[float | None, float | None],
) -> WorkloadOutcome:
    """Return the row of one workload from its test tasks, served by the router and asked of the cloud directly."""
    local = [one for one in served if one.lane.startswith("local")]
    result = bred.result
    return WorkloadOutcome(
        workload=workload,
        tasks=len(served),
        share_local=len(local) / len(served) if served else 0.0,
        accuracy_served=_mean(served),
        accuracy_local=_mean(local),
        accuracy_cloud=_mean(direct),
        margin_lower=result.margin_lower if result else None,
        coverage=result.coverage if result else None,
        verdict=result.verdict if result else "not bred",
        reason=result.reason if result else bred.reason,
        specialist=(result.specialist or None) if result else None,
        kind=result.kind if result else None,
        cost_usd=costs[0],
        cost_all_cloud_usd=costs[1],
        breed_seconds=bred.seconds,
    )


def _mean(answers: Sequence[Served]) -> float | None:
    return sum(one.correct for one in answers) / len(answers) if answers else None


def as_table(outcome: RehearsalOutcome) -> Table:
    """Return the table of migration."""
    table = Table(title=f"what moved to the local lane ({outcome.seconds:.0f} s in all)", title_justify="left")
    headings = (
        "workflow",
        "verdict",
        "specialist",
        "margin",
        "coverage",
        "local",
        "right",
        "right local",
        "right cloud",
        "cost",
        "all cloud",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("workflow", "verdict", "specialist") else "right")
    for one in outcome.workloads:
        table.add_row(
            one.workload,
            one.verdict,
            f"{one.specialist} ({one.kind})" if one.specialist else "-",
            f"{one.margin_lower:+.3f}" if one.margin_lower is not None else "-",
            _percent(one.coverage),
            _percent(one.share_local),
            _percent(one.accuracy_served),
            _percent(one.accuracy_local),
            _percent(one.accuracy_cloud),
            _dollars(one.cost_usd),
            _dollars(one.cost_all_cloud_usd),
        )
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _dollars(value: float | None) -> str:
    return "?" if value is None else f"${value:.4f}"
