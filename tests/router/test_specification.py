"""What of a model's answer makes a specification, and what of it the draft does not bear out."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.specification import Contradiction, Quote, specification_of
from router.token_estimate import estimate_tokens

DRAFT = """Hi! We need a rate limiter, please, something simple.
It allows 20 requests a second.
It asks load_plan for the plan.
Never allow more than
10 requests a second.
"""
EMPTY: dict[str, Any] = {
    "goal": "A rate limiter.",
    "inputs": [],
    "outputs": [],
    "constraints": [],
    "acceptance": [],
    "open_questions": [],
    "contradictions": [],
    "undefined_names": [],
}


def made(**said: Any) -> Any:
    return specification_of(DRAFT, json.dumps({**EMPTY, **said}))


def pair(first: str, second: str) -> dict[str, str]:
    return {"first": first, "second": second, "why": "20 is more\nthan 10"}


def test_a_contradiction_quotes_two_places_of_the_draft_by_their_lines() -> None:
    found = made(contradictions=[pair("allows 20 requests a second", '"Never allow more than 10 requests"')])

    first = Quote("allows 20 requests a second", 2)
    assert found.contradictions == (
        Contradiction(first, Quote("Never allow more than 10 requests", 4), "20 is more than 10"),
    )
    assert found.unfounded == 0


def test_a_quote_that_is_not_in_the_draft_is_dropped_and_counted() -> None:
    true = "allows 20 requests"
    found = made(contradictions=[pair(true, "at most 5 requests"), pair(true, true), pair(true, ""), pair("It", true)])

    assert found.contradictions == ()
    assert found.unfounded == 4


def test_names_that_the_rules_find_are_added_to_those_of_the_model_that_the_draft_has() -> None:
    found = made(undefined_names=["the plan", "load_plan", "redis_url"])

    assert [(name.text, name.lines) for name in found.undefined_names] == [("load_plan", (3,)), ("the plan", (3,))]
    assert found.unfounded == 1


def test_names_that_the_specification_lost_or_made_up_are_told() -> None:
    found = made(constraints=["Ask fetch_plan for the plan."])

    assert found.lost_names == ("load_plan",)
    assert found.new_names == ("fetch_plan",)
    assert "## Names of the draft that are not in the specification\n\n- `load_plan`" in found.review
    assert "## Names of the specification that are not in the draft\n\n- `fetch_plan`" in found.review


def test_the_text_has_all_sections_and_its_tokens_are_counted() -> None:
    found = made(inputs=["- requests of\n a client"], acceptance=["the 21st request in a second gets 429"])

    goal, inputs, _, _, acceptance, questions = found.text.rstrip().split("\n\n## ")
    assert goal == "# Goal\n\nA rate limiter."
    assert inputs == "Inputs\n\n- requests of a client"
    assert acceptance == "Acceptance\n\n- the 21st request in a second gets 429"
    assert questions == "Open questions\n\nnone"
    assert found.tokens_before == estimate_tokens(DRAFT)
    assert found.tokens_after == estimate_tokens(found.text)


def test_where_there_is_nothing_to_look_at_nothing_is_said() -> None:
    assert specification_of("Say hello.", json.dumps({**EMPTY, "goal": "Say hello."})).review == ""


@given(st.text(max_size=60), st.text(max_size=20), st.text(max_size=20))
def test_quotes_and_names_are_always_in_the_draft(draft: str, first: str, second: str) -> None:
    answer = {**EMPTY, "contradictions": [pair(first, second)], "undefined_names": [first, second]}
    found = specification_of(draft, json.dumps(answer))
    plain = " ".join(draft.split())

    assert all(quote.text in plain for one in found.contradictions for quote in (one.first, one.second))
    assert all(name.text in draft and name.lines for name in found.undefined_names)
