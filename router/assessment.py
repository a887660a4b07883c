"""What is found of one attempt's local answer: verified within the client's deadline, and told masked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from router.attempts import Attempt, printable
from router.problems import DeadlineError
from router.verifying.finding import Finding, Reply

MAX_WHY = 2400
"""Characters that are kept of a masked reason; the end of a command's output is no longer."""
HELD_HEADER = "x-modelbreeder-held"
_WEAK_HEADER = "x-modelbreeder-weak"


@asynccontextmanager
async def within_deadline(attempt: Attempt) -> AsyncIterator[None]:
    """Give work on this machine what is left of the client's deadline; raise DeadlineError where that is too little."""
    limit = asyncio.timeout(attempt.remaining_s)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise DeadlineError(
            f"no answer within the deadline of {attempt.routed.envelope.deadline_ms} ms; give it more, or none"
        ) from error


def verifies(attempt: Attempt) -> bool:
    """Say whether anything is verified of an attempt's answer."""
    routed = attempt.routed
    return bool(routed.rulebook.judge.verification.names(routed.chat, routed.envelope.workflow))


async def findings_of(attempt: Attempt, reply: Reply) -> tuple[Finding, ...]:
    """Verify an answer that holds the real values; what is found is masked, as the ledger keeps it.

    Raises:
        DeadlineError: it cannot be verified in time.

    """
    routed, incoming = attempt.routed, attempt.routed.incoming
    request = incoming.dialect.to_chat(incoming.request.body)
    async with within_deadline(attempt):
        found = await routed.rulebook.judge.verification.findings(reply, request, routed.envelope.workflow)
    return tuple(replace(finding, why=_told(attempt, finding.why)) for finding in found)


async def uncheckable(attempt: Attempt) -> str:
    """Say why no answer to a request could be verified, whatever it is; empty where one can."""
    routed, incoming = attempt.routed, attempt.routed.incoming
    request = incoming.dialect.to_chat(incoming.request.body)
    return _told(attempt, await routed.rulebook.judge.verification.uncheckable(request))


def _told(attempt: Attempt, why: str) -> str:
    return attempt.mask_error(why)[:MAX_WHY]


def flaw_of(findings: Sequence[Finding]) -> str:
    """Return why an answer is not as asked for, empty where it is; the last finding tells."""
    last = findings[-1] if findings else None
    return f"{last.name}: {last.why}" if last is not None and not last.ok else ""


def is_better(mended: Sequence[Finding], first: Sequence[Finding]) -> bool:
    """Say whether a mended answer came further in being verified than the first one did."""
    return not flaw_of(mended) or _reach(mended) > _reach(first)


def _reach(findings: Sequence[Finding]) -> tuple[int, int]:
    """Return how many verifiers an answer with a flaw had passed, and how many of its tool calls."""
    return len(findings), findings[-1].call or 0


def weak_header(weakness: str) -> dict[str, str]:
    """Return the header of a weak answer that is given all the same, nothing for any other."""
    return {_WEAK_HEADER: printable(weakness)} if weakness else {}
