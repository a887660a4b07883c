"""docs/cli.md, made of the commands' own help.

`python -P -m tests.docs.cli_page` writes the page anew.
"""

from __future__ import annotations

from pathlib import Path

import typer
from typer.cli import get_docs_for_click

from breeder.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
NAME = "modelbreeder"


def written() -> str:
    """Return the page."""
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name=NAME), name=NAME, title="Commands")
    return "\n".join(line.rstrip() for line in text.splitlines()).strip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
