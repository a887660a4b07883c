"""R01 to R07, R12, R13 and R26 through the real daemon: upstreams that fail before their answer, or answer oddly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from registry.entities import EvidenceType, Interaction, Status
from tests.faults.answers import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Answer, Call, Cutter, Wordwise, frames, whole
from tests.faults.fault_proxy import Fault
from tests.faults.reading import PATHS, read_stream, read_whole, request
from tests.faults.scene import MODELS, PAIRS, Scene, error_of, scene
from tests.faults.scripted_upstream import in_turn, sends
from tests.router.raw_upstream import Step, ends, hangs, says, writes

ASKED = "say three names"
ANSWER = Answer("Ada, Grace", "thinking", (Call("call_1", "find", '{"q": "wörld"}'),), "tool_calls")
PLAIN = Answer("Ada, Grace and wörld 😀")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    policy = 'fallbacks = ["lost/lost-5", "sleepy/sleepy-5", "vendor/gpt-5.4"]'
    with scene(tmp_path_factory.mktemp("failing") / "home", policy=policy) as running:
        yield running


def family(world: Scene, interaction_id: str) -> list[Interaction]:
    """Return an interaction and all that were tried before it, oldest first; the first is the others' parent."""
    known = {one.intent.interaction_id: one for one in world.interactions()}
    first = known[interaction_id].intent.parent_id or interaction_id
    return [known[first], *(one for one in known.values() if one.intent.parent_id == first)]


@pytest.mark.parametrize("stream", [False, True])
def test_r01_r07_refused_unknown_and_silent_hosts_are_passed_over_for_one_answer(world: Scene, stream: bool) -> None:
    answered = sends(frames(CHAT, PLAIN, Wordwise()), whole=True) if stream else says(200, whole(CHAT, PLAIN))
    world.upstream.follows(hangs, answered)
    told = world.told(CHAT, request(CHAT, "gone-5", ASKED, stream=stream))
    tried = family(world, told.interaction)

    assert (read_stream if stream else read_whole)(CHAT, told.body).text == PLAIN.text
    assert told.whole
    assert [one.intent.decision.selected_model_or_stack for one in tried] == [
        "gone/gone-5",
        "lost/lost-5",
        "sleepy/sleepy-5",
        "vendor/gpt-5.4",
    ]
    assert [one.outcome and one.outcome.status for one in tried] == [*[Status.ERROR] * 3, Status.OK]
    assert [body["model"] for body in world.upstream.bodies] == ["sleepy-5", "gpt-5.4"]


def test_r01_a_connection_that_is_reset_at_once_counts_as_none(world: Scene) -> None:
    world.upstream.follows(says(200, whole(CHAT, PLAIN)))
    world.proxy.does(Fault.REFUSE)
    told = world.told(CHAT, request(CHAT, "far-5", ASKED, stream=False))

    assert told.status == 200
    assert read_whole(CHAT, told.body) == PLAIN
    assert world.proxy.connections == 1


def test_r04_attempts_are_in_the_ledger_and_one_success_is_billed(world: Scene) -> None:
    world.upstream.follows(says(529, retry_after="0"), says(200, whole(CHAT, PLAIN)))
    told = world.told(CHAT, request(CHAT, "gpt-5.4", ASKED, stream=False))
    (tried,) = family(world, told.interaction)
    (note,) = tried.evidence

    assert told.status == 200
    assert tried.outcome is not None
    assert tried.outcome.cost_usd == pytest.approx(11 * 2e-6 + 7 * 10e-6)
    assert note.type is EvidenceType.SLOW_PATH
    assert isinstance(note.detail, dict)
    assert [(one["failure"], one["status"]) for one in note.detail["attempts"]] == [("overloaded", 529), (None, 200)]


@pytest.mark.parametrize("client", PATHS)
@pytest.mark.parametrize(
    ("status", "told_status"), [(400, 400), (401, 502), (403, 403), (404, 404), (413, 413), (422, 422)]
)
def test_r05_a_refusal_is_passed_on_in_the_clients_dialect(
    world: Scene, client: str, status: int, told_status: int
) -> None:
    refused = {"error": {"message": "no such thing", "type": "not_found_error", "param": "model", "code": "gone"}}
    world.upstream.follows(says(status, json.dumps(refused).encode()))
    told = world.told(client, request(client, "gpt-5.4", ASKED, stream=False))
    error = error_of(told.body)

    assert told.status == told_status
    assert len(world.upstream.requests) == 1
    assert world.outcome(told.interaction).status is Status.ERROR
    if status == 401:
        assert client == MESSAGES or error["code"] == "upstream_auth"
    else:
        assert "no such thing" in error["message"]
        assert client == MESSAGES or (error["code"], error["param"]) == ("gone", "model")


@pytest.mark.parametrize("client", [CHAT, MESSAGES, RESPONSES])
def test_r06_a_prompt_that_fits_nowhere_is_a_clear_error(world: Scene, client: str) -> None:
    too_long = {"error": {"message": "maximum context length is 9 tokens", "code": "context_length_exceeded"}}
    world.upstream.follows(says(400, json.dumps(too_long).encode()))
    told = world.told(client, request(client, "gpt-5.4", ASKED, stream=True))

    assert told.status == 400
    assert "maximum context length" in error_of(told.body)["message"]


