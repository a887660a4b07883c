"""The engine as router and breeder see it: a real child over a tiny base, streamed, cancelled, killed, misused."""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from registry.errors import EngineError
from router.engine.process import EngineProcess, restart_pause_s
from router.engine.protocol import (
    Answer,
    Done,
    EngineFileError,
    EngineRequestError,
    FinishReason,
    GenerateRequest,
    Message,
    Piece,
    RefusalKind,
)
from tests.pico import CHATML, PicoShape, pico_tokenizer, write_pico, write_pico_adapter

ResultT = TypeVar("ResultT")
HI = (Message("user", "hi"),)


def with_engine(
    base: Path,
    socket_dir: Path,
    scenario: Callable[[EngineProcess], Awaitable[ResultT]],
    *,
    context: int = 2048,
    clock: Callable[[], float] = time.monotonic,
) -> ResultT:
    """Run a scenario with an engine that is not started yet and always stopped."""

    async def run() -> ResultT:
        engine = EngineProcess(base, socket_dir=socket_dir, threads=1, context=context, clock=clock)
        try:
            return await scenario(engine)
        finally:
            await engine.stop()

    return asyncio.run(run())


async def answer(engine: EngineProcess, request: GenerateRequest) -> tuple[list[Piece], Done]:
    items = [item async for item in engine.generate(request)]
    *pieces, done = items
    assert isinstance(done, Done)
    return [piece for piece in pieces if isinstance(piece, Piece)], done


def short(adapter: Path | None = None, **changes: object) -> GenerateRequest:
    return GenerateRequest(**{"messages": HI, "max_tokens": 24, "adapter": adapter} | changes)  # type: ignore[arg-type]


def test_pieces_join_to_the_text_of_greedy_decoding_by_hand(base: Path, tmp_path: Path) -> None:
    async def scenario(engine: EngineProcess) -> tuple[list[int], list[Piece], Done]:
        tokens = await engine.tokenize(HI)
        pieces, done = await answer(engine, short())
        for _ in range(24):
            tokens.append(int((await engine.logits(tokens))[0].argmax()))
        return tokens, pieces, done

    tokens, pieces, done = with_engine(base, tmp_path, scenario)
    tokenizer = pico_tokenizer()
    prompt = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert tokens[:-24] == tokenizer.encode(prompt).ids
    raw = b"".join(bytes_of(token) for token in tokens[-24:])
    assert "".join(piece.text for piece in pieces) == raw.decode(errors="replace")
    assert (done.finish_reason, done.prompt_tokens, done.completion_tokens) == (
        FinishReason.LENGTH,
        len(tokens) - 24,
        24,
    )


