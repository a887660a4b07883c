"""What is erased is in no file, what is left quotes nobody, and the chain still shows every other change."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest
from sqlalchemy import event, text, update

from registry.chain import facts_digest
from registry.columns import canonical_json
from registry.database import open_database
from registry.database_key import DatabaseKey
from registry.erasing import backups, erase, scrub
from registry.errors import LedgerError
from registry.ids import new_id
from registry.ledger import Ledger
from registry.tables import events, intents
from tests.registry.making import intent, outcome

SAID = "Zedekiah Quux"


def spoken(interaction_id: str = "i1"):
    """Return an intent that quotes somebody wherever a client's words, or an answer's, can come to stand."""
    one = intent(interaction_id, text=f"write to {SAID}")
    envelope = replace(one.envelope, session=f"session of {SAID}", task_id=f"task of {SAID}", requested_model=SAID)
    return replace(one, envelope=envelope, decision=replace(one.decision, local_reason=f"the answer was {SAID}"))


def rows_of_facts(database) -> str:
    with database.read() as connection:
        tables = ("events", "intents", "outcomes", "feedback", "evidence")
        return repr([connection.execute(text(f"SELECT * FROM {table}")).all() for table in tables])


def test_only_session_and_task_stand_in_the_facts_and_they_go_too(ledger, database):
    ledger.append(spoken(), outcome(text=SAID))
    assert rows_of_facts(database).count(SAID) == 2
    assert erase(database, ["i1"]) == 2
    assert SAID not in rows_of_facts(database)


def test_what_was_said_reads_as_it_was_until_it_is_erased(ledger, database):
    ledger.append(spoken())
    assert ledger.interaction("i1").intent == spoken()
    erase(database, ["i1", "nobody"])
    left = ledger.interaction("i1")
    assert (left.erased, SAID in repr(left)) == (True, False)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE intents SET session = 'another'",
        "UPDATE intents SET task_id = 'another'",
        "UPDATE intents SET session = NULL, task_id = ''",
    ],
)
def test_a_changed_session_or_task_is_seen_though_no_digest_of_the_facts_covers_it(ledger, database, change):
    ledger.append(intent())
    with database.write() as connection:
        connection.execute(text(change))
    assert "other facts" in ledger.verify().problems[0]


@pytest.mark.parametrize(
    "change",
    ["UPDATE intents SET session = 'new'", "UPDATE intents SET task_id = 'new'", "UPDATE intents SET lane = 'x'"],
)
def test_a_change_of_what_an_erasure_left_is_seen(ledger, database, change):
    ledger.append(intent())
    erase(database, ["i1"])
    assert ledger.verify().problems == ()
    with database.write() as connection:
        connection.execute(text(change))
    assert "other facts" in ledger.verify().problems[0]


def as_it_was_recorded_before(database, one) -> None:
    """Rewrite a recorded intent to the older form: the client's words among the facts, one digest over all of them."""
    from registry.chain import GENESIS, event_hash

    envelope = {name: getattr(one.envelope, name) for name in one.envelope.__dataclass_fields__ if name != "summary"}
    changed = {"envelope": canonical_json(envelope), "decision": canonical_json(one.decision)}
    with database.write() as connection:
        connection.execute(update(intents).values(changed))
        facts = {str(name): value for name, value in connection.execute(intents.select()).mappings().one().items()}
        row = dict(connection.execute(events.select()).mappings().one()) | {"facts_digest": facts_digest(facts)}
        assert row["previous_hash"] == GENESIS
        row["hash"] = event_hash(row)
        connection.execute(update(events).values(row))
        connection.execute(text("UPDATE writers SET head_hash = :hash"), {"hash": row["hash"]})


def test_an_intent_of_the_older_form_verifies_reads_and_is_erased_with_its_words(ledger, database):
    ledger.append(spoken())
    as_it_was_recorded_before(database, spoken())
    assert ledger.verify().problems == ()
    assert ledger.interaction("i1").intent == spoken()
    erase(database, ["i1"])
    assert SAID not in rows_of_facts(database)
    report = ledger.verify()
    assert (report.tombstones, report.problems) == (1, ())


def test_erasing_many_takes_several_transactions_and_leaves_all_others(ledger, database):
    ledger.append(*(intent(f"i{number:03}", text=SAID) for number in range(250)), intent("kept", text="kept"))
    assert erase(database, [f"i{number:03}" for number in range(250)]) == 250
    assert ledger.interaction("kept").intent.request_received is not None
    assert ledger.verify().tombstones == 250


def files_of(database) -> bytes:
    return b"".join(file.read_bytes() for file in database.file.parent.glob("ledger.db*"))


def test_scrubbing_waits_for_a_reader_says_so_and_does_it_once_the_reader_has_gone(ledger, database):
    ledger.append(intent(text=SAID))
    with closing(database.connect_to(database.file)) as reader:
        reader.isolation_level = None
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        erase(database, ["i1"])
        with pytest.raises(LedgerError, match="which another program reads"):
            scrub(database, patience_s=0.0)
        assert SAID.encode() in files_of(database)
    scrub(database)
    assert SAID.encode() not in files_of(database)


def test_of_an_encrypted_ledger_the_log_is_emptied_and_its_words_are_nowhere_to_be_decrypted(tmp_path):
    pytest.importorskip("sqlcipher3")
    key = DatabaseKey.fresh(bytes)
    with closing(open_database(tmp_path / "secret.db", key=key)) as database:
        ledger = Ledger(database, "w", new_id)
        ledger.append(spoken(), outcome(text=SAID))
        erase(database, ["i1"])
        scrub(database)
        assert (tmp_path / "secret.db-wal").stat().st_size == 0
        assert SAID not in rows_of_facts(database)
        assert ledger.verify().problems == ()


def test_another_process_writes_on_beside_an_erasure(ledger, database):
    other = Ledger(database, "other", new_id)
    ledger.append(intent(text=SAID))
    other.append(intent("i2"))
    erase(database, ["i1"])
    scrub(database)
    other.append(outcome("i2"))
    ledger.append(intent("i3"))
    assert ledger.verify().problems == ()


def test_copies_of_migrations_and_of_a_change_of_the_key_are_found_complete_or_not(database):
    copies = ["ledger.db.before-0005-0004", "ledger.db.before-0005-0004.partial"]
    names = [*copies, "ledger.db.changing", "ledger.db.changing-wal", "ledger.db.replaced"]
    for name in names:
        (database.file.parent / name).touch()
    (database.file.parent / "ledger.db.mine").touch()
    assert [copy.name for copy in backups(database.file)] == names
    assert backups(None) == []


def test_many_are_erased_a_few_in_a_transaction_so_that_others_can_write(ledger, database):
    ids = [f"i{number}" for number in range(35)]
    ledger.append(*map(intent, ids))
    commits = []
    event.listen(database.engine, "commit", commits.append)
    assert erase(database, ids) == 35
    assert len(commits) == 4
