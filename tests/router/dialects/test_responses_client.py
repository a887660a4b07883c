from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import orjson
import pytest
from openai import APIError, OpenAI
from openai.types.responses import ResponseFailedEvent
from pydantic import BaseModel

from registry.entities import Usage
from router.dialects.protocol import Request
from router.dialects.responses.dialect import Responses
from router.problems import Problem, ProblemType
from tests.router.dialects.test_responses_answer import completion
from tests.router.dialects.test_responses_encoding import FACTS, called, chunk, validated
from tests.router.dialects.test_responses_passage import masker

DIALECT = Responses()
TOOL: Any = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}
BROKEN = Problem(502, ProblemType.UPSTREAM, "upstream 'openai' broke off", "upstream_failed")


class Verdict(BaseModel):
    ok: bool


def client(answer: Any) -> OpenAI:
    """Return the SDK's client of a router that answers a read request with bytes, streamed where it asks so."""

    def serve(sent: httpx2.Request) -> httpx2.Response:
        request = DIALECT.read(sent.content)
        kind = "text/event-stream" if request.stream else "application/json"
        return httpx2.Response(200, headers={"content-type": kind}, content=answer(request))

    http = httpx2.Client(transport=httpx2.MockTransport(serve))
    return OpenAI(api_key="x", base_url="http://router/v1", http_client=http, max_retries=0)


def streamed(*chunks: dict[str, Any], end: bytes | None = None) -> Any:
    def answer(request: Request) -> Iterator[bytes]:
        encoder = DIALECT.encoder(FACTS, request)
        for one in chunks:
            yield encoder.feed(one)
        yield encoder.finish(Usage(5, 2, "tokenizer")) if end is None else end

    return answer


def whole(message: dict[str, Any]) -> Any:
    def answer(request: Request) -> bytes:
        return orjson.dumps(DIALECT.answer_from_chat(completion(message), FACTS, request.body))

    return answer


def test_the_client_reads_a_whole_answer() -> None:
    with client(whole({"content": "Hello"})) as openai:
        answer = openai.responses.create(model="auto", input="hi")

    assert (answer.output_text, answer.status, answer.id) == ("Hello", "completed", "resp_019a")


def test_the_client_parses_a_whole_answer_into_its_own_type() -> None:
    with client(whole({"content": '{"ok": true}'})) as openai:
        answer = openai.responses.parse(model="auto", input="hi", text_format=Verdict)

    assert answer.output_parsed == Verdict(ok=True)


def test_the_client_reads_a_stream() -> None:
    with client(streamed(chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk(finish="stop"))) as openai:
        events = [*openai.responses.create(model="auto", input="hi", stream=True)]

    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "Hello"
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.usage is not None
    assert last.response.usage.total_tokens == 7


def test_the_clients_own_accumulation_agrees_with_the_final_answer() -> None:
    chunks = [
        chunk({"reasoning_content": "Hm"}),
        chunk({"content": "Look"}),
        chunk(called(0, '{"a', "f", "c1")),
        chunk(called(1, "{}", "f", "c2")),
        chunk(called(0, '":1}')),
        chunk(finish="tool_calls"),
    ]
    snapshots: dict[int, str] = {}
    with client(streamed(*chunks)) as openai:  # noqa: SIM117 - the stream needs its client
        with openai.responses.stream(model="auto", input="hi", tools=[TOOL]) as stream:
            for event in stream:
                if event.type == "response.function_call_arguments.delta":
                    snapshots[event.output_index] = event.snapshot
            final = stream.get_final_response()

    calls = [item for item in final.output if item.type == "function_call"]
    assert [(call.call_id, call.arguments) for call in calls] == [("c1", '{"a":1}'), ("c2", "{}")]
    assert [*snapshots.values()] == [call.arguments for call in calls]
    assert final.output_text == "Look"


def test_the_client_reads_a_stream_that_passed_with_values_put_back() -> None:
    def answer(request: Request) -> bytes:
        way = DIALECT.passage(masker(), request)
        encoder = DIALECT.encoder(FACTS, request)
        frames = encoder.feed(chunk({"content": "to PIIEM"})) + encoder.feed(chunk({"content": "AIL1"}))
        events = (frames + encoder.finish(None)).split(b"\n\n")[:-1]
        return b"".join(way.forward(one.split(b"data: ")[1])[0] for one in events) + way.finish()

    with client(answer) as openai, openai.responses.stream(model="auto", input="hi") as stream:
        assert stream.get_final_response().output_text == "to bob@example.org"


def test_a_stream_that_breaks_raises_the_reason() -> None:
    answer = streamed(chunk({"content": "Hel"}), end=DIALECT.error_frame(BROKEN))
    with client(answer) as openai:
        with pytest.raises(APIError, match="broke off"):
            [*openai.responses.create(model="auto", input="hi", stream=True)]
        with openai.responses.stream(model="auto", input="hi") as stream, pytest.raises(APIError, match="broke off"):
            stream.until_done()


def failed(problem: Problem) -> ResponseFailedEvent:
    frame = DIALECT.error_frame(problem)
    assert frame.startswith(b"event: response.failed\ndata: ")
    return ResponseFailedEvent.model_validate(validated(orjson.loads(frame.split(b"data: ")[1])))


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (502, "upstream_failed", "server_error"),
        (429, "upstream_rate_limit", "rate_limit_exceeded"),
        (400, "upstream_rejected", "invalid_prompt"),
    ],
)
def test_a_broken_stream_says_why_in_this_dialect(status: int, code: str, said: str) -> None:
    error = failed(Problem(status, ProblemType.UPSTREAM, "why", code)).response.error

    assert error is not None
    assert (error.code, error.message) == (said, "why")


def test_a_code_that_agents_act_on_is_kept() -> None:
    problem = Problem(400, ProblemType.INVALID_REQUEST, "too long", "context_length_exceeded")

    assert b'"code":"context_length_exceeded","message":"too long"' in DIALECT.error_frame(problem)


def test_errors_of_whole_answers_are_openais_envelope() -> None:
    assert DIALECT.error(BROKEN, "r1") == BROKEN.body
    assert DIALECT.error_status(BROKEN) == 502
