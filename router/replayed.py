"""Recorded tasks as they went and as another policy would have them go: counted, priced, grouped. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from registry.entities import Interaction, Lane, RouteDecision, Usage
from registry.settings import EMBEDDED, UpstreamSettings
from router.naming import qualified
from router.pricing import Prices


@dataclass(frozen=True, slots=True)
class Decided:
    """What is kept of a decision: a week has many of them."""

    lane: Lane
    model: str
    runtime: str
    rule: str
    reason: str
    fallback: str | None
    coverage: float | None
    """Of the specialist that was chosen, None where it is not known or no specialist was."""

    @classmethod
    def of(cls, decision: RouteDecision) -> Decided:
        """Return what is kept of a decision."""
        chosen = decision.selected_model_or_stack
        coverage = next((one.coverage for one in decision.candidates if one.model == chosen), None)
        runtime, rule, reason = decision.selected_runtime, decision.rule, decision.local_reason
        return cls(decision.lane, chosen, runtime, rule, reason, decision.fallback_target, coverage)

    @property
    def place(self) -> tuple[Lane, str]:
        """Where a task goes: its lane, and the model in it."""
        return self.lane, self.model


@dataclass(slots=True)
class Replayed:
    """One task as it went, its further attempts included, and as it would go."""

    interaction_id: str
    at_utc: datetime
    client: str
    workflow: str | None
    before: Decided
    after: Decided
    present: Decided
    """What the policy in force would decide with today's specialists."""
    cost_usd: float | None = 0.0
    usage: Usage | None = None

    def add(self, one: Interaction) -> None:
        """Count an attempt; one whose cost is not known makes the whole unknown."""
        if one.intent.decision.lane is Lane.NO_OP:
            return
        cost, usage = (one.outcome.cost_usd, one.outcome.usage) if one.outcome else (None, None)
        self.cost_usd = None if self.cost_usd is None or cost is None else self.cost_usd + cost
        if usage is not None:
            # A specialist's prompt is trimmed, so only what an upstream counted is what a cloud would see.
            counted = one.intent.decision.selected_runtime != EMBEDDED
            seen = one.intent.envelope.estimated_tokens
            self.usage = usage if counted else Usage(seen, usage.completion_tokens, "estimate")

    @property
    def stays(self) -> bool:
        """Whether the same model would have been asked in the same lane."""
        return self.before.place == self.after.place


@dataclass(frozen=True, slots=True)
class Move:
    """Tasks of one workflow that would have gone elsewhere."""

    workflow: str | None
    lane_before: Lane
    model_before: str
    lane_after: Lane
    model_after: str
    rule_after: str
    tasks: int
    by_policy: int
    """How many of them the present policy would not move; the others move because specialists did since."""
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Tasks of one client and workflow that would have been refused, and were not."""

    client: str
    workflow: str | None
    rule: str
    reason: str
    tasks: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Money:
    """What tasks cost in US dollars, and how many more cost what nobody knows."""

    usd: float
    unknown: int


@dataclass(frozen=True, slots=True)
class Replay:
    """What a policy would have done with a time's tasks."""

    tasks: int
    lanes_before: Mapping[Lane, int]
    lanes_after: Mapping[Lane, int]
    cost_before: Money
    cost_after: Money
    moves: tuple[Move, ...]
    refused: tuple[Refusal, ...]
    left_out: Mapping[str, int]
    """How many were not decided again, by the reason."""


def summed(
    tasks: Sequence[Replayed],
    upstreams: Mapping[str, UpstreamSettings],
    prices: Prices,
    left_out: Mapping[str, int],
    examples: int,
) -> Replay:
    """Return what changes, with up to so many examples of each kind of change."""
    return Replay(
        tasks=len(tasks),
        lanes_before=_count(task.before.lane for task in tasks),
        lanes_after=_count(task.after.lane for task in tasks),
        cost_before=_money(task.cost_usd for task in tasks),
        cost_after=_money(_cost_after(task, upstreams, prices) for task in tasks),
        moves=_moves(tasks, examples),
        refused=_refusals(tasks, examples),
        left_out=dict(left_out),
    )


def _cost_after(task: Replayed, upstreams: Mapping[str, UpstreamSettings], prices: Prices) -> float | None:
    """Return what a task would have cost, None where a price, its tokens or a specialist's coverage is not known."""
    after = task.after
    if task.stays:
        return task.cost_usd
    if after.lane is Lane.NO_OP:
        return 0.0
    if after.runtime != EMBEDDED:
        own = after.lane is not Lane.CLOUD_ESCALATION and upstreams[after.runtime].usd_per_million_input is None
        return 0.0 if own else _price(task, after.model, upstreams, prices)
    if not after.fallback or qualified(after.fallback, upstreams) is None:
        return 0.0
    # What a specialist is not sure of goes on to the cloud: the share of tasks that it was measured not to cover.
    cloud = _price(task, after.fallback, upstreams, prices)
    return None if after.coverage is None or cloud is None else (1 - after.coverage) * cloud


def _price(task: Replayed, model: str, upstreams: Mapping[str, UpstreamSettings], prices: Prices) -> float | None:
    target = qualified(model, upstreams)
    return None if target is None else prices.cost(target, task.usage, task.at_utc)


def _count(lanes: Iterable[Lane]) -> Mapping[Lane, int]:
    counted = Counter(lanes)
    return {lane: counted[lane] for lane in Lane}


def _money(costs: Iterable[float | None]) -> Money:
    found = list(costs)
    return Money(sum(cost for cost in found if cost is not None), found.count(None))


def _moves(tasks: Iterable[Replayed], examples: int) -> tuple[Move, ...]:
    groups: dict[object, list[Replayed]] = {}
    for task in tasks:
        if not task.stays:
            key = task.workflow, task.before.place, task.after.place, task.after.rule
            groups.setdefault(key, []).append(task)
    moved = [_move(group, examples) for group in groups.values()]
    return tuple(sorted(moved, key=lambda move: (-move.tasks, move.workflow or "", move.rule_after)))


def _move(group: Sequence[Replayed], examples: int) -> Move:
    first = group[0]
    return Move(
        first.workflow,
        *first.before.place,
        *first.after.place,
        rule_after=first.after.rule,
        tasks=len(group),
        by_policy=sum(task.present.place != task.after.place for task in group),
        examples=_ids(group, examples),
    )


def _refusals(tasks: Iterable[Replayed], examples: int) -> tuple[Refusal, ...]:
    groups: dict[tuple[str, str | None, str], list[Replayed]] = {}
    for task in tasks:
        if task.after.lane is Lane.NO_OP and task.before.lane is not Lane.NO_OP:
            groups.setdefault((task.client, task.workflow, task.after.rule), []).append(task)
    refused = [Refusal(*key, group[0].after.reason, len(group), _ids(group, examples)) for key, group in groups.items()]
    return tuple(sorted(refused, key=lambda one: (-one.tasks, one.client, one.workflow or "")))


def _ids(group: Sequence[Replayed], examples: int) -> tuple[str, ...]:
    return tuple(task.interaction_id for task in group[:examples])
