from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.outside_knowledge import asks_outside, has_search, wants_world


def asks(body: dict[str, Any] | None = None, text: str = "hello", *, known: bool = False) -> bool:
    return asks_outside({"model": "auto", **(body or {})}, text, "", known_workflow=known)


@pytest.mark.parametrize(
    "text",
    [
        "What is the latest version of numpy?",
        "what's the current stable version of node?",
        "Who is the current CEO of Intel?",
        "Tell me today's news.",
        "Give me the latest headlines about chips",
        "What is the current price of bitcoin?",
        "How high is the current inflation rate in Germany?",
        "What's the weather in Oslo today?",
        "Will it rain tomorrow in Rome?",
        "How much does an RTX 5090 cost right now?",
        "Any news about the merger?",
        "Who won the match yesterday?",
        "Search the web for reviews of this laptop",
        "Please look it up online.",
        "Can you search online for a good recipe?",
        "Compare both. Then google for benchmarks.",
        "Use web search to check the claim",
        "Read https://example.org/post and tell me what it says",
        "Summarize https://example.org/a-long/article?x=1",
        "Please have a look at this page: https://docs.python.org/3/whatsnew/3.15.html",
        "What does https://example.org/terms say about refunds?",
        "https://example.org/post",
        "What's new in the world today?",
        "find the most recent CVEs for openssl",
        "x" * 5000 + "\nSearch the web for it.",
        "What\u2019s the current exchange rate of the euro?",
    ],
)
def test_what_asks_for_the_world_as_it_is_now(text: str) -> None:
    assert wants_world(text)


@pytest.mark.parametrize(
    "text",
    [
        "Show me the latest commit",
        "What is the current directory?",
        "Explain the latest error in the log",
        "List the current users of the table",
        "What changed in the latest diff?",
        "get the current version from package.json",
        "Fix the current test",
        "Search the web server logs for errors",
        "Search the web app for the button's handler",
        "Write a function that fetches https://api.example.org/users",
        "Refactor the client so that it can open https://example.org",
        "curl https://api.example.org returns 404, why?",
        "The license is at https://www.apache.org/licenses/LICENSE-2.0",
        "open http://localhost:3000 and click on it",
        "Read http://127.0.0.1:8080/health",
        "Translate: what is the latest news?",
        "Classify the intent: 'what is the current exchange rate?'",
        "Rewrite this sentence: Today's weather is nice.",
        "Summarize the following article.\nThe latest news about chips is good.",
        "Draft a tweet about today's news",
        "Implement a component that shows the current weather today",
        "What is the price of the item with id 3 in the array?",
        "news is a table with two columns",
        "Who is the current assignee of the ticket?",
        "Update the latest release notes file",
        "continue",
        "",
        "Explain this.\n" + "a " * 200 + "what is the latest version of numpy?\n" + "b " * 200,
    ],
)
def test_what_is_at_hand_is_not_outside(text: str) -> None:
    assert not wants_world(text)


def test_an_instruction_in_the_system_text_makes_the_users_text_data() -> None:
    question = "what is the current exchange rate?"

    assert wants_world(question)
    assert wants_world(question, "You are a helpful assistant.")
    assert not wants_world(question, "Classify the message of a customer as one of 77 intents.")


@pytest.mark.parametrize(
    ("body", "searches"),
    [
        ({"web_search_options": {}}, True),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, True),
        ({"tools": [{"type": "web_search_preview"}]}, True),
        ({"tools": [{"type": "web_fetch_20250910"}]}, True),
        ({"tools": [{"type": "function", "function": {"name": "web_search"}}]}, False),
        ({"web_search_options": {}, "tools": [{"type": "function", "function": {"name": "shell"}}]}, False),
        ({"tools": "none"}, False),
        ({}, False),
    ],
)
def test_tools_with_which_a_vendor_searches(body: dict[str, Any], searches: bool) -> None:
    assert has_search(body) is searches
    assert asks(body) is searches
    assert asks(body, known=True) is searches


def test_models_that_search_by_themselves() -> None:
    assert asks({"model": "gpt-4o-search-preview"})
    assert asks({"model": "perplexity/sonar"})
    assert not asks({"model": "researcher"})
    assert not asks({"model": "gpt-5.4"})


def test_words_do_not_move_the_prompts_of_a_workflow() -> None:
    assert asks(text="What is the latest version of numpy?")
    assert not asks(text="What is the latest version of numpy?", known=True)


@given(st.text(max_size=700))
def test_any_text_is_judged(text: str) -> None:
    assert wants_world(text) in (True, False)


def test_no_text_takes_long() -> None:
    for piece in ("what is ", "the latest ", "read a, ", "https://x.", "what's new, how much is "):
        assert wants_world(piece * 50_000) in (True, False)
