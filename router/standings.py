"""The champions of this moment, read from the registry: a move by any process acts on the next request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from registry.entities import Champion, Promotion, Specialist, Verdict, Workflow
from registry.errors import ArtifactError, LedgerError, NotFoundError
from router.matching import Alike, workflows_by_fingerprint
from router.offers import LocalOffer

if TYPE_CHECKING:
    from router.likeness import Likeness

_log = logging.getLogger("modelbreeder.router")
WORKFLOWS_TTL_S = 5.0


class CatalogReader(Protocol):
    """What the router reads of the registry's catalog."""

    def champion_sequence(self) -> int:
        """Return a number that grows with every move of a champion."""
        ...

    def champions(self) -> Sequence[Champion]:
        """Return who serves which workflow."""
        ...

    def promotions(self, workflow: str) -> Sequence[Promotion]:
        """Return the moves of a workflow's champion, oldest first."""
        ...

    def workflows(self) -> Sequence[Workflow]:
        """Return all workflows."""
        ...

    def specialist(self, name: str) -> Specialist:
        """Return a specialist; NotFoundError where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Standings:
    """Champions by workflow; workflows by template fingerprint, and by likeness to their prompts."""

    champions: Mapping[str, LocalOffer] = field(default_factory=dict)
    by_fingerprint: Mapping[str, str] = field(default_factory=dict)
    alike: Alike | None = None
    told: Mapping[str, str] = field(default_factory=dict)
    """Likeness by workflow, as the registry has it."""


class Registry:
    """The registry as one router process sees it; a registry that cannot be read leaves the last good view."""

    def __init__(self, catalog: CatalogReader, monotonic: Callable[[], float]) -> None:
        self._catalog = catalog
        self._monotonic = monotonic
        self._sequence: int | None = None
        self._read_at_s = 0.0
        self._standings = Standings()

    def current(self) -> Standings:
        """Return the champions of this moment; one tiny query unless one of them moved."""
        try:
            sequence = self._catalog.champion_sequence()
            # New workflows move no champion, so their templates are looked up again now and then.
            stale = self._monotonic() - self._read_at_s >= WORKFLOWS_TTL_S
            if sequence != self._sequence or stale:
                self._standings = read_standings(self._catalog, self._standings)
                self._sequence, self._read_at_s = sequence, self._monotonic()
        except LedgerError as error:
            _log.warning("the registry cannot be read, so the last known champions stay: %s", error)
        return self._standings

    def seen(self) -> Standings:
        """Return the champions as they were last read, which is some request ago at the most; no query."""
        return self._standings if self._sequence is not None else self.current()

    def specialist(self, name: str) -> Specialist | None:
        """Return a specialist by its public name, None where there is none, or it was withdrawn."""
        try:
            found = self._catalog.specialist(name)
        except NotFoundError:
            return None
        return None if found.withdrawn else found


def read_standings(catalog: CatalogReader, before: Standings | None = None) -> Standings:
    """Return the present standings; likenesses that are as they were before are not read again."""
    offers = [_offer(champion, catalog) for champion in catalog.champions()]
    workflows = catalog.workflows()
    told = {workflow.name: workflow.likeness for workflow in workflows}
    alike = before.alike if before is not None and before.told == told else _alike(told)
    champions = {offer.specialist.workflow: offer for offer in offers}
    return Standings(champions, workflows_by_fingerprint(workflows), alike, told)


def _alike(told: Mapping[str, str]) -> Alike | None:
    """Return what all workflows' prompts are like; without one that is known by likeness, numpy is not imported."""
    if not any(told.values()):
        return None
    from router.likeness import Likenesses

    return Likenesses({name: _read(name, text) for name, text in told.items()})


def _read(workflow: str, text: str) -> list[Likeness]:
    from router.likeness import read_likeness

    try:
        return read_likeness(text)
    except ArtifactError as error:
        _log.warning("prompts like those of %s are not recognised: %s", workflow, error)
        return []


def _offer(champion: Champion, catalog: CatalogReader) -> LocalOffer:
    """Return a champion as an offer; without a passing evaluation, only a person's stated reason keeps it in place."""
    evaluation = champion.evaluation
    if evaluation is not None and evaluation.verdict is Verdict.PASS:
        return LocalOffer(champion.specialist, evaluation)
    moves = catalog.promotions(champion.workflow.name)
    reason = moves[-1].reason.strip() if moves else ""
    return LocalOffer(champion.specialist, evaluation, f"{moves[-1].by}: {reason}" if reason else "")
