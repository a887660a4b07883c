"""kill -9 under load: what a client was told is in the ledger, and the chain holds."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typing_extensions import override

from registry.database import open_database
from registry.entities import Status
from registry.ids import new_id
from registry.ledger import Ledger
from tests.router.daemon import Daemon, ask, daemon, run_command, write_config
from tests.router.recording_upstream import Upstream, recording_upstream

CLIENTS = 6


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with recording_upstream() as server:
        yield server


class Client(threading.Thread):
    """Asks until the daemon dies, and keeps what it was told: interactions answered, and feedback accepted."""

    def __init__(self, url: str, number: int, admin: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self._netloc = urlsplit(url).netloc
        self._stream = number % 2 == 1
        self._admin = admin
        self.answered: list[str] = []
        self.judged: list[str] = []

    @override
    def run(self) -> None:
        connection = http.client.HTTPConnection(self._netloc, timeout=10)
        try:
            while True:
                headers, body = self._post(connection, "/v1/chat/completions", ask("hello", stream=self._stream))
                if self._stream and not body.endswith(b"data: [DONE]\n\n"):
                    return
                name = headers["x-modelbreeder-interaction"]
                self.answered.append(name)
                self._post(connection, "/v1/feedback", {"interaction": name, "verdict": "accepted"})
                self.judged.append(name)
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()

    def _post(self, connection: http.client.HTTPConnection, path: str, body: object) -> tuple[dict[str, str], bytes]:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **self._admin})
        response = connection.getresponse()
        raw = response.read()
        if response.status != 200:
            raise http.client.HTTPException(raw)
        return {key.lower(): value for key, value in response.getheaders()}, raw


def killed_under_load(router: Daemon, answers: int) -> list[Client]:
    clients = [Client(router.url, number, router.admin) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    until = time.monotonic() + 120
    while sum(len(client.answered) for client in clients) < answers and time.monotonic() < until:
        time.sleep(0.01)
    router.stop(signal.SIGKILL)
    for client in clients:
        client.join(60)
    return clients


def test_no_acknowledged_row_is_lost_and_the_chain_holds(tmp_path: Path, upstream: Upstream) -> None:
    home = tmp_path / "home"
    write_config(home, upstream.url)
    clients: list[Client] = []
    for answers in (20, 33):
        with daemon(home) as router:
            clients += killed_under_load(router, answers)
    with daemon(home) as router:
        assert router.stop() == 0

    database = open_database(home / "data" / "ledger.db")
    ledger = Ledger(database, "reader", new_id)
    stored = {one.intent.interaction_id: one for one in ledger.interactions()}
    open_intents, report = ledger.open_intents(), ledger.verify()
    database.close()
    answered = [name for client in clients for name in client.answered]
    judged = [name for client in clients for name in client.judged]

    assert len(answered) >= 53
    assert len(set(answered)) == len(answered)
    for name in answered:
        outcome = stored[name].outcome
        assert outcome is not None
        assert outcome.status is Status.OK
    assert all(stored[name].feedback is not None for name in judged)
    assert open_intents == []
    assert report.problems == ()
    assert run_command(home, "ledger", "verify").returncode == 0
