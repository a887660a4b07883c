"""One database per test, closed behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.catalog import Catalog
from registry.database import Database
from registry.ids import new_id
from registry.ledger import Ledger
from tests.registry.making import fresh_database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = fresh_database(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database, "router-test", new_id)


@pytest.fixture
def catalog(database: Database) -> Catalog:
    return Catalog(database)
