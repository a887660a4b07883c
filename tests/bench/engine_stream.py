"""Tokens per second of one engine stream against a bare `llama_decode` loop.

`python -m tests.bench.engine_stream`; the two take turns in one run, because only their ratio means anything
on a busy machine.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from router.engine.llama import Llama
from router.engine.process import EngineProcess
from router.engine.protocol import Done, GenerateRequest, Message
from tests.pico import PicoShape, write_pico

SEEDLING_SHAPE = PicoShape(hidden=256, layers=4, feed=704)
CHAT = (Message("user", "the quick brown fox"),)


def bare_rate(llama: Llama, prompt: list[int], tokens: int) -> float:
    """Decode greedily with nothing but llama.cpp and an argmax."""
    llama.keep(0)
    started = time.perf_counter()
    logits = llama.read(prompt, 0, outputs=slice(-1, None))[0]
    for position in range(len(prompt), len(prompt) + tokens - 1):
        logits = llama.step(int(logits.argmax()), position)
    return tokens / (time.perf_counter() - started)


async def stream_rate(engine: EngineProcess, tokens: int) -> float:
    """Stream an answer to this process, piece by piece."""
    started = time.perf_counter()
    async for item in engine.generate(GenerateRequest(CHAT, tokens)):
        if isinstance(item, Done):
            assert item.completion_tokens == tokens, "a base that stops early measures its start, not its stream"
            return item.completion_tokens / (time.perf_counter() - started)
    raise AssertionError("a stream ends with Done")


async def measure(base: Path, *, tokens: int, rounds: int, threads: int) -> list[tuple[float, float]]:
    """Return (bare, stream) tokens per second of each round."""
    llama = Llama(base, threads=threads, context=2048)
    with tempfile.TemporaryDirectory() as folder:
        async with EngineProcess(base, socket_dir=Path(folder), threads=threads, context=2048) as engine:
            prompt = await engine.tokenize(CHAT)
            await stream_rate(engine, tokens)
            return [(bare_rate(llama, prompt, tokens), await stream_rate(engine, tokens)) for _ in range(rounds)]


def main() -> None:
    """Measure a given base, or a random one of the seedling's shape."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", type=Path)
    parser.add_argument("--tokens", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = options.base or write_pico(Path(folder) / "base.gguf", shape=SEEDLING_SHAPE)
        rates = asyncio.run(measure(base, tokens=options.tokens, rounds=options.rounds, threads=options.threads))
    bare, stream = (statistics.median(column) for column in zip(*rates, strict=True))
    ratio = statistics.median(mine / theirs for theirs, mine in rates)
    sys.stdout.write(f"bare {bare:,.0f} tokens/s, stream {stream:,.0f} tokens/s, median ratio {ratio:.2f}\n")


if __name__ == "__main__":
    main()
