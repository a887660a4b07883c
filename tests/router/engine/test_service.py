"""Lines leave the decoding thread in order, together where they come fast, and never wait for a later one."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest

pytest.importorskip("llama_cpp")

from router.engine.service import Outbox


def test_a_line_put_during_the_pause_needs_no_later_one_to_arrive() -> None:
    async def scenario() -> None:
        outbox = Outbox(asyncio.get_running_loop())
        outbox.put(b"first")
        async with asyncio.timeout(5), aclosing(outbox.drain()) as chunks:
            assert await anext(chunks) == b"first"
            outbox.put(b"second")
            assert await anext(chunks) == b"second"

    asyncio.run(scenario())


def test_many_lines_travel_in_few_chunks_and_in_order() -> None:
    lines = [b"%d\n" % i for i in range(2000)]

    def produce(outbox: Outbox) -> None:
        for line in lines:
            outbox.put(line)
            time.sleep(0.00001)
        outbox.close()

    async def scenario() -> list[bytes]:
        outbox = Outbox(asyncio.get_running_loop())
        producing = asyncio.create_task(asyncio.to_thread(produce, outbox))
        chunks = [chunk async for chunk in outbox.drain()]
        await producing
        return chunks

    chunks = asyncio.run(scenario())
    assert b"".join(chunks) == b"".join(lines)
    assert len(chunks) < 1000
