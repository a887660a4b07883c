"""Send tasks to the daemon as a tool would, and give feedback as a user would."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiohttp
import orjson

from breeder.rehearsal.cloud import MODEL
from breeder.rehearsal.tasks import RehearsalTask
from breeder.scorers import score
from registry.errors import UpstreamError

CONCURRENCY = 8
_REFUSED = (403, 503)


@dataclass(frozen=True, slots=True)
class Served:
    """One played task; `lane` and `interaction` are empty where the cloud was called directly.

    A task that policy refuses has no text, counts as wrong, and `refusal` says why.
    """

    task: RehearsalTask
    text: str
    lane: str
    interaction: str
    correct: float
    refusal: str = ""


async def play(
    url: str, tasks: Sequence[RehearsalTask], scorer: str, each: Callable[[int], None] = lambda _: None
) -> list[Served]:
    """Play the tasks in order, a few at a time, and return the answers in the same order.

    Raises:
        UpstreamError: a request was refused or failed; the message has the server's own words.
    """
    gate = asyncio.Semaphore(CONCURRENCY)
    done = 0

    async with aiohttp.ClientSession(json_serialize=lambda value: orjson.dumps(value).decode()) as session:

        async def one(task: RehearsalTask) -> Served:
            nonlocal done
            async with gate:
                served = await _ask(session, url, task, scorer)
            done += 1
            each(done)
            return served

        return list(await asyncio.gather(*map(one, tasks)))


async def give_feedback(url: str, token: str, served: Sequence[Served], share: float, rng: random.Random) -> int:
    """Judge a random share of the answers, accepting right ones and correcting wrong ones; return how many.

    The token is the daemon's admin's.
    """
    chosen = [answer for answer in served if not answer.refusal and rng.random() < share]
    async with aiohttp.ClientSession(headers={"x-api-key": token}) as session:
        for answer in chosen:
            verdict = {"interaction": answer.interaction, "verdict": "accepted"}
            if answer.correct < 1:
                verdict |= {"verdict": "corrected", "corrected": answer.task.reference}
            async with session.post(f"{url}/v1/feedback", json=verdict) as response:
                if response.status >= 400:
                    raise UpstreamError(
                        f"feedback was refused: {(await response.text())[:300]}", status=response.status
                    )
    return len(chosen)


async def _ask(session: aiohttp.ClientSession, url: str, task: RehearsalTask, scorer: str) -> Served:
    body = {"model": MODEL, "messages": task.messages()}
    headers = {"X-ModelBreeder-Workflow": task.workload}
    async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as response:
        answer = await response.json(content_type=None)
        if response.status in _REFUSED:
            return Served(task, "", "", "", 0.0, refusal=str(answer["error"]["message"]))
        if response.status >= 400:
            raise UpstreamError(f"task {task.id} failed: {answer}", status=response.status)
        text = answer["choices"][0]["message"]["content"]
        return Served(
            task=task,
            text=text,
            lane=response.headers.get("X-ModelBreeder-Lane", ""),
            interaction=response.headers.get("X-ModelBreeder-Interaction", ""),
            correct=score(scorer, text, task.reference),
        )
