"""Known values are found wherever they stand, be they few or many."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from router.redaction.known_values import SHORTEST, KnownValues

WORDS = st.text("ab1", min_size=SHORTEST, max_size=9)


def standing(values: Iterable[str], text: str) -> set[tuple[int, int]]:
    """Look at every place for every value."""
    return {(at, at + len(one)) for one in values for at in range(len(text)) if text.startswith(one, at)}


def covered(spans: Iterable[tuple[int, int]]) -> set[int]:
    return {place for start, end in spans for place in range(start, end)}


@settings(max_examples=200)
@given(st.sets(WORDS, max_size=200), st.text("ab1 ", max_size=200))
def test_few_and_many_values_cover_the_same_of_a_text(values: set[str], text: str) -> None:
    found = list(KnownValues(values).find(text))
    assert all(text[start:end] in values for start, end in found)
    many = KnownValues([*values, *(f"other{number:03}" for number in range(100))])
    assert covered(many.find(text)) == covered(standing(values, text))
    assert covered(found) <= covered(many.find(text))


def test_a_value_that_begins_or_ends_a_text_is_found_among_many() -> None:
    known = KnownValues(f"value{number}" for number in range(1000))
    assert set(known.find("value999 and value1")) == {(0, 6), (0, 7), (0, 8), (13, 19)}
    assert list(known.find("val")) == []
