from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import ArtifactError
from registry.prompting import Prompt
from router.likeness import BUCKETS, FEATURES, Likenesses, marks, read_likeness, text_ids, write_likeness
from tests.breeder.instructed import in_system, prompts

TEXTS = st.text(max_size=300)


def written() -> str:
    from breeder.templates import likenesses

    own = prompts("order-fields", in_system)
    return write_likeness(likenesses(own[:40], own[40:60]))


@given(TEXTS, TEXTS)
def test_any_text_has_marks_and_the_same_ones_again(system: str, user: str) -> None:
    first, second = marks(Prompt(system, user)), marks(Prompt(system, user))
    assert first.shape == (2 * BUCKETS,)
    assert (first == second).all()


@given(st.text(st.characters(codec="utf-8"), min_size=3, max_size=60), TEXTS)
def test_a_text_keeps_its_inner_marks_wherever_it_stands(inner: str, around: str) -> None:
    alone, inside = text_ids(inner)[1:-1], text_ids(f"{around}\n{inner}\n{around}")
    assert set(alone.tolist()) <= set(inside.tolist())


def test_numbers_are_all_the_same() -> None:
    assert (marks(Prompt("", "Ticket 7 of 2026: x")) == marks(Prompt("", "Ticket 412 of 1: x"))).all()
    assert (marks(Prompt("", "Ticket 7 of: x")) != marks(Prompt("", "Ticket seven of: x"))).any()


def test_system_and_user_text_are_told_apart() -> None:
    one, other = marks(Prompt("Sort this mail", "hello there")), marks(Prompt("hello there", "Sort this mail"))
    assert not (one & other).any()


def test_of_a_long_text_the_middle_is_not_looked_at() -> None:
    def long(middle: str) -> Prompt:
        return Prompt("", f"{'begin ' * 300}{middle * 100}{'end ' * 200}")

    assert (marks(long("one ")) == marks(long("other "))).all()


@pytest.mark.parametrize("text", ["", "abc", "\ud800 lone surrogate", "\x00" * 9, "١٢٣ 漢字漢字"])
def test_odd_texts_are_texts(text: str) -> None:
    assert marks(Prompt(text, text)).sum() % 2 == 0


def test_what_was_written_is_read_back() -> None:
    text = written()
    assert write_likeness(read_likeness(text)) == text
    assert len(text) < 10_000
    assert read_likeness("") == []
    assert write_likeness([]) == ""


def test_a_likeness_of_other_features_is_left_aside() -> None:
    assert read_likeness(written().replace(FEATURES, "words, version 9")) == []


@pytest.mark.parametrize("damage", ["[]", "{", '"x"', "3"])
def test_a_text_that_is_no_likeness_is_refused(damage: str) -> None:
    with pytest.raises(ArtifactError, match=r"likeness cannot be read.*breed the workflow again"):
        read_likeness(damage)


@pytest.mark.parametrize("field", ["constants", "system", "user"])
def test_a_likeness_that_lacks_a_part_is_refused(field: str) -> None:
    record = orjson.loads(written())
    del record["templates"][0][field]
    with pytest.raises(ArtifactError, match=field):
        read_likeness(orjson.dumps(record).decode())


def test_a_likeness_with_too_few_levels_is_refused() -> None:
    record = orjson.loads(written())
    record["templates"][0]["user"]["levels"] = [0.5]
    with pytest.raises(ArtifactError, match="1 levels"):
        read_likeness(orjson.dumps(record).decode())


def test_no_workflow_is_like_anything() -> None:
    assert Likenesses({}).match(Prompt("", "hello")) is None
    assert Likenesses({"none": []}).match(Prompt("", "hello")) is None
