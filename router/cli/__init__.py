"""The router's commands; the project's console script adds them to its own, and `python -m router.cli` runs them alone.

Only light modules are imported here; what a command needs, it imports itself.
"""

from __future__ import annotations

import typer

from router.cli import asking, beginning, judging, ledger, masking, policy, serving, specifying, tokens, trusting
from router.cli.frame import new_app, run

__all__ = ["add_commands", "main"]


def add_commands(app: typer.Typer) -> None:
    """Add the router's commands to an app."""
    for module in (beginning, serving, asking, masking, judging, specifying, trusting):
        module.register(app)
    app.add_typer(ledger.app, name="ledger")
    app.add_typer(policy.app, name="policy")
    app.add_typer(tokens.app, name="token")


def main() -> None:
    """Run the router's commands alone."""
    app = new_app("Route requests to local specialists or the cloud, and keep the record.")
    add_commands(app)
    run(app)
