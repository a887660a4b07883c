"""Cut streams, clients that leave, and a daemon that stops: over raw sockets, with the real daemon."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from registry.database import open_database
from registry.entities import Interaction, Status
from registry.ids import new_id
from registry.ledger import Ledger
from tests.router.daemon import Daemon, ask, daemon, get, post, write_config
from tests.router.recording_upstream import Upstream, recording_upstream

PATIENCE_S = 60.0


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with recording_upstream() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def router(home: Path, upstream: Upstream) -> Iterator[Daemon]:
    write_config(home, upstream.url, more="[daemon]\ndrain_s = 1\n")
    with daemon(home) as child:
        yield child


def interactions(home: Path) -> list[Interaction]:
    database = open_database(home / "data" / "ledger.db")
    try:
        return list(Ledger(database, "reader", new_id).interactions())
    finally:
        database.close()


def raw_request(router: Daemon, body: dict[str, Any]) -> socket.socket:
    parts = urlsplit(router.url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=20)
    payload = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    connection.sendall(head.encode() + f"Content-Length: {len(payload)}\r\n\r\n".encode() + payload)
    return connection


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    found = b""
    while mark not in found:
        piece = connection.recv(65536)
        if not piece:
            break
        found += piece
    return found


def read_all(connection: socket.socket) -> bytes:
    return read_until(connection, b"\0never\0")


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for a condition, longer than a loaded machine needs."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, f"it did not happen within {PATIENCE_S} s"
        time.sleep(0.01)


@pytest.mark.parametrize("behaviour", ["eof", "cut", "error-frame"])
def test_a_cut_upstream_stream_ends_in_an_error_frame_and_a_missing_last_chunk(
    home: Path, router: Daemon, upstream: Upstream, behaviour: str
) -> None:
    upstream.behaviour = behaviour
    with raw_request(router, ask("hello", stream=True)) as connection:
        told = read_all(connection)
    outcome = interactions(home)[0].outcome

    assert b"data: " in told
    assert b'{"error":{"message":' in told
    assert b"data: [DONE]" not in told
    assert not told.endswith(b"0\r\n\r\n")
    assert outcome is not None
    assert outcome.status is Status.TRUNCATED
    assert "You sa" in str(outcome.response)


def test_the_official_client_takes_no_cut_stream_for_an_answer(router: Daemon, upstream: Upstream) -> None:
    upstream.behaviour = "cut"
    messages: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
    with openai.OpenAI(base_url=f"{router.url}/v1", api_key="any", max_retries=0) as client:
        stream = client.chat.completions.create(model="gpt-5.4", messages=messages, stream=True)
        with pytest.raises(openai.APIError):
            list(stream)


@pytest.mark.parametrize(("stream", "behaviour"), [(False, "hang"), (True, "hang"), (True, "slow")])
def test_a_client_that_leaves_frees_the_upstream(
    home: Path, router: Daemon, upstream: Upstream, stream: bool, behaviour: str
) -> None:
    upstream.behaviour = behaviour
    connection = raw_request(router, ask("hello", stream=stream))
    if behaviour == "slow":
        read_until(connection, b"You")
    else:
        eventually(lambda: bool(upstream.requests))
    connection.close()

    eventually(lambda: bool(upstream.left_at))
    eventually(lambda: interactions(home)[0].outcome is not None)
    outcome = interactions(home)[0].outcome
    assert outcome is not None
    assert outcome.status is Status.CLIENT_CANCELLED
    eventually(lambda: b'"in_flight":0' in get(f"{router.url}/readyz", router.admin)[2])


def test_a_daemon_that_stops_cuts_live_streams_and_records_them(home: Path, router: Daemon, upstream: Upstream) -> None:
    upstream.behaviour = "slow"
    with raw_request(router, ask("hello", stream=True)) as connection:
        read_until(connection, b"You")
        router.process.send_signal(signal.SIGTERM)
        told = read_all(connection)
    router.process.send_signal(signal.SIGTERM)
    code = router.stop()
    outcome = interactions(home)[0].outcome

    assert code == 0
    assert b"stopping" in told
    assert not told.endswith(b"0\r\n\r\n")
    assert outcome is not None
    assert outcome.status is Status.INTERRUPTED


def test_a_daemon_that_stops_lets_answers_in_flight_finish(home: Path, router: Daemon, upstream: Upstream) -> None:
    def slowly(body: dict[str, Any]) -> str:
        time.sleep(0.4)
        return "late"

    upstream.answer = slowly
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(post(f"{router.url}/v1/chat/completions", ask("x"))[0]))
    asking.start()
    eventually(lambda: bool(upstream.requests))
    code = router.stop()
    asking.join()

    assert code == 0
    assert answers == [200]


def test_a_stream_that_falls_silent_is_cut(home: Path, upstream: Upstream) -> None:
    write_config(home, upstream.url, upstream="idle_timeout_s = 0.3")
    upstream.behaviour = "slow"
    with daemon(home) as router, raw_request(router, ask("hello", stream=True)) as connection:
        told = read_all(connection)
    outcome = interactions(home)[0].outcome

    assert b"upstream_timeout" in told
    assert outcome is not None
    assert outcome.status is Status.TRUNCATED
    assert len(upstream.left_at) == 1


def test_ctrl_c_stops_the_daemon_with_130(router: Daemon) -> None:
    assert router.stop(signal.SIGINT) == 130


def test_more_requests_than_places_are_told_to_come_back(home: Path, upstream: Upstream) -> None:
    write_config(home, upstream.url, more="[daemon]\nmax_in_flight = 2\nmax_waiting = 0\n")
    upstream.behaviour = "hang"
    with daemon(home) as router:
        held = [raw_request(router, ask("x")) for _ in range(2)]
        eventually(lambda: len(upstream.requests) == 2)
        status, headers, _ = post(f"{router.url}/v1/chat/completions", ask("x"))
        healthy = get(f"{router.url}/healthz")[0]
        for connection in held:
            connection.close()

    assert (status, headers["retry-after"]) == (503, "1")
    assert healthy == 200
