from __future__ import annotations

from router.masker_memory import MaskerMemory
from router.redaction.masking import Masker
from router.redaction.redactor import default_redactor


def masker(text: str = "bob@example.org") -> Masker:
    return default_redactor().redact({"text": text}).masker


def test_the_oldest_are_forgotten_first() -> None:
    memory = MaskerMemory(lambda: 0.0, capacity=2)
    kept = {name: masker() for name in "abc"}
    for name, each in kept.items():
        memory.remember(name, each)

    assert [memory.recall(name) for name in "abc"] == [None, kept["b"], kept["c"]]


def test_all_are_forgotten_after_their_time() -> None:
    now = [0.0]
    memory = MaskerMemory(lambda: now[0], ttl_s=10)
    memory.remember("a", masker())
    now[0] = 9.9
    remembered = memory.recall("a")
    now[0] = 10.0

    assert remembered is not None
    assert memory.recall("a") is None
    assert len(memory) == 0


def test_a_masker_that_masked_nothing_is_not_kept() -> None:
    memory = MaskerMemory(lambda: 0.0)
    memory.remember("a", masker("nothing here"))

    assert len(memory) == 0
