"""The real daemon before the scripted upstream, asked over raw sockets: every byte a client gets, and the ledger."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from registry.database import Database, open_database
from registry.entities import Interaction, Outcome
from registry.ids import new_id
from registry.ledger import Ledger
from tests.faults.answers import CHAT, COMPLETIONS, MESSAGES, RESPONSES
from tests.faults.fault_proxy import FaultProxy, fault_proxy
from tests.faults.reading import PATHS
from tests.faults.scripted_upstream import PATIENCE_S, ScriptedUpstream, eventually, scripted_upstream
from tests.router.daemon import Daemon, daemon, write_config

MODELS = {CHAT: "gpt-5.4", COMPLETIONS: "gpt-5.4", MESSAGES: "claude-9", RESPONSES: "o9"}
"""The model whose upstream speaks a surface."""
PAIRS = (
    (CHAT, CHAT),
    (CHAT, MESSAGES),
    (MESSAGES, MESSAGES),
    (MESSAGES, CHAT),
    (RESPONSES, RESPONSES),
    (RESPONSES, CHAT),
    (RESPONSES, MESSAGES),
    (COMPLETIONS, COMPLETIONS),
)
"""Each client's surface with each surface that the router asks an upstream in for it."""
_ROWS = """
[upstreams.anth]
dialect = "anthropic"
base_url = "{url}"
models = ["claude-9"]
cooldown_s = 0
[upstreams.resp]
base_url = "{url}"
responses = true
models = ["o9"]
cooldown_s = 0
[upstreams.sleepy]
base_url = "{url}"
models = ["sleepy-5"]
cooldown_s = 0
idle_timeout_s = 0.2
first_token_timeout_s = 0.2
[upstreams.proxied]
base_url = "{proxy}"
models = ["far-5"]
cooldown_s = 0
attempts = 1
[upstreams.halting]
base_url = "{proxy}"
models = ["halting-5"]
cooldown_s = 0
idle_timeout_s = 1
[upstreams.gone]
base_url = "http://127.0.0.1:1/v1"
models = ["gone-5"]
cooldown_s = 0
attempts = 1
[upstreams.lost]
base_url = "http://nobody.invalid/v1"
models = ["lost-5"]
cooldown_s = 0
attempts = 1
[daemon]
drain_s = 1
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What a client got: its status, headers, the bytes of the body, and whether the body was ended."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool

    @property
    def interaction(self) -> str:
        """The interaction that it belongs to."""
        return self.headers["x-modelbreeder-interaction"]


@dataclass
class Scene:
    """A running daemon, its upstream, a proxy before that, and the ledger."""

    daemon: Daemon
    upstream: ScriptedUpstream
    proxy: FaultProxy
    database: Database
    home: Path

    def ask(self, surface: str, body: bytes, headers: Mapping[str, str] | None = None) -> Asking:
        """Send a request; what comes back is read by and by."""
        return Asking(self.daemon.url, surface, body, headers or {})

    def told(self, surface: str, body: bytes, headers: Mapping[str, str] | None = None) -> Told:
        """Return the whole of what a client gets."""
        with self.ask(surface, body, headers) as asking:
            return asking.rest()

    def interactions(self) -> list[Interaction]:
        """Return what the ledger has, oldest first."""
        return list(Ledger(self.database, "reader", new_id).interactions())

    def outcome(self, interaction_id: str) -> Outcome:
        """Return how an interaction ended, which the ledger may learn a moment after the client."""
        ledger = Ledger(self.database, "reader", new_id)
        eventually(lambda: ledger.interaction(interaction_id).outcome)
        found = ledger.interaction(interaction_id).outcome
        assert found is not None
        return found


class Asking:
    """One request on a raw connection."""

    def __init__(self, url: str, surface: str, body: bytes, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        self._got = b""
        self.connection = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE_S)
        named = {"Host": parts.netloc, "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        self.connection.sendall(f"POST {PATHS[surface]} HTTP/1.1\r\n{lines}\r\n".encode() + body)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def until(self, mark: bytes) -> None:
        """Read until something has come."""
        while mark not in self._got:
            piece = self.connection.recv(65536)
            assert piece, f"{mark!r} never came: {self._got!r}"
            self._got += piece

    def rest(self) -> Told:
        """Read to the end of the answer, or of the connection."""
        while not _is_whole(self._got):
            try:
                piece = self.connection.recv(65536)
            except ConnectionResetError:
                break
            if not piece:
                break
            self._got += piece
        head, body = _split(self._got)
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
        chunked = headers.get("transfer-encoding") == "chunked"
        return Told(int(lines[0].split(" ")[1]), headers, _unchunked(body) if chunked else body, _is_whole(self._got))


def _split(got: bytes) -> tuple[bytes, bytes]:
    head, _, body = got.partition(b"\r\n\r\n")
    return head, body


def _is_whole(got: bytes) -> bool:
    head, body = _split(got)
    if b"transfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n") and (body == b"0\r\n\r\n" or body.endswith(b"\r\n0\r\n\r\n"))
    length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return bool(length) and len(body) >= int(length)


def _unchunked(body: bytes) -> bytes:
    found = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        found, body = found + body[: int(size or b"0", 16)], body[int(size or b"0", 16) + 2 :]
    return found


@contextmanager
def scene(home: Path, *, policy: str = "", upstream: str = "", more: str = "") -> Iterator[Scene]:
    """Give a daemon before a scripted upstream, which it also reaches through a proxy."""
    with scripted_upstream() as scripted, fault_proxy(scripted.url) as proxy:
        rows = _ROWS.format(url=scripted.url, proxy=proxy.url) + more
        write_config(home, scripted.url, policy=policy, upstream=upstream, more=rows)
        with daemon(home) as child:
            database = open_database(home / "data" / "ledger.db")
            try:
                yield Scene(child, scripted, proxy, database, home)
            finally:
                database.close()


def error_of(body: bytes) -> dict[str, str]:
    """Return the error of an envelope, which each dialect keeps in the same place."""
    found: dict[str, str] = json.loads(body)["error"]
    return found
