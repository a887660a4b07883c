"""The daemon erases by and by what the ledger may keep no longer, and requests go on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from registry.database import Database
from registry.ids import new_id
from registry.ledger import Ledger
from registry.settings import RetentionSettings
from router.sweeping import EVERY_S, PAUSE_S, Sweeper
from tests.registry.making import NOON, at, fresh_database, intent, outcome

SAID = "Zedekiah Quux"
RETENTION = RetentionSettings(default_days=30)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = fresh_database(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database, "router", new_id)


class Days:
    """A clock that a sleep of a day moves; after so many sleeps of a day it ends the test's work."""

    def __init__(self, days: int) -> None:
        self.now, self.left, self.pauses = NOON + timedelta(days=31), days, 0

    async def sleep(self, seconds: float) -> None:
        if seconds == PAUSE_S:
            self.pauses += 1
            return
        assert seconds == EVERY_S
        self.now += timedelta(seconds=seconds)
        self.left -= 1
        if self.left == 0:
            raise asyncio.CancelledError


def swept(database: Database, folder: Path, days: Days) -> list[str]:
    """Keep the home swept for some days; return what was done after each sweep that erased."""
    done: list[str] = []
    sweeper = Sweeper(database, RETENTION, folder, lambda: days.now)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(sweeper.keep_swept(lambda: done.append("reserved"), days.sleep))
    return done


def test_at_start_what_is_too_old_is_in_no_file_any_more_and_its_export_and_old_copies_are_gone(
    database: Database, ledger: Ledger, tmp_path: Path
) -> None:
    ledger.append(intent("old", text=SAID), outcome("old", text=SAID), intent("new", 5 * 86_400, text="kept"))
    for name in ("old.json", "new.json", "ledger.db.before-0005-0004"):
        (tmp_path / name).write_text(SAID if name != "new.json" else "kept")
    assert swept(database, tmp_path, Days(1)) == ["reserved"]
    assert [path.name for path in tmp_path.iterdir() if SAID.encode() in path.read_bytes()] == []
    assert (tmp_path / "new.json").read_text() == "kept"
    assert [one.erased for one in ledger.interactions()] == [True, False]
    assert ledger.verify().problems == ()


def test_it_sweeps_again_every_day(database: Database, ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(*(intent(f"i{day}", day * 86_400.0) for day in range(10)))
    assert swept(database, tmp_path, Days(3)) == ["reserved"] * 3
    assert [one.erased for one in ledger.interactions()] == [True] * 3 + [False] * 7


def test_many_are_erased_in_batches_with_a_pause_behind_each(
    database: Database, ledger: Ledger, tmp_path: Path
) -> None:
    ledger.append(*(intent(f"i{number:03}", number / 1000) for number in range(250)))
    days = Days(1)
    swept(database, tmp_path, days)
    assert days.pauses == 3
    assert ledger.verify().tombstones == 250


def test_a_sweep_that_fails_is_told_and_tried_again(
    database: Database, ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.append(intent("old", text=SAID))
    (tmp_path / "old.json").mkdir()
    days = Days(3)

    async def mended(seconds: float) -> None:
        await days.sleep(seconds)
        if seconds == EVERY_S and days.left == 1:
            (tmp_path / "old.json").rmdir()

    done: list[int] = []
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(Sweeper(database, RETENTION, tmp_path, lambda: days.now).keep_swept(lambda: done.append(1), mended))
    assert caplog.text.count("could not be swept, and will be tomorrow") == 2
    assert SAID not in caplog.text
    assert done == [1]
    assert ledger.interaction("old").erased


def test_nothing_is_touched_where_everything_is_kept(database: Database, ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(intent("old"))
    (tmp_path / "ledger.db.before-0005-0004").touch()
    days, done = Days(1), list[str]()
    sweeper = Sweeper(database, RetentionSettings(), tmp_path, lambda: at(10**9))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(sweeper.keep_swept(lambda: done.append("reserved"), days.sleep))
    assert (done, ledger.interaction("old").erased) == ([], False)
    assert (tmp_path / "ledger.db.before-0005-0004").exists()
