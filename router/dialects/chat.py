"""OpenAI's chat dialect, which is the hub: its requests, answers and chunks need no translation."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from typing_extensions import override

from registry.entities import Usage
from registry.errors import UpstreamError
from router.chat import DONE_FRAME, PING_COMMENT, JsonObject, data_frame, outgoing_body, parse_object, usage_object
from router.dialects.deltas import DeltaRestorer, finishes, read_event
from router.dialects.protocol import AnswerFacts, Decoder, Dialect, Encoder, Passage, Request
from router.fitness import wants_json
from router.hints import without_hints
from router.problems import InvalidRequestError, Problem
from router.redaction.masking import Masker

_END = b"[DONE]"
_PASSED_HEADERS = ("openai-beta",)


class Chat(Dialect):
    """POST /v1/chat/completions."""

    surface = "openai.chat"
    path = "/chat/completions"
    ping = PING_COMMENT

    @override
    def read(self, raw: bytes) -> Request:
        """Read a request body; see `Dialect.read`."""
        body = parse_object(raw)
        model = body.get("model")
        if not isinstance(model, str) or not model.strip():
            raise InvalidRequestError("model must be a name such as 'auto' or 'gpt-5.4'", "model")
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
            raise InvalidRequestError(
                "messages must be a list of at least one object with role and content", "messages"
            )
        stream = body.get("stream") or False
        if not isinstance(stream, bool):
            raise InvalidRequestError(f"stream must be true or false, not {stream!r}", "stream")
        if not isinstance(body.get("metadata") or {}, dict):
            raise InvalidRequestError("metadata must be an object of strings", "metadata")
        return Request(body, model.strip(), stream, _wants_usage(body))

    @override
    def to_chat(self, body: JsonObject) -> JsonObject:
        """Return the request as it is."""
        return body

    @override
    def from_chat(self, body: JsonObject) -> JsonObject:
        """Return the request less the search that another dialect offers a model: most servers refuse it here."""
        return {name: value for name, value in body.items() if name != "web_search_options"}

    @override
    def outgoing(self, body: JsonObject, model: str) -> JsonObject:
        """Return a request as an upstream gets it: model named, our hints gone, usage asked for in streams."""
        return outgoing_body(body, model, without_hints(body.get("metadata")))

    @override
    def answer_to_chat(self, answer: JsonObject) -> JsonObject:
        """Return the answer as it is; raise UpstreamError where it is no chat completion."""
        if not isinstance(answer.get("choices"), list):
            raise UpstreamError("the upstream's answer is no chat completion; check its base_url")
        return answer

    @override
    def answer_from_chat(self, completion: JsonObject, facts: AnswerFacts, request: JsonObject) -> JsonObject:
        """Return the completion, with what another dialect's answer does not say of itself."""
        named: JsonObject = {"id": f"chatcmpl-{facts.interaction_id}", "created": int(facts.at.timestamp())}
        return {**named, "object": "chat.completion", "model": facts.model, **completion}

    @override
    def decoder(self) -> Decoder:
        """Return a reader of chunks."""
        return ChatDecoder()

    @override
    def encoder(self, facts: AnswerFacts, request: Request) -> Encoder:
        """Return a writer of chunks."""
        return ChatEncoder(facts, wants_usage=request.wants_usage)

    @override
    def passage(self, masker: Masker | None, request: Request) -> Passage:
        """Return the way of a stream of chunks."""
        return ChatPassage(masker, wants_usage=request.wants_usage, json_text=wants_json(request.body))

    @override
    def error(self, problem: Problem, request_id: str) -> bytes:
        """Return OpenAI's error envelope."""
        return problem.body

    @override
    def error_frame(self, problem: Problem) -> bytes:
        """Return OpenAI's error envelope as an event."""
        return data_frame(problem.body)

    @override
    def error_status(self, problem: Problem) -> int:
        """Return the problem's own status."""
        return problem.status

    @override
    def upstream_headers(self, client: Mapping[str, str]) -> dict[str, str]:
        """Return OpenAI's beta header."""
        return {name: client[name] for name in _PASSED_HEADERS if name in client}


def _wants_usage(body: JsonObject) -> bool:
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise InvalidRequestError("stream_options must be an object", "stream_options")
    return bool(options and options.get("include_usage"))


class ChatDecoder:
    """Reads a stream of chunks until [DONE]."""

    def __init__(self) -> None:
        self.ended = False

    def feed(self, data: bytes) -> list[JsonObject]:
        """Return the chunk that an event is; see `Decoder.feed`."""
        if data.strip() == _END:
            self.ended = True
            return []
        return [read_event(data)]


class ChatEncoder(Encoder):
    """Writes chunks as the frames of one stream, under one id and the model's name that the client knows.

    A finish_reason waits for `finish`, as `ChatPassage` has it.
    """

    def __init__(self, facts: AnswerFacts, *, wants_usage: bool) -> None:
        self._facts = facts
        self._wants_usage = wants_usage
        self._ending = b""

    @override
    def feed(self, chunk: JsonObject) -> bytes:
        """Return the frame of a chunk; what ends a choice, and the usage chunk, wait for `finish`."""
        choices = chunk.get("choices")
        shown = self._frame(choices) if choices else b""
        if finishes(chunk):
            self._ending += shown
            return b""
        return shown

    @override
    def finish(self, usage: Usage | None) -> bytes:
        """Return what ends the choices, the usage chunk where it was asked for, and [DONE]."""
        counted = self._frame([], usage_object(usage)) if self._wants_usage and usage else b""
        return self._ending + counted + DONE_FRAME

    def _frame(self, choices: object, usage: JsonObject | None = None) -> bytes:
        facts = self._facts
        head = {
            "id": f"chatcmpl-{facts.interaction_id}",
            "object": "chat.completion.chunk",
            "created": int(facts.at.timestamp()),
            "model": facts.model,
            "choices": choices,
        }
        return data_frame(orjson.dumps({**head, "usage": usage} if usage is not None else head))


class ChatPassage:
    """A stream from data of events to frames; bytes pass unchanged wherever nothing in them was masked.

    A finish_reason and what follows it wait for the end mark: a client may take it for the end of a whole answer.
    """

    def __init__(self, masker: Masker | None, *, wants_usage: bool, json_text: bool) -> None:
        """Take the masker of the request, None where nothing needs to be put back."""
        self.ended = False
        self._wants_usage = wants_usage
        self._deltas = DeltaRestorer(masker, json_text=json_text) if masker else None
        self._ending = b""

    def forward(self, data: bytes) -> tuple[bytes, list[JsonObject]]:
        """Return the frame of one event, empty where the client gets none yet, and its chunk."""
        if data.strip() == _END:
            self.ended = True
            return b"", []
        chunk = read_event(data)
        shown = self._shown(data, chunk)
        if finishes(chunk) or (self._ending and not chunk.get("choices")):
            self._ending += shown
            return b"", [chunk]
        return shown, [chunk]

    def _shown(self, data: bytes, chunk: JsonObject) -> bytes:
        if not self._wants_usage and chunk.get("usage") and not chunk.get("choices"):
            return b""
        if self._deltas is not None:
            return b"".join(data_frame(orjson.dumps(one)) for one in self._deltas.restore(read_event(data)))
        return data_frame(data.replace(b"\n", b"\ndata: "))

    def finish(self) -> bytes:
        """Return what has waited for the end, and [DONE]."""
        return self._ending + DONE_FRAME
