"""The least that a proxy can do: Starlette, uvicorn and aiohttp as the router has them, and bytes passed through.

`python -m tests.bench.bare_proxy UPSTREAM_URL` prints its port once it listens.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator

import aiohttp
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route


async def _serve(upstream: str) -> None:
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)

    async def passed(request: Request) -> Response:
        answer = await session.post(
            upstream + request.url.path, data=await request.body(), headers={"Content-Type": "application/json"}
        )
        if answer.content_type != "text/event-stream":
            return Response(await answer.read(), answer.status, media_type="application/json")
        return StreamingResponse(_pieces(answer), answer.status, media_type="text/event-stream")

    app = Starlette(routes=[Route("/{path:path}", passed, methods=["POST"])])
    config = uvicorn.Config(
        app, loop="none", http="httptools", ws="none", lifespan="off", log_config=None, access_log=False
    )
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        await uvicorn.Server(config).serve(sockets=[listener])
    await session.close()


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async with answer:
        async for piece in answer.content.iter_any():
            yield piece


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
