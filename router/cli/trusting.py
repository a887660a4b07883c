"""`trust`: let a project's own modelbreeder.toml count, as it is now; a change of it ends the trust."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.errors import ConfigError, NotFoundError
from registry.home import CONFIG_NAME, Home
from router.cli.frame import JsonOption, home_of, say, say_json, say_table

if TYPE_CHECKING:
    from registry.project_file import Project
    from registry.trust import TrustStore


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(trust)


def trust(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The folder of the modelbreeder.toml.")] = Path(),
    *,
    listed: Annotated[bool, typer.Option("--list", help="List what is trusted.")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Trust it no longer.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, as where nobody can answer.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a project's own modelbreeder.toml would change, and let it count as it is now.

    Untrusted, it may only narrow the policy: its upstreams, keys and commands are ignored.
    """
    home = home_of(context)
    store = _store(home)
    file = folder.resolve() / CONFIG_NAME
    if listed:
        _list(store, as_json=as_json)
    elif revoke:
        store.revoke(file)
        say(f"{file} is not trusted any more: from now on it may only narrow the policy")
    else:
        _trust(home, store, file, yes=yes)


def _store(home: Home) -> TrustStore:
    from registry.trust import TRUST_FILE, TrustStore

    return TrustStore(home.data / TRUST_FILE)


def _list(store: TrustStore, *, as_json: bool) -> None:
    rows = store.all()
    if as_json:
        say_json([{"file": path, **row} for path, row in rows.items()])
    else:
        say_table(
            ("file", "since", "sha256"), [(path, row["trusted_at_utc"], row["sha256"]) for path, row in rows.items()]
        )


def _trust(home: Home, store: TrustStore, file: Path, *, yes: bool) -> None:
    from registry.ids import utc_now
    from registry.project_file import read_project
    from registry.trust_changes import changes

    if not file.is_symlink() and not file.exists():
        raise NotFoundError(f"{file} is not there; name the folder of a project that has one")
    project = read_project(file, store.is_trusted)
    if project.problem:
        raise ConfigError(f"{file} cannot be used: {project.problem}; mend it first")
    if project.trusted:
        say(f"{file} is trusted already, as it is")
        return
    try:
        lines = changes(project, home.config_file)
    except ConfigError as error:
        raise ConfigError(f"{file} cannot count beside your own file: {error}; mend it first") from error
    say(f"{file} would change:")
    for line in lines or ["nothing"]:
        say(f"  {line}")
    _ask(project, yes=yes)
    home.prepare()
    store.trust(file, project.digest, utc_now())
    say(f"{file} is trusted as it is now (sha256 {project.digest[:12]}); any change of it ends that")


def _ask(project: Project, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"{project.file} was not trusted: read the above, then give --yes")
    typer.confirm("Trust it?", abort=True)
