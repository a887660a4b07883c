"""Interactions that belong to no workflow: what the router could not match, and nobody named."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from sqlalchemy import ColumnElement
from typing_extensions import override

from registry.database import Database
from registry.entities import Interaction, Purpose
from registry.ledger_reading import Filter, read_pages
from registry.tables import intents


class Unclaimed(Filter):
    """Takes interactions of no workflow only."""

    __slots__ = ()

    @property
    @override
    def conditions(self) -> list[ColumnElement[bool]]:
        return [*super().conditions, intents.c.workflow.is_(None)]


def unclaimed(
    database: Database,
    *,
    purposes: Collection[Purpose] | None = None,
    since: datetime | None = None,
    limit: int | None = None,
    oldest_first: bool = False,
) -> Iterator[Interaction]:
    """Yield the interactions of no workflow, a page in memory at a time."""
    wanted = Unclaimed(purposes=purposes, since=since)
    return read_pages(database, wanted, after_id=None, limit=limit, oldest_first=oldest_first)
