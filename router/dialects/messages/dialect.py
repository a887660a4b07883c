"""Anthropic's Messages dialect as the router asks for it."""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import override

from router.chat import JsonObject
from router.dialects.messages import errors
from router.dialects.messages.answer import answer_from_chat, answer_to_chat
from router.dialects.messages.decoding import MessagesDecoder
from router.dialects.messages.encoding import MessagesEncoder
from router.dialects.messages.from_chat import request_from_chat
from router.dialects.messages.passage import MessagesPassage
from router.dialects.messages.request import asks_for_json, outgoing, read
from router.dialects.messages.to_chat import request_to_chat
from router.dialects.messages.wire import frame
from router.dialects.protocol import AnswerFacts, Decoder, Dialect, Encoder, Passage, Request
from router.problems import Problem
from router.redaction.masking import Masker

DEFAULT_VERSION = "2023-06-01"
"""The version that an upstream is asked in where the client named none, as clients of other dialects do."""

_VERSION, _BETA = "anthropic-version", "anthropic-beta"


class Messages(Dialect):
    """POST /v1/messages."""

    surface = "anthropic.messages"
    path = "/messages"
    ping = frame("ping", b'{"type": "ping"}')

    @override
    def read(self, raw: bytes) -> Request:
        """Read a request body; see `Dialect.read`."""
        return read(raw)

    @override
    def to_chat(self, body: JsonObject) -> JsonObject:
        """Return a request in the chat form; `to_chat.py` says what is left out."""
        return request_to_chat(body)

    @override
    def from_chat(self, body: JsonObject) -> JsonObject:
        """Return a chat request in this form; `from_chat.py` says what is left out.

        Raises:
            InvalidRequestError: what cannot be said here would change the answer's meaning.

        """
        return request_from_chat(body)

    @override
    def outgoing(self, body: JsonObject, model: str) -> JsonObject:
        """Return a request as an upstream gets it: model named, our hints and our own unsigned thinking gone."""
        return outgoing(body, model)

    @override
    def answer_to_chat(self, answer: JsonObject) -> JsonObject:
        """Return a whole answer as a chat completion; raise UpstreamError where it is no message."""
        return answer_to_chat(answer)

    @override
    def answer_from_chat(self, completion: JsonObject, facts: AnswerFacts, request: JsonObject) -> JsonObject:
        """Return a chat completion as a message; raise UpstreamError for tool arguments that are no JSON object."""
        return answer_from_chat(completion, facts, request)

    @override
    def decoder(self) -> Decoder:
        """Return a reader of events."""
        return MessagesDecoder()

    @override
    def encoder(self, facts: AnswerFacts, request: Request) -> Encoder:
        """Return a writer of events."""
        return MessagesEncoder(facts, request)

    @override
    def passage(self, masker: Masker | None, request: Request) -> Passage:
        """Return the way of a stream of events."""
        return MessagesPassage(masker, json_text=asks_for_json(request.body))

    @override
    def error(self, problem: Problem, request_id: str) -> bytes:
        """Return Anthropic's error envelope."""
        return errors.error_body(problem, request_id)

    @override
    def error_frame(self, problem: Problem) -> bytes:
        """Return the error event."""
        return errors.error_frame(problem)

    @override
    def error_status(self, problem: Problem) -> int:
        """Return the problem's status, 529 where the router or its upstream is overloaded."""
        return errors.error_status(problem)

    @override
    def upstream_headers(self, client: Mapping[str, str]) -> dict[str, str]:
        """Return version and betas as the client sent them."""
        betas = {_BETA: client[_BETA]} if _BETA in client else {}
        return {_VERSION: client.get(_VERSION, DEFAULT_VERSION), **betas}
