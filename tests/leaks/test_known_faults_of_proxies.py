"""Faults that users reported of another proxy's masking, each by its number there, shown not to be ours.

The numbers are those of issues and pull requests of BerriAI/litellm; each test states the fault that it is about.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from router.admission import InFlight
from router.app import make_app
from tests.faults.answers import CHAT, MESSAGES, RESPONSES, Answer, Call, Cutter, frames, whole
from tests.faults.in_memory import Got, call
from tests.faults.reading import read_stream, read_whole
from tests.faults.scene import MODELS, PAIRS
from tests.faults.test_surface_pairs import every_dialect
from tests.leaks.asking import PATHS
from tests.leaks.failing_detectors import Raising
from tests.leaks.test_failing_detectors import look_with
from tests.router.making import FakeCloud, FakeReply, World, run, world

MAIL, SSN, CARD = "jane.doe@example.org", "212-34-5678", "4539578763621486"
MASKED = {MAIL: "PIIEMAIL1@masked.invalid", SSN: "PIISSN1", CARD: "PIICARD1"}
DIALECTS = (CHAT, MESSAGES, RESPONSES)
SPOKEN = [pair for pair in PAIRS if set(pair) <= set(DIALECTS)]


def body(surface: str, model: str, text: str, **more: Any) -> dict[str, Any]:
    """Return a request of one turn."""
    turns = {"messages": [{"role": "user", "content": text}]}
    match surface:
        case "openai.responses":
            return {"model": model, "input": text, "store": False, **more}
        case "anthropic.messages":
            return {"model": model, "max_tokens": 64, **turns, **more}
        case _:
            return {"model": model, **turns, **more}


def with_call(surface: str, model: str, arguments: dict[str, Any], result: str) -> dict[str, Any]:
    """Return a request in a tool loop: a call with its arguments, and what the tool has answered."""
    match surface:
        case "openai.responses":
            items = [
                {"role": "user", "content": "go on"},
                {"type": "function_call", "call_id": "c1", "name": "save", "arguments": json.dumps(arguments)},
                {"type": "function_call_output", "call_id": "c1", "output": result},
            ]
            return {"model": model, "input": items, "store": False}
        case "anthropic.messages":
            turns: list[Any] = [
                {"role": "user", "content": "go on"},
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "c1", "name": "save", "input": arguments}],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": result}]},
            ]
            return {"model": model, "max_tokens": 64, "messages": turns}
        case _:
            function = {"name": "save", "arguments": json.dumps(arguments)}
            turns = [
                {"role": "user", "content": "go on"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "c1", "type": "function", "function": function}],
                },
                {"role": "tool", "tool_call_id": "c1", "content": result},
            ]
            return {"model": model, "messages": turns}


async def ask(made: World, surface: str, asked: dict[str, Any]) -> Got:
    return await call(make_app(made.deps, InFlight(4)), PATHS[surface], json.dumps(asked).encode())


def exchange(root: Path, pair: tuple[str, str], asked: dict[str, Any], answer: Answer, *, stream: bool = False) -> Any:
    """Return what the client got and understood, what the upstream was asked, and the ledger's row."""

    async def scene() -> Any:
        client, upstream = pair
        said = b"".join(frames(upstream, answer, Cutter(7))) if stream else whole(upstream, answer)
        pieces = [said[at : at + 7] for at in range(0, len(said), 7)]
        cloud = FakeCloud(script=[FakeReply(pieces=pieces)])
        async with world(root, every_dialect(), make_cloud=lambda *_: cloud) as made:
            got = await ask(made, client, {**asked, **({"stream": True} if stream else {})})
            assert (got.status, got.ended) == (200, True), got.body
            (row,) = made.interactions()
            understood = (read_stream if stream else read_whole)(client, got.body)
            return understood, cloud.requests[0], row

    return run(scene())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("pair", SPOKEN)
def test_14516_masked_values_come_back_in_the_answer(tmp_path: Path, pair: tuple[str, str], stream: bool) -> None:
    """There, `output_parse_pii: true` had no effect, and clients were greeted as `<PERSON>`."""
    asked = body(pair[0], MODELS[pair[1]], f"I am {MAIL}, card {CARD}")
    understood, sent, _ = exchange(
        tmp_path, pair, asked, Answer(f"Hello {MASKED[MAIL]}, {MASKED[CARD]}!"), stream=stream
    )

    assert MAIL not in json.dumps(sent)
    assert understood.text == f"Hello {MAIL}, {CARD}!"


@pytest.mark.parametrize("pair", SPOKEN)
def test_14612_results_of_tools_are_masked_as_users_texts_are(tmp_path: Path, pair: tuple[str, str]) -> None:
    """There, messages of the role `tool` went to the model as they were."""
    asked = with_call(pair[0], MODELS[pair[1]], {}, f'{{"owner": "{MAIL}", "ssn": "{SSN}"}}')
    _, sent, _ = exchange(tmp_path, pair, asked, Answer("ok"))

    assert not any(value in json.dumps(sent) for value in (MAIL, SSN))
    assert MASKED[SSN] in json.dumps(sent)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("surface", DIALECTS)
