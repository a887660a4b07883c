"""A bounded number at once, a bounded line behind them, and no place that is ever lost."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import pytest

from router.admission import InFlight
from router.problems import OverloadedError, problem_of
from tests.router.making import run


async def hold(places: InFlight, until: asyncio.Event, served: list[str] | None = None, name: str = "") -> None:
    async with places.turn():
        if served is not None:
            served.append(name)
        await until.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_those_that_wait_are_served_in_the_order_in_which_they_came() -> None:
    async def scene() -> None:
        places, served, ends = InFlight(1, 3), [], [asyncio.Event() for _ in range(4)]
        tasks = [asyncio.create_task(hold(places, end, served, str(at))) for at, end in enumerate(ends)]
        await settle()
        assert (places.count, places.waiting, served) == (1, 3, ["0"])
        for end in ends:
            end.set()
            await settle()
        await asyncio.gather(*tasks)

        assert served == ["0", "1", "2", "3"]
        assert (places.count, places.waiting, places.refused) == (0, 0, 0)
        await places.drained()

    run(scene())


def test_beyond_the_line_a_request_is_refused_at_once_and_told_when_to_come_back() -> None:
    async def scene() -> None:
        places, end = InFlight(1, 1), asyncio.Event()
        held = [asyncio.create_task(hold(places, end)) for _ in range(2)]
        await settle()
        with pytest.raises(OverloadedError, match="1 wait, no more are taken") as caught:
            await hold(places, end)
        end.set()
        await asyncio.gather(*held)

        assert problem_of(caught.value).headers == {"retry-after": "1"}
        assert problem_of(caught.value).status == 503
        assert places.refused == 1

    run(scene())


def test_a_line_that_does_not_move_in_time_is_a_refusal() -> None:
    async def scene() -> None:
        places, end = InFlight(1, 1, max_wait_s=0.02), asyncio.Event()
        held = asyncio.create_task(hold(places, end))
        await settle()
        with pytest.raises(OverloadedError, match=r"within 0\.02 s"):
            await hold(places, end)
        end.set()
        await held

        assert (places.count, places.waiting, places.refused) == (0, 0, 1)

    run(scene())


def test_a_client_that_leaves_the_line_leaves_it_to_the_next() -> None:
    async def scene() -> None:
        places, served, end = InFlight(1, 2), [], asyncio.Event()
        first, leaving, next_one = (asyncio.create_task(hold(places, end, served, name)) for name in "abc")
        await settle()
        leaving.cancel()
        await settle()
        assert places.waiting == 1
        end.set()
        await asyncio.gather(first, next_one)

        assert served == ["a", "c"]
        assert leaving.cancelled()
        assert places.count == 0

    run(scene())


def test_a_place_that_comes_as_its_heir_leaves_goes_to_the_next() -> None:
    async def scene() -> None:
        places, served, end = InFlight(1, 2), [], asyncio.Event()
        async with places.turn():
            leaving, next_one = (asyncio.create_task(hold(places, end, served, name)) for name in "bc")
            await settle()
        # The place is left to b by now, which does not run before it is cancelled.
        leaving.cancel()
        end.set()
        await next_one

        assert served == ["c"]
        assert leaving.cancelled()
        assert (places.count, places.waiting) == (0, 0)

    run(scene())


def test_one_that_gives_up_in_the_moment_in_which_a_place_comes_is_passed_over() -> None:
    async def scene() -> None:
        places, served, end = InFlight(1, 2), [], asyncio.Event()
        async with places.turn():
            leaving, next_one = (asyncio.create_task(hold(places, end, served, name)) for name in "bc")
            await settle()
            leaving.cancel()
        end.set()
        await next_one

        assert served == ["c"]
        assert (places.count, places.waiting) == (0, 0)

    run(scene())


@pytest.mark.parametrize("seed", range(20))
def test_whoever_comes_leaves_or_gives_up_the_bounds_hold_and_all_places_come_back(seed: int) -> None:
    chance = random.Random(seed)

    async def visit(places: InFlight, patience_s: float, stay_s: float) -> None:
        with suppress(OverloadedError, TimeoutError):
            async with asyncio.timeout(patience_s), places.turn():
                assert places.count <= 3
                assert places.waiting <= 4
                await asyncio.sleep(stay_s)

    async def scene() -> None:
        places = InFlight(3, 4, max_wait_s=0.004)
        visits = []
        for _ in range(60):
            visits.append(asyncio.create_task(visit(places, chance.random() * 0.01, chance.random() * 0.003)))
            await asyncio.sleep(chance.random() * 0.001)
        await asyncio.gather(*visits)
        await places.drained()

        assert (places.count, places.waiting) == (0, 0)
        async with places.turn():
            assert places.count == 1

    run(scene())
