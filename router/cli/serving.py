"""`serve`: the daemon."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from router.cli.frame import home_of, settings_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    context: typer.Context,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = None,
) -> None:
    """Run the router daemon on 127.0.0.1 until Ctrl-C or SIGTERM."""
    from router.deps import real_outside
    from router.serve import serve as run_daemon

    home = home_of(context)
    settings = settings_of(home)
    if port is not None:
        settings = settings.model_copy(update={"daemon": settings.daemon.model_copy(update={"port": port})})
    code = run_daemon(home, settings, real_outside(settings, os.environ), os.environ, _say)
    raise typer.Exit(code)


def _say(line: str) -> None:
    """Tell whoever started the daemon, at once, also through a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
