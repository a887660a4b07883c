from __future__ import annotations

from tests.docs.cli_page import PAGE, written


def test_the_page_lists_all_commands_as_their_own_help_does() -> None:
    said = PAGE.read_text(encoding="utf-8")

    assert written().splitlines() == said.splitlines(), "`python -P -m tests.docs.cli_page` writes the page anew"
