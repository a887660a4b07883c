"""Which interactions are meant, with their families, and where a value is quoted."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.entities import EvidenceNote, EvidenceType, Feedback, FeedbackVerdict
from registry.erasing import erase
from registry.quotation import quoting
from registry.selection import (
    Selection,
    erased_among,
    named_so,
    select_interactions,
    unfinished_among,
    workflows_of,
)
from tests.registry.making import at, intent, outcome

NAME = "Zoë “Zed” O'Quux\\7"


def told(interaction_id: str, when: float = 0.0, parent: str | None = None, **facts):
    one = replace(intent(interaction_id, when), parent_id=parent)
    client = facts.pop("client", one.client)
    return replace(one, client=client, envelope=replace(one.envelope, **facts))


@pytest.fixture
def stocked(ledger):
    ledger.append(
        told("a", 0, session="s1", client="editor", workflow="w1"),
        told("a2", 1, parent="a", session=None, client="editor"),
        told("a3", 2, parent="a2", session=None, client="editor"),
        told("b", 10, session="s2", client="shell", workflow="w2"),
        told("c", 20, session="s1", client="shell", workflow="w1"),
        outcome("b"),
    )
    return ledger


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Selection(ids=["a3"]), ["a", "a2", "a3"]),
        (Selection(sessions=["s1"]), ["a", "a2", "a3", "c"]),
        (Selection(client="shell"), ["b", "c"]),
        (Selection(workflow="w2"), ["b"]),
        (Selection(before=at(10)), ["a", "a2", "a3"]),
        (Selection(sessions=["s1"], client="shell"), ["c"]),
        (Selection(ids=["b"], sessions=["s1"]), []),
        (Selection(), ["a", "a2", "a3", "b", "c"]),
    ],
)
def test_what_is_given_together_must_all_hold_and_families_come_whole(stocked, database, wanted, found):
    assert select_interactions(database, wanted) == found


@pytest.mark.parametrize(
    "event",
    [
        replace(intent("i1"), request_received={"messages": [{"content": f"to {NAME}."}]}),
        replace(intent("i1"), request_sent={"messages": [{"content": NAME.upper()}]}),
        replace(intent("i1"), request_sent={"tool": json.dumps({"to": NAME})}),
        replace(intent("i1"), request_sent={"tool": json.dumps({"to": NAME}, ensure_ascii=False)}),
        replace(intent("i1"), request_sent={"text": NAME.replace(" ", "\n  ")}),
        replace(intent("i1"), envelope=replace(intent().envelope, session=NAME)),
        replace(intent("i1"), envelope=replace(intent().envelope, task_id=f"for {NAME}")),
        replace(outcome("i1"), error=NAME),
        Feedback("i1", at(1), FeedbackVerdict.REJECTED, comment=NAME),
        EvidenceNote("i1", at(1), EvidenceType.WEAK_ANSWER, {"why": NAME}),
    ],
)
def test_a_value_is_found_wherever_an_event_quotes_it(ledger, database, event):
    first = [] if event.interaction_id == "i1" and hasattr(event, "envelope") else [intent("i1")]
    ledger.append(*first, event, intent("other"))
    assert select_interactions(database, Selection(quoting=quoting([NAME]))) == ["i1"]
    erase(database, ["i1"])
    assert select_interactions(database, Selection(quoting=quoting([NAME]))) == []


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=3).filter(str.strip), st.text())
def test_any_value_is_found_plain_and_within_json_twice_over(value, around):
    plain = f"{around}{value}{around}"
    for text in (
        plain,
        json.dumps({"x": plain}),
        json.dumps(json.dumps(plain, ensure_ascii=False), ensure_ascii=False),
    ):
        assert quoting([value]).search(text), text


LONG_NAME = "Wolfgang Müßig-Ölmann"
SPELLINGS = (
    LONG_NAME,
    LONG_NAME.upper(),
    LONG_NAME.casefold(),
    unicodedata.normalize("NFD", LONG_NAME),
    unicodedata.normalize("NFD", LONG_NAME.upper()),
    LONG_NAME.replace("W", "\N{FULLWIDTH LATIN CAPITAL LETTER W}"),
    LONG_NAME.replace(" ", "\u00a0"),
)


@pytest.mark.parametrize("asked", SPELLINGS)
@pytest.mark.parametrize("said", SPELLINGS)
def test_a_name_is_found_in_any_unicode_form_and_letter_case(asked, said):
    for text in (said, json.dumps({"x": said}), json.dumps(json.dumps(said)), json.dumps(json.dumps({"x": said}))):
        assert quoting([asked]).search(f"to {text}, please"), text
    assert not quoting([asked]).search("Wolfgang Mussig-Olmann")


def test_a_character_beyond_the_first_plane_is_found_escaped_too():
    assert quoting(["\N{DESERET SMALL LETTER LONG I}xy"]).search(json.dumps("\N{DESERET CAPITAL LETTER LONG I}XY"))
    assert not quoting(["\N{DESERET SMALL LETTER LONG I}xy"]).search(json.dumps("\ud801xy"))


def test_a_name_of_a_client_or_workflow_is_counted_as_it_stays(stocked, database):
    assert named_so(database, quoting(["SHELL"])) == 2
    assert named_so(database, quoting(["nobody"])) == 0


def test_states_of_some_interactions(stocked, database):
    erase(database, ["b"])
    assert erased_among(database, ["a", "b", "unknown"]) == {"b"}
    assert unfinished_among(database, ["a", "b", "unknown"]) == {"a"}
    assert workflows_of(database, ["a", "b"]) == {"w1", "w2"}
