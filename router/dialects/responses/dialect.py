"""The Responses dialect as the router knows every wire format."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from typing_extensions import override

from router.chat import PING_COMMENT, JsonObject
from router.dialects.protocol import AnswerFacts, Decoder, Dialect, Encoder, Passage, Request
from router.dialects.responses.answer import answer_from_chat, answer_to_chat
from router.dialects.responses.chat_form import request_from_chat, request_to_chat
from router.dialects.responses.decoding import ResponsesDecoder
from router.dialects.responses.encoding import ResponsesEncoder, event_frame
from router.dialects.responses.fields import table
from router.dialects.responses.passage import ResponsesPassage
from router.dialects.responses.request import outgoing_request, read_request
from router.problems import Problem
from router.redaction.masking import Masker

_PASSED_HEADERS = ("openai-beta",)
"""Codex also sends originator, session and x-codex-* headers: they tell of the installation and stay here."""
_BEYOND = 2**31 - 1
"""Above the number of any event before it, which is not known where a stream breaks."""
_CODEX_CODES = frozenset({"context_length_exceeded", "insufficient_quota", "rate_limit_exceeded"})
"""Codes that agents act on."""


class Responses(Dialect):
    """POST /v1/responses."""

    surface = "openai.responses"
    path = "/responses"
    ping = PING_COMMENT

    @override
    def read(self, raw: bytes) -> Request:
        """Read a request body; see `Dialect.read`."""
        return read_request(raw)

    @override
    def to_chat(self, body: JsonObject) -> JsonObject:
        """Return a request in chat's form."""
        return request_to_chat(body)

    @override
    def from_chat(self, body: JsonObject) -> JsonObject:
        """Return a chat request in this form."""
        return request_from_chat(body)

    @override
    def outgoing(self, body: JsonObject, model: str) -> JsonObject:
        """Return a request as its upstream gets it; usage comes unasked."""
        return outgoing_request(body, model)

    @override
    def answer_to_chat(self, answer: JsonObject) -> JsonObject:
        """Return a whole answer as a chat completion; see `Dialect.answer_to_chat`."""
        return answer_to_chat(answer)

    @override
    def answer_from_chat(self, completion: JsonObject, facts: AnswerFacts, request: JsonObject) -> JsonObject:
        """Return a chat completion as the answer to a request."""
        return answer_from_chat(completion, facts, request)

    @override
    def decoder(self) -> Decoder:
        """Return a reader of one stream."""
        return ResponsesDecoder()

    @override
    def encoder(self, facts: AnswerFacts, request: Request) -> Encoder:
        """Return a writer of one stream."""
        return ResponsesEncoder(facts, request.body)

    @override
    def passage(self, masker: Masker | None, request: Request) -> Passage:
        """Return the way of a stream that stays in this dialect."""
        wanted = table(table(request.body.get("text")).get("format"))
        return ResponsesPassage(masker, json_text=wanted.get("type") in ("json_object", "json_schema"))

    @override
    def error(self, problem: Problem, request_id: str) -> bytes:
        """Return OpenAI's error envelope."""
        return problem.body

    @override
    def error_frame(self, problem: Problem) -> bytes:
        """Return response.failed, which agents read, with OpenAI's envelope, on which the SDK raises."""
        error = {"code": _code(problem), "message": problem.message, "type": problem.type, "param": problem.param}
        response = {
            "id": "resp_failed",
            "object": "response",
            "created_at": 0,
            "status": "failed",
            "error": error,
            "model": "",
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }
        failed = {"type": "response.failed", "sequence_number": _BEYOND, "response": response}
        return event_frame("response.failed", orjson.dumps({**failed, **orjson.loads(problem.body)}))

    @override
    def error_status(self, problem: Problem) -> int:
        """Return the problem's own status."""
        return problem.status

    @override
    def upstream_headers(self, client: Mapping[str, str]) -> dict[str, str]:
        """Return OpenAI's beta header."""
        return {name: client[name] for name in _PASSED_HEADERS if name in client}


def _code(problem: Problem) -> str:
    """Return the error code of this dialect's closed list, or one that agents know beside it."""
    if problem.code in _CODEX_CODES:
        return str(problem.code)
    if problem.status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit_exceeded"
    is_ours = problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return "server_error" if is_ours else "invalid_prompt"
