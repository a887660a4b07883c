"""A daemon's life as systemd and a careless user see it: crowds, second starts, stops, kills, and what it logs."""

from __future__ import annotations

import fcntl
import json
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from registry.database import open_database
from registry.entities import Interaction, Outcome, Status
from registry.ids import new_id
from registry.ledger import Ledger
from registry.tables import writers
from tests.router.daemon import Daemon, ask, command, daemon, environment, get, post, run_command, write_config
from tests.router.recording_upstream import Upstream, recording_upstream
from tests.router.test_daemon_streams import eventually, raw_request, read_all, read_until

STREAMS = 20
SECRET = "bob.planted-4711@example.org"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with recording_upstream() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, upstream: Upstream) -> Path:
    write_config(tmp_path / "home", upstream.url, more="[daemon]\ndrain_s = 1\n")
    return tmp_path / "home"


def interactions(home: Path) -> list[Interaction]:
    database = open_database(home / "data" / "ledger.db")
    try:
        ledger = Ledger(database, "reader", new_id)
        assert ledger.verify().problems == ()
        return list(ledger.interactions())
    finally:
        database.close()


def outcomes(home: Path) -> list[Outcome | None]:
    return [one.outcome for one in interactions(home)]


def unexplained(router: Daemon) -> list[str]:
    """Return what a daemon said beside its greeting and how each request ended, without time and level."""
    said = [line.split(maxsplit=2)[-1] for line in router.lines if not line.startswith("listening on")]
    return [event for event in said if not re.match(r"request interaction=\S+ status=interrupted ", event)]


def live_streams(router: Daemon, upstream: Upstream) -> list[socket.socket]:
    """Return connections on which a stream has begun that will not end by itself."""
    upstream.behaviour = "slow"
    streams = [raw_request(router, ask("hello", stream=True)) for _ in range(STREAMS)]
    for stream in streams:
        read_until(stream, b"You")
    return streams


def test_a_stopping_daemon_tells_and_cuts_every_live_stream_and_records_how_each_ended(
    home: Path, upstream: Upstream
) -> None:
    with daemon(home) as router:
        streams = live_streams(router, upstream)
        router.process.send_signal(signal.SIGTERM)
        told = [read_all(stream) for stream in streams]
        code = router.stop()
        for stream in streams:
            stream.close()
    ended = outcomes(home)

    assert code == 0
    assert unexplained(router) == ["the time to drain is over: 20 requests cut off"]
    assert all(b'{"error":{"message":' in text and b"stopping" in text for text in told)
    assert not any(b"[DONE]" in text or text.endswith(b"0\r\n\r\n") for text in told)
    assert [one.status for one in ended if one] == [Status.INTERRUPTED] * STREAMS
    eventually(lambda: len(upstream.left_at) == STREAMS)


def test_a_stopping_daemon_takes_no_new_connection(home: Path, upstream: Upstream) -> None:
    with daemon(home) as router:
        (stream, *others) = live_streams(router, upstream)
        router.process.send_signal(signal.SIGTERM)
        eventually(lambda: not _accepts(router))
        assert router.process.poll() is None
        assert router.stop() == 0
        for one in (stream, *others):
            one.close()


def _accepts(router: Daemon) -> bool:
    try:
        return get(f"{router.url}/healthz")[0] == 200
    except OSError:
        return False


def test_streams_of_a_killed_daemon_are_interrupted_once_by_the_next_start(home: Path, upstream: Upstream) -> None:
    with daemon(home) as router:
        streams = live_streams(router, upstream)
        router.stop(signal.SIGKILL)
        for stream in streams:
            stream.close()
    assert outcomes(home) == [None] * STREAMS
    for _ in range(2):
        with daemon(home) as router:
            said = list(router.lines)
            assert router.stop() == 0
        ended = outcomes(home)
        assert [one.status for one in ended if one] == [Status.INTERRUPTED] * STREAMS

    assert not any("left open" in line for line in said)


def test_a_second_daemon_of_a_home_is_one_line_and_exit_code_4_and_harms_nothing(home: Path) -> None:
    with daemon(home) as router:
        second = run_command(home, "serve", "--port", "0")
        answered = post(f"{router.url}/v1/chat/completions", ask("x"))[0]

        assert second.returncode == 4
        assert second.stderr.count("\n") == 1
        assert f"process {router.process.pid} at {router.url} serves the home {home}" in second.stderr
        assert answered == 200


def test_a_second_start_on_the_same_port_names_the_daemon_of_the_home(home: Path) -> None:
    with daemon(home) as router:
        second = run_command(home, "serve", "--port", str(urlsplit(router.url).port))
        other = run_command(home.parent / "other", "serve", "--port", str(urlsplit(router.url).port))

    assert (second.returncode, other.returncode) == (4, 4)
    assert f"process {router.process.pid} at {router.url} serves the home {home}" in second.stderr
    assert "is taken; stop the other daemon or set daemon.port" in other.stderr


