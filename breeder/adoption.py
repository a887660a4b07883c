"""Interactions that belong to no workflow: the candidates that they gather into, and what a person makes of one.

What the ledger says is never changed: a workflow that was named later finds its old rows by the same match that its
new traffic goes through.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from breeder.deps import Deps
from breeder.enrolment import strangers
from breeder.scorers import choose_scorer
from breeder.templates import known_fingerprints, likenesses
from registry.entities import Interaction, Lane, Purpose, Workflow
from registry.errors import ConfigError, ConflictError, DataError, NotFoundError
from registry.prompting import Prompt, prompt_of
from registry.unclaimed import unclaimed
from router.dialects.known import dialect_of
from router.fitness import foreign_field
from router.gathering import LEAST_PROMPTS, candidates, unused
from router.hints import NAME_PATTERN
from router.likeness import read_likeness, write_likeness
from router.matching import match_workflow
from router.standings import Standings, read_standings

_CLAIMED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Sighting:
    """One interaction of no workflow; `claimed` is the workflow that would take it today, empty for none."""

    interaction_id: str
    prompt: Prompt
    claimed: str
    first: bool
    """Whether it is a task of its own, not the escalation of another."""
    cloud: bool
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Gathered:
    """A candidate workflow as the ledger shows it; `claimed` names the workflow that has most of it already."""

    name: str
    line: str
    claimed: str
    tasks: int
    cloud_share: float
    cost_usd: float | None
    """What its answers have cost, None where no price is known."""
    example: str
    """The id of its newest interaction."""
    sightings: tuple[Sighting, ...] = field(repr=False)


def sightings(interactions: Iterable[Interaction], standings: Standings) -> list[Sighting]:
    """Return the single turns of text among interactions, in their order."""
    found = []
    for one in interactions:
        prompt = _prompt(one)
        if prompt is not None:
            found.append(
                Sighting(
                    interaction_id=one.intent.interaction_id,
                    prompt=prompt,
                    claimed=_claimed(prompt, standings),
                    first=one.intent.parent_id is None,
                    cloud=one.intent.decision.lane is Lane.CLOUD_ESCALATION,
                    cost_usd=one.outcome.cost_usd if one.outcome else None,
                )
            )
    return found


def gather(seen: Sequence[Sighting], workflows: Collection[str], least: int = LEAST_PROMPTS) -> list[Gathered]:
    """Return the candidates among sightings, newest sighting first; the most frequent candidate comes first.

    Args:
        seen: interactions of no workflow.
        workflows: names that no free candidate may suggest.
        least: different prompts that make a candidate.

    """
    found: list[Gathered] = []
    for candidate in candidates([one.prompt for one in seen], least):
        own = tuple(seen[place] for place in candidate.places)
        owner, claims = Counter(one.claimed for one in own).most_common(1)[0]
        claimed = owner if claims >= _CLAIMED_SHARE * len(own) else ""
        name = candidate.name if claimed else unused(candidate.name, {*workflows, *(one.name for one in found)})
        costs = [one.cost_usd for one in own if one.cost_usd is not None]
        tasks = sum(one.first for one in own)
        found.append(
            Gathered(
                name=name,
                line=candidate.line,
                claimed=claimed,
                tasks=tasks,
                cloud_share=sum(one.cloud for one in own) / max(tasks, 1),
                cost_usd=sum(costs) if costs else None,
                example=own[0].interaction_id,
                sightings=own,
            )
        )
    return found


def look(deps: Deps, *, since: datetime, limit: int, least: int = LEAST_PROMPTS) -> list[Gathered]:
    """Return the candidates among the newest interactions of no workflow."""
    interactions = unclaimed(deps.database, purposes=_purposes(deps), since=since, limit=limit)
    seen = sightings(interactions, read_standings(deps.catalog))
    return gather(seen, [workflow.name for workflow in deps.catalog.workflows()], least)


def adopt(deps: Deps, found: Sequence[Gathered], handle: str, name: str) -> Workflow:
    """Make a candidate the workflow that a person names, or part of one that there is; again, it changes nothing.

    Args:
        deps: the parts of the home.
        found: the candidates.
        handle: a candidate's suggested name, or the id of one of its interactions.
        name: the workflow's name.

    Raises:
        ConfigError: the name is none.
        NotFoundError: no candidate is called so.
        ConflictError: another workflow has these prompts.
        DataError: its prompts have too little in common to be recognised.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise ConfigError(f"{name!r} is no workflow name; write letters, digits, '.', '_' and '-', at most 80")
    one = _called(found, handle)
    known = next((workflow for workflow in deps.catalog.workflows() if workflow.name == name), None)
    if one.claimed:
        if one.claimed == name and known is not None:
            return known
        raise ConflictError(f"the prompts of {handle} belong to workflow {one.claimed}; name another candidate")
    workflow = _with(known or Workflow(name, (), choose_scorer(()), deps.now()), one, strangers(deps, name))
    deps.catalog.put_workflow(workflow)
    return workflow


def interactions_of(deps: Deps, workflow: str, purposes: Collection[Purpose]) -> Iterator[Interaction]:
    """Return a workflow's interactions, and those of no workflow that are its own by today's match, oldest first."""
    own = deps.ledger.interactions(workflow=workflow, purposes=purposes)
    standings = read_standings(deps.catalog)
    if workflow not in standings.told:
        return own
    others = unclaimed(deps.database, purposes=purposes, oldest_first=True)
    found = (one for one in others if _claims(workflow, _prompt(one), standings))
    return heapq.merge(own, found, key=lambda one: (one.intent.at_utc, one.intent.interaction_id))


def _called(found: Sequence[Gathered], handle: str) -> Gathered:
    for one in found:
        if one.name == handle or any(sighting.interaction_id == handle for sighting in one.sightings):
            return one
    raise NotFoundError(f"no candidate is called {handle!r}; `modelbreeder workflows ls` shows those there are")


def _with(workflow: Workflow, one: Gathered, others: Sequence[Prompt]) -> Workflow:
    """Return a workflow that also knows the prompts of a candidate."""
    prompts = list(dict.fromkeys(sighting.prompt for sighting in reversed(one.sightings)))
    marks = known_fingerprints(prompts)
    # Without an order that means anything, every second prompt calibrates.
    templates = likenesses(prompts[::2], prompts[1::2], others)
    if not marks and not templates:
        raise DataError(
            f"{one.name} has {len(prompts)} different prompts, too few or too different to recognise more of them; "
            "wait for more, or let the client send X-ModelBreeder-Workflow"
        )
    # Prompts of which only some are recognised may be named again: nothing is known twice.
    known = {write_likeness([each]): each for each in (*read_likeness(workflow.likeness), *templates)}
    return replace(
        workflow,
        fingerprints=tuple(dict.fromkeys((*workflow.fingerprints, *marks))),
        likeness=write_likeness(list(known.values())),
    )


def _prompt(one: Interaction) -> Prompt | None:
    """Return the single turn of text that an interaction asked, None where it asked for anything else."""
    received = one.intent.request_received
    if not isinstance(received, dict):
        return None
    chat = dialect_of(one.intent.surface).to_chat(received)
    return None if foreign_field(chat) else prompt_of(chat.get("messages"))


def _claims(workflow: str, prompt: Prompt | None, standings: Standings) -> bool:
    return prompt is not None and _claimed(prompt, standings) == workflow


def _claimed(prompt: Prompt, standings: Standings) -> str:
    return match_workflow(None, prompt, standings.by_fingerprint, standings.alike).workflow or ""


def _purposes(deps: Deps) -> set[Purpose]:
    return {Purpose.USER, deps.settings.ledger.purpose}
