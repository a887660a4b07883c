"""Candidates are asked as they will be served, and a failure of the asking is not taken for one of the candidate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from breeder.answering import NO_ANSWER, Stack, answer_all
from breeder.labelling import LocalAnswer
from breeder.progress import Paced
from registry.entities import PromptTrim
from registry.prompting import Prompt
from router.engine.protocol import (
    Done,
    EngineRequestError,
    FinishReason,
    GenerateRequest,
    Message,
    Piece,
    RefusalKind,
)

GRAMMAR = '# one of 2 labels\nroot ::= "fix" | "feat"'
STACK = Stack(PromptTrim(prefix="Sort: "), 7, (("old", "feat"),), Path("adapter"), GRAMMAR)


@dataclass
class SayingEngine:
    """Says `text`, or refuses."""

    text: str = "fix"
    finish: FinishReason = FinishReason.STOP
    refusal: RefusalKind | None = None
    requests: list[GenerateRequest] = field(default_factory=list)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Piece | Done, None]:
        self.requests.append(request)
        if self.refusal:
            raise EngineRequestError(self.refusal, "no")
        yield Piece(self.text, -0.5)
        yield Done(self.finish, 5, 1, -0.5)


def ask(engine: SayingEngine, user: str = "Sort: typo") -> LocalAnswer:
    (answer,) = asyncio.run(answer_all(engine, STACK, [Prompt("", user)], Paced(lambda line: None)))
    return answer


def test_a_candidate_is_asked_with_its_whole_stack() -> None:
    engine = SayingEngine()
    assert (ask(engine).text, ask(engine).confidence) == ("fix", -0.5)
    chat = (Message("user", "old"), Message("assistant", "feat"), Message("user", "typo"))
    assert engine.requests[0] == GenerateRequest(chat, 7, Path("adapter"), grammar=GRAMMAR)


def test_what_the_router_would_not_serve_has_no_confidence() -> None:
    assert ask(SayingEngine(), "Other: typo").confidence == NO_ANSWER
    assert ask(SayingEngine(finish=FinishReason.LENGTH)).confidence == NO_ANSWER
    assert ask(SayingEngine(text=" ")).confidence == NO_ANSWER
    assert ask(SayingEngine(refusal=RefusalKind.CONTEXT)).confidence == NO_ANSWER


def test_a_grammar_that_the_engine_refuses_stops_the_measuring() -> None:
    with pytest.raises(EngineRequestError):
        ask(SayingEngine(refusal=RefusalKind.GRAMMAR))