def test_a_second_ctrl_c_does_not_wait_and_still_records_how_requests_ended(home: Path, upstream: Upstream) -> None:
    write_config(home, upstream.url, more="[daemon]\ndrain_s = 600\n")
    with daemon(home) as router:
        streams = live_streams(router, upstream)
        router.process.send_signal(signal.SIGINT)
        eventually(lambda: not _accepts(router))
        code = router.stop(signal.SIGINT, timeout=60)
        for stream in streams:
            stream.close()

    assert code == 130
    assert unexplained(router) == []
    assert [one.status for one in outcomes(home) if one] == [Status.INTERRUPTED] * STREAMS


def test_a_daemon_that_ended_in_order_leaves_nothing_to_look_for(home: Path) -> None:
    with daemon(home) as router:
        assert post(f"{router.url}/v1/chat/completions", ask("x"))[0] == 200
        assert router.stop() == 0
    database = open_database(home / "data" / "ledger.db")
    with database.read() as connection:
        marks = connection.execute(select(writers.c.pid)).scalars().all()
    database.close()

    assert marks == [0]


def test_a_home_whose_daemon_was_killed_starts_at_once(home: Path) -> None:
    with daemon(home) as router:
        router.stop(signal.SIGKILL)
    with daemon(home) as router:
        assert get(f"{router.url}/readyz", router.admin)[0] == 200
        assert router.stop() == 0


def test_a_crowd_is_answered_or_told_to_come_back_while_the_daemon_stays_well(home: Path, upstream: Upstream) -> None:
    def slowly(_: object) -> str:
        time.sleep(0.01)
        return "done"

    upstream.answer = slowly
    write_config(home, upstream.url, more="[daemon]\nmax_in_flight = 8\nmax_waiting = 8\nmax_wait_s = 0.2\n")
    pauses: list[float] = []
    over = threading.Event()

    def look(url: str) -> None:
        while not over.is_set():
            began = time.monotonic()
            assert get(f"{url}/healthz")[0] == 200
            pauses.append(time.monotonic() - began)
            time.sleep(0.01)

    with daemon(home) as router, ThreadPoolExecutor(33) as crowd:
        looking = crowd.submit(look, router.url)
        asked = [crowd.submit(post, f"{router.url}/v1/chat/completions", ask("x")) for _ in range(200)]
        answers = [one.result()[:2] for one in asked]
        over.set()
        looking.result()
        idle = get(f"{router.url}/readyz", router.admin)[2]
        assert router.stop() == 0
    statuses = {status for status, _ in answers}
    served = [status for status, _ in answers if status == 200]

    assert statuses == {200, 503}
    assert all(headers["retry-after"] == "1" for status, headers in answers if status == 503)
    assert json.loads(idle)["in_flight"] == 0
    assert len(outcomes(home)) == len(served)
    assert all(one is not None and one.status is Status.OK for one in outcomes(home))
    assert sorted(pauses)[int(len(pauses) * 0.95)] < 5.0


