"""`serve`: the daemon, or the unit by which systemd keeps it running."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.home import Home
from router.cli.frame import home_of, projects_of, say, settings_under

if TYPE_CHECKING:
    # pydantic takes 0.15 s to import, which `--help` must not wait for.
    from registry.project_file import Project
    from registry.settings import Settings

_UNAVAILABLE = 69
_BOOTED_BY_SYSTEMD = Path("/run/systemd/system")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    context: typer.Context,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = None,
    install: Annotated[bool, typer.Option("--install", help="Write a systemd user unit instead of serving.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --install: print the unit, write nothing.")] = False,
) -> None:
    """Run the router daemon on 127.0.0.1 until Ctrl-C or SIGTERM."""
    home = home_of(context)
    projects = projects_of(home)
    settings = settings_under(projects, home)
    if install:
        raise typer.Exit(_install(home, settings, [] if port is None else ["--port", str(port)], dry_run=dry_run))
    if dry_run:
        raise typer.BadParameter("--dry-run goes with --install")
    if port is not None:
        settings = settings.model_copy(update={"daemon": settings.daemon.model_copy(update={"port": port})})
    raise typer.Exit(_run(home, settings, projects))


def _run(home: Home, settings: Settings, projects: Sequence[Project]) -> int:
    from registry import narrowing
    from router.deps import real_outside
    from router.log_lines import logging_to
    from router.serve import serve as run_daemon

    as_json = settings.daemon.log == "json"
    tell: Callable[[str], None] = logging.getLogger("modelbreeder.router").info if as_json else _say

    def read(file: Path, must_exist: bool) -> Settings:
        # What the project's files said at the start also holds for what the home's own says later.
        return narrowing.settings_under(projects, file, must_exist=must_exist)[0]

    with logging_to(sys.stderr, as_json=as_json):
        return run_daemon(home, settings, real_outside(settings, os.environ), os.environ, tell, read)


def _install(home: Home, settings: Settings, arguments: Sequence[str], *, dry_run: bool) -> int:
    from router import units

    program = _program()
    unit = units.user_unit(home, settings, program, arguments, os.environ)
    if dry_run:
        say(f"# {unit.path}\n{unit.text.rstrip()}")
        return 0
    if not _BOOTED_BY_SYSTEMD.exists():
        by_hand = shlex.join(units.serve_command(home, program, arguments))
        say(f"systemd does not run this machine, so nothing was installed; run the daemon by hand:\n  {by_hand}")
        return _UNAVAILABLE
    home.prepare()
    units.install(unit)
    keys = [upstream.api_key_env for upstream in settings.upstreams.values() if upstream.api_key_env]
    say(f"{unit.path} is written. Next:")
    if keys:
        say(f"  put {' and '.join(f'{name}=…' for name in keys)} into {unit.keys}")
    say("  systemctl --user daemon-reload")
    say(f"  systemctl --user enable --now {unit.path.name}")
    say("  loginctl enable-linger    # where the daemon is to run while nobody is logged in")
    return 0


def _program() -> list[str]:
    """Return what runs our commands: the script beside this interpreter, else the module."""
    script = Path(sys.executable).parent / "modelbreeder"
    return [str(script)] if script.exists() else [sys.executable, "-P", "-m", "router.cli"]


def _say(line: str) -> None:
    """Tell whoever started the daemon, at once, also through a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
