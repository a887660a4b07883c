"""The real client of upstreams, against a real server on loopback."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

from registry.errors import ConfigError, UpstreamError
from registry.settings import UpstreamSettings
from router.failures import FailureKind, kind_of
from router.http_cloud import HttpCloud
from router.upstream import CloudRequest, UnreachableError, UpstreamTimeoutError
from tests.router.making import run
from tests.router.raw_upstream import after, answers, ends, hangs, raw_upstream, resets, says, streams, writes

BODY = b'{"model": "m"}'


@asynccontextmanager
async def http_cloud(url: str, key: str | None = None, **settings: Any) -> AsyncIterator[HttpCloud]:
    cloud = HttpCloud("vendor", UpstreamSettings(base_url=url, **settings), key)
    try:
        yield cloud
    finally:
        await cloud.aclose()


def request(path: str = "/chat/completions", **more: Any) -> CloudRequest:
    return CloudRequest(path, BODY, **{"headers": {}, "timeout_s": 5.0, **more})


async def read(cloud: HttpCloud, asked: CloudRequest) -> list[bytes]:
    reply = await cloud.open(asked)
    try:
        return [chunk async for chunk in reply.chunks()]
    finally:
        reply.close()


async def failure(url: str, stream: bool = False, **settings: Any) -> UpstreamError:
    async with http_cloud(url, **settings) as cloud:
        with pytest.raises(UpstreamError) as caught:
            await read(cloud, request(stream=stream))
    return caught.value


def test_a_request_is_posted_below_the_base_url_and_its_answer_read() -> None:
    async def scene() -> None:
        async with raw_upstream(answers("hello")) as upstream, http_cloud(f"{upstream.url}/") as cloud:
            whole = b"".join(await read(cloud, request("/messages?beta=true")))
            (asked,) = upstream.requests

            assert b"hello" in whole
            assert (asked.path, asked.body) == ("/v1/messages?beta=true", BODY)
            assert asked.headers["content-type"] == "application/json"

    run(scene())


@pytest.mark.parametrize("dialect", ["openai", "ollama", "llama-server", "vllm"])
def test_openais_likes_get_the_key_as_a_bearer_token(dialect: str) -> None:
    async def scene() -> None:
        async with (
            raw_upstream(answers()) as upstream,
            http_cloud(upstream.url, "sesame\n", api_key_env="K", dialect=dialect) as cloud,
        ):
            await read(cloud, request())
            headers = upstream.requests[0].headers

            assert headers["authorization"] == "Bearer sesame"
            assert not {"x-api-key", "anthropic-version"} & set(headers)

    run(scene())


@pytest.mark.parametrize(("sent", "version"), [({}, "2023-06-01"), ({"anthropic-version": "2026-10-21"}, "2026-10-21")])
def test_anthropic_gets_the_key_in_its_own_header_and_the_version_that_the_client_spoke(
    sent: dict[str, str], version: str
) -> None:
    async def scene() -> None:
        async with (
            raw_upstream(answers()) as upstream,
            http_cloud(upstream.url, "sesame", api_key_env="K", dialect="anthropic") as cloud,
        ):
            await read(cloud, request("/messages", headers=sent))
            headers = upstream.requests[0].headers

            assert (headers["x-api-key"], headers["anthropic-version"]) == ("sesame", version)
            assert "authorization" not in headers

    run(scene())


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_without_its_key_nothing_is_sent(dialect: str) -> None:
    async def scene() -> None:
        async with (
            raw_upstream(answers()) as upstream,
            http_cloud(upstream.url, None, api_key_env="THE_KEY", dialect=dialect) as cloud,
        ):
            with pytest.raises(ConfigError, match="THE_KEY"):
                await cloud.open(request())

            assert upstream.requests == []

    run(scene())


def test_a_redirect_is_an_answer_and_the_key_does_not_follow_it() -> None:
    async def scene() -> None:
        async with raw_upstream(answers()) as other:
            moved = says(307, location=f"{other.url}/chat/completions")
            async with (
                raw_upstream(moved) as upstream,
                http_cloud(upstream.url, "sesame", api_key_env="K") as cloud,
            ):
                reply = await cloud.open(request())
                reply.close()

                assert reply.status == 307
                assert other.requests == []

    run(scene())


def test_r01_a_refused_connection_is_unreachable() -> None:
    async def scene() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            error = await failure(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")

        assert isinstance(error, UnreachableError)
        assert "'vendor' cannot be reached" in str(error)

    run(scene())


def test_r01_a_name_that_nobody_knows_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    assert isinstance(run(failure("http://vendor.invalid/v1")), UnreachableError)


def test_r01_a_name_that_nobody_answers_for_is_unreachable_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: Any, **__: Any) -> Any:
        time.sleep(0.2)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    error = run(failure("http://vendor.invalid/v1", connect_timeout_s=0.05))

    assert isinstance(error, UnreachableError)
    assert "timeout" in str(error)


@pytest.mark.parametrize("step", [resets, ends], ids=["RST", "FIN"])
def test_a_connection_that_breaks_before_a_byte_of_an_answer_is_unreachable(step: Any) -> None:
    async def scene() -> None:
        async with raw_upstream(step) as upstream:
            assert isinstance(await failure(upstream.url), UnreachableError)

    run(scene())


def test_what_is_no_http_is_an_answer_that_cannot_be_read() -> None:
    async def scene() -> None:
        async with raw_upstream(writes(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")) as upstream:
            assert kind_of(await failure(upstream.url)) is FailureKind.TRUNCATED

    run(scene())


@pytest.mark.parametrize("stream", [False, True])
def test_r07_who_accepts_and_never_answers_is_left_at_the_first_token_timeout(stream: bool) -> None:
    async def scene() -> None:
        async with raw_upstream(hangs) as upstream:
            error = await failure(upstream.url, stream, first_token_timeout_s=0.05)

        assert isinstance(error, UpstreamTimeoutError)
        assert "did not begin to answer in 0.05 s" in str(error)

    run(scene())


def test_r07_a_status_line_is_no_first_token_of_a_stream() -> None:
    async def scene() -> None:
        step = after(1.2, streams(hangs, pieces=[]))
        async with raw_upstream(step) as upstream:
            started = time.monotonic()
            error = await failure(upstream.url, True, first_token_timeout_s=1.5, idle_timeout_s=30)

        assert "did not begin to answer" in str(error)
        assert time.monotonic() - started < 2.6

    run(scene())


def test_r07_the_whole_time_of_a_request_stands_above_the_others() -> None:
    async def scene() -> None:
        async with raw_upstream(hangs) as upstream, http_cloud(upstream.url) as cloud:
            with pytest.raises(UpstreamTimeoutError, match="did not answer in 0.05 s"):
                await cloud.open(request(timeout_s=0.05))

    run(scene())


def test_the_whole_time_of_a_request_ends_a_stream_that_goes_on() -> None:
    async def scene() -> None:
        dripping = [after(0.03, writes(b"1\r\nx\r\n")) for _ in range(20)]
        async with raw_upstream(streams(*dripping)) as upstream, http_cloud(upstream.url) as cloud:
            with pytest.raises(UpstreamTimeoutError, match="did not end its answer"):
                await read(cloud, request(timeout_s=0.1, stream=True))

    run(scene())


def test_r08_silence_after_the_first_chunk_ends_at_the_idle_timeout() -> None:
    async def scene() -> None:
        async with raw_upstream(streams(hangs, pieces=[b"data: 1\n\n"])) as upstream:
            error = await failure(upstream.url, True, idle_timeout_s=0.05)

        assert isinstance(error, UpstreamTimeoutError)
        assert "silent for 0.05 s" in str(error)

    run(scene())


def test_a_slow_second_chunk_does_not_trip_the_first_token_timeout() -> None:
    async def scene() -> None:
        slow = after(0.7, writes(b"1\r\nb\r\n0\r\n\r\n"))
        async with (
            raw_upstream(streams(slow, pieces=[b"a"])) as upstream,
            http_cloud(upstream.url, first_token_timeout_s=0.5) as cloud,
        ):
            assert await read(cloud, request(stream=True)) == [b"a", b"b"]

    run(scene())


def test_a_slow_first_chunk_does_not_trip_the_idle_timeout() -> None:
    async def scene() -> None:
        async with (
            raw_upstream(after(0.3, streams(pieces=[b"a"]))) as upstream,
            http_cloud(upstream.url, idle_timeout_s=0.2) as cloud,
        ):
            assert await read(cloud, request(stream=True)) == [b"a"]

    run(scene())


@pytest.mark.parametrize("stream", [False, True])
def test_r09_a_reset_in_an_answer_breaks_it_off(stream: bool) -> None:
    async def scene() -> None:
        async with raw_upstream(streams(resets, pieces=[b"data: 1\n\n"])) as upstream:
            error = await failure(upstream.url, stream)

        assert kind_of(error) is FailureKind.TRUNCATED
        assert "broke off its answer" in str(error)

    run(scene())


def test_r09_an_end_without_the_last_http_chunk_breaks_an_answer_off() -> None:
    async def scene() -> None:
        async with raw_upstream(streams(ends, pieces=[b"data: 1\n\n"])) as upstream:
            assert kind_of(await failure(upstream.url, True)) is FailureKind.TRUNCATED

    run(scene())


def test_an_answer_that_was_read_leaves_its_connection_for_the_next() -> None:
    async def scene() -> None:
        connections = []

        async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(writer)
            await streams()(reader, writer)

        async with raw_upstream(counted) as upstream, http_cloud(upstream.url, idle_timeout_s=0.05) as cloud:
            for _ in range(3):
                await read(cloud, request(stream=True))
                await asyncio.sleep(0.06)

            assert len(set(connections)) == 1

    run(scene())


def test_a_reply_that_is_closed_hangs_up() -> None:
    async def scene() -> None:
        gone = asyncio.Event()

        async def watched(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hangs(reader, writer)
            gone.set()

        async with raw_upstream(streams(watched, pieces=[b"a"])) as upstream, http_cloud(upstream.url) as cloud:
            reply = await cloud.open(request(stream=True))
            reply.close()
            async with asyncio.timeout(60):
                assert await gone.wait()

    run(scene())


class Resolver(AbstractResolver):
    """Knows every name by the addresses it is given, another one each time it is asked."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.addresses.pop(0)
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
        ]

    @override
    async def close(self) -> None:
        """Nothing is open."""


