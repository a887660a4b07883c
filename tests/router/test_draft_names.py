"""Names that a draft uses and never explains, found by how they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.draft_names import Name, names_in, undefined_names


def undefined(draft: str) -> list[str]:
    return [name.text for name in undefined_names(draft)]


@pytest.mark.parametrize("name", ["load_plan", "loadPlan", "BillingStore", "QUOTA_FILE", "SLO", "`flush`", "flush()"])
def test_a_name_that_is_never_explained_is_found(name: str) -> None:
    assert undefined(f"First we ask {name} for it.") == [name.strip("`").removesuffix("()")]


@pytest.mark.parametrize(
    "definition",
    [
        "max_burst: 20 requests",
        "- **max_burst** - how many at once",
        "| max_burst | 20 |",
        "## The max_burst setting",
        "max_burst = 20",
        "`max_burst` is the number of requests at once",
        "max_burst, which is a number, comes first",
        "max_burst means how many at once",
        "There is a setting called max_burst",
        "Add a field max_burst to the table",
        "Implement max_burst",
        "max_burst (the most requests at once)",
        "the most requests at once (max_burst)",
        "```python\nmax_burst = 20\n```",
        "```python\ndef f(max_burst): ...\n```",
    ],
)
def test_a_name_that_is_explained_anywhere_is_not(definition: str) -> None:
    assert undefined(f"Stop at max_burst.\n{definition}\n") == []


def test_what_everybody_knows_and_what_is_no_name_is_not_asked_for() -> None:
    draft = "Use the HTTP API of GitHub, IDs and URLs as JSON; see https://x.test/a_b, report_final.csv, `len()` and A."

    assert undefined(draft) == []


def test_names_of_quoted_code_are_not_asked_for() -> None:
    assert undefined("```\ncall(other_name)\n```\n") == []


def test_lines_are_those_of_the_draft() -> None:
    assert names_in("x\n```\na\n```\nload_plan and load_plan\nload_plan") == [Name("load_plan", (5, 6))]


@given(st.text(alphabet="aB_`#|.:() \n-=", max_size=80))
def test_any_text_can_be_read_and_its_names_stand_where_they_are_said_to(draft: str) -> None:
    for name in names_in(draft):
        assert all(name.text in draft.split("\n")[line - 1] for line in name.lines)
