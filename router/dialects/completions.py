"""OpenAI's old completion dialect, which autocompletion in editors speaks: text, perhaps a suffix, and no turns.

In the chat form a prompt is one user turn, so specialists may serve it; what stands behind the gap is kept beside it.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from typing_extensions import override

from registry.entities import Json, Usage
from registry.errors import UpstreamError
from router.chat import DONE_FRAME, JsonObject, data_frame, outgoing_body, parse_object, usage_object
from router.dialects.chat import Chat, ChatDecoder
from router.dialects.deltas import finishes, read_event
from router.dialects.protocol import AnswerFacts, Decoder, Encoder, Passage, Request
from router.hints import without_hints
from router.problems import InvalidRequestError
from router.redaction.masking import Masker
from router.redaction.placeholders import StreamRestorer

_ALSO_IN_CHAT = (
    "model", "max_tokens", "temperature", "top_p", "n", "stop", "stream", "stream_options", "seed", "user", "metadata",
    "presence_penalty", "frequency_penalty", "logit_bias", "suffix",
)  # fmt: skip


class Completions(Chat):
    """POST /v1/completions."""

    surface = "openai.completions"
    path = "/completions"

    @override
    def read(self, raw: bytes) -> Request:
        """Read a request body; see `Dialect.read`."""
        body = parse_object(raw)
        prompt = body.get("prompt")
        if not isinstance(prompt, str):
            raise InvalidRequestError(
                "prompt must be one text; token ids cannot be inspected for secrets, and several prompts are several "
                "requests",
                "prompt",
            )
        # What is left is checked as it is for chat.
        as_chat = super().read(orjson.dumps(self.to_chat(body)))
        return Request(body, as_chat.model, as_chat.stream, as_chat.wants_usage)

    @override
    def to_chat(self, body: JsonObject) -> JsonObject:
        """Return the prompt as one user turn."""
        kept = {name: body[name] for name in _ALSO_IN_CHAT if name in body}
        logprobs: JsonObject = {"logprobs": True} if body.get("logprobs") is not None else {}
        return {**kept, **logprobs, "messages": [{"role": "user", "content": body.get("prompt")}]}

    @override
    def from_chat(self, body: JsonObject) -> JsonObject:
        """No upstream is asked in this dialect for a client that speaks another."""
        raise NotImplementedError

    @override
    def outgoing(self, body: JsonObject, model: str) -> JsonObject:
        """Return a request as an upstream gets it."""
        return outgoing_body(body, model, without_hints(body.get("metadata")))

    @override
    def answer_to_chat(self, answer: JsonObject) -> JsonObject:
        """Return an answer as a chat completion."""
        choices = answer.get("choices")
        if not isinstance(choices, list):
            raise UpstreamError("the upstream's answer is no completion; check its base_url")
        turned: list[Json] = [_as_message(choice) for choice in choices if isinstance(choice, dict)]
        return {**answer, "object": "chat.completion", "choices": turned}

    @override
    def answer_from_chat(self, completion: JsonObject, facts: AnswerFacts, request: JsonObject) -> JsonObject:
        """Return a chat completion as a text completion."""
        choices = completion.get("choices")
        texts: list[Json] = [_as_text(choice) for choice in _objects(choices)]
        return {**completion, "id": f"cmpl-{facts.interaction_id}", "object": "text_completion", "choices": texts}

    @override
    def decoder(self) -> Decoder:
        """Return a reader of text chunks."""
        return _TextDecoder()

    @override
    def encoder(self, facts: AnswerFacts, request: Request) -> Encoder:
        """Return a writer of text chunks."""
        return _TextEncoder(facts, wants_usage=request.wants_usage)

    @override
    def passage(self, masker: Masker | None, request: Request) -> Passage:
        """Return the way of a stream of text chunks."""
        return _TextPassage(masker, wants_usage=request.wants_usage)


def _objects(values: Json) -> list[JsonObject]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _as_message(choice: JsonObject) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": choice.get("text")}
    return {"index": choice.get("index"), "message": message, "finish_reason": choice.get("finish_reason")}


def _as_text(choice: JsonObject) -> JsonObject:
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else None
    return {
        "index": choice.get("index"),
        "text": text or "",
        "logprobs": None,
        "finish_reason": choice.get("finish_reason"),
    }


def _as_delta(chunk: JsonObject) -> JsonObject:
    """Return a text chunk as a chat chunk."""
    choices: list[Json] = [
        {
            "index": choice.get("index"),
            "delta": {"content": choice.get("text")},
            "finish_reason": choice.get("finish_reason"),
        }
        for choice in _objects(chunk.get("choices"))
    ]
    return {**chunk, "object": "chat.completion.chunk", "choices": choices}


class _TextDecoder(ChatDecoder):
    @override
    def feed(self, data: bytes) -> list[JsonObject]:
        return [_as_delta(chunk) for chunk in super().feed(data)]


class _TextEncoder(Encoder):
    def __init__(self, facts: AnswerFacts, *, wants_usage: bool) -> None:
        self._facts = facts
        self._wants_usage = wants_usage
        self._ending = b""

    @override
    def feed(self, chunk: JsonObject) -> bytes:
        choices: list[Json] = []
        for choice in _objects(chunk.get("choices")):
            delta = choice.get("delta")
            text = delta.get("content") if isinstance(delta, dict) else None
            finish = choice.get("finish_reason")
            if text or finish:
                choices.append(
                    {"index": choice.get("index"), "text": text or "", "logprobs": None, "finish_reason": finish}
                )
        shown = self._frame(choices) if choices else b""
        if finishes(chunk):
            self._ending += shown
            return b""
        return shown

    @override
    def finish(self, usage: Usage | None) -> bytes:
        counted = self._frame([], usage_object(usage)) if self._wants_usage and usage else b""
        return self._ending + counted + DONE_FRAME

    def _frame(self, choices: list[Json], usage: JsonObject | None = None) -> bytes:
        facts = self._facts
        head: Mapping[str, Json] = {
            "id": f"cmpl-{facts.interaction_id}",
            "object": "text_completion",
            "created": int(facts.at.timestamp()),
            "model": facts.model,
            "choices": choices,
        }
        return data_frame(orjson.dumps({**head, "usage": usage} if usage is not None else head))


class _TextPassage:
    """A stream of text chunks; bytes pass unchanged wherever nothing in them was masked.

    A finish_reason waits for the end mark, as `ChatPassage` has it.
    """

    def __init__(self, masker: Masker | None, *, wants_usage: bool) -> None:
        self.ended = False
        self._ending = b""
        self._wants_usage = wants_usage
        self._masker = masker
        self._streams: dict[Json, StreamRestorer] = {}

    def forward(self, data: bytes) -> tuple[bytes, list[JsonObject]]:
        if data.strip() == b"[DONE]":
            self.ended = True
            return b"", []
        chunk = read_event(data)
        if not self._wants_usage and chunk.get("usage") and not chunk.get("choices"):
            return b"", [chunk]
        if self._masker is not None:
            data = orjson.dumps(self._restored(self._masker, read_event(data)))
        shown = data_frame(data.replace(b"\n", b"\ndata: "))
        if finishes(chunk) or (self._ending and not chunk.get("choices")):
            self._ending += shown
            return b"", [_as_delta(chunk)]
        return shown, [_as_delta(chunk)]

    def _restored(self, masker: Masker, chunk: JsonObject) -> JsonObject:
        for choice in _objects(chunk.get("choices")):
            index = choice.get("index")
            stream = self._streams.setdefault(index, masker.restorer())
            rest = stream.feed(str(choice.get("text") or ""))
            choice["text"] = rest + (stream.flush() if choice.get("finish_reason") is not None else "")
        return chunk

    def finish(self) -> bytes:
        return self._ending + DONE_FRAME