def test_30447_masking_for_the_record_does_not_change_what_the_client_gets(
    tmp_path: Path, surface: str, stream: bool
) -> None:
    """There, masking for logs alone put its tokens into the user's own answer."""
    asked = body(surface, MODELS[surface], "name a mail address")
    understood, _, row = exchange(tmp_path, (surface, surface), asked, Answer(f"Write to {MAIL}."), stream=stream)

    assert understood.text == f"Write to {MAIL}."
    # What a cloud says of its own is in the record as the cloud said it: nothing of the user's is in it.
    assert "<" not in understood.text
    assert row.outcome.status == "ok"


@pytest.mark.parametrize("pair", SPOKEN)
def test_30723_arguments_of_tool_calls_are_masked_on_their_way_out(tmp_path: Path, pair: tuple[str, str]) -> None:
    """There, `tool_calls[].function.arguments`, and `tool_use.input`, passed unmasked in both directions."""
    asked = with_call(pair[0], MODELS[pair[1]], {"ssn": SSN, "note": {"mails": [MAIL]}}, "saved")
    _, sent, _ = exchange(tmp_path, pair, asked, Answer("ok"))

    assert not any(value in json.dumps(sent) for value in (MAIL, SSN))


@pytest.mark.parametrize("surface", DIALECTS)
def test_30728_a_detector_that_fails_lets_nothing_pass(tmp_path: Path, surface: str) -> None:
    """There, an analyser that answered 500 counted as one that had found nothing, and the raw text was sent."""

    async def scene() -> None:
        async with world(tmp_path, every_dialect()) as made:
            look_with(made, Raising(ConnectionError("the analyser answers 500")))
            got = await ask(made, surface, body(surface, MODELS[surface], f"mark {MAIL}"))

            assert got.status == 503
            assert made.cloud.requests == []

    run(scene())


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("upstream", DIALECTS)
def test_30728_the_input_of_responses_is_masked(tmp_path: Path, upstream: str, text: bool) -> None:
    """There, `/v1/responses` was no surface that the guardrail knew, be `input` a text or a list."""
    given = f"mail {MAIL}" if text else [{"role": "user", "content": [{"type": "input_text", "text": f"mail {MAIL}"}]}]
    asked = {**body(RESPONSES, MODELS[upstream], ""), "input": given, "instructions": f"SSN {SSN}"}
    _, sent, _ = exchange(tmp_path, (RESPONSES, upstream), asked, Answer("ok"))

    assert not any(value in json.dumps(sent) for value in (MAIL, SSN))


@pytest.mark.parametrize("pair", SPOKEN)
def test_30728_streams_of_bytes_get_their_values_back_however_they_are_cut(
    tmp_path: Path, pair: tuple[str, str]
) -> None:
    """There, Anthropic's own events and those of Responses went through unread."""
    asked = body(pair[0], MODELS[pair[1]], f"{MAIL} {SSN}")
    said = Answer(f"{MASKED[MAIL]} and {MASKED[SSN]} " * 5)
    understood, _, _ = exchange(tmp_path, pair, asked, said, stream=True)

    assert understood.text == f"{MAIL} and {SSN} " * 5


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("pair", SPOKEN)
def test_31950_values_come_back_in_the_arguments_of_tool_calls(
    tmp_path: Path, pair: tuple[str, str], stream: bool
) -> None:
    """There, the text was restored, and `tool_calls[].function.arguments` kept their tokens for tools to write."""
    asked = body(pair[0], MODELS[pair[1]], f"Save {MAIL} and {SSN}.")
    arguments = json.dumps({"mail": MASKED[MAIL], "more": [{"ssn": MASKED[SSN].lower()}]})
    answer = Answer("I save it.", calls=(Call("c1", "save", arguments),), finish="tool_calls")
    understood, _, _ = exchange(tmp_path, pair, asked, answer, stream=stream)

    assert [json.loads(one.arguments) for one in understood.calls] == [{"mail": MAIL, "more": [{"ssn": SSN}]}]


@pytest.mark.parametrize("surface", DIALECTS)
def test_35951_every_record_of_a_request_is_masked_and_not_only_one_copy(
    tmp_path: Path, surface: str, caplog: pytest.LogCaptureFixture
) -> None:
    """There, one copy of the messages was masked, and what logging callbacks read was another."""
    caplog.set_level(logging.DEBUG)
    asked = body(surface, MODELS[surface], f"I am {MAIL}, {SSN}, {CARD}")
    answer = Answer(f"{MASKED[MAIL]} {MASKED[SSN]}")
    understood, _, row = exchange(tmp_path, (surface, surface), asked, answer)
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())

    assert understood.text == f"{MAIL} {SSN}"
    for value in MASKED:
        assert value not in repr(row)
        assert value.encode() not in kept
        assert value not in caplog.text
