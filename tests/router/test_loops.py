"""Tool loops keep the lane in which they began, or to which they went on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from registry.entities import Lane
from registry.settings import PolicySettings
from router.loops import Loops, _key, keys_of_loop
from router.naming import Target
from router.offers import BaseOffer, CloudOffer, PolicyInput
from router.policy import compile_policy, decide
from router.upstream import UnreachableError
from tests.router.making import NOON, World, envelope, incoming, run, world
from tests.router.test_general_base import TOOLS, settings

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ABLE: dict[str, Any] = {"tools": True}


def turn(steps: int, text: str = "Mend the failing tests of this module.", **more: Any) -> dict[str, Any]:
    """Return a tool loop's request after so many calls."""
    calls = [
        message
        for number in range(steps)
        for message in (
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": f"result {number}"},
        )
    ]
    system = {"role": "system", "content": f"You are an agent. Billed as {steps}."}
    messages = [system, {"role": "user", "content": text}, *calls]
    return {"model": "gpt-5.4", "messages": messages, "tools": TOOLS, **more}


async def lane(made: World, body: dict[str, Any], **headers: str) -> tuple[str, str]:
    given = {f"X-ModelBreeder-{name.replace('_', '-')}": value for name, value in headers.items()}
    wire = await made.ask(body, given)
    return wire.headers["x-modelbreeder-lane"], wire.headers["x-modelbreeder-reason"].partition(":")[0]


def test_a_loop_that_began_here_stays_here_whatever_is_said_of_its_later_turns(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings(ABLE)) as made:
            assert await lane(made, turn(0)) == ("local_fast", "general-local")
            assert await lane(made, turn(1), changed_files="20") == ("local_fast", "tool-loop")
            assert await lane(made, turn(2), retry_count="3") == ("local_fast", "tool-loop")
            assert await lane(made, turn(0), changed_files="20") == ("cloud_escalation", "many-changed-files")

    run(scene())


def test_a_loop_that_began_in_the_cloud_stays_there(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings(ABLE)) as made:
            assert await lane(made, turn(0), changed_files="20") == ("cloud_escalation", "many-changed-files")
            assert await lane(made, turn(1)) == ("cloud_escalation", "tool-loop")
            assert await lane(made, turn(1, text="Another task entirely.")) == ("local_fast", "general-local")

    run(scene())


def test_a_loop_that_went_on_to_the_cloud_does_not_come_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings(ABLE)) as made:
            assert (await lane(made, turn(0)))[0] == "local_fast"
            made.private.script = [UnreachableError("mine is down")] * 3
            assert (await lane(made, turn(1)))[0] == "cloud_escalation"
            made.private.script = []
            assert await lane(made, turn(2)) == ("cloud_escalation", "tool-loop")

    run(scene())


def test_what_must_stay_stays_also_in_the_middle_of_a_loop(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings(ABLE)) as made:
            await lane(made, turn(0), changed_files="20")
            assert await lane(made, turn(1), data_class="client") == ("local_private", "local-only")
            assert len(made.cloud.requests) == 1

    run(scene())


def test_a_client_that_asks_for_a_lane_gets_it_in_the_middle_of_a_loop(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings(ABLE)) as made:
            await lane(made, turn(0), changed_files="20")
            assert await lane(made, turn(1), lane="local") == ("local_fast", "explicit-lane")

    run(scene())


def test_a_loop_whose_cloud_is_barred_goes_on_as_policy_says(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings(ABLE)) as made:
            await lane(made, turn(0), changed_files="20")
            assert await lane(made, turn(1), allow_escalation="false") == ("local_fast", "general-local")

    run(scene())


def test_a_folded_history_is_known_by_its_session(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings(ABLE)) as made:
            await lane(made, turn(0), changed_files="20", session="s1")
            assert await lane(made, turn(3, text="(what came before)"), session="s1") == (
                "cloud_escalation",
                "tool-loop",
            )
            assert await lane(made, turn(3, text="(what came before)"), session="s2") == ("local_fast", "general-local")

    run(scene())


def test_two_loops_of_one_session_are_told_apart(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings(ABLE)) as made:
            await lane(made, turn(0, text="One task."), session="s1")
            await lane(made, turn(0, text="Another."), session="s1", changed_files="20")
            assert await lane(made, turn(1, text="One task."), session="s1", changed_files="20") == (
                "local_fast",
                "tool-loop",
            )
            assert await lane(made, turn(1, text="Another."), session="s1") == ("cloud_escalation", "tool-loop")

    run(scene())


def test_explaining_a_turn_is_no_turn(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings(ABLE)) as made:
            made.deps.router.route(incoming(turn(0), {"X-ModelBreeder-Changed-Files": "20"}), "i", NOON)
            assert len(made.deps.router.loops) == 0

    run(scene())


def test_requests_without_tools_are_of_no_loop() -> None:
    assert keys_of_loop({"messages": []}, envelope(has_tools=False), "local") == ()
    assert len(keys_of_loop({"messages": []}, envelope(has_tools=True), "local")) == 1
    assert len(keys_of_loop({"messages": []}, envelope(has_tools=True, session="s"), "local")) == 2


@pytest.mark.parametrize("other", [("a", "bc"), ("abc", ""), ("ab", "c ")])
def test_no_two_openings_share_a_key(other: tuple[str, str]) -> None:
    assert _key("ab", "c") != _key(*other)


def test_a_loop_without_a_turn_for_an_hour_is_forgotten() -> None:
    now = [0.0]
    loops = Loops(lambda: now[0])
    loops.took(("a", "b"), Lane.LOCAL_FAST, began=True)
    now[0] = 3599.0
    assert loops.lane_of(("x", "b")) is Lane.LOCAL_FAST
    now[0] = 3600.0
    assert loops.lane_of(("a", "b")) is None
    assert len(loops) == 0


@bounded(max_examples=100)
@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from("abcdef"), max_size=2), st.sampled_from(list(Lane)), st.booleans()),
        max_size=40,
    )
)
def test_the_memory_is_bounded_and_tells_the_last_lane_that_counts(steps: list[Any]) -> None:
    loops, model = Loops(lambda: 0.0, capacity=3), {}
    for keys, lane_taken, began in steps:
        loops.took(keys, lane_taken, began=began)
        if lane_taken is not Lane.NO_OP and (began or lane_taken is Lane.CLOUD_ESCALATION):
            model |= dict.fromkeys(keys, lane_taken)
        assert len(loops) <= 3
        for key, taken in model.items():
            assert loops.lane_of((key,)) in (taken, None)
        if keys and lane_taken is Lane.CLOUD_ESCALATION:
            assert loops.lane_of(keys) is Lane.CLOUD_ESCALATION


def test_policy_offline_wins_over_a_loop_in_the_cloud() -> None:
    policy = PolicySettings(offline=True)
    base = BaseOffer(CloudOffer(Target("mine", "llama"), True))
    task = envelope(in_tool_loop=True, has_tools=True)
    given = PolicyInput(task, policy, NOON, None, CloudOffer(Target("v", "m")), base, "", Lane.CLOUD_ESCALATION)

    assert decide(compile_policy(policy), given, "d").decision.rule == "offline"
