"""R08 to R11: an upstream's stream that falls silent, breaks or lacks its end is a whole answer to no client.

Each fault meets each pair of a client's surface and an upstream's over real sockets.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import openai
import pytest

from registry.entities import Status
from tests.faults.answers import CHAT, COMPLETIONS, Answer, Wordwise, error_frame, frames
from tests.faults.fault_proxy import Fault
from tests.faults.reading import END_MARKS, ERROR_MARKS, read_stream, request
from tests.faults.scene import MODELS, PAIRS, Scene, Told, scene
from tests.faults.scripted_upstream import HEAD, LAST_CHUNK, gated, in_turn, resets_at_once, sends
from tests.router.raw_upstream import ends, hangs, writes

WORDS = ("Ada ", "Grace ", "Hedy ")
pairs = pytest.mark.parametrize(("client", "upstream"), PAIRS)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    home = tmp_path_factory.mktemp("breaking") / "home"
    with scene(home, policy='fallbacks = ["proxied/far-5", "anth/claude-9"]') as running:
        yield running


def spoken(surface: str, words: int) -> list[bytes]:
    """Return the frames of a stream up to the one that has so many of the words."""
    found = frames(surface, Answer("".join(WORDS)), Wordwise())
    last = next(at for at, frame in enumerate(found) if WORDS[words - 1].encode() in frame)
    return found[: last + 1]


def without_end(surface: str) -> list[bytes]:
    """Return the frames of a whole stream less those that say that it is whole."""
    marks = END_MARKS[surface][:1]
    return [frame for frame in frames(surface, Answer("".join(WORDS)), Wordwise()) if not _any(marks, frame)]


def _any(marks: tuple[bytes, ...], text: bytes) -> bool:
    return any(mark in text for mark in marks)


def asked(client: str, upstream: str) -> bytes:
    return request(client, MODELS[upstream], "say three names", stream=True)


def check_cut(world: Scene, client: str, told: Told, words: int) -> None:
    """The client has some of the answer, then the reason, and no end; the ledger has as much; nobody else was asked."""
    body, outcome = told.body, world.outcome(told.interaction)

    assert told.status == 200
    assert not told.whole
    assert all(word.strip().encode() in body for word in WORDS[:words])
    assert ERROR_MARKS[client] in body.rsplit(b"\n\n", 2)[-2] + b"\n\n"
    assert not _any(END_MARKS[client], body)
    assert outcome.status is Status.TRUNCATED
    assert outcome.usage is not None
    assert outcome.usage.completion_tokens > 0
    assert all(word.strip() in str(outcome.response) for word in WORDS[:words])
    assert len(world.upstream.requests) == 1


@pairs
@pytest.mark.parametrize("words", [1, 2, 3])
def test_r09_a_reset_behind_any_delta_cuts_the_stream(world: Scene, client: str, upstream: str, words: int) -> None:
    read = threading.Event()
    world.upstream.follows(in_turn(sends(spoken(upstream, words)), gated(read, resets_at_once)))
    with world.ask(client, asked(client, upstream)) as asking:
        asking.until(WORDS[words - 1].strip().encode())
        read.set()
        told = asking.rest()

    check_cut(world, client, told, words)


@pairs
def test_r09_an_end_of_the_connection_before_the_end_mark_cuts_the_stream(
    world: Scene, client: str, upstream: str
) -> None:
    world.upstream.follows(in_turn(sends(without_end(upstream)), ends))

    check_cut(world, client, world.told(client, asked(client, upstream)), 3)


@pairs
def test_r10_a_clean_end_without_the_end_mark_is_no_success(world: Scene, client: str, upstream: str) -> None:
    world.upstream.follows(in_turn(sends(without_end(upstream)), writes(LAST_CHUNK)))

    check_cut(world, client, world.told(client, asked(client, upstream)), 3)


@pairs
def test_r11_an_error_in_the_stream_is_told_in_the_clients_dialect(world: Scene, client: str, upstream: str) -> None:
    world.upstream.follows(sends([*spoken(upstream, 2), error_frame(upstream)], whole=True))
    told = world.told(client, asked(client, upstream))

    check_cut(world, client, told, 2)
    assert b"ran out of luck" in told.body


@pytest.mark.parametrize("client", [CHAT, COMPLETIONS])
def test_r08_silence_behind_the_first_delta_cuts_the_stream(world: Scene, client: str) -> None:
    world.upstream.follows(in_turn(sends(spoken(client, 1)), hangs))
    world.proxy.does(Fault.NONE)
    told = world.told(client, request(client, "halting-5", "say three names", stream=True))

    check_cut(world, client, told, 1)
    assert b"upstream_timeout" in told.body


def written_until(words: int) -> bytes:
    """Return what a server writes until so many words are out."""
    return HEAD + b"".join(f"{len(one):x}\r\n".encode() + one + b"\r\n" for one in spoken(CHAT, words))


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.CUT])
@pytest.mark.parametrize("words", [1, 2])
def test_r09_a_connection_that_breaks_under_way_cuts_the_stream(world: Scene, fault: Fault, words: int) -> None:
    sent = sends(frames(CHAT, Answer("".join(WORDS)), Wordwise()), whole=True)
    world.upstream.follows(in_turn(sent, hangs))
    world.proxy.does(fault, after_bytes=len(written_until(words)))
    with world.ask(CHAT, request(CHAT, "far-5", "say three names", stream=True)) as asking:
        asking.until(WORDS[words - 1].strip().encode())
        world.proxy.gate.set()
        told = asking.rest()

    check_cut(world, CHAT, told, words)


def test_r09_the_official_clients_raise_on_every_kind_of_cut(world: Scene) -> None:
    messages: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "say three names"}]
    world.upstream.follows(in_turn(sends(spoken(CHAT, 2)), ends))
    with openai.OpenAI(base_url=f"{world.daemon.url}/v1", api_key="any", max_retries=0) as client:
        with pytest.raises(openai.APIError):
            list(client.chat.completions.create(model="gpt-5.4", messages=messages, stream=True))
        with (
            pytest.raises(openai.APIError),
            client.chat.completions.stream(model="gpt-5.4", messages=messages) as stream,
        ):
            stream.until_done()
        with pytest.raises(openai.APIError):
            list(client.responses.create(model="gpt-5.4", input="say three names", stream=True))


def test_r09_anthropics_client_raises_on_a_cut(world: Scene) -> None:
    anthropic = pytest.importorskip("anthropic")
    world.upstream.follows(in_turn(sends(spoken(CHAT, 2)), ends))
    asked = {"model": "gpt-5.4", "max_tokens": 99, "messages": [{"role": "user", "content": "say three names"}]}
    with anthropic.Anthropic(base_url=world.daemon.url, api_key="any", max_retries=0) as client:
        with pytest.raises(anthropic.APIError):
            list(client.messages.create(**asked, stream=True))
        with pytest.raises(anthropic.APIError), client.messages.stream(**asked) as stream:
            stream.until_done()


def test_r08_a_connection_that_goes_half_open_cuts_the_stream(world: Scene) -> None:
    world.upstream.follows(sends(frames(CHAT, Answer("".join(WORDS)), Wordwise()), whole=True))
    world.proxy.does(Fault.HALF_OPEN, after_bytes=len(written_until(1)))
    told = world.told(CHAT, request(CHAT, "halting-5", "say three names", stream=True))
    world.proxy.gate.set()

    check_cut(world, CHAT, told, 1)


@pytest.mark.parametrize("fault", [Fault.NONE, Fault.DELAY, Fault.THROTTLE])
def test_r12_a_stream_that_comes_late_or_byte_by_byte_is_whole(world: Scene, fault: Fault) -> None:
    said = Answer("".join(WORDS))
    world.upstream.follows(sends(frames(CHAT, said, Wordwise()), whole=True))
    world.proxy.does(fault, after_bytes=len(written_until(1)))
    with world.ask(CHAT, request(CHAT, "far-5", "say three names", stream=True)) as asking:
        asking.until(b"Ada")
        world.proxy.gate.set()
        told = asking.rest()

    assert told.whole
    assert read_stream(CHAT, told.body) == said
