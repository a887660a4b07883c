from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.settings import TaskType
from router.task_types import HEAD, PATTERNS, task_type

_DOCUMENT = "The committee met on Tuesday and heard three reports about the harbour. " * 60


def test_the_table_has_every_type() -> None:
    assert set(PATTERNS) == set(get_args(TaskType))


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("Plan the migration to Postgres.", "plan"),
        ("Make a plan for the release", "plan"),
        ("How should we approach the rewrite?", "plan"),
        ("Review this pull request", "review"),
        ("Please find the bugs in this code.", "review"),
        ("Implement the following specification:", "generate-from-spec"),
        ("Generate a client from this OpenAPI document", "generate-from-spec"),
        ("Write a Python function that meets these requirements", "generate-from-spec"),
        ("Write unit tests for this function.", "unit-tests"),
        ("Could you add tests to parser.py?", "unit-tests"),
        ("Can you please summarise the notes below?", "summarize"),
        ("Write a summary of the review comments", "summarize"),
        ("Write a summary of the API code", "summarize"),
        ("Write a commit message for the new endpoint", "commit-message"),
        ("Write an email about the app and its tests", "draft"),
        ("TL;DR of this text", "summarize"),
        ("Extract all dates from the text.", "extract"),
        ("Parse this log line: x", "extract"),
        ("Convert this JSON to YAML", "convert"),
        ("Turn the table into CSV", "convert"),
        ("Scaffold a web service", "boilerplate"),
        ("Generate the boilerplate for a REST controller", "boilerplate"),
        ("Write a commit message that summarizes the diff.", "commit-message"),
        ("1. Translate to French: good morning", "translate"),
        ("Draft a blog post about the launch", "draft"),
        ("Write an email to my landlord", "draft"),
    ],
)
def test_an_instruction_has_its_type_at_the_start_the_end_or_in_the_system_text(
    instruction: str, expected: str
) -> None:
    assert task_type(instruction) == expected
    assert task_type(f"{instruction}\n\n{_DOCUMENT}") == expected
    assert task_type(f"{_DOCUMENT}\n\n{instruction}\n") == expected
    assert task_type(_DOCUMENT, instruction) == expected


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("You are a helpful assistant that translates English to French.", "translate"),
        ("You are a senior code reviewer.", "review"),
        ("You write commit messages.", "commit-message"),
        ("Your task is to summarize.", "summarize"),
        ("You are a helpful assistant.", None),
    ],
)
def test_a_system_text_says_what_the_assistant_does(system: str, expected: str | None) -> None:
    assert task_type("the harbour", system) == expected


@pytest.mark.parametrize(
    "instruction",
    [
        "",
        "Why is the sky blue?",
        "Fix the typo in main.c",
        "Do not summarize",
        "Unit tests fail with ImportError, why?",
        "Extract this method into a helper class",
        "Convert the class to use async",
        "Translate this function to Rust",
        "Change the color to blue in header.css",
        "Classify this commit.\nCommit message: fix typo",
        "Which desk repairs it?\nSummary: the review of the draft is late",
        "Write a function that sends an email",
        "Write a regex that matches emails",
        "Write SQL to delete all posts",
        "Create an abstract base class",
        "Write code to compute a SHA-256 digest",
        "Add a summary endpoint to the billing API",
        "Write a migration that adds a summary",
        "Write a hook that checks the commit message",
        "Add a commit message hook",
    ],
)
def test_what_asks_for_none_of_the_types_has_none(instruction: str) -> None:
    assert task_type(instruction) is None


@pytest.mark.parametrize(
    ("user", "system"),
    [
        ("Summarize the text and translate it into French", ""),
        ("Draft a plan for the autumn", ""),
        ("Extract the dates, then convert them to ISO 8601", ""),
        (f"Summarize this:\n{_DOCUMENT}\nReview the text", ""),
        ("Translate this", "You are a code reviewer."),
    ],
)
def test_what_asks_for_two_types_has_none(user: str, system: str) -> None:
    assert task_type(user, system) is None


def test_the_middle_of_a_long_text_is_not_looked_at() -> None:
    text = "x " * HEAD + "\nSummarize this.\n" + "y " * HEAD

    assert task_type(text) is None


@given(st.text(max_size=600), st.text(max_size=600))
def test_any_text_has_a_known_type_or_none(user: str, system: str) -> None:
    assert task_type(user, system) in (None, *get_args(TaskType))
