"""Patterns are matched in linear time, or refused with the reason; no test is timed, a slow one would never end."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import ConfigError
from router.verifying.finding import Finding, Reply
from router.verifying.patterns import (
    MAX_PATTERN_CHARS,
    MAX_SUBJECT_CHARS,
    PatternVerifier,
    UnusablePatternError,
    compile_pattern,
)


@pytest.mark.parametrize("pattern", [r"^(a+)+$", r"^(a|a)*$", r"(.*)*b", r"^([a-z]+[0-9]?)+!$", r"(x+x+)+y"])
def test_a_pattern_that_python_would_never_finish_is_matched_at_once(pattern: str) -> None:
    matches = compile_pattern(pattern)

    assert not matches("a" * 50_000 + "\n")
    assert not matches("x" * 50_000)


@pytest.mark.parametrize("pattern", [r"a(?=b)", r"(?<!a)b", r"(a)\1", r"[", r"(", r"a{2,1}", r"\Z"])
def test_what_has_no_linear_form_is_refused(pattern: str) -> None:
    with pytest.raises(UnusablePatternError, match="cannot be used"):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    "pattern", ["a{100000}", "(a{200}){200}", "((a{1,99}){99}){99}", "a" * (MAX_PATTERN_CHARS + 1)]
)
def test_a_pattern_that_would_be_large_is_refused_before_it_is_compiled(pattern: str) -> None:
    with pytest.raises(UnusablePatternError, match="at most"):
        compile_pattern(pattern)


def test_a_large_class_repeated_often_is_refused_by_the_engines_own_limit() -> None:
    with pytest.raises(UnusablePatternError, match="size limit"):
        compile_pattern(r"\w{5000}")


def test_patterns_are_searched_for_anywhere_and_the_dollar_is_the_very_end() -> None:
    assert compile_pattern("b+")("abbc")
    assert compile_pattern("b$")("ab")
    assert not compile_pattern("b$")("ab\n")
    assert compile_pattern(r"^\d{4}-\d{2}-\d{2}$")("2026-11-21")


def test_a_text_beyond_the_bound_has_no_match() -> None:
    assert compile_pattern("a")("a" * MAX_SUBJECT_CHARS)
    assert not compile_pattern("a")("a" * (MAX_SUBJECT_CHARS + 1))


@given(
    st.lists(st.sampled_from(["a", "b", "[ab]", "[^a]", ".", "(a|b)", "a?", "b*", "a+", "^", "$"]), max_size=6),
    st.text("abc", max_size=8),
)
def test_simple_patterns_mean_what_they_mean_in_python(parts: list[str], text: str) -> None:
    pattern = "".join(parts)

    assert compile_pattern(pattern)(text) == bool(re.search(pattern, text))


def test_the_verifier_names_the_pattern_that_an_answer_misses() -> None:
    verifier = PatternVerifier("conventional", "^(feat|fix): ")

    assert asyncio.run(verifier.verify(Reply("fix: a bug"), {})) == Finding(ok=True, name="conventional")
    missed = asyncio.run(verifier.verify(Reply("a bug"), {}))
    assert missed == Finding(ok=False, name="conventional", why="the answer does not match '^(feat|fix): '")


def test_a_policys_bad_pattern_is_an_error_of_its_configuration() -> None:
    with pytest.raises(ConfigError, match=r"policy\.verify 'ahead'.*look-around"):
        PatternVerifier("ahead", "(?=x)")
