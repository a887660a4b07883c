"""A request as it came is kept by opt-in, in an encrypted ledger alone, and goes with what it belongs to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from registry.columns import canonical_json
from registry.database import Database, open_database
from registry.entities import Intent
from registry.erasing import erase
from registry.ids import new_id
from registry.ledger import Ledger
from registry.ledger_reading import count_raw
from registry.ledger_rows import encode
from registry.settings import LedgerSettings
from tests.registry.making import intent

RAW = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "mail ann@example.org"}]}


def kept() -> Intent:
    return replace(intent("i1"), request_raw=RAW)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return open_database(tmp_path / "ledger.db")


def test_it_is_read_by_itself_and_is_no_part_of_the_interaction(database: Database) -> None:
    ledger = Ledger(database, "w", new_id)
    ledger.append(kept(), replace(intent("i2"), request_sent={"request_raw": "a field of a client's"}))
    read = ledger.interaction("i1").intent

    assert ledger.raw_request("i1") == RAW
    assert ledger.raw_request("i2") is None
    assert read == intent("i1")
    assert "ann@example.org" not in canonical_json(read) + repr(kept())
    assert count_raw(database) == 1
    assert ledger.verify().problems == ()
    database.close()


def test_it_is_erased_with_its_interaction(database: Database) -> None:
    ledger = Ledger(database, "w", new_id)
    ledger.append(kept())
    erase(database, ["i1"])

    assert (ledger.raw_request("i1"), count_raw(database), ledger.verify().problems) == (None, 0, ())
    database.close()


def test_what_keeps_none_is_stored_as_before() -> None:
    assert "request_raw" not in encode(intent("i1"), "e1").body


def test_a_plain_ledger_refuses_to_keep_it(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="encrypted ledgers alone"):
        LedgerSettings(keep_raw=True)
    assert LedgerSettings(keep_raw=True, encryption="file", key_file=tmp_path / "key").keep_raw
