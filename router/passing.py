"""What passes between a client and an upstream: the request as it leaves, the answer as it is shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

import orjson

from registry.errors import ModelBreederError, UpstreamError
from router.assembly import ChunkAssembly
from router.attempts import Attempt, upstream_body
from router.chat import JsonObject
from router.dialects.protocol import Passage
from router.dialects.translation import Translation
from router.egress import Parcel, read_whole
from router.fitness import wants_json
from router.routed import Routed
from router.upstream import CloudReply, UpstreamProblem, UpstreamStatusError
from router.vendor_fields import tellable

MAX_ANSWER_BYTES = 64 << 20
MAX_STREAM_BYTES = 4 * MAX_ANSWER_BYTES
"""Around each word of a stream stand some 400 bytes, and 2 KB where log-probabilities are asked for."""
_DRAIN_S = 0.1
_PASSED_PREFIXES = ("x-ratelimit-", "openai-")


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream on its way, and what the ledger will keep of it."""

    passage: Passage
    assembly: ChunkAssembly = field(default_factory=ChunkAssembly)


async def frames_of(
    stream: Stream, source: AsyncGenerator[list[bytes], None], upstream: str
) -> AsyncGenerator[bytes, None]:
    """Yield what the client gets until the end mark; raise UpstreamError where the stream ends before.

    What arrived together leaves together: a write for each event would cost more than all else that is done with it.
    """
    size_bytes = 0
    async for arrived in source:
        frames, broken = _forwarded(stream, arrived)
        size_bytes += sum(map(len, arrived))
        if frames:
            yield frames
        if broken is not None:
            raise broken
        if stream.passage.ended:
            return
        if size_bytes > MAX_STREAM_BYTES or stream.assembly.characters > MAX_ANSWER_BYTES:
            raise UpstreamError(f"the answer of {upstream!r} is over {MAX_ANSWER_BYTES:,} bytes; it was cut off")
    raise UpstreamError(f"upstream {upstream!r} ended its stream without the end mark; the answer is not whole")


def _forwarded(stream: Stream, arrived: Sequence[bytes]) -> tuple[bytes, ModelBreederError | None]:
    """Return the frames of some events, up to the end mark or to an event that breaks the stream, and how it does."""
    frames: list[bytes] = []
    for data in arrived:
        try:
            shown, chunks = stream.passage.forward(data)
        except ModelBreederError as error:
            return b"".join(frames), error
        except (RecursionError, orjson.JSONEncodeError) as error:
            return b"".join(frames), too_deep(error)
        for chunk in chunks:
            stream.assembly.add(chunk)
        frames.append(shown)
        if stream.passage.ended:
            break
    return b"".join(frames), None


def too_deep(error: Exception) -> UpstreamError:
    """Return what a nesting beyond all walking and writing is to the client; raise anything else, a bug of ours."""
    # orjson has one class for all that it cannot write.
    if not isinstance(error, RecursionError) and str(error) != "Recursion limit reached":
        raise error
    return UpstreamError("the upstream's answer is nested too deeply; ask again")


def parcel_of(attempt: Attempt) -> Parcel:
    """Return a request as it leaves: masked for a cloud, as received for the user's own servers."""
    routed = attempt.routed
    return Parcel(
        upstream=attempt.target.upstream,
        masked=upstream_body(routed, routed.with_opaque(routed.leaving)),
        received=upstream_body(routed, routed.incoming.request.body),
        headers=routed.vouched if routed.wire.surface == routed.incoming.dialect.surface else {},
        deadline_s=attempt.remaining_s,
        path=routed.wire.path,
        left_out=tellable(routed.left_out),
    )


def restores(routed: Routed) -> bool:
    """Say whether values were masked in what the upstream saw; private upstreams see the real ones."""
    return routed.was_masked and not (routed.cloud is not None and routed.cloud.private)


def passage_of(attempt: Attempt) -> Passage:
    """Return the way of a stream from the upstream's dialect to the client's."""
    routed = attempt.routed
    masker = routed.redaction.masker if restores(routed) else None
    spoken, wire, request = routed.incoming.dialect, routed.wire, routed.incoming.request
    if spoken.surface == wire.surface:
        return spoken.passage(masker, request)
    encoder = spoken.encoder(attempt.facts, request)
    return Translation(wire.decoder(), encoder, masker, json_text=wants_json(routed.chat))


def whole_of(attempt: Attempt, raw: bytes) -> tuple[JsonObject, bytes]:
    """Return a whole answer as a chat completion, and as the client gets it; UpstreamError where it is none."""
    answer = answer_object(raw)
    try:
        completion = attempt.routed.wire.answer_to_chat(answer)
        return completion, _shown_of(attempt, raw, answer, completion)
    except (RecursionError, orjson.JSONEncodeError) as error:
        raise too_deep(error) from error


def _shown_of(attempt: Attempt, raw: bytes, answer: JsonObject, completion: JsonObject) -> bytes:
    """Return a whole answer as the client gets it, the upstream's own bytes where nothing has to change."""
    routed = attempt.routed
    spoken, masker = routed.incoming.dialect, routed.redaction.masker if restores(routed) else None
    same = spoken.surface == routed.wire.surface
    if same and masker is None:
        return raw
    shown = masker.restore_json(answer if same else completion) if masker else completion
    if same:
        return orjson.dumps(shown)
    return orjson.dumps(spoken.answer_from_chat(cast("JsonObject", shown), attempt.facts, routed.incoming.request.body))


async def check_status(reply: CloudReply, attempt: Attempt) -> None:
    """Raise UpstreamStatusError for anything but a success."""
    if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return
    body = await read_whole(reply, MAX_ANSWER_BYTES)
    said, masker = _said(body), attempt.routed.redaction.masker
    restored = masker.restore(said.message) if restores(attempt.routed) else None
    retry_after = reply.headers.get("retry-after")
    raise UpstreamStatusError(attempt.target.upstream, reply.status, body, retry_after, said, restored)


def _said(body: bytes) -> UpstreamProblem:
    """Return what an upstream's error says; of a body that is no JSON the length alone, as a cut may hide a secret."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    error = parsed.get("error", parsed) if isinstance(parsed, dict) else None
    known = error if isinstance(error, dict) else {}
    message = known.get("message") or error or (f"{len(body):,} bytes that are no JSON error" if body else "nothing")
    kind, code, param = (None if known.get(key) is None else str(known[key]) for key in ("type", "code", "param"))
    return UpstreamProblem(str(message), kind, code, param)


def answer_object(raw: bytes) -> JsonObject:
    """Read a whole answer, else raise UpstreamError."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise UpstreamError(f"the upstream's answer is not JSON: {len(raw):,} bytes; ask again") from error
    if not isinstance(value, dict):
        raise UpstreamError("the upstream's answer is no JSON object; check its base_url")
    return value


def passed_headers(reply: CloudReply) -> dict[str, str]:
    """Return which of an upstream's headers the client gets."""
    return {name: value for name, value in reply.headers.items() if name.startswith(_PASSED_PREFIXES)}


async def drain(source: AsyncGenerator[list[bytes], None]) -> None:
    """Read on to the end of a finished stream, so that its connection can be used again."""
    with suppress(TimeoutError, UpstreamError):
        async with asyncio.timeout(_DRAIN_S):
            async for _ in source:
                pass
