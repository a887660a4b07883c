"""Opening, migrating and failing databases."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pysqlite3
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

import registry.migrations
from registry.catalog import Catalog
from registry.database import Database, open_database
from registry.entities import Durability
from registry.errors import ConfigError, LedgerError
from registry.ids import new_id
from registry.ledger import Ledger
from registry.migrations import HEAD, REVISIONS
from registry.tables import metadata
from tests.registry.making import at, fresh_database, intent


def test_a_new_file_and_its_folder_and_journals_are_private(tmp_path):
    database = open_database(tmp_path / "home" / "ledger.db")
    Ledger(database, "w", new_id).append(intent())
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "home").iterdir()}
    assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    database.close()


def test_an_existing_readable_file_becomes_private(tmp_path):
    fresh_database(tmp_path).close()
    (tmp_path / "ledger.db").chmod(0o644)
    open_database(tmp_path / "ledger.db").close()
    assert (tmp_path / "ledger.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("opened", list(Durability))
def test_a_write_asks_for_no_more_durability_than_the_database_was_opened_with(tmp_path, opened):
    database = open_database(tmp_path / "ledger.db", durability=opened)
    levels = []
    for asked in (Durability.NORMAL, Durability.FULL):
        with database.write(asked) as connection:
            levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())
    database.flush()
    assert levels == ([1, 2] if opened is Durability.FULL else [1, 1])


@pytest.mark.parametrize(("durability", "level"), [(Durability.FULL, 2), (Durability.NORMAL, 1)])
def test_every_connection_is_durable_and_checks_keys(tmp_path, durability, level):
    database = open_database(tmp_path / "ledger.db", durability=durability, busy_timeout_ms=1234)
    with database.read() as first, database.read() as second:
        for connection in (first, second):
            settings = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("synchronous", "journal_mode", "foreign_keys", "secure_delete", "busy_timeout")
            }
            assert settings == {
                "synchronous": level,
                "journal_mode": "wal",
                "foreign_keys": 1,
                "secure_delete": 1,
                "busy_timeout": 1234,
            }
    database.close()


def test_migrations_make_what_the_tables_say(tmp_path):
    database = open_database(tmp_path / "ledger.db")
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()


def test_the_known_revisions_are_those_on_disk():
    config = Config()
    config.set_main_option("script_location", str(Path(registry.migrations.__file__).parent))
    on_disk = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert on_disk[::-1] == list(REVISIONS)


def test_a_database_of_the_first_version_keeps_its_specialists_and_gives_them_no_grammar_and_no_likeness(tmp_path):
    file = tmp_path / "ledger.db"
    _make_version(file, "0001")
    _run(
        file,
        "INSERT INTO workflows VALUES ('commit-type', '[]', 'exact', '2026-11-21T12:00:00.000000Z')",
        "INSERT INTO specialists (name, workflow, version, kind, base_sha256, examples, trim, threshold, max_tokens,"
        " generation, parents, recipe_digest, dataset_digest, template_digest, quantization, created_at_utc) VALUES"
        " ('commit-type@1', 'commit-type', 1, 'lora', 'b', '[]', '{}', -0.5, 8, 0, '[]', '', '', '', '',"
        " '2026-11-21T12:00:00.000000Z')",
    )

    database = open_database(file)
    catalog = Catalog(database)
    old = catalog.specialist("commit-type@1")
    assert (old.grammar, old.threshold, old.created_at_utc) == ("", -0.5, at(0))
    assert catalog.workflow("commit-type").likeness == ""
    new = replace(old, version=2, grammar='# one of 2 labels\nroot ::= "fix" | "feat"')
    catalog.add_specialist(new)
    assert catalog.specialists("commit-type") == [old, new]
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()
    assert _tables(tmp_path / f"ledger.db.before-{HEAD}-0001") >= {"specialists"}


def _make_version(file: Path, revision: str) -> None:
    """Make a database as an earlier version of the project left it."""
    config = Config()
    config.set_main_option("script_location", str(Path(registry.migrations.__file__).parent))
    engine = create_engine(f"sqlite+pysqlite:///{file}", module=pysqlite3)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def test_opening_at_head_does_not_import_alembic(tmp_path):
    fresh_database(tmp_path).close()
    code = (
        "import sys; from registry.database import open_database; "
        f"open_database({str(tmp_path / 'ledger.db')!r}).close(); sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


_OPEN_TOGETHER = """
import multiprocessing, sys
import alembic.command
from registry.database import open_database

