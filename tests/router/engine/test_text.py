"""Text leaves the assembler whole: no half characters, no stop strings, whatever the pieces were."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from router.engine.text import TextAssembler

cuts = st.lists(st.integers(0, 60), max_size=12)
stops = st.lists(st.text("ab\nü", min_size=1, max_size=4), max_size=3)


def assemble(data: bytes, cuts: list[int], stops: list[str]) -> str:
    """Feed the bytes cut at some places."""
    places = sorted(min(cut, len(data)) for cut in cuts)
    text = TextAssembler(stops)
    fed = [text.feed(data[start:end]) for start, end in pairwise([0, *places, len(data)])]
    return "".join([*fed, text.feed(b"", last=True)])


@given(data=st.binary(max_size=60), cuts=cuts)
def test_pieces_join_to_the_decoded_bytes(data: bytes, cuts: list[int]) -> None:
    assert assemble(data, cuts, []) == data.decode(errors="replace")


@given(text=st.text("ab\nüß€😀", max_size=20), cuts=cuts)
def test_a_piece_never_ends_inside_a_character(text: str, cuts: list[int]) -> None:
    assert "\ufffd" not in assemble(text.encode(), cuts, [])


@given(text=st.text("ab\nü", max_size=20), cuts=cuts, stops=stops)
@example(text="aba", cuts=[], stops=["aba", "b"])
def test_the_way_it_is_cut_changes_nothing(text: str, cuts: list[int], stops: list[str]) -> None:
    one_by_one = list(range(len(text.encode())))
    assert assemble(text.encode(), cuts, stops) == assemble(text.encode(), one_by_one, stops)


@given(text=st.text("ab\nü", max_size=20), cuts=cuts, stops=stops)
def test_no_stop_string_comes_through_and_nothing_else_is_lost(text: str, cuts: list[int], stops: list[str]) -> None:
    joined = assemble(text.encode(), cuts, stops)
    assert not any(stop in joined for stop in stops)
    assert text.startswith(joined)
    assert joined == text or any(text.startswith(stop, len(joined)) for stop in stops)


def test_what_cannot_become_a_stop_string_is_released_at_once() -> None:
    text = TextAssembler(["\n\n"])
    assert [text.feed(b"a"), text.feed(b"\n"), text.feed(b"b"), text.feed(b"\n\nc")] == ["a", "", "\nb", ""]
    assert text.stopped
