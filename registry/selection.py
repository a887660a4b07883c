"""Which interactions somebody means: by id, session, client, workflow, age, or a value that they quote.

An interaction brings along its family: what it escalated or fell back to, and what it did so from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select

from registry.columns import utc_text
from registry.database import Database
from registry.quotation import Quotation
from registry.tables import contents, events, intents, outcomes

_PAGE = 500
_NAMES = (intents.c.client, intents.c.workflow, intents.c.model, intents.c.data_class)


@dataclass(frozen=True, slots=True)
class Selection:
    """What all interactions that are meant have in common; None asks nothing."""

    ids: Collection[str] | None = None
    sessions: Collection[str] | None = None
    """Names of one session or more, as the ledger has them."""
    client: str | None = None
    workflow: str | None = None
    before: datetime | None = None
    quoting: Quotation | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """The SQL of the fields that are set, but for what is looked for in texts."""
        found: list[ColumnElement[bool]] = []
        if self.ids is not None:
            found.append(intents.c.interaction_id.in_(list(self.ids)))
        if self.sessions is not None:
            found.append(intents.c.session.in_(list(self.sessions)))
        if self.client is not None:
            found.append(intents.c.client == self.client)
        if self.workflow is not None:
            found.append(intents.c.workflow == self.workflow)
        if self.before is not None:
            found.append(intents.c.at_utc < utc_text(self.before))
        return found


def select_interactions(database: Database, wanted: Selection) -> list[str]:
    """Return the ids of the interactions that are meant and of their families, sorted; erased ones too."""
    if wanted.quoting is None:
        with database.read() as connection:
            found = set(connection.scalars(select(intents.c.interaction_id).where(*wanted.conditions)))
    else:
        found = set(_quoting(database, wanted, wanted.quoting))
    return sorted(found | _family(database, found))


def named_so(database: Database, pattern: Quotation) -> int:
    """Return how many interactions have a client, workflow, model or class of such a name: facts, which stay."""
    with database.read() as connection:
        rows = connection.execute(select(*_NAMES))
        return sum(any(name and pattern.search(name) for name in row) for row in rows)


def erased_among(database: Database, ids: Collection[str]) -> set[str]:
    """Return those of some interactions of which the ledger still has the facts, and nothing that they said."""
    found: set[str] = set()
    for some in _pages(sorted(ids)):
        query = select(intents.c.interaction_id).join(contents, contents.c.event_id == intents.c.event_id)
        with database.read() as connection:
            found |= set(connection.scalars(query.where(intents.c.interaction_id.in_(some), contents.c.salt.is_(None))))
    return found


def workflows_of(database: Database, ids: Collection[str]) -> set[str]:
    """Return the workflows of some interactions."""
    found: set[str] = set()
    for some in _pages(sorted(ids)):
        named = select(intents.c.workflow).where(intents.c.interaction_id.in_(some), intents.c.workflow.is_not(None))
        with database.read() as connection:
            found |= set(connection.scalars(named.distinct()))
    return found


def unfinished_among(database: Database, ids: Collection[str]) -> set[str]:
    """Return those of some interactions that the ledger knows and that have no outcome yet."""
    found: set[str] = set()
    for some in _pages(sorted(ids)):
        begun = select(intents.c.interaction_id).where(intents.c.interaction_id.in_(some))
        ended = select(outcomes.c.interaction_id).where(outcomes.c.interaction_id.in_(some))
        with database.read() as connection:
            found |= set(connection.scalars(begun)) - set(connection.scalars(ended))
    return found


def _quoting(database: Database, wanted: Selection, pattern: Quotation) -> Iterator[str]:
    """Yield the interactions one of whose events quotes what is looked for."""
    query = (
        select(contents.c.event_id, intents, contents.c.body)
        .select_from(contents.join(events).join(intents, intents.c.interaction_id == events.c.interaction_id))
        .where(*wanted.conditions)
        .order_by(contents.c.event_id)
    )
    place = ""
    while True:
        with database.read() as connection:
            rows = connection.execute(query.where(contents.c.event_id > place).limit(_PAGE)).all()
        for row in rows:
            if any(text and pattern.search(text) for text in (row.body, row.session, row.task_id, row.decision)):
                yield row.interaction_id
        if len(rows) < _PAGE:
            return
        place = rows[-1][0]


def _family(database: Database, ids: Collection[str]) -> set[str]:
    """Return the ancestors and descendants of interactions, and theirs, with themselves."""
    related: defaultdict[str, set[str]] = defaultdict(set)
    with database.read() as connection:
        pairs = select(intents.c.interaction_id, intents.c.parent_id).where(intents.c.parent_id.is_not(None))
        for child, parent in connection.execute(pairs):
            related[child].add(parent)
            related[parent].add(child)
    family, fresh = set(ids), set(ids)
    while fresh:
        fresh = {relative for one in fresh for relative in related.get(one, ())} - family
        family |= fresh
    return family


def _pages(ids: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(ids), _PAGE):
        yield ids[first : first + _PAGE]
