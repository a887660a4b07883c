"""The systemd user unit that keeps the daemon running: its text, and where it goes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from registry.errors import ConfigError
from registry.home import Home
from registry.settings import Settings
from router.serve import CLEAN_UP_S

UNIT_NAME = "modelbreeder.service"
_SPARE_S = 15.0
"""Beyond drain and clean-up: engines stop, queued events are written."""
_XDG = ("XDG_CONFIG_HOME", "XDG_DATA_HOME")
_KEYS_ABOUT = "# Keys of upstreams for the daemon that systemd runs, one NAME=value a line; for your eyes only.\n"
_UNIT = """\
[Unit]
Description=ModelBreeder router

[Service]
Type=notify
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
{environment}EnvironmentFile=-{keys}
# Only the daemon is told to stop: its engines go on until the requests in flight have ended.
KillMode=mixed
TimeoutStartSec=300
TimeoutStopSec={stop_s}
WatchdogSec=60
Restart=always
RestartSec=3
# A wrong configuration stays wrong, however often the daemon starts.
RestartPreventExitStatus=2
# An engine that runs out of memory is started again by the daemon.
OOMPolicy=continue
MemoryMax=75%
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ReadWritePaths={writable}
RuntimeDirectory=modelbreeder-%U
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes
UMask=0077

[Install]
WantedBy=default.target
"""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit file, and the file of keys that it reads."""

    path: Path
    text: str
    keys: Path


def user_unit(
    home: Home, settings: Settings, program: Sequence[str], arguments: Sequence[str], environ: Mapping[str, str]
) -> Unit:
    """Return the unit that serves a home.

    Args:
        home: what is served; its folder is all that the daemon may write.
        settings: for the time that a drain takes, and where the ledger is.
        program: what runs our commands, by its whole path.
        arguments: what follows `serve`.
        environ: the user's environment, for the XDG folders.

    """
    # A home that is no single folder follows the XDG variables, which systemd may not have.
    named = () if _is_one_folder(home) else tuple(name for name in _XDG if environ.get(name))
    config = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    # Not in the home, which may be a folder that others share or version.
    keys = config / "modelbreeder" / "keys.env"
    text = _UNIT.format(
        command=_command_line(serve_command(home, program, arguments)),
        environment="".join(f"Environment={quoted(f'{name}={environ[name]}')}\n" for name in named),
        keys=str(keys).replace("%", "%%"),
        stop_s=math.ceil(settings.daemon.drain_s + CLEAN_UP_S + _SPARE_S),
        writable=" ".join(quoted(str(folder)) for folder in _written(home, settings)),
    )
    return Unit(config / "systemd" / "user" / UNIT_NAME, text, keys)


def serve_command(home: Home, program: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """Return the command line that serves a home."""
    root = ["--home", str(home.data.parent)] if _is_one_folder(home) else []
    return [*program, *root, "serve", *arguments]


def install(unit: Unit) -> None:
    """Write the unit, and a private file for keys where there is none.

    Raises:
        ConfigError: a file cannot be written.

    """
    try:
        unit.path.parent.mkdir(parents=True, exist_ok=True)
        unit.path.write_text(unit.text, encoding="utf-8")
        unit.keys.parent.mkdir(parents=True, exist_ok=True)
        if not unit.keys.exists():
            unit.keys.touch(mode=0o600)
            unit.keys.write_text(_KEYS_ABOUT, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be written: {error.strerror}; check the folder's rights") from error


def quoted(word: str) -> str:
    """Return a word as systemd reads it back: a percent sign is no specifier, and a space ends nothing."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if any(letter in word for letter in " \t'\"\\;") else escaped


def _command_line(words: Sequence[str]) -> str:
    """Return words as systemd runs them; it looks for variables in all but the program's own path."""
    program, *arguments = (quoted(word) for word in words)
    return " ".join((program, *(argument.replace("$", "$$") for argument in arguments)))


def _is_one_folder(home: Home) -> bool:
    return home.config_file.parent == home.data.parent


def _written(home: Home, settings: Settings) -> list[Path]:
    """Return the folders that the daemon writes: its home, and that of a SQLite ledger elsewhere."""
    root, url = home.data.parent, settings.ledger.url
    if url is None or ("://" in url and not url.startswith("sqlite")):
        return [root]
    file = Path((make_url(url).database or "") if "://" in url else url).absolute()
    return [root] if file.is_relative_to(root) else [root, file.parent]