def test_a_full_disk_refuses_work_and_says_so_until_there_is_room_again(home: Path, upstream: Upstream) -> None:
    with daemon(home) as router:
        url = f"{router.url}/v1/chat/completions"
        assert post(url, ask("x"))[0] == 200
        unlimited = resource.prlimit(router.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(router.process.pid, resource.RLIMIT_FSIZE, (1, unlimited[1]))
        status, _, body = post(url, ask("y"))
        ready, _, checks = get(f"{router.url}/readyz", router.admin)
        alive = get(f"{router.url}/healthz")[0]
        sent = len(upstream.requests)
        resource.prlimit(router.process.pid, resource.RLIMIT_FSIZE, unlimited)
        recovered = post(url, ask("z"))[0], get(f"{router.url}/readyz", router.admin)[0]
        assert router.stop() == 0

    assert (status, json.loads(body)["error"]["code"]) == (503, "ledger_unavailable")
    assert (ready, alive) == (503, 200)
    assert "cannot write" in json.loads(checks)["checks"]["ledger"]
    assert sent == 1
    assert recovered == (200, 200)
    assert any("cannot write" in line for line in router.lines)
    assert len(outcomes(home)) == 2


def test_systemd_hears_when_the_daemon_is_ready_alive_and_stopping(home: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        with daemon(home, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="200000") as router:
            heard = [systemd.recv(100) for _ in range(4)]
            assert get(f"{router.url}/healthz")[0] == 200
            assert router.stop() == 0
        systemd.settimeout(0)
        while heard[-1] != b"STOPPING=1":
            heard.append(systemd.recv(100))

    assert b"READY=1" in heard[:2]
    assert set(heard) == {b"READY=1", b"WATCHDOG=1", b"STOPPING=1"}


def test_what_a_daemon_did_is_on_its_metrics_page(home: Path, upstream: Upstream) -> None:
    with daemon(home) as router:
        url = f"{router.url}/v1/chat/completions"
        post(url, ask(f"mail {SECRET}"))
        upstream.statuses = [503]
        post(url, {**ask("x"), "model": "a-name-of-the-clients-own"})
        upstream.behaviour = "400"
        post(url, ask("x"))
        status, headers, body = get(f"{router.url}/metrics", router.admin)
    page = body.decode()

    assert status == 200
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert re.search(r'modelbreeder_requests_total{lane="cloud_escalation",[^}]*status="ok"[^}]*} 2\.0', page)
    assert re.search(r'modelbreeder_requests_total{lane="cloud_escalation",[^}]*status="error"[^}]*} 1\.0', page)
    assert 'modelbreeder_redactions_total{type="PIIEMAIL"} 1.0' in page
    assert 'model="vendor/other"' in page
    assert 'modelbreeder_upstream_attempts_total{result="ok",upstream="vendor"} 2.0' in page
    assert re.search(r'modelbreeder_upstream_attempts_total{result="(server|overloaded)",upstream="vendor"} 1\.0', page)
    assert 'modelbreeder_upstream_attempts_total{result="request",upstream="vendor"} 1.0' in page
    assert "modelbreeder_engine_deaths_total 0.0" in page
    assert "clients-own" not in page
    assert "4711" not in page
    assert "modelbreeder_in_flight 0.0" in page


def test_a_client_that_leaves_the_line_is_out_of_it(home: Path, upstream: Upstream) -> None:
    write_config(home, upstream.url, more="[daemon]\nmax_in_flight = 1\nmax_waiting = 1\nmax_wait_s = 600\n")
    upstream.behaviour = "hang"

    def waits(router: Daemon) -> bool:
        return b"\nmodelbreeder_waiting 1.0\n" in get(f"{router.url}/metrics", router.admin)[2]

    with daemon(home) as router, raw_request(router, ask("x")) as held:
        eventually(lambda: bool(upstream.requests))
        leaving = raw_request(router, ask("y"))
        eventually(lambda: waits(router))
        leaving.close()
        eventually(lambda: not waits(router))
        held.close()
        eventually(lambda: b'"in_flight":0' in get(f"{router.url}/readyz", router.admin)[2])
        assert router.stop() == 0

    assert len(upstream.requests) == 1
    assert len(outcomes(home)) == 1


def test_the_log_as_json_is_one_object_a_line_and_quotes_nobody(home: Path, upstream: Upstream) -> None:
    write_config(home, upstream.url, more='[daemon]\ndrain_s = 1\nlog = "json"\n')
    with daemon(home) as router:
        url = f"{router.url}/v1/chat/completions"
        _, headers, _ = post(url, ask(f"mail {SECRET}"))
        for behaviour in ("400", "500", "eof", "cut", "error-frame"):
            upstream.behaviour = behaviour
            with raw_request(router, ask(f"mail {SECRET}", stream=True)) as connection:
                read_until(connection, b"}}")
        post(url, SECRET.encode())
        get(f"{router.url}/v1/models/{SECRET}")
        get(f"{router.url}/{SECRET}")
        with raw_request(router, ask(SECRET)) as connection:
            connection.sendall(f"{SECRET}\r\n\r\n".encode())
            read_until(connection, b"}")
        assert router.stop() == 0
    text = "\n".join(router.lines)
    lines = [json.loads(line) for line in router.lines]
    first = next(line for line in lines if line["event"] == "request")

    assert "4711" not in text
    assert lines[0]["event"].startswith("listening on http://127.0.0.1:")
    assert first["interaction"] == headers["x-modelbreeder-interaction"]
    assert (first["level"], first["status"], first["lane"]) == ("info", "ok", "cloud_escalation")
    assert first["rule"]
    assert first["ms"] > 0
    assert {"error", "truncated"} <= {line.get("status") for line in lines}
    assert all({"at", "level", "event"} <= set(line) for line in lines)


def test_a_log_that_nobody_reads_stops_no_request(home: Path) -> None:
    """A terminal whose output is paused is a pipe that is full."""
    unread, log = os.pipe()
    fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, 4096)
    serve = command(home, "serve", "--port", "0")
    with subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=log, text=True, env=environment()) as router:
        os.close(log)
        assert router.stdout is not None
        found = re.search(r"listening on (\S+)", router.stdout.readline())
        assert found is not None
        statuses = [post(f"{found[1]}/v1/chat/completions", ask("x"))[0] for _ in range(40)]
        router.send_signal(signal.SIGTERM)
        code = router.wait(20)
        os.close(unread)

    assert statuses == [200] * 40
    assert code == 0
