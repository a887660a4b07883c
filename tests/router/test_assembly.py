"""Chunks put together again: what the ledger keeps of a stream."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.assembly import ChunkAssembly
from tests.router.making import delta


def assembled(*deltas: dict[str, object]) -> dict[str, object]:
    made = ChunkAssembly()
    for one in deltas:
        made.add(delta(**one))  # type: ignore[arg-type]
    choices = made.completion()["choices"]
    assert isinstance(choices, list)
    return choices[0]["message"]  # type: ignore[index, call-overload, return-value]


def test_a_call_of_the_older_form_is_kept() -> None:
    first = {"role": "assistant", "function_call": {"name": "add", "arguments": ""}}
    parts = [{"function_call": {"arguments": '{"n"'}}, {"function_call": {"arguments": ":1}"}}]

    assert assembled(first, *parts) == {
        "role": "assistant",
        "content": None,
        "function_call": {"name": "add", "arguments": '{"n":1}'},
    }


@settings(max_examples=100)
@given(st.lists(st.text(max_size=5)))
def test_arguments_of_the_older_form_are_whole_however_they_are_cut(pieces: list[str]) -> None:
    said = assembled({"function_call": {"name": "f"}}, *({"function_call": {"arguments": one}} for one in pieces))

    assert said["function_call"] == {"name": "f", "arguments": "".join(pieces)}


@pytest.mark.parametrize(("deltas", "has"), [([], False), ([{"function_call": {"name": "f"}}], True)])
def test_a_call_of_the_older_form_counts_as_something_said(deltas: list[dict[str, object]], has: bool) -> None:
    made = ChunkAssembly()
    for one in deltas:
        made.add(delta(**one))  # type: ignore[arg-type]

    assert made.has_text is has


def test_an_upstream_that_counts_its_choices_without_end_is_assembled_all_the_same() -> None:
    """Walked once for each choice, so many would take minutes."""
    made = ChunkAssembly()
    for index in range(30_000):
        made.add({"choices": [{"index": index, "delta": {"content": "x", "tool_calls": [{"index": 0, "id": "c"}]}}]})

    choices = made.completion()["choices"]
    assert isinstance(choices, list)
    assert len(choices) == 30_000
    assert choices[-1]["message"]["content"] == "x"  # type: ignore[index, call-overload]
