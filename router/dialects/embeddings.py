"""OpenAI's embeddings dialect: text in, vectors out; its answers pass as bytes, base64 or not, and never stream.

In the chat form the texts are one user turn that asks for something other than text, so no specialist takes it.
"""

from __future__ import annotations

from typing_extensions import override

from registry.entities import Json
from registry.errors import UpstreamError
from router.chat import JsonObject, parse_object
from router.dialects.chat import Chat
from router.dialects.protocol import AnswerFacts, Request
from router.hints import without_hints
from router.problems import InvalidRequestError


class Embeddings(Chat):
    """POST /v1/embeddings."""

    surface = "openai.embeddings"
    path = "/embeddings"

    @override
    def read(self, raw: bytes) -> Request:
        """Read a request body; see `Dialect.read`."""
        body = parse_object(raw)
        model = body.get("model")
        if not isinstance(model, str) or not model.strip():
            raise InvalidRequestError("model must be a name such as 'text-embedding-3-small'", "model")
        texts = _texts(body)
        if not texts or not all(isinstance(text, str) for text in texts):
            raise InvalidRequestError(
                "input must be a text or a list of texts; token ids cannot be inspected for secrets", "input"
            )
        if not isinstance(body.get("metadata") or {}, dict):
            raise InvalidRequestError("metadata must be an object of strings", "metadata")
        return Request(body, model.strip(), stream=False, wants_usage=False)

    @override
    def to_chat(self, body: JsonObject) -> JsonObject:
        """Return the texts as the parts of one user turn."""
        parts: list[Json] = [{"type": "text", "text": text} for text in _texts(body)]
        turn: Json = {"role": "user", "content": parts}
        return {"model": body.get("model"), "messages": [turn], "modalities": ["embedding"]}

    @override
    def from_chat(self, body: JsonObject) -> JsonObject:
        """No upstream is asked in this dialect for a client that speaks another."""
        raise NotImplementedError

    @override
    def outgoing(self, body: JsonObject, model: str) -> JsonObject:
        """Return a request as an upstream gets it."""
        metadata = without_hints(body.get("metadata"))
        kept: JsonObject = {name: value for name, value in body.items() if name != "metadata"}
        return {**kept, "model": model, **({} if metadata is None else {"metadata": metadata})}

    @override
    def answer_to_chat(self, answer: JsonObject) -> JsonObject:
        """Return what the ledger keeps of an answer: its token counts, not its vectors."""
        if not isinstance(answer.get("data"), list):
            raise UpstreamError("the upstream's answer holds no embeddings; check its base_url")
        usage = answer.get("usage")
        prompt = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        counted: Json = {"prompt_tokens": prompt, "completion_tokens": 0} if isinstance(prompt, int) else None
        return {"object": "chat.completion", "model": answer.get("model"), "choices": [], "usage": counted}

    @override
    def answer_from_chat(self, completion: JsonObject, facts: AnswerFacts, request: JsonObject) -> JsonObject:
        """Nothing but an upstream of this dialect has embeddings."""
        raise NotImplementedError


def _texts(body: JsonObject) -> list[Json]:
    given = body.get("input")
    return given if isinstance(given, list) else [given]