def open_one(start, file):
    start.wait()
    open_database(file).close()

forking = multiprocessing.get_context("fork")
for attempt in range(8):
    start = forking.Barrier(4)
    openers = [forking.Process(target=open_one, args=(start, f"{sys.argv[1]}/{attempt}/ledger.db")) for _ in range(4)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join()
    if any(opener.exitcode for opener in openers):
        sys.exit(f"attempt {attempt} failed")
"""


def test_several_processes_may_open_a_new_database_at_once(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", _OPEN_TOGETHER, tmp_path], capture_output=True, timeout=120, check=False
    )
    assert (run.stderr, run.returncode) == (b"", 0)
    for attempt in range(8):
        assert _tables(tmp_path / str(attempt) / "ledger.db") >= {"events", "promotions"}
        # Whoever came second found nothing to migrate, so nothing to copy.
        assert [file.name for file in (tmp_path / str(attempt)).iterdir()] == ["ledger.db"]


def test_a_database_of_a_newer_version_is_refused(database):
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match=rf"schema 9999.*up to {HEAD}.*newer version"):
        open_database(database.file)


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path):
    (tmp_path / "notes.txt").write_text("not a database, but long enough to have a header " * 50)
    before = (tmp_path / "notes.txt").read_bytes()
    with pytest.raises(ConfigError, match=r"notes\.txt is not a database"):
        open_database(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_bytes() == before


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "nosuch://host/db", "://"])
def test_an_unusable_url_is_refused(url):
    with pytest.raises(ConfigError):
        open_database(url)


def test_a_folder_that_cannot_be_made_is_a_config_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot use database file"):
        open_database(tmp_path / "file" / "ledger.db")


def test_a_folder_is_no_database_file_and_stays_as_it_is(tmp_path):
    (tmp_path / "folder").mkdir()
    before = (tmp_path / "folder").stat().st_mode
    with pytest.raises(ConfigError, match="cannot use database file .*: Is a directory"):
        open_database(tmp_path / "folder")
    assert (tmp_path / "folder").stat().st_mode == before


def test_a_url_and_a_path_name_the_same_file(tmp_path):
    database = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert database.label == str(tmp_path / "ledger.db")
    database.close()


def test_an_existing_file_is_copied_before_it_is_migrated(tmp_path):
    _run(tmp_path / "ledger.db", "CREATE TABLE notes (note TEXT)", "INSERT INTO notes VALUES ('kept')")
    open_database(tmp_path / "ledger.db").close()
    copy = tmp_path / f"ledger.db.before-{HEAD}-none"
    assert _tables(copy) == {"notes"}
    assert copy.stat().st_mode & 0o777 == 0o600
    assert _tables(tmp_path / "ledger.db") >= {"notes", "events"}


def test_a_failing_migration_changes_nothing(tmp_path):
    _run(tmp_path / "ledger.db", "CREATE TABLE promotions (mine TEXT)")
    with pytest.raises(ConfigError, match=r"promotions already exists; it is as it was; a copy is at"):
        open_database(tmp_path / "ledger.db")
    assert _tables(tmp_path / "ledger.db") == {"promotions"}


def test_a_lock_held_too_long_is_a_ledger_error(tmp_path, database):
    impatient = open_database(database.file, busy_timeout_ms=20)
    with database.write(), pytest.raises(LedgerError, match=r"cannot write .*ledger\.db: database is locked"):
        Ledger(impatient, "w", new_id).append(intent())
    impatient.close()


def test_a_full_disk_loses_nothing_that_was_acknowledged(database):
    ledger = Ledger(database, "w", new_id)
    acknowledged = []
    # One connection in the pool, so that the limit holds for the next writes too.
    with database.read() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 120")

    def fill() -> None:
        for number in range(200):
            acknowledged.extend(ledger.append(intent(f"i{number}", text="x" * 2_000)))

    with pytest.raises(LedgerError, match="database or disk is full"):
        fill()
    database.close()
    reopened = open_database(database.file)
    report = Ledger(reopened, "w", new_id).verify()
    assert (report.events, report.problems) == (len(acknowledged), ())
    assert acknowledged
    reopened.close()


def test_a_read_only_database_can_be_read_and_refuses_writes(tmp_path, database):
    Ledger(database, "w", new_id).append(intent())
    with database.read() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    assert Ledger(database, "w", new_id).count() == 1
    with pytest.raises(LedgerError, match="readonly"):
        Ledger(database, "w", new_id).append(intent("i2"))


def test_a_postgresql_url_needs_no_other_code():
    """All SQL is written once; without a server only the compiled statements can be looked at."""
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateTable

    for table in metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=postgresql.dialect()))


def _run(file: Path, *statements: str) -> None:
    connection = pysqlite3.connect(str(file))
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def _tables(file: Path) -> set[str]:
    connection = pysqlite3.connect(str(file))
    found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    return found


def test_the_label_hides_a_password(tmp_path):
    from sqlalchemy import create_engine

    engine = create_engine("sqlite:///x.db")
    engine.url = engine.url.set(username="u", password="hidden")
    assert "hidden" not in Database(engine, None).label


def test_a_failing_statement_does_not_quote_what_was_to_be_stored(tmp_path):
    database = fresh_database(tmp_path)
    with pytest.raises(IntegrityError) as caught, database.write() as connection:
        for _ in range(2):
            connection.execute(
                text("INSERT INTO workflows VALUES (:a, 'x', 'x', 'x', '', '')"), {"a": "bob@example.org"}
            )
    assert "bob@example.org" not in str(caught.value)
    database.close()


def test_a_reserved_log_is_not_lengthened_by_commits_and_folds_back_whole(tmp_path):
    log = tmp_path / "ledger.db-wal"
    database = fresh_database(tmp_path)
    ledger = Ledger(database, "one", new_id)
    ledger.append(intent("before"))
    ledger.reserve()
    reserved = log.stat().st_size
    for number in range(100):
        ledger.append(intent(f"after-{number}", number))
    assert log.stat().st_size == reserved > 16_000_000
    ledger.reserve()
    assert log.stat().st_size == reserved
    with database.read() as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
    database.close()

    again = open_database(tmp_path / "ledger.db")
    assert Ledger(again, "two", new_id).count() == 101
    again.close()


def test_a_log_that_cannot_be_reserved_stops_nobody(tmp_path, database):
    file = Path(database.engine.url.database)
    other = pysqlite3.connect(str(file), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    impatient = open_database(file, busy_timeout_ms=10)
    Ledger(impatient, "two", new_id).reserve()
    other.execute("ROLLBACK")
    Ledger(impatient, "two", new_id).append(intent("after"))

    assert Ledger(impatient, "two", new_id).count() == 1
    impatient.close()
    other.close()


def test_a_question_is_asked_again_on_a_new_connection_after_a_failure(database):
    assert database.ask("SELECT count(*) FROM events") == 0
    with pytest.raises(LedgerError, match="cannot read"):
        database.ask("SELECT count(*) FROM nothing")
    Ledger(database, "one", new_id).append(intent("one"))
    assert database.ask("SELECT count(*) FROM events") == 1
