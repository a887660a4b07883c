"""A held stream loses nothing, keeps the order, and lets nothing out before its decision."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.verifying.holding import Decision, HeldStream, Hold

pieces = st.lists(
    st.tuples(st.text(max_size=4), st.floats(-30, 0) | st.just(math.nan) | st.just(-math.inf)),
    max_size=40,
)
holds = st.integers(0, 45).map(Hold) | st.just(Hold(None))
thresholds = st.floats(-30, 0) | st.just(-math.inf) | st.just(math.inf)


@pytest.mark.parametrize(("setting", "tokens"), [("none", 0), ("answer", None), (1, 1), (32, 32)])
def test_a_hold_is_read_and_spelled_as_policy_does(setting: str | int, tokens: int | None) -> None:
    assert Hold.of(setting) == Hold(tokens)
    assert str(Hold.of(setting)) == str(setting)


@given(pieces, holds, thresholds)
def test_nothing_is_lost_reordered_or_released_before_the_decision(
    said: list[tuple[str, float]], hold: Hold, threshold: float
) -> None:
    stream = HeldStream(hold, threshold)
    out = ""
    for place, (text, logprob) in enumerate(said, 1):
        released = stream.feed(text, logprob)
        out += released
        early = hold.tokens is None or place < hold.tokens
        if early:
            assert released == "" and stream.decision is Decision.OPEN
        if stream.decision in (Decision.STRONG, Decision.UNASKED):
            assert out == "".join(text for text, _ in said[:place])

    whole = "".join(text for text, _ in said)
    reached = hold.tokens is not None and len(said) >= hold.tokens
    assert (stream.decision is Decision.OPEN) is not reached
    if stream.decision in (Decision.WEAK, Decision.OPEN):
        assert out == ""
        assert stream.take() == whole
    else:
        assert out == whole
        assert stream.take() == ""


@given(pieces.filter(bool), holds, thresholds)
def test_the_decision_is_the_mean_of_what_was_held_against_the_threshold(
    said: list[tuple[str, float]], hold: Hold, threshold: float
) -> None:
    stream = HeldStream(hold, threshold)
    for text, logprob in said:
        stream.feed(text, logprob)

    total = 0.0
    held = said[: hold.tokens]
    for _, logprob in held:
        total += logprob
    if hold.tokens == 0:
        assert stream.decision is Decision.UNASKED
    elif hold.tokens is None or len(said) < hold.tokens:
        assert stream.decision is Decision.OPEN
    else:
        strong = total / len(held) >= threshold
        assert stream.decision is (Decision.STRONG if strong else Decision.WEAK)


def test_an_early_decision_stands_whatever_comes_later() -> None:
    stream = HeldStream(Hold(2), -1.0)

    assert [stream.feed("a", -0.5), stream.feed("b", -1.5), stream.feed("c", -99.0)] == ["", "ab", "c"]
    assert stream.take() == ""
    assert stream.decision is Decision.STRONG
    assert stream.confidence == pytest.approx(-101 / 3)


def test_a_weak_answer_stays_held_until_it_is_taken() -> None:
    stream = HeldStream(Hold(1), -1.0)

    assert [stream.feed("a", -2.0), stream.feed("b", 0.0)] == ["", ""]
    assert stream.decision is Decision.WEAK
    assert stream.take() == "ab"


def test_an_answer_without_a_known_confidence_is_weak_even_without_a_threshold() -> None:
    unknown = HeldStream(Hold(1), -math.inf)

    assert (unknown.feed("a", math.nan), unknown.decision, unknown.confidence) == ("", Decision.WEAK, None)
