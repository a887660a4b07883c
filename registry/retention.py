"""Erase what was said once it is older than its data class may be kept, a few interactions at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, select, tuple_

from registry.columns import utc_text
from registry.database import Database
from registry.erasing import erase
from registry.settings import RetentionSettings, Settings
from registry.tables import contents, events, intents

LONGEST_DAYS = 100_000.0
"""Longer than any ledger is kept; dates do not reach back a million."""
_AT_ONCE = 100
_ORDER = (intents.c.at_utc, intents.c.interaction_id)


def sweep(database: Database, retention: RetentionSettings, now: datetime) -> Iterator[list[str]]:
    """Erase the interactions that are too old, oldest first, and yield the ids of each batch once it is erased.

    An interaction is as old as its request; what was said of it later goes with it. Fold the log back when it is done
    (`erasing.scrub`).
    """
    for batch in expired(database, retention, now):
        erase(database, batch)
        yield batch


def expired(database: Database, retention: RetentionSettings, now: datetime) -> Iterator[list[str]]:
    """Yield the ids of the interactions that are too old and say something still, oldest first, a batch at a time."""
    too_old = _too_old(retention, now)
    if too_old is None:
        return
    says = (
        select(contents.c.event_id)
        .join_from(contents, events)
        .where(events.c.interaction_id == intents.c.interaction_id)
    )
    query = select(*_ORDER).where(too_old, says.where(contents.c.salt.is_not(None)).exists()).order_by(*_ORDER)
    place: tuple[str, str] | None = None
    while True:
        behind = query if place is None else query.where(tuple_(*_ORDER) > place)
        with database.read() as connection:
            rows = connection.execute(behind.limit(_AT_ONCE)).all()
        if rows:
            place = rows[-1].at_utc, rows[-1].interaction_id
            yield [row.interaction_id for row in rows]
        if len(rows) < _AT_ONCE:
            return


def unknown_classes(settings: Settings) -> list[str]:
    """Return one line for each class whose days the settings say and that no task has, as a misspelt one."""
    known = settings.policy.data_classes
    return [
        f"ledger.retention.classes names {name!r}, which is no data class of the policy, so its days say nothing; "
        f"known are {', '.join(sorted(known))}"
        for name in settings.ledger.retention.classes
        if name not in known
    ]


def _too_old(retention: RetentionSettings, now: datetime) -> ColumnElement[bool] | None:
    """Return the SQL of what is too old, None where everything is kept."""
    before = {name: _before(now, days) for name, days in retention.classes.items()}
    # No time is before an empty text.
    others = "" if retention.default_days is None else _before(now, retention.default_days)
    newest = max(others, *before.values(), "")
    if not newest:
        return None
    own = case(before, value=intents.c.data_class, else_=others) if before else others
    # One range of one index: of alternatives SQLite would sort all that is too old again for each batch.
    return and_(intents.c.at_utc < newest, intents.c.at_utc < own)


def _before(now: datetime, days: float) -> str:
    return utc_text(now - timedelta(days=min(LONGEST_DAYS, days)))
