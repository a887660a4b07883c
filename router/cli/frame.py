"""What all commands share: the home they work in, how they print, and how an error ends them."""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typing_extensions import override

from registry.errors import DataError, ModelBreederError, NotFoundError
from registry.home import Home, find_home

if TYPE_CHECKING:
    # pydantic takes 0.15 s to import, which `--help` must not wait for.
    from registry.project_file import Project
    from registry.settings import Settings

HomeOption = Annotated[
    Path | None, typer.Option("--home", help="Folder that holds everything; else MODELBREEDER_HOME.")
]
_QUOTING = ("asyncio", "aiohttp", "uvicorn")
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def new_app(help_text: str) -> typer.Typer:
    """Return a command group whose root option is --home."""
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, help=help_text)

    @app.callback()
    def root(context: typer.Context, home: HomeOption = None) -> None:
        context.obj = find_home(home, os.environ)

    return app


def home_of(context: typer.Context) -> Home:
    """Return the home that the root option named, else the one of the environment."""
    return context.obj if isinstance(context.obj, Home) else find_home(None, os.environ)


def settings_of(home: Home) -> Settings:
    """Read the settings of a home, as the files of the project narrow them in whose folder the command runs."""
    return settings_under(projects_of(home), home)


def settings_under(projects: Sequence[Project], home: Home) -> Settings:
    """Read the settings of a home in a project, and say beside the output what of its files does not count."""
    from registry import narrowing

    settings, lines = narrowing.settings_under(projects, home.config_file)
    for line in lines:
        sys.stderr.write(f"modelbreeder: {line}\n")
    return settings


def projects_of(home: Home) -> tuple[Project, ...]:
    """Return the files of the project in whose folder the command runs, that of the outermost folder first."""
    from registry.project_file import find_project_files, read_project
    from registry.trust import TRUST_FILE, TrustStore

    try:
        folder = Path.cwd()
    except OSError:
        return ()
    store = TrustStore(home.data / TRUST_FILE)
    return tuple(read_project(file, store.is_trusted) for file in find_project_files(folder, home.config_file))


def run(app: typer.Typer, arguments: Sequence[str] | None = None) -> None:
    """Run commands; an error of ours is one line on standard error and its own exit code.

    What a command writes is its user's alone, and what it says of a bug in it quotes nobody.
    """
    os.umask(0o077)
    # A core file would hold every prompt in memory, and the ledger's key.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    handler = logging.StreamHandler()
    handler.setFormatter(_CommandFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    # A stream that broke upstream is cut on purpose; the ledger has it, so the log need not.
    logging.getLogger("uvicorn.error").addFilter(lambda entry: "without completing response" not in entry.getMessage())
    try:
        app(arguments)
    except ModelBreederError as error:
        sys.stderr.write(f"modelbreeder: {' '.join(str(error).split())}\n")
        raise SystemExit(exit_code_of(error)) from None
    except Exception:
        # Only now, as Typer sets a hook of its own.
        sys.excepthook = _tell_bug
        raise


class _CommandFormatter(logging.Formatter):
    """Leaves out what exceptions say, and what the loggers say that would quote them."""

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        if record.name.partition(".")[0] in _QUOTING:
            record.message = f"at {record.filename}:{record.lineno}"
        return super().formatMessage(record)

    @override
    def formatException(self, ei: object) -> str:
        from router.log_lines import bug_text

        error = ei[1] if isinstance(ei, tuple) else None
        return bug_text(error) if isinstance(error, BaseException) else ""


def _tell_bug(_kind: type[BaseException], error: BaseException, _trace: object) -> None:
    """Tell of an exception that nobody expected without its words, which may quote a prompt."""
    from router.log_lines import bug_text

    sys.stderr.write(
        f"{bug_text(error)}\nmodelbreeder: this is a bug; what it said is not shown, as it may quote texts\n"
    )


def exit_code_of(error: ModelBreederError) -> int:
    """Return what a command exits with after an error."""
    return error.exit_code


def read_source(source: str) -> bytes:
    """Return the bytes of a file, of standard input for `-`; raise NotFoundError, or DataError for no file."""
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"{source} is not there; name a file, or - for standard input") from error
    except OSError as error:
        raise DataError(f"{source} cannot be read: {error.strerror}; name a file, or - for standard input") from error


def read_text(source: str) -> str:
    """Return the UTF-8 text of a file or of standard input."""
    try:
        return read_source(source).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{source} is not UTF-8 text: {error.reason} at byte {error.start}; convert it") from error


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")


def say_json(value: object) -> None:
    """Print one JSON value."""
    say(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def say_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; plain tab-separated lines when standard output is no terminal."""
    if not sys.stdout.isatty():
        say("\t".join(columns))
        for row in rows:
            say("\t".join(" ".join(cell.split()) for cell in row))
        return
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    # The first column names the row, and a name that is cut cannot be used.
    name, *others = columns
    table = Table(Column(name, no_wrap=True, min_width=1, overflow="ignore"), *others, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def short(value: float | None, unit: str = "", digits: int = 4) -> str:
    """Return a number for a table, a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}g}{unit}"
