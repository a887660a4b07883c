"""The `modelbreeder` command: the router's commands and the factory's in one place. Only light imports here."""

from __future__ import annotations

import os
import signal
import sys

from breeder.cli import breeding, forgetting, judging, raising, recipes, rehearsing, specialists, workflows
from router.cli import add_commands, ledger
from router.cli.frame import new_app, run

__all__ = ["app", "main"]

_TERMINATED = 143

app = new_app("Move repeated cloud work to small local specialists, and only when a measurement says so.")
add_commands(app)
for module in (breeding, judging, rehearsing):
    module.register(app)
forgetting.register(ledger.app)
app.add_typer(specialists.app, name="specialists")
app.add_typer(workflows.app, name="workflows")
app.add_typer(recipes.app, name="recipes")
app.add_typer(raising.app, name="seedling")


def main() -> None:
    """Run the command line."""
    # Read when torch is imported: threads that wait must not spin, or training beside other work takes half as long
    # again (36 steps of the seedling's LoRA on two busy cores: 13.4 s against 21.8 s).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # A terminated command unwinds, so that a rehearsal takes its daemon along; `serve` has its own handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    run(app)
