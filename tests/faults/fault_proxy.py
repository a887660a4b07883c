"""A TCP proxy between a daemon and its upstream that breaks what passes: cut, reset, half-open, held up, throttled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

from tests.faults.scripted_upstream import PATIENCE_S, reset, running

_PIECE = 65536


class Fault(StrEnum):
    """What becomes of a connection."""

    NONE = "none"
    REFUSE = "refuse"
    """It is reset as soon as it is there."""
    RESET = "reset"
    """It is reset behind so many bytes of the answer, once the test lets it."""
    CUT = "cut"
    """It ends with a FIN behind so many bytes of the answer."""
    HALF_OPEN = "half-open"
    """Behind so many bytes of the answer nothing more comes, and nobody says so."""
    DELAY = "delay"
    """What is behind so many bytes of the answer waits for the test."""
    THROTTLE = "throttle"
    """The answer passes one byte at a time, so that every split of it is seen."""


@dataclass
class FaultProxy:
    """Passes connections on to one server; a fault holds for connections that come after it was set."""

    target_port: int
    fault: Fault = Fault.NONE
    after_bytes: int = 0
    """How much of the answer, its head included, passes before the fault."""
    gate: threading.Event = field(default_factory=threading.Event)
    connections: int = 0
    url: str = ""

    def does(self, fault: Fault, after_bytes: int = 0) -> None:
        """Set the fault of the connections to come."""
        self.fault, self.after_bytes, self.connections = fault, after_bytes, 0
        self.gate = threading.Event()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        if self.fault is Fault.REFUSE:
            return reset(writer)
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        asking = asyncio.create_task(_ask(reader, there_writer))
        try:
            await self._answer(there_reader, writer)
        except ConnectionError:
            pass
        finally:
            asking.cancel()
            there_writer.close()
            writer.close()
        return None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = None if self.fault in (Fault.NONE, Fault.THROTTLE) else self.after_bytes
        while left is None or left > 0:
            piece = await reader.read(_PIECE if left is None else left)
            if not piece:
                return
            await self._write(writer, piece)
            left = None if left is None else left - len(piece)
        await self._break(reader, writer)

    async def _write(self, writer: asyncio.StreamWriter, piece: bytes) -> None:
        step = 1 if self.fault is Fault.THROTTLE else len(piece)
        for at in range(0, len(piece), step):
            writer.write(piece[at : at + step])
            await writer.drain()
            # The transport sends at once what it can, so that each step is a packet of its own.
            await asyncio.sleep(0)

    async def _break(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.fault is not Fault.CUT:
            gate = self.gate
            await asyncio.to_thread(gate.wait, PATIENCE_S)
        if self.fault is Fault.RESET:
            reset(writer)
        elif self.fault is Fault.DELAY:
            await _pass_on(reader, writer)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass the requests on until the daemon leaves, and then leave its upstream too."""
    with suppress(ConnectionError):
        await _pass_on(reader, writer)
    writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()


@contextmanager
def fault_proxy(target_url: str) -> Iterator[FaultProxy]:
    """Give a running proxy in front of a server; `url` has the server's own path."""
    host_port, _, path = target_url.removeprefix("http://").partition("/")
    proxy = FaultProxy(int(host_port.rpartition(":")[2]))
    with running(proxy.take) as port:
        proxy.url = f"http://127.0.0.1:{port}/{path}"
        try:
            yield proxy
        finally:
            proxy.gate.set()
