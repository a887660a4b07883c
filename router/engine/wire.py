"""The engine's HTTP bodies and its NDJSON lines, one module for both ends of the socket."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field

from registry.errors import EngineError
from router.engine.protocol import MAX_GRAMMAR_CHARS, Done, FinishReason, GenerateRequest, Message, Piece

_Stop = Annotated[str, Field(min_length=1, max_length=256)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class MessageBody(_Body):
    """One turn of a chat."""

    role: str
    content: str

    def message(self) -> Message:
        """Return it as a domain value."""
        return Message(self.role, self.content)


class GenerateBody(_Body):
    """`POST /generate`."""

    messages: tuple[MessageBody, ...] = Field(min_length=1)
    adapter: Annotated[Path | None, Field(strict=False)] = None
    max_tokens: int = Field(ge=1)
    temperature: float = Field(0.0, ge=0, le=100, allow_inf_nan=False)
    stop: tuple[_Stop, ...] = Field((), max_length=16)
    seed: int = Field(0, ge=0, lt=2**64)
    grammar: str = Field("", max_length=MAX_GRAMMAR_CHARS)


class TokenizeBody(_Body):
    """`POST /tokenize`: a plain text, or a chat through the template."""

    text: str | None = None
    messages: tuple[MessageBody, ...] | None = None


class LogitsBody(_Body):
    """`POST /logits`; `every` asks for all positions instead of the last."""

    tokens: tuple[int, ...] = Field(min_length=1)
    adapter: Annotated[Path | None, Field(strict=False)] = None
    every: bool = False


def encode_request(request: GenerateRequest) -> bytes:
    """Return the body of `POST /generate`."""
    return orjson.dumps(
        {
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "adapter": str(request.adapter) if request.adapter else None,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "stop": request.stop,
            "seed": request.seed,
            "grammar": request.grammar,
        }
    )


def encode_line(item: Piece | Done) -> bytes:
    """Return one NDJSON line."""
    if isinstance(item, Piece):
        return orjson.dumps({"text": item.text, "logprob": item.logprob}, option=orjson.OPT_APPEND_NEWLINE)
    line = {
        "done": True,
        "finish_reason": item.finish_reason,
        "prompt_tokens": item.prompt_tokens,
        "completion_tokens": item.completion_tokens,
        "mean_logprob": None if isnan(item.mean_logprob) else item.mean_logprob,
    }
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def encode_failure(error: EngineError) -> bytes:
    """Return the last line of an answer that failed on the way."""
    line = {"done": True, "finish_reason": FinishReason.ERROR, "error": str(error)}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def decode_line(line: bytes) -> Piece | Done:
    """Read one NDJSON line.

    Raises:
        EngineError: the line reports a failure.
    """
    fields = orjson.loads(line)
    if "done" not in fields:
        return Piece(fields["text"], fields["logprob"])
    if "error" in fields:
        raise EngineError(fields["error"])
    mean = fields["mean_logprob"]
    reason = FinishReason(fields["finish_reason"])
    return Done(reason, fields["prompt_tokens"], fields["completion_tokens"], float("nan") if mean is None else mean)
