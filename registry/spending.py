"""What the cloud has cost, as the ledger says: by client in a time, and in a session.

A task counts where it began: at the time, for the client and in the session of its intent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, func, or_, select

from registry.columns import utc_text
from registry.database import Database
from registry.entities import Lane, Outcome, Status
from registry.tables import intents, outcomes

_BROKEN_OFF = (Status.TRUNCATED, Status.CLIENT_CANCELLED, Status.INTERRUPTED)
_joined = intents.join(outcomes, outcomes.c.interaction_id == intents.c.interaction_id)
_is_unpriced = and_(
    outcomes.c.cost_usd.is_(None),
    or_(outcomes.c.prompt_tokens.is_not(None), outcomes.c.status.in_([status.value for status in _BROKEN_OFF])),
)
_sums = (func.sum(outcomes.c.cost_usd), func.sum(case((_is_unpriced, 1), else_=0)))
_to_cloud = intents.c.lane == Lane.CLOUD_ESCALATION.value


@dataclass(frozen=True, slots=True)
class Spent:
    """US dollars, and how many calls cost an amount that nobody knows."""

    usd: float = 0.0
    unpriced: int = 0


def is_unpriced(outcome: Outcome) -> bool:
    """Say whether a cloud call may have cost something and nobody knows how much; the query above says the same."""
    return outcome.cost_usd is None and (outcome.usage is not None or outcome.status in _BROKEN_OFF)


class Spending:
    """Reads what was spent from one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def by_client(self, since: datetime, until: datetime) -> Mapping[str, Spent]:
        """Return what the cloud tasks that began at or after one time, and before another, cost, by client."""
        query = select(intents.c.client, *_sums).select_from(_joined).group_by(intents.c.client)
        with self._database.read() as connection:
            began = intents.c.at_utc >= utc_text(since), intents.c.at_utc < utc_text(until)
            rows = connection.execute(query.where(_to_cloud, *began)).all()
        return {client: Spent(usd or 0.0, unpriced) for client, usd, unpriced in rows}

    def in_session(self, client: str, session: str) -> Spent:
        """Return what a client's session cost, whenever it began."""
        belongs: list[ColumnElement[bool]] = [_to_cloud, intents.c.session == session, intents.c.client == client]
        with self._database.read() as connection:
            usd, unpriced = connection.execute(select(*_sums).select_from(_joined).where(*belongs)).one()
        return Spent(usd or 0.0, unpriced or 0)
