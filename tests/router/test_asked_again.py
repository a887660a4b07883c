from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from router.asked_again import Ask, AskedAgain, normal, session_of
from router.deps import Deps
from tests.router.making import FakeReply, World, answered, incoming, run, world

Q1, Q2 = "Why does this test fail on my machine?", "And how would you mend it, then?"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def chat(*turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(turns), **more}


CALLS: dict[str, Any] = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT: dict[str, Any] = {"role": "tool", "tool_call_id": "c", "content": "1"}


class Asking:
    """One memory, and a client that asks and is answered."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.memory = AskedAgain(self.clock, b"k" * 32, **limits)

    def look(self, body: dict[str, Any], session: str = "", client: str = "local", **headers: str) -> Ask:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.memory.ask_of(body, client, session, named)

    def __call__(self, body: dict[str, Any], *, fails: bool = False, **more: Any) -> int:
        ask = self.look(body, **more)
        count = self.memory.count(ask)
        if not fails:
            self.memory.answered(ask)
        return count


def test_the_same_ask_in_a_named_session_counts() -> None:
    ask = Asking()

    assert [ask(chat(user(Q1)), session="s") for _ in range(3)] == [0, 1, 2]
    assert ask(chat(user(f"  {Q1.upper()}\n")), session="s") == 3
    assert ask(chat(user(Q1)), session="another") == 0
    assert ask(chat(user(Q1)), session="s", client="another") == 0


def test_identical_requests_of_a_batch_do_not_count() -> None:
    ask = Asking()
    examples = (user("Is `good` positive or negative?"), said("positive"))

    assert [ask(chat(user(Q1))) for _ in range(5)] == [0] * 5
    assert [ask(chat(user(Q1), temperature=0), session=f"s{number}") for number in range(5)] == [0] * 5
    assert [ask(chat(*examples, user("Is `bad` positive or negative?"))) for _ in range(5)] == [0] * 5


def test_a_conversation_that_grew_here_is_a_session_of_its_own() -> None:
    ask = Asking()
    longer = chat(user(Q1), said("because"), user(Q2))

    assert ask(chat(user(Q1))) == 0
    assert [ask(longer) for _ in range(3)] == [0, 1, 2]
    assert ask(chat(user(Q1), said("for another reason"), user(Q2))) == 0
    assert ask({**longer, "temperature": 0}) == 0


def test_a_system_text_with_the_time_in_it_hides_nothing() -> None:
    ask = Asking()

    assert ask(chat({"role": "system", "content": "It is 12:00."}, user(Q1)), session="s") == 0
    assert ask(chat({"role": "system", "content": "It is 12:01."}, user(Q1)), session="s") == 1


def test_an_ask_that_stands_twice_in_a_row_counts_without_any_memory() -> None:
    ask = Asking()

    assert ask(chat(user(Q1), said("a"), user(Q1))) == 1
    assert ask(chat(user(Q1), said("a"), user(f"{Q1}!"), said("b"), user(Q1.lower()))) == 2
    assert ask(chat(user(Q1), said("a"), user(Q2), said("b"), user(Q1))) == 0
    assert ask(chat(user("continue"), said("a"), user("continue"), said("b"), user("continue"))) == 0


def test_a_tool_loop_that_goes_on_is_no_new_ask() -> None:
    ask = Asking()
    loop = [user(Q1), CALLS, RESULT]

    assert ask(chat(user(Q1)), session="s") == 0
    assert [ask(chat(*loop, *[CALLS, RESULT] * number), session="s") for number in range(4)] == [0] * 4
    assert ask(chat(user(Q1)), session="s") == 1
    # Its steps belong to the second ask, and count as it does.
    assert [ask(chat(*loop, *[CALLS, RESULT] * number), session="s") for number in range(2)] == [1, 1]


def test_a_longer_conversation_is_no_new_ask() -> None:
    ask = Asking()

    assert ask(chat(user(Q1)), session="s") == 0
    assert ask(chat(user(Q1), said("a"), user(Q2)), session="s") == 0
    assert ask(chat(user(Q1), said("a"), user(Q2), said("b"), user("yes, go on with it please")), session="s") == 0


def test_what_failed_or_is_sent_again_by_an_sdk_is_no_new_ask() -> None:
    ask = Asking()

    assert [ask(chat(user(Q1)), session="s", fails=True) for _ in range(3)] == [0, 0, 0]
    assert ask(chat(user(Q1)), session="s") == 0
    assert ask(chat(user(Q1)), session="s", x_stainless_retry_count="1") == 0
    assert ask(chat(user(Q1)), session="s", x_stainless_retry_count="0") == 1


def test_the_same_words_about_another_picture_are_another_ask() -> None:
    ask = Asking()
    first = ask.memory.ask_of(chat(user(Q1)), "local", "s", {}, ["one picture"])
    ask.memory.answered(first)

    assert ask.memory.count(ask.memory.ask_of(chat(user(Q1)), "local", "s", {}, ["another"])) == 0
    assert ask.memory.count(ask.memory.ask_of(chat(user(Q1)), "local", "s", {}, ["one picture"])) == 1


def test_a_lone_word_and_another_set_of_tools_are_no_re_ask() -> None:
    ask = Asking()

    assert [ask(chat(user("quota")), session="s") for _ in range(2)] == [0, 0]
    assert ask(chat(user(Q1)), session="s") == 0
    assert ask(chat(user(Q1), tools=[{"type": "function"}]), session="s") == 0
    assert ask(chat(), session="s") == 0


def test_the_memory_is_bounded_and_forgets() -> None:
    small = Asking(capacity=4)
    for number in range(20):
        small(chat(user(f"{Q1} {number}")), session="s")
    assert len(small.memory) == 4

    short = Asking(ttl_s=10)
    short(chat(user(Q1)), session="s")
    short.clock.now = 9
    assert short(chat(user(Q1)), session="s") == 1
    short.clock.now = 30
    assert short(chat(user(Q1)), session="s") == 0


def test_no_text_is_kept() -> None:
    ask = Asking()
    ask(chat(user(Q1)), session="s")

    assert all(len(digest) == 16 for digest in ask.memory._answers)
    other = AskedAgain(ask.clock, b"j" * 32)
    assert other.ask_of(chat(user(Q1)), "local", "s", {}).last != ask.look(chat(user(Q1)), session="s").last


UUID = "0d7b1f0e-4a83-4a3f-9f6f-0a5f3f1b2c3d"


@pytest.mark.parametrize(
    ("body", "hint", "headers", "session"),
    [
        ({}, "mine", {"session_id": "theirs"}, "mine"),
        ({}, None, {"session_id": "theirs"}, "theirs"),
        ({"metadata": {"user_id": f"user_ab12_account__session_{UUID}"}}, None, {}, UUID),
        ({"metadata": {"user_id": f'{{"device_id": "d", "session_id": "{UUID}"}}'}}, None, {}, UUID),
        ({"metadata": {"user_id": "ann"}}, None, {}, ""),
        ({"prompt_cache_key": UUID}, None, {}, UUID),
        ({"prompt_cache_key": "my-app"}, None, {}, ""),
        ({"metadata": None, "prompt_cache_key": 3}, None, {}, ""),
    ],
)
def test_sessions_of_known_agents(body: dict[str, Any], hint: str | None, headers: Any, session: str) -> None:
    assert session_of(body, hint, headers) == session


def test_a_long_ask_is_compared_as_it_is() -> None:
    assert normal(" What?  Now! ") == "what? now"
    assert normal("A" * 9000 + " ") == "A" * 9000


async def lanes(made: World, times: int, **headers: str) -> list[str]:
    """Ask the same that often, and return the rules that decided."""
    body = {"model": "gpt-5.4", "messages": [user("Classify this commit.\nfix typo in the readme")]}
    named = {f"X-ModelBreeder-{name}": value for name, value in headers.items()}
    return [(await made.ask(body, named)).headers["x-modelbreeder-reason"].split(":")[0] for _ in range(times)]


def test_rule_retried_works_without_a_hint_of_the_count(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote()

            assert await lanes(made, 4, Session="s1") == ["champion", "champion", "retried", "retried"]
            assert await lanes(made, 4) == ["champion"] * 4
            assert [one.intent.envelope.retry_count for one in made.interactions()] == [0, 1, 2, 3, 0, 0, 0, 0]

    run(scene())


def test_explaining_and_failing_count_for_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            body = {"model": "gpt-5.4", "messages": [user(Q1)]}
            named = {"X-ModelBreeder-Session": "s"}
            await made.ask(body, named)
            for _ in range(3):
                explained(made.deps, body, named)
            made.cloud.script = [FakeReply(500, headers={"retry-after": "60"}, pieces=[b"{}"])]
            with pytest.raises(Exception, match="500"):
                await made.ask(body, named)
            made.cloud.script = [FakeReply(pieces=[answered("so")])]

            assert explained(made.deps, body, named) == 1

    run(scene())


def explained(deps: Deps, body: dict[str, Any], headers: dict[str, str]) -> int:
    """Return how often a request was asked before, without asking it."""
    return deps.router.route(incoming(body, headers), "i1", deps.outside.clock()).envelope.retry_count
