"""A turn's wire over HTTP, and the race between a turn and a client that leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Send

from registry.errors import LedgerError
from router.dialects.protocol import Dialect
from router.exchange import CutStreamError
from router.heartbeat import Heartbeat, Later
from router.problems import InvalidRequestError, MediaTypeError, Problem, ProblemType, TooLargeError
from router.request_ids import REQUEST_ID

MAX_BODY_BYTES = 32 << 20
_STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}
_STOPPING = Problem(503, ProblemType.UNAVAILABLE, "the daemon is stopping; ask again", "stopping", retryable=True)


class HttpWire:
    """One HTTP response; `begun` says whether its headers have left. Errors are in the client's dialect.

    A stream that is silent for long is pinged, from its first frame until it ends or `hush` is called.
    """

    def __init__(self, send: Send, dialect: Dialect, later: Later | None = None, *, request_id: str = "") -> None:
        """Know the name of the request, which an error has where no interaction names it."""
        self._request_id = request_id
        self._send = send
        self._dialect = dialect
        self._heart = Heartbeat(lambda: self._frame(dialect.ping), later)
        self.gone = False
        self.begun = False
        self._over = False

    async def answer(self, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole JSON answer."""
        await self._answer(200, headers, body)

    async def refuse(self, problem: Problem, headers: Mapping[str, str]) -> None:
        """Send an error answer."""
        body = self._dialect.error(problem, headers.get(REQUEST_ID, self._request_id))
        await self._answer(self._dialect.error_status(problem), {**headers, **problem.headers}, body)

    async def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.begun = True
        typed = {**headers, "content-type": "application/json", "content-length": str(len(body))}
        await self._send({"type": "http.response.start", "status": status, "headers": _encoded(typed)})
        await self._send({"type": "http.response.body", "body": body})
        self._over = True

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Send the headers of a stream."""
        self.begun = True
        headers = {**headers, **_STREAM_HEADERS}
        await self._send({"type": "http.response.start", "status": 200, "headers": _encoded(headers)})
        self._heart.start()

    async def write(self, frame: bytes) -> None:
        """Send one frame at once."""
        await self._frame(frame)
        self._heart.heard()

    async def _frame(self, frame: bytes) -> None:
        await self._send({"type": "http.response.body", "body": frame, "more_body": True})

    async def fail(self, problem: Problem, headers: Mapping[str, str]) -> None:
        """Say what went wrong, in what is still open to be said; a stream is not ended."""
        self.hush()
        if self._over:
            return
        if self.begun:
            await self.write(self._dialect.error_frame(problem))
        else:
            await self.refuse(problem, headers)

    async def stop(self) -> None:
        """Say that the daemon stops."""
        await self.fail(_STOPPING, {})

    def hush(self) -> None:
        """Ping no more."""
        self._heart.stop()

    async def end(self) -> None:
        """Send the terminating chunk."""
        self.hush()
        self._over = True
        await self._send({"type": "http.response.body", "body": b""})


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]


async def race(receive: Receive, wire: HttpWire, turn: Coroutine[object, object, None]) -> None:
    """Run a turn; cancel it as soon as the client leaves, and wait until it has cleaned up.

    A stream that broke is left without its terminating chunk, whereupon the server cuts the connection.
    """
    work = asyncio.create_task(turn)
    gone = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        await _cancelled(work)
        await wire.stop()
        raise
    finally:
        gone.cancel()
    try:
        await _ended(work, wire)
    finally:
        wire.hush()


async def _ended(work: asyncio.Task[None], wire: HttpWire) -> None:
    if not work.done():
        wire.gone = True
        await _cancelled(work)
        return
    try:
        work.result()
    except CutStreamError:
        return


async def _cancelled(work: asyncio.Task[None]) -> None:
    work.cancel()
    await asyncio.wait({work})
    error = None if work.cancelled() else work.exception()
    # The client is gone or the daemon stops, so nobody can be told; the next start closes the open intent.
    if error is not None and not isinstance(error, LedgerError | CutStreamError):
        raise error


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def read_json_body(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """Return the body of a JSON request.

    Raises:
        MediaTypeError: it is not declared as JSON, as a web form would not be, or is compressed.
        TooLargeError: it is longer than the limit, in bytes.
        InvalidRequestError: the client left in the middle of it.

    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json":
        raise MediaTypeError(f"content-type is {media_type!r}; send application/json")
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        # A small body may unpack to any size.
        raise MediaTypeError(f"content-encoding is {coding[:40]!r}; send the body as it is")
    if int(request.headers.get("content-length") or 0) > limit:
        raise TooLargeError(f"the body is over {limit:,} bytes; send less")
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > limit:
                raise TooLargeError(f"the body is over {limit:,} bytes; send less")
    except ClientDisconnect as error:
        raise InvalidRequestError("the client left before its request was whole") from error
    return bytes(body)