def bytes_of(token: int) -> bytes:
    """Undo the byte-level alphabet of a token."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    byte_of = {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
    return bytes(byte_of[character] for character in pico_tokenizer().id_to_token(token) or "")


def test_the_mean_log_probability_is_that_of_the_pieces_and_of_the_logits(base: Path, tmp_path: Path) -> None:
    async def scenario(engine: EngineProcess) -> tuple[list[Piece], Done, float]:
        row = (await engine.logits(await engine.tokenize(HI)))[0].astype(np.float64)
        return *await answer(engine, short()), float(row.max() - np.log(np.exp(row).sum()))

    pieces, done, first = with_engine(base, tmp_path, scenario)
    assert done.mean_logprob == pytest.approx(sum(piece.logprob for piece in pieces) / 24)
    assert pieces[0].logprob == pytest.approx(first, abs=1e-4)


def test_greedy_repeats_itself_and_sampling_follows_its_seed(base: Path, tmp_path: Path) -> None:
    async def scenario(engine: EngineProcess) -> list[object]:
        requests = [short(), short(), short(temperature=1.0, seed=1), short(temperature=1.0, seed=1)]
        requests.append(short(temperature=1.0, seed=2))
        return [await answer(engine, request) for request in requests]

    greedy, again, sampled, same_seed, other_seed = with_engine(base, tmp_path, scenario)
    assert greedy == again
    assert sampled == same_seed
    assert len({str(found) for found in (greedy, sampled, other_seed)}) == 3


def test_adapters_that_take_turns_answer_as_each_alone(base: Path, adapters: list[Path], tmp_path: Path) -> None:
    choices = [None, *adapters]
    alone = [with_engine(base, tmp_path, lambda engine, a=a: answer(engine, short(a))) for a in choices]  # type: ignore[misc]
    assert len({str(found) for found in alone}) == 3

    async def turns(engine: EngineProcess) -> list[object]:
        order = (0, 1, 2, 1, 0, 2)
        together = await asyncio.gather(*(answer(engine, short(choices[index])) for index in order))
        return [found == alone[index] for index, found in zip(order, together, strict=True)]

    assert all(with_engine(base, tmp_path, turns))


def test_an_adapter_replaced_under_its_path_is_loaded_again(base: Path, tmp_path: Path) -> None:
    path = write_pico_adapter(tmp_path / "a.gguf", seed=1)

    async def scenario(engine: EngineProcess) -> list[object]:
        first = await answer(engine, short(path))
        write_pico_adapter(tmp_path / "b.gguf", seed=2).replace(path)
        return [first, await answer(engine, short(path))]

    first, second = with_engine(base, tmp_path, scenario)
    assert first != second


def test_a_stop_string_ends_the_answer_before_itself(base: Path, tmp_path: Path) -> None:
    async def scenario(engine: EngineProcess) -> tuple[str, str, Done]:
        whole = "".join(piece.text for piece in (await answer(engine, short()))[0])
        stop = whole[8:11]
        pieces, done = await answer(engine, short(stop=(stop,)))
        return whole[: whole.index(stop)], "".join(piece.text for piece in pieces), done

    expected, found, done = with_engine(base, tmp_path, scenario)
    assert expected == found
    assert done.finish_reason is FinishReason.STOP
    assert done.completion_tokens < 24


def test_an_end_of_text_token_ends_the_answer_and_counts(base: Path, tmp_path: Path) -> None:
    hot = short(temperature=50.0, max_tokens=2000)
    pieces, done = with_engine(base, tmp_path, lambda engine: answer(engine, hot))
    assert done.finish_reason is FinishReason.STOP
    assert done.completion_tokens == len(pieces) < 2000


def test_the_beginning_token_is_added_once_where_the_base_asks(tmp_path: Path) -> None:
    plain = write_pico(tmp_path / "plain.gguf", add_bos=True)
    written = write_pico(tmp_path / "written.gguf", add_bos=True, template="{{ bos_token }}" + CHATML)
    tokens = [with_engine(path, tmp_path, lambda engine: engine.tokenize(HI)) for path in (plain, written)]
    assert tokens[0] == tokens[1]
    assert tokens[0].count(0) == 1
    assert tokens[0][0] == 0


REFUSED = {
    "context": (
        short(max_tokens=2048),
        RefusalKind.CONTEXT,
        "prompt and 2,048 answer tokens exceed the context of 2,048",
    ),
    "prompt": (short(messages=(Message("user", "x" * 5000),)), RefusalKind.CONTEXT, "shorten the prompt"),
    "no tokens": (short(max_tokens=0), RefusalKind.INVALID, "max_tokens"),
    "no messages": (short(messages=()), RefusalKind.INVALID, "messages"),
    "temperature": (short(temperature=math.nan), RefusalKind.INVALID, "temperature"),
    "stop": (short(stop=("",)), RefusalKind.INVALID, "stop.0"),
    "seed": (short(seed=-1), RefusalKind.INVALID, "seed"),
}


def test_what_cannot_be_decoded_is_refused_and_the_engine_lives(base: Path, tmp_path: Path) -> None:
    async def scenario(engine: EngineProcess) -> None:
        expected = await answer(engine, short())
        pid = engine.pid
        for request, kind, complaint in REFUSED.values():
            with pytest.raises(EngineRequestError, match=complaint) as caught:
                await answer(engine, request)
            assert caught.value.kind is kind
        for tokens in ([320], [-1], []):
            with pytest.raises(EngineRequestError):
                await engine.logits(tokens)
        assert await answer(engine, short()) == expected
        assert engine.pid == pid

    with_engine(base, tmp_path, scenario)


def test_an_answer_may_fill_the_context_to_the_last_token(base: Path, tmp_path: Path) -> None:
    async def scenario(engine: EngineProcess) -> Done:
        room = 512 - len(await engine.tokenize(HI))
        return (await answer(engine, short(max_tokens=room)))[1]

    done = with_engine(base, tmp_path, scenario, context=512)
    assert done.prompt_tokens + done.completion_tokens == 512


def test_an_adapter_that_does_not_fit_is_refused_and_the_engine_lives(
    base: Path, adapters: list[Path], tmp_path: Path
) -> None:
    other = write_pico_adapter(tmp_path / "other.gguf", shape=PicoShape(hidden=128))
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(adapters[0].read_bytes()[:-500])
    complaints = {
        other: "is not an adapter for",
        cut: "not a usable GGUF file",
        tmp_path / "none.gguf": "cannot be read",
    }

    async def scenario(engine: EngineProcess) -> None:
        expected = await answer(engine, short())
        pid = engine.pid
        for path, complaint in complaints.items():
            with pytest.raises(EngineFileError, match=complaint) as caught:
                await answer(engine, short(path))
            assert str(path) in str(caught.value)
        assert await answer(engine, short()) == expected
        assert engine.pid == pid

    with_engine(base, tmp_path, scenario)


def spoil(base: Path, path: Path, how: str) -> None:
    whole = base.read_bytes()
    broken = {
        "truncated": whole[: len(whole) // 2],
        "magic": b"GGML" + whole[4:],
        "garbage": bytes(range(256)) * 64,
        "empty": b"",
        "unknown architecture": whole.replace(b"llama", b"lxama"),
    }
    if how in broken:
        path.write_bytes(broken[how])
    elif how == "adapter":
        write_pico_adapter(path)


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("missing", "cannot be read: No such file"),
        ("truncated", "is not a usable GGUF file: the data of tensor"),
        ("magic", "is not a usable GGUF file: it begins with b'GGML'"),
        ("garbage", "is not a usable GGUF file: it begins with"),
        ("empty", "is not a usable GGUF file: the magic needs 4 bytes"),
        ("adapter", "cannot serve as a base: its general.type is 'adapter'"),
        ("unknown architecture", "was refused by llama.cpp"),
    ],
)
def test_an_unusable_base_is_one_clear_line(base: Path, tmp_path: Path, how: str, complaint: str) -> None:
    path = tmp_path / "base.gguf"
    spoil(base, path, how)
    with pytest.raises(EngineFileError, match=complaint) as caught:
        with_engine(path, tmp_path / "s", lambda engine: engine.start())
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_base_that_was_mended_serves_without_a_rest(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "base.gguf"

    async def scenario(engine: EngineProcess) -> Done:
        for _ in range(4):
            with pytest.raises(EngineFileError):
                await engine.start()
        await asyncio.to_thread(shutil.copy, base, path)
        return (await answer(engine, short()))[1]

    assert with_engine(path, tmp_path, scenario).completion_tokens == 24


async def seconds_to_first_piece(engine: EngineProcess) -> float:
    started = time.perf_counter()
    async with asyncio.timeout(10), aclosing(engine.generate(short())) as pieces:
        await anext(pieces)
    return time.perf_counter() - started


def test_hanging_up_frees_the_engine_at_once(slow_base: Path, tmp_path: Path) -> None:
    """In the middle of an answer, in the middle of a prompt, and while waiting in the queue."""
    endless = short(max_tokens=16_000)
    long_prompt = short(messages=(Message("user", "x" * 15_000),))

    async def hang_up(engine: EngineProcess, request: GenerateRequest, after_s: float) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(after_s):
                await answer(engine, request)

    async def scenario(engine: EngineProcess) -> list[float]:
        await seconds_to_first_piece(engine)
        waits = []
        for request in (endless, long_prompt):
            await hang_up(engine, request, 0.4)
            waits.append(await seconds_to_first_piece(engine))
        await asyncio.gather(*(hang_up(engine, endless, 0.4) for _ in range(4)))
        return [*waits, await seconds_to_first_piece(engine)]

    waits = with_engine(slow_base, tmp_path, scenario, context=16_384)
    assert max(waits) < 4, waits


def test_health_answers_while_an_answer_is_decoded(slow_base: Path, tmp_path: Path) -> None:
    async def scenario(engine: EngineProcess) -> float:
        async with aclosing(engine.generate(short(max_tokens=16_000))) as pieces:
            await anext(pieces)
            started = time.perf_counter()
            health = await engine.health()
            assert (health.context, health.vocabulary) == (16_384, 320)
            assert "llama.cpp" in health.build
            return time.perf_counter() - started

    assert with_engine(slow_base, tmp_path, scenario, context=16_384) < 4


def test_the_context_is_cut_to_what_the_base_was_trained_for(base: Path, tmp_path: Path) -> None:
    health = with_engine(base, tmp_path, lambda engine: engine.health(), context=100_000)
    assert health.context == 4096


async def drain(answer: Answer) -> None:
    async for _ in answer:
        pass


def kill(engine: EngineProcess) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)


def test_after_a_kill_the_next_request_gets_a_new_child(base: Path, tmp_path: Path) -> None:
    async def scenario(engine: EngineProcess) -> None:
        expected = await answer(engine, short())
        first = engine.pid
        kill(engine)
        assert await answer(engine, short()) == expected
        assert engine.pid != first
        kill(engine)
        assert await engine.tokenize("hi") == pico_tokenizer().encode("hi").ids

    with_engine(base, tmp_path, scenario)


def test_a_kill_in_the_middle_of_an_answer_is_an_error_and_the_next_works(slow_base: Path, tmp_path: Path) -> None:
    async def scenario(engine: EngineProcess) -> Done:
        async with aclosing(engine.generate(short(max_tokens=2000))) as pieces:
            await anext(pieces)
            kill(engine)
            with pytest.raises(EngineError, match="died while answering, signal 9"):
                await drain(pieces)
        return (await answer(engine, short()))[1]

    assert with_engine(slow_base, tmp_path, scenario).completion_tokens == 24


def test_after_three_deaths_the_engine_rests(base: Path, tmp_path: Path) -> None:
    now = [1000.0]

    async def scenario(engine: EngineProcess) -> Done:
        await engine.start()
        for _ in range(2):
            kill(engine)
            await answer(engine, short())
        kill(engine)
        with pytest.raises(EngineError, match=r"died 3 times in 300 s and rests for 300 s; its last words: signal 9"):
            await answer(engine, short())
        assert engine.deaths == 3
        now[0] += 301
        return (await answer(engine, short()))[1]

    assert with_engine(base, tmp_path, scenario, clock=lambda: now[0]).completion_tokens == 24


def test_the_pause_grows_with_recent_deaths_and_forgets_old_ones() -> None:
    assert restart_pause_s([], 500) == 0
    assert restart_pause_s([500.0], 500) == pytest.approx(0.1)
    assert restart_pause_s([499.0, 500.0], 500) == pytest.approx(1)
    assert restart_pause_s([499.0, 500.0], 502) == 0
    assert restart_pause_s([100.0, 150.0, 600.0], 600) == pytest.approx(0.1)


def test_a_caller_who_gives_up_does_not_end_the_start(base: Path, tmp_path: Path) -> None:
    async def scenario(engine: EngineProcess) -> int | None:
        starting = asyncio.create_task(engine.start())
        await asyncio.sleep(0.1)
        starting.cancel()
        await engine.start()
        return engine.pid

    assert with_engine(base, tmp_path, scenario) is not None


def test_stopping_while_starting_leaves_nothing(base: Path, tmp_path: Path) -> None:
    async def scenario(engine: EngineProcess) -> None:
        starting = asyncio.create_task(engine.start())
        await asyncio.sleep(0.2)
        await engine.stop()
        with pytest.raises(asyncio.CancelledError):
            await starting

    with_engine(base, tmp_path, scenario)
    assert list(tmp_path.iterdir()) == []


def test_the_socket_is_private_and_goes_with_the_engine(base: Path, tmp_path: Path) -> None:
    async def scenario(engine: EngineProcess) -> None:
        await engine.start()
        (folder,) = (tmp_path / "sockets").iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "engine.sock").is_socket()

    with_engine(base, tmp_path / "sockets", scenario)
    assert (tmp_path / "sockets").stat().st_mode & 0o777 == 0o700
    assert list((tmp_path / "sockets").iterdir()) == []


def test_a_long_socket_folder_is_no_obstacle(base: Path, tmp_path: Path) -> None:
    assert with_engine(base, tmp_path / ("x" * 120), lambda engine: engine.tokenize("hi"))


def test_a_socket_folder_that_others_can_write_is_refused(base: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(EngineError, match="can be written by them"):
        with_engine(base, tmp_path, lambda engine: engine.start())


def test_keys_in_the_environment_do_not_reach_the_child(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")

    async def scenario(engine: EngineProcess) -> bytes:
        await engine.start()
        return await asyncio.to_thread(Path(f"/proc/{engine.pid}/environ").read_bytes)

    assert b"secret" not in with_engine(base, tmp_path, scenario)


def test_the_child_has_limits_and_no_network_where_the_kernel_lets_it_go(base: Path, tmp_path: Path) -> None:
    async def scenario(engine: EngineProcess) -> tuple[str, str, str]:
        await engine.start()
        process = Path(f"/proc/{engine.pid}")
        limits = await asyncio.to_thread((process / "limits").read_text)
        routes = await asyncio.to_thread((process / "net" / "dev").read_text)
        assert (await answer(engine, GenerateRequest(HI, 4)))[0]
        return str((process / "ns" / "net").readlink()), limits, routes

    network, limits, devices = with_engine(base, tmp_path, scenario)
    may = subprocess.run(["unshare", "--user", "--net", "true"], check=False, capture_output=True).returncode == 0

    assert "Max core file size        0 " in limits
    assert f"Max file size             {64 << 20} " in limits
    assert (network != str(Path("/proc/self/ns/net").readlink())) == may
    assert not may or [line.split(":")[0].strip() for line in devices.splitlines()[2:]] == ["lo"]


PARENT = """
import asyncio, sys
from pathlib import Path
from router.engine.process import EngineProcess

async def main():
    engine = EngineProcess(Path(sys.argv[1]), socket_dir=Path(sys.argv[2]), threads=1, context=512)
    await engine.start()
    print(engine.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_the_child_ends_with_its_parent(base: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, base, tmp_path], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()
