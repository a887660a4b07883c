"""What was acknowledged survives SIGKILL, and two processes may write at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from registry.database import open_database
from registry.ids import new_id
from registry.ledger import Ledger
from registry.processes import this_process
from tests.registry.making import at, fresh_database

_RECORDER = """
import sys
from registry.database import open_database
from registry.ids import new_id
from registry.ledger import Ledger, new_writer_id
from registry.ledger_writer import LedgerWriter
from registry.processes import this_process
from tests.registry.making import intent, outcome

file, name, how_many, way = sys.argv[1:]
ledger = Ledger(open_database(file), new_writer_id(name, this_process(), new_id), new_id)
ledger.reserve()
writer = LedgerWriter(ledger)
for number in range(int(how_many)):
    event = intent(f"{name}-{number}", number)
    if way == "append":
        ledger.append(event)
    else:
        writer.submit(event).result()
    sys.stdout.write(f"{event.interaction_id}\\n")
    sys.stdout.flush()
    if number % 2:
        ledger.append(outcome(event.interaction_id, number))
"""


def _record(file, name: str, how_many: int, way: str = "append") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _RECORDER, str(file), name, str(how_many), way]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("way", ["append", "submit"])
def test_what_was_acknowledged_survives_the_writer_being_killed(tmp_path, way):
    fresh_database(tmp_path).close()
    with _record(tmp_path / "ledger.db", "victim", 1_000_000, way) as child:
        acknowledged = [child.stdout.readline().strip() for _ in range(100)]
        os.kill(child.pid, signal.SIGKILL)
        acknowledged += child.stdout.read().splitlines()
    # The last line may be cut short by the kill.
    complete = acknowledged[:-1]

    database = open_database(tmp_path / "ledger.db")
    ledger = Ledger(database, "after", new_id, process=this_process())
    assert set(complete) <= {one.intent.interaction_id for one in ledger.interactions()}
    assert ledger.verify().problems == ()
    open_before = len(ledger.open_intents())
    assert open_before > 0
    assert ledger.close_interrupted(at(0)) == open_before
    assert ledger.open_intents() == []
    assert ledger.verify().problems == ()
    database.close()


def test_two_processes_append_at_once(tmp_path):
    fresh_database(tmp_path).close()
    writers = [_record(tmp_path / "ledger.db", name, 150) for name in ("router", "breeder")]
    began = time.monotonic()
    acknowledged = {line for writer in writers for line in writer.communicate(timeout=120)[0].splitlines()}
    assert [writer.returncode for writer in writers] == [0, 0], f"after {time.monotonic() - began:.0f} s"
    database = open_database(tmp_path / "ledger.db")
    report = Ledger(database, "after", new_id).verify()
    assert (report.events, report.writers, report.problems) == (450, 2, ())
    assert acknowledged == {f"{name}-{number}" for name in ("router", "breeder") for number in range(150)}
    database.close()
