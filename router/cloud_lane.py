"""Serves a request from an upstream: whole or streamed, values put back, the outcome durable before the last byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TypeVar

from registry.entities import EvidenceType, Json, Outcome, Status, Usage
from registry.errors import LedgerError, ModelBreederError, RefusedError, UpstreamError
from router.assembly import token_count, upstream_usage
from router.attempts import Attempt
from router.budgets import Budgets
from router.chat import answer_text
from router.egress import Egress, read_whole
from router.envelope import estimate_tokens
from router.exchange import CutStreamError
from router.fitness import expected_usage
from router.passing import (
    MAX_ANSWER_BYTES,
    Stream,
    check_status,
    drain,
    frames_of,
    parcel_of,
    passage_of,
    passed_headers,
    whole_of,
)
from router.pricing import Prices
from router.problems import problem_of
from router.recording import Recorder
from router.retrying import AttemptNote, fact
from router.routed import Routed
from router.sse import events
from router.upstream import CloudReply

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class CloudLane:
    """Where requests meet upstreams."""

    egress: Egress
    recorder: Recorder
    prices: Prices
    budgets: Budgets

    async def serve(self, attempt: Attempt) -> None:
        """Ask the attempt's target and pass its answer on.

        Raises:
            CutStreamError: the stream broke after its first frame.
            ModelBreederError: no answer; the client has got nothing, the outcome is recorded.

        """
        stream = Stream(passage_of(attempt)) if attempt.routed.incoming.request.stream else None

        async def pass_on(reply: CloudReply) -> None:
            await (self._stream(attempt, reply, stream) if stream else self._whole(attempt, reply))

        await self.exchange(attempt, stream, pass_on)

    async def exchange(
        self, attempt: Attempt, stream: Stream | None, take: Callable[[CloudReply], Awaitable[_T]]
    ) -> _T:
        """Ask the attempt's target and let `take` have its answer; whatever goes wrong is recorded.

        Raises:
            CutStreamError: `take` raised it.
            ModelBreederError: no answer, or `take` raised it; RefusedError where a budget is used up.

        """
        await self._set_aside(attempt)
        try:
            reply = await self._send(attempt)
            try:
                await check_status(reply, attempt)
                return await take(reply)
            finally:
                reply.close()
        except asyncio.CancelledError:
            await self._abandon(attempt, stream)
            raise
        except CutStreamError:
            raise
        except ModelBreederError as error:
            await self._fail(attempt, error)
            raise
        finally:
            # What has an outcome is settled by it, also one that is still on its way to the disk.
            if not attempt.ended:
                self.budgets.release(attempt.id)

    async def _set_aside(self, attempt: Attempt) -> None:
        """Set aside what a cloud call may cost; where that is more than is left, record so and refuse it."""
        routed, at = attempt.routed, attempt.intent.at_utc
        if routed.cloud is None or routed.cloud.private:
            return
        estimate = self.prices.cost(attempt.target, expected_usage(routed.chat, routed.envelope), at)
        why = self.budgets.reserve(attempt.id, routed.rulebook.payer(routed.incoming), estimate, at)
        if why:
            await self.recorder.record(attempt.intent, attempt.outcome(Status.REFUSED, error=why), *attempt.notes)
            raise RefusedError(why)

    async def _send(self, attempt: Attempt) -> CloudReply:
        """Send it; where it had to be sent again, the ledger learns how often and why."""
        told: list[AttemptNote] = []

        def note(one: AttemptNote) -> None:
            self.recorder.attempted(one)
            told.append(one)

        try:
            return await self.egress.send(attempt.intent, parcel_of(attempt), note)
        finally:
            if len(told) > 1:
                slow = self.recorder.note(attempt.id, EvidenceType.SLOW_PATH, {"attempts": [fact(one) for one in told]})
                attempt.notes = (*attempt.notes, slow)

    async def _whole(self, attempt: Attempt, reply: CloudReply) -> None:
        raw = await read_whole(reply, MAX_ANSWER_BYTES)
        attempt.saw_token()
        completion, shown = whole_of(attempt, raw)
        await self._end(attempt, Status.OK, completion)
        await attempt.wire.answer({**attempt.headers, **passed_headers(reply)}, shown)

    async def _stream(self, attempt: Attempt, reply: CloudReply, stream: Stream) -> None:
        async with aclosing(events(reply.chunks())) as source:
            begun = await self._pass_on(attempt, reply, stream, source)
            await self._end(attempt, Status.OK, stream.assembly.completion())
            if not begun:
                await attempt.wire.begin({**attempt.headers, **passed_headers(reply)})
            await attempt.wire.write(stream.passage.finish())
            await attempt.wire.end()
            await drain(source)

    async def _pass_on(
        self, attempt: Attempt, reply: CloudReply, stream: Stream, source: AsyncGenerator[list[bytes], None]
    ) -> bool:
        """Pass frames on until the end mark; say whether the client's stream has begun."""
        begun = False
        try:
            async for frame in frames_of(stream, source, attempt.target.upstream):
                if not begun:
                    attempt.saw_token()
                    await attempt.wire.begin({**attempt.headers, **passed_headers(reply)})
                    begun = True
                await attempt.wire.write(frame)
        except UpstreamError as error:
            if not begun:
                raise
            await attempt.wire.write(attempt.routed.incoming.dialect.error_frame(problem_of(error)))
            await self._end(attempt, Status.TRUNCATED, stream.assembly.completion(), str(error))
            raise CutStreamError(str(error)) from error
        return begun

    async def _abandon(self, attempt: Attempt, stream: Stream | None) -> None:
        """Record that the client left, or the daemon stopped; the upstream is closed by now."""
        partial = stream.assembly.completion() if stream and stream.assembly.has_text else None
        status, why = attempt.abandonment
        if not attempt.ended:
            await self._end(attempt, status, partial, why)

    async def _fail(self, attempt: Attempt, error: ModelBreederError) -> None:
        """Record a failure; where the ledger refused the intent it takes no outcome either."""
        if not attempt.ended and not isinstance(error, LedgerError):
            with suppress(ModelBreederError):
                await self._end(attempt, Status.ERROR, None, str(error))

    async def _end(self, attempt: Attempt, status: Status, response: Json, error: str | None = None) -> None:
        await self.recorder.record(self.outcome(attempt, status, response, error), *attempt.notes)

    def outcome(
        self, attempt: Attempt, status: Status, response: Json, error: str | None = None, verification: Json = None
    ) -> Outcome:
        """Return how an attempt ended, with tokens and cost."""
        reported = response.get("usage") if isinstance(response, dict) else None
        usage = upstream_usage(reported) or (_estimate(attempt.routed, response) if response else None)
        cost = self.prices.cost(attempt.target, usage, attempt.intent.at_utc, _cached_tokens(reported))
        return attempt.outcome(
            status,
            response=response,
            usage=usage,
            cost_usd=cost,
            cloud_cost_usd=cost,
            verification=verification,
            error=error,
        )


def _estimate(routed: Routed, response: Json) -> Usage:
    return Usage(routed.leaving_tokens, estimate_tokens(answer_text(response)), "estimate")


def _cached_tokens(usage: Json) -> int:
    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    return (token_count(details.get("cached_tokens")) if isinstance(details, dict) else None) or 0
