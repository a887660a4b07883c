from dataclasses import replace

from breeder.capping import capped
from breeder.mining import Row, Tier
from breeder.recipe import DataPart
from tests.breeder.makers import row

PLAN = DataPart(maximum_client_share=0.6, maximum_session_share=0.5, maximum_alike=2)


def of(client: str, session: str | None, *numbers: int, tier: Tier = Tier.CLOUD) -> list[Row]:
    return [replace(row(number, tier=tier), client=client, session=session) for number in numbers]


def test_one_client_alone_may_give_all_rows():
    rows = of("local", None, *range(50))
    assert capped(rows, PLAN) == (rows, {})


def test_of_several_clients_none_gives_more_than_its_share_and_its_newest_rows_stay():
    rows = [*of("ann", None, *range(80)), *of("bob", None, *range(80, 100))]
    kept, dropped = capped(rows, PLAN)

    assert [one.interaction_id for one in kept if one.client == "ann"] == [f"i{n:05}" for n in range(20, 80)]
    assert sum(one.client == "bob" for one in kept) == 20
    assert dropped == {"over the cap of one client": 20}


def test_rows_that_a_person_vouches_for_go_last():
    rows = [*of("ann", None, 0, tier=Tier.ACCEPTED), *of("ann", None, *range(1, 80)), *of("bob", None, *range(80, 100))]
    kept, _ = capped(rows, PLAN)

    assert "i00000" in {one.interaction_id for one in kept}
    assert sum(one.client == "ann" for one in kept) == 60


def test_a_session_is_capped_only_beside_others():
    one = of("local", "s1", *range(60))
    several = [*one, *of("local", "s2", *range(60, 80))]

    assert capped(one, PLAN) == (one, {})
    kept, dropped = capped(several, PLAN)
    assert sum(row.session == "s1" for row in kept) == 40
    assert dropped == {"over the cap of one session": 20}


def test_prompts_that_only_look_different_are_capped():
    texts = ("Fix the typo", "fix  the TYPO", "fix the\ntypo ", "fix the ty\u200bpo", "fix the typos")
    rows = [row(number, text) for number, text in enumerate(texts)]
    kept, dropped = capped(rows, PLAN)

    assert [one.prompt.user for one in kept] == ["fix the\ntypo ", "fix the ty\u200bpo", "fix the typos"]
    assert dropped == {"over the cap of prompts that are alike": 2}


def test_the_users_own_rows_are_never_too_many_and_a_session_beside_rows_of_none_neither():
    rows = [*of("local", "s1", *range(95)), *of("ci", None, *range(100, 105))]

    assert capped(rows, PLAN) == (rows, {})