async def asked_at(port: int, *addresses: str, **settings: Any) -> str:
    """Ask an upstream whose name leads to these addresses; return its answer, or why there was none."""
    given = UpstreamSettings(base_url=f"http://vendor.test:{port}/v1", connect_timeout_s=0.5, **settings)
    cloud = HttpCloud("vendor", given, "credential", resolver=Resolver(*addresses))
    try:
        return b"".join(await read(cloud, request())).decode()
    except UpstreamError as error:
        return str(error)
    finally:
        await cloud.aclose()


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.170.2", "100.100.100.200", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe", "168.63.129.16",
    ],
)  # fmt: skip
@pytest.mark.parametrize("settings", [{}, {"internal": True}, {"trust": "private"}])
def test_no_name_leads_to_where_a_machine_gets_its_credentials(address: str, settings: dict[str, Any]) -> None:
    assert "credentials" in run(asked_at(80, address, **settings))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(ValueError, match="credentials"):
        UpstreamSettings(base_url=f"http://{host}/v1", **settings)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.5", "192.168.1.1", "fd00::1", "::1", "0.0.0.0", "::ffff:10.0.0.5"]
)
def test_a_clouds_name_leads_to_no_private_address_unless_that_is_said(address: str) -> None:
    assert "internal = true" in run(asked_at(80, address))


def test_the_address_connected_to_is_the_one_that_was_judged() -> None:
    async def scene() -> list[str]:
        async with raw_upstream(answers("hello")) as upstream:
            port = int(upstream.url.rpartition(":")[2].split("/")[0])
            # A name that first leads elsewhere is looked up once: what was judged is what is connected to.
            refused = await asked_at(port, "127.0.0.1", "93.184.215.14")
            asked = [await asked_at(port, "127.0.0.1", **more) for more in ({"internal": True}, {"trust": "private"})]
            assert len(upstream.requests) == 2
            return [refused, *asked]

    refused, *asked = run(scene())
    assert "is private" in refused
    assert all("hello" in one for one in asked)


def test_an_address_written_out_is_asked_though_it_is_private() -> None:
    for host in ("127.0.0.1", "localhost", "10.0.0.5", "[::1]"):
        assert UpstreamSettings(base_url=f"http://{host}:9/v1").may_be_near
    assert not UpstreamSettings(base_url="http://2130706433/v1").may_be_near
