"""Any history of recording and erasing verifies; any change of what is stored is found."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pysqlite3
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from registry.database import open_database
from registry.entities import EvidenceNote, EvidenceType, Feedback, FeedbackVerdict, Interaction
from registry.erasing import erase, scrub
from registry.ids import new_id
from registry.ledger import Ledger
from tests.registry.making import at, fresh_database, intent, outcome

_TABLES = ("events", "contents", "intents", "outcomes", "feedback", "evidence", "writers")
_UNCOVERED = {"host", "pid", "started"}


class LedgerMachine(RuleBasedStateMachine):
    """Two writers record; a mirror in memory says what the ledger should hold."""

    begun = Bundle("begun")
    unended = Bundle("unended")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="modelbreeder-tests-"))
        self.database = fresh_database(self.folder)
        self.ledgers = [Ledger(self.database, name, new_id) for name in ("router", "cli")]
        self.mirror: dict[str, Interaction] = {}
        self.contents: dict[str, int] = {}
        self.erased = 0
        self.clock = 0

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.folder)

    def _now(self) -> int:
        self.clock += 1
        return self.clock

    @rule(target=unended, writer=st.integers(0, 1), text=st.text(max_size=30))
    def begin(self, writer, text):
        made = intent(f"i{self._now()}", self.clock, text=text)
        self.ledgers[writer].append(made)
        self.mirror[made.interaction_id] = Interaction(made, None, None)
        self.contents[made.interaction_id] = 1
        return made.interaction_id

    @rule(target=begun, name=consumes(unended), writer=st.integers(0, 1), text=st.text(max_size=30))
    def end(self, name, writer, text):
        made = outcome(name, self._now(), text)
        self.ledgers[writer].append(made)
        self._mirror(name, outcome=made)
        return name

    @rule(
        name=begun | unended,
        writer=st.integers(0, 1),
        verdict=st.sampled_from(FeedbackVerdict),
        text=st.text(max_size=9),
    )
    def judge(self, name, writer, verdict, text):
        made = Feedback(name, at(self._now()), verdict, corrected=text, score=0.5)
        self.ledgers[writer].append(made)
        self._mirror(name, feedback=made)

    @rule(name=begun | unended, writer=st.integers(0, 1), kind=st.sampled_from(EvidenceType))
    def note(self, name, writer, kind):
        made = EvidenceNote(name, at(self._now()), kind, {"why": "because"})
        self.ledgers[writer].append(made)
        self._mirror(name, evidence=(*self.mirror[name].evidence, made))

    @rule(name=begun | unended)
    def erase(self, name):
        assert erase(self.database, [name]) == self.contents[name]
        self.erased += self.contents[name]
        self.contents[name] = 0
        self.mirror[name] = without_contents(self.mirror[name])

    @precondition(lambda self: self.mirror)
    @rule(data=st.data())
    def tamper(self, data):
        with tempfile.TemporaryDirectory(prefix="modelbreeder-tests-") as folder:
            scrub(self.database)
            copy = Path(shutil.copyfile(self.database.file, Path(folder) / "ledger.db"))
            changed = _change(copy, data)
            if changed is None:
                return
            tampered = open_database(copy)
            problems = Ledger(tampered, "w", new_id).verify().problems
            tampered.close()
        assert problems, f"{changed} was changed unseen"

    @invariant()
    def verifies(self):
        report = self.ledgers[0].verify()
        assert report.problems == ()
        assert report.tombstones == self.erased
        assert report.events == self.erased + sum(self.contents.values())

    @invariant()
    def reads_as_recorded(self):
        assert {one.intent.interaction_id: one for one in self.ledgers[1].interactions()} == self.mirror

    def _mirror(self, name, **changes):
        self.mirror[name] = replace(self.mirror[name], **changes)
        self.contents[name] += 1


def without_contents(one: Interaction) -> Interaction:
    """Return what may be read of an interaction after its contents were erased."""
    envelope = replace(one.intent.envelope, summary="", task_id="", session=None, requested_model="")
    decision = replace(one.intent.decision, local_reason="")
    return Interaction(
        intent=replace(one.intent, envelope=envelope, decision=decision, request_received=None, request_sent=None),
        outcome=one.outcome and replace(one.outcome, response=None, verification=None, error=None),
        feedback=one.feedback and replace(one.feedback, corrected=None, comment=None),
        evidence=tuple(replace(note, detail=None) for note in one.evidence),
        erased=True,
    )


def _change(file: Path, data) -> str | None:
    """Change or delete something stored behind the ledger's back; None where the schema itself refuses."""
    raw = pysqlite3.connect(str(file), isolation_level=None)
    table = data.draw(st.sampled_from([name for name in _TABLES if _rowids(raw, name)]))
    columns = [row[1] for row in raw.execute(f"PRAGMA table_info({table})") if row[1] not in _UNCOVERED]
    column = data.draw(st.sampled_from([*columns, "a whole row"]))
    place = data.draw(st.sampled_from(_rowids(raw, table)))
    try:
        if column == "a whole row":
            raw.execute(f"DELETE FROM {table} WHERE rowid = ?", (place,))
        else:
            (value,) = raw.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (place,)).fetchone()
            raw.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (_other(value, data), place))
    except pysqlite3.IntegrityError:
        return None
    finally:
        raw.close()
    return f"{table}: {column}"


def _rowids(raw, table) -> list[int]:
    return [row for (row,) in raw.execute(f"SELECT rowid FROM {table}")]


def _other(value, data):
    """Return a value of the same type that differs in one place, or NULL."""
    if value is not None and data.draw(st.booleans()):
        return None
    if isinstance(value, str) and value:
        place = data.draw(st.integers(0, len(value) - 1))
        return value[:place] + ("#" if value[place] != "#" else "$") + value[place + 1 :]
    return {int: lambda: value + 1, float: lambda: value + 0.5}.get(type(value), lambda: "x")()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("UPDATE events SET seq = CASE seq WHEN 1 THEN 1002 ELSE 1001 END WHERE seq < 3", "are missing"),
        ("UPDATE contents SET body = x'00ff'", "other content"),
        ("UPDATE intents SET client = x'00ff'", "other facts"),
        ("UPDATE intents SET client = CAST(x'fffe' AS TEXT)", "decode"),
        ("UPDATE contents SET salt = NULL", "other content"),
        ("DELETE FROM events", "belong to no event"),
        ("DELETE FROM events WHERE seq = 3", "should reach event 3"),
        ("DELETE FROM writers", "its row is missing"),
        ("INSERT INTO evidence VALUES ('e', 'i1', '2026', 'escalation')", "evidence: 1 rows belong to no event"),
        ("UPDATE events SET kind = 'evidence' WHERE seq = 2", "lost its facts"),
    ],
)
def test_each_kind_of_damage_is_named(ledger, database, change, problem):
    ledger.append(intent(), outcome(), intent("i2"))
    raw = pysqlite3.connect(str(database.file), isolation_level=None)
    raw.execute(change)
    raw.close()
    assert problem in "; ".join(ledger.verify().problems)


def test_only_the_first_hundred_problems_are_spelled_out(ledger, database):
    ledger.append(*(intent(f"i{number}") for number in range(150)))
    raw = pysqlite3.connect(str(database.file), isolation_level=None)
    raw.execute("UPDATE contents SET body = 'other'")
    raw.close()
    problems = ledger.verify().problems
    assert len(problems) == 101
    assert problems[-1] == "and 50 more"


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=15, stateful_step_count=15, suppress_health_check=list(HealthCheck))
