"""The real upstream: one configured model server over aiohttp.

No redirects, no compression, no retries here; a credential goes to its upstream's own base URL and nowhere else. What
its name resolves to is looked at where the socket is made, so that the address connected to is the one that was judged.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from functools import partial

import aiohttp
from aiohttp.abc import AbstractResolver

from registry.errors import ConfigError, UpstreamError
from registry.settings import UpstreamSettings
from registry.upstreams import address_flaw
from router.upstream import CloudReply, CloudRequest, UnreachableError, UpstreamTimeoutError

_USER_AGENT = "modelbreeder/0.1"
_ANTHROPIC_VERSION = "2023-06-01"
"""What is asked for where the client names no version: all other clients' requests are translated to this one."""


class HttpCloud:
    """One configured upstream over a pool of connections; make it inside a running event loop."""

    def __init__(
        self,
        name: str,
        settings: UpstreamSettings,
        key: str | None,
        proxy: str | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """Take the key that `settings.api_key_env` held at start, None where it was not set."""
        self._name = name
        self._settings = settings
        self._key = key.strip() if key else None
        self._proxy = proxy
        # A proxy looks the name up itself; its own address is its user's business.
        near = settings.may_be_near or proxy is not None
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=30, resolver=resolver, socket_factory=partial(_socket_for, near=near)
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"},
        )

    async def open(self, request: CloudRequest) -> CloudReply:
        """Send a request; see `Cloud.open`."""
        settings, first_by = self._settings, asyncio.get_running_loop().time() + self._settings.first_token_timeout_s
        timeout = aiohttp.ClientTimeout(
            total=request.timeout_s, connect=settings.connect_timeout_s, sock_read=settings.first_token_timeout_s
        )
        try:
            response = await self._session.post(
                settings.base_url + request.path,
                data=request.body,
                headers=self._headers(request),
                timeout=timeout,
                allow_redirects=False,
                proxy=self._proxy,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise UnreachableError(f"upstream {self._name!r} cannot be reached: {error}; check base_url") from error
        except aiohttp.SocketTimeoutError as error:
            raise _silent(self._name, settings) from error
        except TimeoutError as error:
            raise UpstreamTimeoutError(f"upstream {self._name!r} did not answer in {request.timeout_s:g} s") from error
        except (aiohttp.ClientConnectionError, OSError) as error:
            broke = f"upstream {self._name!r} broke the connection before it answered"
            raise UnreachableError(f"{broke}: {error!r}; ask again") from error
        except aiohttp.ClientError as error:
            raise UpstreamError(f"upstream {self._name!r} does not answer in HTTP: {error!r}") from error
        return HttpReply(self._name, settings, response, first_by if request.stream else None)

    def _headers(self, request: CloudRequest) -> dict[str, str]:
        key = self._settings.api_key_env and self._key
        if self._settings.api_key_env and not key:
            raise missing_key(self._name, self._settings)
        own = {"Content-Type": "application/json"}
        if self._settings.dialect != "anthropic":
            return {**request.headers, **own, **({"Authorization": f"Bearer {key}"} if key else {})}
        version = {"anthropic-version": _ANTHROPIC_VERSION}
        return {**version, **request.headers, **own, **({"x-api-key": key} if key else {})}

    async def aclose(self) -> None:
        """Close the pool."""
        await self._session.close()


class HttpReply:
    """An aiohttp response as a CloudReply."""

    def __init__(
        self, name: str, settings: UpstreamSettings, response: aiohttp.ClientResponse, first_by: float | None
    ) -> None:
        """Take the time by the loop's clock at which the body's first byte must be there, None where it need not."""
        self._name = name
        self._settings = settings
        self._response = response
        self._first_by = first_by
        self.status = response.status
        self.headers = {key.lower(): value for key, value in response.headers.items()}

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; see `CloudReply.chunks`."""
        idle_s = self._settings.idle_timeout_s
        try:
            piece = await self._first()
            self._count_silences(idle_s)
            while piece:
                yield piece
                piece = await self._response.content.readany()
        except aiohttp.SocketTimeoutError as error:
            raise UpstreamTimeoutError(f"upstream {self._name!r} was silent for {idle_s:g} s in its answer") from error
        except TimeoutError as error:
            raise UpstreamTimeoutError(f"upstream {self._name!r} did not end its answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(f"upstream {self._name!r} broke off its answer: {error!r}") from error

    async def _first(self) -> bytes:
        limit = asyncio.timeout_at(self._first_by)
        try:
            async with limit:
                return await self._response.content.readany()
        except TimeoutError as error:
            if limit.expired() or isinstance(error, aiohttp.SocketTimeoutError):
                raise _silent(self._name, self._settings) from error
            raise

    def _count_silences(self, idle_s: float) -> None:
        """Let the connection, where there is more to come, wait as long for each further piece as it may be idle."""
        connection = self._response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.read_timeout = idle_s
            connection.protocol.start_timeout()

    def close(self) -> None:
        """Drop the connection; one whose body was read to its end is back in the pool already."""
        self._response.close()


def _socket_for(info: aiohttp.AddrInfoType, *, near: bool) -> socket.socket:
    """Return a socket for an address that may be asked; OSError, which is told as unreachable, for any other."""
    family, kind, protocol, _, where = info
    address = str(where[0])
    if flaw := address_flaw(address, near=near):
        hint = "name a model server" if near else "set internal = true for an upstream of your own network"
        raise OSError(errno.EACCES, f"its address {address} {flaw}; {hint}")
    return socket.socket(family, kind, protocol)


def _silent(name: str, settings: UpstreamSettings) -> UpstreamTimeoutError:
    limit_s = settings.first_token_timeout_s
    waited = f"upstream {name!r} did not begin to answer in {limit_s:g} s"
    return UpstreamTimeoutError(f"{waited}; raise upstreams.{name}.first_token_timeout_s if its model thinks long")


def missing_key(name: str, settings: UpstreamSettings) -> ConfigError:
    """Return the error that says which variable to set."""
    return ConfigError(f"upstream {name!r} needs the environment variable {settings.api_key_env}; set it and restart")
