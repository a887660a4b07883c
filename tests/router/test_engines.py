"""What a specialist's record says reaches its engine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from registry.entities import PromptTrim
from registry.prompting import Prompt
from router.engine.protocol import GenerateRequest, Message
from router.engines import EnginePool, usable_cores
from tests.router.making import FakeEngine, run, specialist


class NamedFiles:
    """Gives every digest a path of that name."""

    def verified_path(self, sha256: str) -> Path:
        return Path(sha256)


def test_the_engine_is_asked_with_adapter_trim_and_grammar_of_the_record() -> None:
    engine = FakeEngine()
    made = specialist(
        base_sha256="base",
        adapter_sha256="adapter",
        trim=PromptTrim(prefix="Sort: "),
        grammar='root ::= "fix" | "feat"',
    )

    async def scenario() -> None:
        pool = EnginePool(NamedFiles(), lambda _: engine)
        async for _ in pool.answer(made, Prompt("", "Sort: typo"), 7, ("\n",)):
            pass

    run(scenario())
    assert engine.requests == [
        GenerateRequest((Message("user", "typo"),), 7, Path("adapter"), stop=("\n",), grammar=made.grammar)
    ]


def test_a_system_without_affinity_has_all_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert usable_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1
