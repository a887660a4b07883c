"""Keeps web pages out: only names that are this daemon's own, no foreign Origin, no fetches from other sites.

A browser lets no page choose its Host, Origin or Sec-Fetch-Site, so these three tell a page from a program: a rebound
name from its Host, any other page, that of another program on this machine too, from the other two.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from registry.errors import ConfigError
from registry.settings import DaemonSettings
from router.dialects.known import dialect_at
from router.http_wire import HttpWire
from router.problems import ForeignCallerError, problem_of
from router.request_ids import name_of

_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_WELCOME_SITES = frozenset({"same-origin", "none"})
"""What a browser says of its user's own address bar, and of pages of this daemon."""


def is_loopback(host: str) -> bool:
    """Say whether an address, or localhost, is this machine's own; ConfigError where it is no address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise ConfigError(f"daemon.host {host!r} is no address; use 127.0.0.1") from error


def is_reachable(daemon: DaemonSettings) -> bool:
    """Say whether other machines may reach the daemon: by its address, or through a proxy that gives it a name."""
    return bool(daemon.hosts) or daemon.behind_proxy or not is_loopback(daemon.host)


class OwnNamesOnly:
    """ASGI middleware that refuses what a rebinding host name or a foreign page sends."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] = ()) -> None:
        """Answer to these names too, lower case and without port, beside loopback's and the address reached."""
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an HTTP request on, or refuse it with 403; nothing else is served."""
        if scope["type"] != "http":
            return
        why = foreign(scope["headers"], scope.get("server"), self._hosts)
        if why:
            wire = HttpWire(send, dialect_at(scope["path"]), request_id=name_of(scope))
            await wire.refuse(problem_of(ForeignCallerError(why)), {})
            return
        await self._app(scope, receive, send)


def foreign(
    headers: Iterable[tuple[bytes, bytes]], server: tuple[str, int | None] | None, hosts: Collection[str] = ()
) -> str:
    """Say why a caller is foreign to this daemon, empty where it is not.

    Args:
        headers: the request's, names in lower case.
        server: the address and port at which it was reached.
        hosts: further names that are its own.

    """
    given: dict[bytes, list[str]] = {b"host": [], b"origin": [], b"sec-fetch-site": []}
    for name, value in headers:
        if name in given:
            given[name].append(value.decode("latin-1").lower())
    host = given[b"host"][0] if len(given[b"host"]) == 1 else ""
    if not _is_own(host, server, hosts):
        shown = ", ".join(given[b"host"])[:80]
        return f"host {shown!r} is none of this daemon's; use http://127.0.0.1, or list its name in daemon.hosts"
    for origin in given[b"origin"]:
        if not _is_own_origin(origin, host, server):
            return f"origin {origin[:80]!r} may not call this daemon; call it from a program, not from a web page"
    if not _WELCOME_SITES.issuperset(given[b"sec-fetch-site"]):
        return "cross-site calls from web pages are refused; call it from a program"
    return ""


def _is_own(host: str, server: tuple[str, int | None] | None, hosts: Collection[str]) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1]
    return name in _LOOPBACK or name in hosts or (server is not None and name == _literal(server[0]))


def _literal(address: str) -> str:
    """Return an address as it stands in a Host, empty where it is none: no name can be rebound to one of those."""
    try:
        return f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
    except ValueError:
        return ""


def _is_own_origin(origin: str, host: str, server: tuple[str, int | None] | None) -> bool:
    """Say whether a page is the daemon's own: of loopback, and of the very host and port that it calls."""
    name, _, port = host.rpartition(":")
    reached = server is not None and port == str(server[1])
    return name in _LOOPBACK and reached and origin in (f"http://{host}", f"https://{host}")
