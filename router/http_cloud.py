"""The real upstream: one configured model server over aiohttp.

No redirects, no compression, no retries here; a credential goes to its upstream's own base URL and nowhere else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp

from registry.errors import ConfigError, UpstreamError
from registry.settings import UpstreamSettings
from router.upstream import CloudReply, CloudRequest, UnreachableError, UpstreamTimeoutError

_USER_AGENT = "modelbreeder/0.1"


class HttpCloud:
    """One configured upstream over a pool of connections; make it inside a running event loop."""

    def __init__(self, name: str, settings: UpstreamSettings, key: str | None, proxy: str | None = None) -> None:
        """Take the key that `settings.api_key_env` held at start, None where it was not set."""
        self._name = name
        self._settings = settings
        self._key = key
        self._proxy = proxy
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"},
        )

    async def open(self, request: CloudRequest) -> CloudReply:
        """Send a request; see `Cloud.open`."""
        idle_s = self._settings.idle_timeout_s if request.stream else None
        timeout = aiohttp.ClientTimeout(request.timeout_s, None, idle_s, self._settings.connect_timeout_s)
        headers = {**request.headers, **self._authorization(), "Content-Type": "application/json"}
        url = self._settings.base_url.rstrip("/") + request.path
        try:
            response = await self._session.post(
                url, data=request.body, headers=headers, timeout=timeout, allow_redirects=False, proxy=self._proxy
            )
        except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError, aiohttp.ConnectionTimeoutError) as error:
            raise UnreachableError(f"upstream {self._name!r} cannot be reached: {error}; check base_url") from error
        except TimeoutError as error:
            raise UpstreamTimeoutError(f"upstream {self._name!r} did not answer in {request.timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(f"upstream {self._name!r} failed: {error!r}") from error
        return HttpReply(self._name, response)

    def _authorization(self) -> dict[str, str]:
        if self._settings.api_key_env is None:
            return {}
        if not self._key:
            raise missing_key(self._name, self._settings)
        return {"Authorization": f"Bearer {self._key}"}

    async def aclose(self) -> None:
        """Close the pool."""
        await self._session.close()


class HttpReply:
    """An aiohttp response as a CloudReply."""

    def __init__(self, name: str, response: aiohttp.ClientResponse) -> None:
        self._name = name
        self._response = response
        self.status = response.status
        self.headers = {key.lower(): value for key, value in response.headers.items()}

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; see `CloudReply.chunks`."""
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except TimeoutError as error:
            raise UpstreamTimeoutError(f"upstream {self._name!r} fell silent in its answer") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(f"upstream {self._name!r} broke off its answer: {error!r}") from error

    def close(self) -> None:
        """Drop the connection; one whose body was read to its end is back in the pool already."""
        self._response.close()


def missing_key(name: str, settings: UpstreamSettings) -> ConfigError:
    """Return the error that says which variable to set."""
    return ConfigError(f"upstream {name!r} needs the environment variable {settings.api_key_env}; set it and restart")
