from pathlib import Path
from typing import Any

import pytest

from registry.settings import DataClassSettings, PolicySettings, RedactionSettings
from router.exchange import TurnError
from router.problems import UnservedError
from router.told_classes import ToldClasses
from tests.router.making import run, settings, task, world

KEPT = ("client", "patient")


def chat(*texts: str, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": text} for text in texts]}


def test_a_conversation_keeps_the_class_that_its_client_gave_it() -> None:
    told = ToldClasses(lambda: 0.0)
    told.tell("ann", chat("a", "b"), "client")

    assert told.recall("ann", chat("a", "b"), KEPT) == "client"
    assert told.recall("ann", chat("a", "b", "c"), KEPT) == "client"
    answered = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "x"}, *chat("b", "c")["messages"]]
    assert told.recall("ann", {"messages": answered}, KEPT) == "client"


def test_of_several_classes_of_one_conversation_any_that_is_still_local_only_holds() -> None:
    told = ToldClasses(lambda: 0.0)
    told.tell("ann", chat("a"), "client")
    told.tell("ann", chat("a", "b"), "patient")

    assert told.recall("ann", chat("a", "b", "c"), ("patient",)) == "patient"
    assert told.recall("ann", chat("a", "b", "c"), ("client",)) == "client"
    assert told.recall("ann", chat("a", "c"), ("patient",)) is None


def test_other_conversations_and_other_clients_have_none() -> None:
    told = ToldClasses(lambda: 0.0)
    assert told.recall("ann", chat("a"), KEPT) is None
    told.tell("ann", chat("a", "b"), "client")
    told.tell("ann", chat(""), "client")
    told.tell("ann", {}, "client")

    assert len(told) == 1
    for other in (chat("a"), chat("b"), chat("ab"), chat("a", "c"), chat(""), {}):
        assert told.recall("ann", other, KEPT) is None
    assert told.recall("bob", chat("a", "b"), KEPT) is None


def test_what_did_not_go_on_for_long_is_forgotten_and_what_goes_on_is_not() -> None:
    now = [0.0]
    told = ToldClasses(lambda: now[0], capacity=2, ttl_s=10)
    told.tell("ann", chat("a"), "client")
    now[0] = 9
    assert told.recall("ann", chat("a", "b"), KEPT) == "client"
    now[0] = 18
    assert told.recall("ann", chat("a"), KEPT) == "client"
    now[0] = 28
    assert told.recall("ann", chat("a"), KEPT) is None
    for text in "abc":
        told.tell("ann", chat(text), "client")
    assert (len(told), told.recall("ann", chat("a"), KEPT)) == (2, None)


def test_a_next_turn_that_does_not_say_it_again_stays_too(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            with pytest.raises(TurnError):
                await made.ask(task("of ours"), {"X-ModelBreeder-Data-Class": "client"})
            later = [{"role": "user", "content": "of ours"}, {"role": "user", "content": "and now?"}]
            with pytest.raises(TurnError) as caught:
                await made.ask({"model": "cloud", "messages": later})
            assert isinstance(caught.value.cause, UnservedError)
            assert made.cloud.requests == []
            first, last = made.interactions()
            assert last.intent.envelope.data_class == "client"
            assert "'client', told earlier in this conversation, is local-only" in last.intent.decision.local_reason
            assert "told earlier" not in first.intent.decision.local_reason
            await made.ask(task("something else"))
            assert len(made.cloud.requests) == 1

    run(scene())


def test_nor_does_it_leave_where_a_placeholder_has_another_number_by_then(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            with pytest.raises(TurnError):
                await made.ask(task("of bob@acme.example"), {"X-ModelBreeder-Data-Class": "client"})
            later = [{"role": "system", "content": "for eve@acme.example"}, *chat("of bob@acme.example")["messages"]]
            with pytest.raises(TurnError):
                await made.ask({"model": "cloud", "messages": later})
            assert made.cloud.requests == []
            await made.ask(task("of carl@acme.example"))
            assert len(made.cloud.requests) == 1

    run(scene())


def test_a_path_that_is_masked_tells_its_class_all_the_same(tmp_path: Path) -> None:
    policy = PolicySettings(cloud="vendor/gpt-5.4", classes=(DataClassSettings(name="client", paths=("clients/**",)),))
    masked = RedactionSettings(paths=("clients/**",))

    async def scene() -> None:
        async with world(tmp_path, settings(policy=policy, redaction=masked)) as made:
            with pytest.raises(TurnError):
                await made.ask(task("see clients/acme/plan.md"))
            (one,) = made.interactions()
            assert made.cloud.requests == []
            assert one.intent.envelope.data_class == "client"
            assert "REPOPATH1" in str(one.intent.request_received)
            assert "acme" not in str(one.intent)

    run(scene())