def _joined(change: Callable[[bytes], bytes]) -> Callable[[list[bytes]], list[bytes]]:
    return lambda found: [change(b"".join(found))]


def _commented(found: list[bytes]) -> list[bytes]:
    return [b": ping\n\n", *(b"id: 7\nretry: 9\n: why\n" + frame for frame in found), b": bye\n\n"]


DRESSES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "crlf": _joined(lambda raw: raw.replace(b"\n", b"\r\n")),
    "cr": _joined(lambda raw: raw.replace(b"\n", b"\r") + b"\n"),
    "comments and pings": _commented,
    "byte order mark": _joined(lambda raw: b"\xef\xbb\xbf" + raw),
    "no space": _joined(lambda raw: raw.replace(b"data: ", b"data:")),
    "byte by byte": _joined(lambda raw: raw),
}


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
@pytest.mark.parametrize("dress", DRESSES)
def test_r12_any_legal_stream_is_read(world: Scene, client: str, upstream: str, dress: str) -> None:
    said = PLAIN if client == COMPLETIONS else ANSWER
    found = DRESSES[dress](frames(upstream, said, Wordwise()))
    pieces = [bytes([byte]) for byte in found[0]] if dress == "byte by byte" else found
    world.upstream.follows(sends(pieces, whole=True))
    told = world.told(client, request(client, MODELS[upstream], ASKED, stream=True, tools=("find",), reasoning=True))

    assert told.whole
    assert read_stream(client, told.body) == said


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_r12_a_line_of_two_megabytes_is_read(world: Scene, client: str, upstream: str) -> None:
    long = Answer("x" * (2 << 20))
    world.upstream.follows(sends([b"".join(frames(upstream, long, Wordwise()))], whole=True))
    told = world.told(client, request(client, MODELS[upstream], ASKED, stream=True))

    assert read_stream(client, told.body) == long


@pytest.mark.parametrize("client", [CHAT, MESSAGES, RESPONSES])
@pytest.mark.parametrize("bad", [b"data: {not json}\n\n", b"data: " + b"x" * (9 << 20)])
def test_r12_what_is_no_event_is_one_clear_error(world: Scene, client: str, bad: bytes) -> None:
    world.upstream.follows(sends([bad], whole=True))
    told = world.told(client, request(client, "gpt-5.4", ASKED, stream=True))

    assert told.status == 502
    assert "not JSON" in error_of(told.body)["message"] or "over 8,388,608 bytes" in error_of(told.body)["message"]
    assert world.outcome(told.interaction).status is Status.ERROR


@pytest.mark.parametrize("client", [CHAT, MESSAGES, RESPONSES])
@pytest.mark.parametrize(
    "odd",
    [
        says(200, b"<html>busy</html>", content_type="text/html"),
        says(200, b'{"choices": [{"ind', content_type="application/json"),
        writes(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{}"),
        writes(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}"),
        writes(b"HTTP/9 what\r\n\r\n"),
    ],
    ids=["html", "cut json", "long length", "bad length", "no http"],
)
def test_r12_a_whole_answer_that_cannot_be_read_is_one_clear_error(world: Scene, client: str, odd: Step) -> None:
    world.upstream.follows(in_turn(odd, ends))
    told = world.told(client, request(client, "gpt-5.4", ASKED, stream=False))

    assert told.status == 502
    assert "vendor" in error_of(told.body)["message"] or "upstream" in error_of(told.body)["message"]
    assert [body["model"] for body in world.upstream.bodies].count("gpt-5.4") == 1
    assert world.outcome(told.interaction).status is Status.ERROR


def _beside_choices(found: list[bytes]) -> list[bytes]:
    """Put the counts beside a choice, as some servers do."""
    *before, finish, counted, done = found
    merged = {**json.loads(finish[6:]), "usage": json.loads(counted[6:])["usage"]}
    return [*before, b"data: " + json.dumps(merged).encode() + b"\n\n", done]


@pytest.mark.parametrize("client", [CHAT, MESSAGES, RESPONSES])
@pytest.mark.parametrize("place", ["last chunk", "beside choices", "missing"])
def test_r13_counts_are_the_upstreams_wherever_they_stand_and_else_an_estimate(
    world: Scene, client: str, place: str
) -> None:
    said = Answer("Ada, Grace", counts=None if place == "missing" else (11, 7))
    found = frames(CHAT, said, Wordwise())
    world.upstream.follows(sends(_beside_choices(found) if place == "beside choices" else found, whole=True))
    told = world.told(client, request(client, "gpt-5.4", ASKED, stream=True))
    usage = world.outcome(told.interaction).usage

    assert read_stream(client, told.body).text == "Ada, Grace"
    assert usage is not None
    if place == "missing":
        assert usage.source == "estimate"
        assert usage.completion_tokens > 0
    else:
        assert (usage.prompt_tokens, usage.completion_tokens, usage.source) == (11, 7, "upstream")
        assert client == CHAT or read_stream(client, told.body).counts == (11, 7)


def test_r26_what_has_no_price_costs_null_and_not_nothing(world: Scene) -> None:
    world.upstream.follows(sends(frames(RESPONSES, PLAIN, Cutter(1)), whole=True))
    told = world.told(RESPONSES, request(RESPONSES, "o9", ASKED, stream=True))
    outcome = world.outcome(told.interaction)

    assert outcome.usage is not None
    assert outcome.cost_usd is None
