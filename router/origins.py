"""Keeps web pages out: only loopback host names, no foreign Origin, no cross-site fetches."""

from __future__ import annotations

import ipaddress
import re

from starlette.types import ASGIApp, Receive, Scope, Send

from registry.errors import ConfigError
from router.dialects.known import dialect_at
from router.http_wire import HttpWire
from router.problems import ForeignCallerError, problem_of
from router.request_ids import name_of

_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_ORIGIN = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\]):([0-9]{1,5})", re.IGNORECASE)


def is_loopback(host: str) -> bool:
    """Say whether an address, or localhost, is this machine's own; ConfigError where it is no address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise ConfigError(f"daemon.host {host!r} is no address; use 127.0.0.1") from error


class LoopbackOnly:
    """ASGI middleware that refuses what a rebinding host name or a foreign page sends.

    With `any_host`, for a daemon that listens elsewhere too, its tokens keep out what came by a foreign host name.
    """

    def __init__(self, app: ASGIApp, *, any_host: bool = False) -> None:
        self._app = app
        self._any_host = any_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with 403."""
        if scope["type"] == "http":
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            server = scope.get("server")
            why = foreign(headers, server[1] if server else None, any_host=self._any_host)
            if why:
                wire = HttpWire(send, dialect_at(scope["path"]), request_id=name_of(scope))
                await wire.refuse(problem_of(ForeignCallerError(why)), {})
                return
        await self._app(scope, receive, send)


def foreign(headers: dict[str, str], port: int | None, *, any_host: bool = False) -> str:
    """Say why a caller is foreign to this machine, empty where it is not; header names are lower case."""
    host = headers.get("host", "")
    if not any_host and not _HOST.fullmatch(host):
        return f"host {host[:80]!r} is not this machine's loopback; use http://127.0.0.1"
    origin = headers.get("origin")
    match = _ORIGIN.fullmatch(origin) if origin is not None else None
    if origin is not None and (match is None or int(match[2]) != port):
        return f"origin {origin[:80]!r} may not call this daemon; call it from a program, not from a web page"
    if headers.get("sec-fetch-site") == "cross-site":
        return "cross-site calls from web pages are refused; call it from a program"
    return ""
