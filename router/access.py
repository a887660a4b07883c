"""Lets clients in by their tokens. On loopback everybody may ask a model until a token is made; elsewhere nobody.

What is no model's API wants a token in any case: the admin's, from the private file in the home, or a client's where it
is the client's own business. A token gets no further than this: what is passed on of a request is who asks.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from registry.errors import LedgerError, ModelBreederError
from registry.tokens import LOCAL_CLIENT, Client, ClientToken
from router.dialects.known import dialect_at
from router.http_wire import HttpWire
from router.problems import UnauthenticatedError, problem_of
from router.request_ids import name_of

_log = logging.getLogger("modelbreeder.router")
TOKENS_TTL_S = 1.0
"""For how long a token that was revoked, or made, by another process may not be known as such."""
TOKEN_HEADERS = ("authorization", "x-api-key", "api-key")
OPEN_PATHS = frozenset({"/healthz"})
CLIENTS_PATHS = frozenset({"/v1/feedback", "/v1/route/explain"})
"""What a client with a token may do in its own name, and nobody without one."""
ADMIN_PATHS = frozenset({"/metrics"})
ADMIN_FILE = "admin.token"
"""The admin's token, in the data folder of the home."""
_LONGEST = 512


class TokenReader(Protocol):
    """Where tokens are kept; `registry.tokens.Tokens` is the real one."""

    def all(self) -> Sequence[ClientToken]:
        """Return every client's token, the revoked ones too."""
        ...


class Access:
    """Knows clients by their tokens; what cannot be read anew stays as it was last known."""

    def __init__(
        self, tokens: TokenReader, monotonic: Callable[[], float], *, admin: str = "", always: bool = False
    ) -> None:
        """Know the tokens of a reader, and the admin's; `always` demands one even where none was made."""
        self._tokens = tokens
        self._admin = admin.encode()
        self._monotonic = monotonic
        self._always = always
        self._known: Sequence[ClientToken] | None = None
        self._read_at_s = 0.0

    def is_admin(self, headers: Mapping[str, str]) -> bool:
        """Say whether one of these headers (lower case) has the admin's token, in a time that tells nothing of it."""
        given = (token.encode("utf-8", "surrogatepass") for token in _presented(headers))
        return bool(self._admin) and any(hmac.compare_digest(token, self._admin) for token in given)

    def client_of(self, headers: Mapping[str, str]) -> Client:
        """Return who asks with these headers (lower case).

        Raises:
            UnauthenticatedError: a token is demanded, and none of the headers has a good one.
            LedgerError: the tokens could never be read.

        """
        known = self._current()
        if not known and not self._always:
            return Client()
        presented = _presented(headers)
        # Each is compared with each, so that the time tells nobody whose token is nearly right.
        found = [one for token in presented for one in known if one.is_of(token)]
        good = [one for one in found if one.revoked_at_utc is None]
        if good:
            return good[0].client
        if found:
            raise UnauthenticatedError(f"the token of client {found[0].client.name!r} was revoked; ask for a new one")
        sent = "the token is not known" if presented else "no token was sent"
        raise UnauthenticatedError(f"{sent}; send one of `modelbreeder token add` as Bearer or x-api-key")

    def _current(self) -> Sequence[ClientToken]:
        now_s = self._monotonic()
        if self._known is None or now_s - self._read_at_s >= TOKENS_TTL_S:
            try:
                self._known = self._tokens.all()
            except LedgerError as error:
                if self._known is None:
                    raise
                _log.warning("the tokens cannot be read, so the last known ones hold: %s", error)
            self._read_at_s = now_s
        return self._known


class Guarded:
    """ASGI middleware that refuses whoever may not ask, and notes who may: `state.client` and `state.is_admin`."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with 401."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            try:
                # A route's pattern ends in `$`, which takes a path with a line feed behind it too.
                known = self._admitted(Headers(scope=scope), scope["path"].removesuffix("\n"))
            except ModelBreederError as error:
                asks = {"www-authenticate": "Bearer"} if isinstance(error, UnauthenticatedError) else {}
                wire = HttpWire(send, dialect_at(scope["path"]), request_id=name_of(scope))
                await wire.refuse(problem_of(error), asks)
                return
            scope.setdefault("state", {}).update(known)
        await self._app(scope, receive, send)

    def _admitted(self, headers: Mapping[str, str], path: str) -> dict[str, object]:
        """Return what is noted of who asks for a path; raise as `Access.client_of` where they may not."""
        if self._access.is_admin(headers):
            return {"client": Client(), "is_admin": True}
        client = self._access.client_of(headers)
        if path in ADMIN_PATHS or (path in CLIENTS_PATHS and client.name == LOCAL_CLIENT):
            also = ", or a client's" if path in CLIENTS_PATHS else ""
            raise UnauthenticatedError(
                f"{path} wants the admin's token{also}; send as Bearer what data/{ADMIN_FILE} of its home holds"
            )
        return {"client": client, "is_admin": False}


def _presented(headers: Mapping[str, str]) -> list[str]:
    """Return what may be tokens; tools send one header, or both with one of them filled in for form's sake."""
    given = [headers.get(name, "") for name in TOKEN_HEADERS]
    scheme, _, credential = given[0].partition(" ")
    given[0] = credential if scheme.lower() == "bearer" else ""
    return [token.strip() for token in given if token.strip() and len(token) <= _LONGEST]
