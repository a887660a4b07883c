"""Ask candidates through the serving engine: same process, same chat, same adapter file as the router will use."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from breeder.labelling import LocalAnswer
from breeder.progress import Paced
from registry.entities import PromptTrim
from registry.prompting import Prompt, chat_messages, fits
from router.engine.protocol import (
    Done,
    Engine,
    EngineRequestError,
    FinishReason,
    GenerateRequest,
    Message,
    Piece,
    RefusalKind,
)

NO_ANSWER = -math.inf
"""Confidence of an answer that is refused, cut off or failed: below every threshold, so never served."""


@dataclass(frozen=True, slots=True)
class Stack:
    """What stands on a base to make a candidate: trim, examples, adapter file, answer limit, the answers' grammar."""

    trim: PromptTrim
    max_tokens: int
    examples: tuple[tuple[str, str], ...] = ()
    adapter: Path | None = None
    grammar: str = ""

    def request(self, prompt: Prompt) -> GenerateRequest:
        """Return the engine request for a prompt that fits the trim."""
        messages = chat_messages(prompt, self.trim, self.examples)
        return GenerateRequest(
            messages=tuple(Message(message["role"], message["content"]) for message in messages),
            max_tokens=self.max_tokens,
            adapter=self.adapter,
            grammar=self.grammar,
        )


async def answer_all(engine: Engine, stack: Stack, prompts: Sequence[Prompt], paced: Paced) -> list[LocalAnswer]:
    """Answer every prompt, one after the other."""
    answers = []
    for number, prompt in enumerate(prompts, 1):
        answers.append(await _answer(engine, stack, prompt))
        paced(f"  {number}/{len(prompts)} answered")
    return answers


async def _answer(engine: Engine, stack: Stack, prompt: Prompt) -> LocalAnswer:
    """Answer one prompt; what the router would not ask this candidate, or what is cut off, has no confidence."""
    started = time.monotonic()
    if not fits(prompt, stack.trim):
        return LocalAnswer("", NO_ANSWER, 0, 0, 0.0)
    pieces: list[str] = []
    end: Done | None = None
    try:
        async for piece in engine.generate(stack.request(prompt)):
            if isinstance(piece, Piece):
                pieces.append(piece.text)
            else:
                end = piece
    except EngineRequestError as error:
        if error.kind is RefusalKind.GRAMMAR:
            # It would be refused for every prompt alike, and look like a candidate that knows nothing.
            raise
        return LocalAnswer("", NO_ANSWER, 0, 0, time.monotonic() - started)
    if end is None or end.finish_reason is not FinishReason.STOP or not "".join(pieces).strip():
        return LocalAnswer("".join(pieces), NO_ANSWER, 0, 0, time.monotonic() - started)
    return LocalAnswer(
        text="".join(pieces),
        confidence=end.mean_logprob,
        prompt_tokens=end.prompt_tokens,
        completion_tokens=end.completion_tokens,
        seconds=time.monotonic() - started,
    )
