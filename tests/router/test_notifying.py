"""The words of sd_notify over a real socket, as systemd would hear them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.notifying import READY, STOPPING, Notifier
from tests.router.making import run


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(5)
        yield ear


def test_systemd_hears_each_state(systemd: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    notifier.tell(READY)
    notifier.tell(STOPPING)

    assert [systemd.recv(100) for _ in range(2)] == [b"READY=1", b"STOPPING=1"]


def test_an_abstract_socket_is_reached_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind("")
        ear.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@{ear.getsockname()[1:].decode()}"}).tell(READY)

        assert ear.recv(100) == b"READY=1"


def test_a_systemd_that_does_not_listen_or_is_not_there_is_no_matter(tmp_path: Path) -> None:
    for environ in ({"NOTIFY_SOCKET": str(tmp_path / "nobody")}, {}):
        Notifier(environ).tell(READY)

    assert list(tmp_path.iterdir()) == []


def test_the_watchdog_hears_twice_in_its_time_that_the_loop_turns(systemd: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"})

    async def scene() -> list[bytes]:
        telling = asyncio.create_task(notifier.keep_alive())
        heard = [await asyncio.to_thread(systemd.recv, 100) for _ in range(3)]
        telling.cancel()
        return heard

    assert run(scene()) == [b"WATCHDOG=1"] * 3


def test_nobody_is_told_where_no_watchdog_asks(tmp_path: Path) -> None:
    for environ in ({"NOTIFY_SOCKET": str(tmp_path / "notify")}, {"WATCHDOG_USEC": "20000"}):
        waiting = Notifier(environ).keep_alive()
        assert run(asyncio.wait_for(waiting, 60)) is None
