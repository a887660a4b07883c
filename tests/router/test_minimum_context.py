"""What a request loses before it leaves for a cloud, and what it never loses."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.dialects.messages.dialect import Messages
from router.minimum_context import minimum_context

LONG = "\n".join(f"line {number} says nothing of note" for number in range(60))


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def file(path: str, content: str = LONG) -> str:
    return f'<file path="{path}">\n{content}\n</file>'


def reduced(*turns: Any, budget: int = 100, keep: int = 2, **more: Any) -> Any:
    body = {"model": "auto", "messages": list(turns), **more}
    before = copy.deepcopy(body)
    context = minimum_context(body, budget, keep)
    assert body == before
    return context


def text_of(context: Any) -> str:
    return str(context.body["messages"][-1]["content"])


def test_a_file_that_the_task_does_not_mention_becomes_a_line() -> None:
    context = reduced(user(f"Fix a.py.\n{file('src/a.py')}\n{file('src/b.py')}\nThanks."))

    assert context.files == ("src/b.py",)
    assert file("src/a.py") in text_of(context)
    assert text_of(context).startswith("Fix a.py.\n")
    assert text_of(context).endswith("\nThanks.")
    assert "[file src/b.py left out: the task does not mention it; about " in text_of(context)
    assert context.cut.files == 1
    assert context.cut.tokens_after < context.cut.tokens_before


@pytest.mark.parametrize(
    ("task", "content"),
    [
        ("Why does src/b.py fail?", LONG),
        ("Why does b.py fail?", LONG),
        ("Look into src/ for the cause.", LONG),
        ("Import it from src.b instead.", LONG),
        ("Why does `parse` fail?", f"def parse(text):\n{LONG}"),
        ("Why does parse_header fail?", f"{LONG}\n    async def parse_header(x):\n"),
        ("Rename HeaderParser.", f"export class HeaderParser {{\n{LONG}"),
        ("What does read() return?", f"static int read(FILE *f) {{\n{LONG}"),
        ("What does handleClick do?", f"  handleClick(event) {{\n{LONG}"),
        ("Raise MAX_SIZE.", f"MAX_SIZE = 3\n{LONG}"),
    ],
)
def test_a_file_is_mentioned_by_its_path_its_name_its_folder_or_what_it_defines(task: str, content: str) -> None:
    context = reduced(user(f"{task}\n{file('src/b.py', content)}\n{file('lib/other.py')}"))

    assert context.files == ("lib/other.py",)


def test_a_plain_word_is_no_mention_of_a_function_of_that_name() -> None:
    context = reduced(user(f"Please run a.py.\n{file('a.py')}\n{file('b.py', f'def run():{LONG}')}"))

    assert context.files == ("b.py",)


def test_earlier_turns_mention_files_too() -> None:
    first = user(f"Fix a.py.\n{file('a.py')}\n{file('b.py')}\n{file('c.py')}")

    assert reduced(first, assistant("Done."), user("Now b.py.")).files == ("c.py",)


def test_a_few_files_stay_where_the_task_mentions_none() -> None:
    assert reduced(user(f"What is wrong here?\n{file('a.py')}\n{file('b.py')}")) is None


def test_a_few_files_stay_where_the_task_may_speak_of_all() -> None:
    assert reduced(user(f"Compare these two files with a.py.\n{file('a.py')}\n{file('b.py')}")) is None


def test_a_whole_repository_never_leaves_those_files_do_that_share_most_words_with_the_task() -> None:
    files = [file(f"src/m{number}.py", f"{LONG}\n{number}") for number in range(30)]
    files[17] = file("src/m17.py", f"{LONG}\nthe quota of invoices")
    context = reduced(user("The quota of invoices is wrong.\n" + "\n".join(files)), budget=1_000)

    assert "src/m17.py" not in context.files
    assert len(context.files) > 20
    assert context.cut.tokens_after < 2_500


def test_a_listing_of_a_repository_mentions_nothing() -> None:
    names = [f"src/m{number}.py" for number in range(30)]
    listing = "\n".join(f"├── {name}" for name in names)
    context = reduced(user(f"{listing}\n" + "\n".join(map(file, names)) + "\nWhy does m3.py fail?"))

    assert set(context.files) == {name for name in names if name != "src/m3.py"}


def test_a_document_that_the_task_does_not_mention_becomes_a_line() -> None:
    def document(title: str) -> dict[str, Any]:
        return {
            "type": "document",
            "title": title,
            "source": {"type": "text", "media_type": "text/plain", "data": LONG},
        }

    context = reduced(user([document("a.md"), document("b.md"), {"type": "text", "text": "Summarize a.md."}]))
    kept, left, said = context.body["messages"][0]["content"]

    assert kept == document("a.md")
    assert left["type"] == "text"
    assert left["text"].startswith("[file b.md left out")
    assert said == {"type": "text", "text": "Summarize a.md."}


def test_old_turns_become_a_note_of_their_own_first_lines() -> None:
    old = [turn for number in range(4) for turn in (user(f"Question {number}\n{LONG}"), assistant(LONG))]
    system = {"role": "system", "content": "Be brief."}
    context = reduced(system, *old, user("And now?"), keep=1)
    first, note, last = context.body["messages"]

    assert (first, last) == (system, user("And now?"))
    assert note["role"] == "user"
    assert note["content"].startswith("[8 earlier messages left out, about ")
    assert note["content"].endswith("The user's began:\n- Question 0\n- Question 1\n- Question 2\n- Question 3]")
    assert context.cut.messages == 8


def test_no_more_turns_are_folded_than_the_budget_asks_for() -> None:
    old = [turn for number in range(4) for turn in (user(f"Question {number}\n{LONG}"), assistant(LONG))]
    whole = reduced(*old, user("And now?"), keep=1).cut.tokens_before
    context = reduced(*old, user("And now?"), keep=1, budget=whole - 100)

    assert context.cut.messages == 2
    assert context.body["messages"][1:] == [*old[2:], user("And now?")]


def test_the_latest_turns_are_never_folded() -> None:
    turns = [turn for number in range(3) for turn in (user(LONG), assistant(LONG))]

    assert reduced(*turns, keep=3) is None


CALL = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{}"}}


@pytest.mark.parametrize(
    "exchange",
    [
        [user("Read it."), assistant(None, tool_calls=[CALL]), {"role": "tool", "tool_call_id": "c1", "content": LONG}],
        [user("Read it."), assistant([{"type": "tool_use", "id": "c1", "name": "read", "input": {}}]),
         user([{"type": "tool_result", "tool_use_id": "c1", "content": LONG}])],
        [user([{"type": "text", "text": LONG}, {"type": "image_url", "image_url": {"url": "https://x.test/a"}}])],
        [user(LONG), assistant([{"type": "thinking", "thinking": LONG, "signature": "s"}])],
        [user(LONG), {"role": "system", "content": "From now on in French."}],
    ],
)  # fmt: skip
def test_calls_of_tools_their_results_pictures_and_signed_thinking_stay_as_they_are(exchange: list[Any]) -> None:
    around = [user(LONG), assistant(LONG)]
    exchange = [*exchange, assistant("Well.")]
    context = reduced(*around, *exchange, *around, user("And now?"), keep=1)

    assert context.cut.messages == 4
    assert context.body["messages"][1 : 1 + len(exchange)] == exchange


def test_a_call_with_words_beside_it_stays_as_it_is() -> None:
    spoken = [user("Read it."), assistant("Let me see.", tool_calls=[CALL]), assistant(LONG)]
    context = reduced(user(LONG), assistant(LONG), *spoken, user("And now?"), keep=1)

    assert context.body["messages"][1:] == [*spoken, user("And now?")]


def test_turns_that_are_shorter_than_their_note_stay() -> None:
    short = [turn for _ in range(3) for turn in (user("ok"), assistant("fine"))]

    assert reduced(*short, user(LONG), keep=1) is None


def test_a_file_whose_end_is_not_known_stays_and_the_task_may_follow_it() -> None:
    text = f"Fix a.py.\n=== a.py ===\n{LONG}\n=== b.py ===\n{LONG}\n=== c.py ===\n{LONG}\nSee also b.py."

    assert reduced(user(text)) is None


def test_a_turn_with_results_of_tools_loses_no_files() -> None:
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "x"}

    assert reduced(user([result, {"type": "text", "text": f"a.py\n{file('a.py')}\n{file('b.py')}"}])) is None


def test_what_a_client_marks_for_a_cache_stays_whole() -> None:
    marked = {"type": "text", "text": f"{file('a.py')}\n{file('b.py')}", "cache_control": {"type": "ephemeral"}}
    said = {"type": "text", "text": f"Fix c.py.\n{file('c.py')}\n{file('d.py')}"}
    context = reduced(user(LONG), assistant(LONG), user([marked]), assistant("Read."), user([said]), keep=1)

    assert context.files == ("d.py",)
    assert context.body["messages"][:3] == [user(LONG), assistant(LONG), user([marked])]


@pytest.mark.parametrize("mark", [{"cache_control": {"type": "ephemeral"}}, {"prompt_cache_key": "k"}])
def test_a_request_that_is_to_be_cached_as_a_whole_stays_whole(mark: dict[str, Any]) -> None:
    assert reduced(user(f"Fix a.py.\n{file('a.py')}\n{file('b.py')}"), **mark) is None


def test_a_request_within_the_budget_stays_whole() -> None:
    assert reduced(user(f"Fix a.py.\n{file('a.py')}\n{file('b.py')}"), budget=4_000) is None


def test_a_request_of_the_responses_dialect_is_reduced_in_its_own_form() -> None:
    text = f"Fix a.py.\n{file('a.py')}\n{file('b.py')}"
    context = minimum_context({"model": "auto", "input": text}, 100, 2)
    parts = minimum_context({"model": "auto", "input": [user([{"type": "input_text", "text": text}])]}, 100, 2)

    assert context is not None
    assert isinstance(context.body["input"], str)
    assert "[file b.py left out" in context.body["input"]
    assert parts is not None
    assert parts.files == ("b.py",)


@pytest.mark.parametrize("body", [{"prompt": LONG}, {"input": ["a", "b"]}, {"messages": None}, {}])
def test_what_is_no_conversation_stays_as_it_is(body: dict[str, Any]) -> None:
    assert minimum_context({"model": "auto", **body}, 0, 1) is None


TEXTS = st.sampled_from(
    ["Fix a.py", LONG, file("a.py"), f"{file('b.py')}\n{file('a.py')}", "ok", "", "```\nx", "=== a.py ==="]
)
CALLS = st.sampled_from(
    [
        [assistant([{"type": "tool_use", "id": "t", "name": "f", "input": {}}]),
         user([{"type": "tool_result", "tool_use_id": "t", "content": LONG}])],
        [assistant("said")],
        [assistant([{"type": "text", "text": LONG}])],
    ]
)  # fmt: skip
EXCHANGES = st.builds(lambda text, answer: [user(text or "x"), *answer], TEXTS, CALLS)


@settings(max_examples=200, deadline=None)
@given(st.lists(EXCHANGES, max_size=8), TEXTS, st.integers(0, 2_000), st.integers(1, 4))
def test_a_conversation_stays_one(exchanges: list[list[Any]], last: str, budget: int, keep: int) -> None:
    turns = [*(turn for exchange in exchanges for turn in exchange), user(last or "x")]
    body: Any = {"model": "auto", "max_tokens": 5, "system": LONG, "messages": turns}
    context = minimum_context(copy.deepcopy(body), budget, keep)
    if context is None:
        return
    sent: Any = context.body

    assert Messages().read(json.dumps(sent).encode()).body == sent
    assert {name: sent[name] for name in sent if name != "messages"} == {
        name: body[name] for name in body if name != "messages"
    }
    assert sent["messages"][0]["role"] == sent["messages"][-1]["role"] == "user"
    kinds = [part["type"] for turn in sent["messages"] for part in turn["content"] if isinstance(part, dict)]
    before = [part["type"] for turn in turns for part in turn["content"] if isinstance(part, dict)]
    assert kinds.count("tool_use") == before.count("tool_use")
    assert kinds.count("tool_result") == before.count("tool_result")
    assert all(turn["content"] for turn in sent["messages"])
    assert context.cut.tokens_after < context.cut.tokens_before


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "source", "title", "data"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
ODD_TURNS = st.dictionaries(
    st.sampled_from(["role", "content", "type", "tool_calls"]), ANYTHING | st.sampled_from(["user", "assistant"])
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["messages", "input"]), st.lists(ODD_TURNS, max_size=6) | TEXTS)
def test_whatever_a_dialect_lets_through_is_reduced_or_left(key: str, turns: Any) -> None:
    context = minimum_context({"model": "auto", key: turns}, 0, 1)

    assert context is None or type(context.body[key]) is type(turns)
