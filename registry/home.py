"""Where things live: `--home` or MODELBREEDER_HOME as one folder, else the XDG directories of the user.

This is the one module of `registry` that reads the environment, besides `settings`.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from registry.errors import ConfigError
from registry.private_files import close_to_others, is_open_to_others, make_private_folder

CONFIG_NAME = "modelbreeder.toml"
_SHIPPED = ("samples", "seedling")
_log = logging.getLogger("modelbreeder.registry")


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one installation; nothing is created before it is needed."""

    config_file: Path
    data: Path
    mlruns: Path
    credentials: Path | None = None
    """Where systemd put what it hands to the service, None outside of one."""

    @classmethod
    def at(cls, root: Path) -> Home:
        """Return the home that keeps everything in one folder."""
        root = root.expanduser().resolve()
        return cls(root / CONFIG_NAME, root / "data", root / "mlruns")

    @property
    def database_url(self) -> str:
        """The SQLite file that holds ledger and registry."""
        return str(self.data / "ledger.db")

    @property
    def artifacts(self) -> Path:
        """The content-addressed store."""
        return self.data / "artifacts"

    @property
    def datasets(self) -> Path:
        """Frozen datasets, one folder each."""
        return self.data / "datasets"

    @property
    def runs(self) -> Path:
        """Work in progress and exported records."""
        return self.data / "runs"

    def prepare(self) -> None:
        """Create the private folders, 0700, and close what others could read; ConfigError where that cannot be.

        What the project ships in `data/` of a checkout stays as it is: it is no secret.
        """
        try:
            for folder in (self.data, self.artifacts, self.datasets, self.runs):
                make_private_folder(folder)
            # A folder that is closed hides all below it, so it comes last, and is walked once only.
            wide = [folder for folder in (self.data.resolve(), self.mlruns) if is_open_to_others(folder)]
            below = [path for folder in wide for path in folder.iterdir() if path.name not in _SHIPPED]
            closed = close_to_others(*below) + close_to_others(*wide, deep=False) + self._close_config()
        except OSError as error:
            raise ConfigError(
                f"the home {self.data.parent} cannot be used: {error.strerror} ({error.filename}); "
                "name a folder of yours with --home or MODELBREEDER_HOME"
            ) from error
        if closed:
            _log.warning(
                "%d files and folders of the home %s could be read by others; now only by you", closed, self.data.parent
            )

    def _close_config(self) -> int:
        """Close the configuration; say so where it is another user's, or on a disk that cannot be written."""
        try:
            return close_to_others(self.config_file, deep=False)
        except OSError as error:
            _log.warning(
                "%s is open to others, and that cannot be changed (%s); name nobody in it, or use a copy",
                self.config_file, error.strerror,
            )  # fmt: skip
            return 0


def find_home(explicit: Path | None, environ: Mapping[str, str]) -> Home:
    """Return the home that the flag, MODELBREEDER_HOME or XDG name, in this order."""
    credentials = Path(environ["CREDENTIALS_DIRECTORY"]) if environ.get("CREDENTIALS_DIRECTORY") else None
    chosen = explicit or (Path(environ["MODELBREEDER_HOME"]) if environ.get("MODELBREEDER_HOME") else None)
    if chosen is not None:
        return replace(Home.at(chosen), credentials=credentials)
    config = Path(platformdirs.user_config_dir("modelbreeder"))
    data = Path(platformdirs.user_data_dir("modelbreeder"))
    return Home(config / CONFIG_NAME, data / "data", data / "mlruns", credentials)


def socket_folder(environ: Mapping[str, str]) -> Path:
    """Return a short private parent for unix sockets, whose paths must stay under 108 bytes."""
    parent = environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(parent) / f"modelbreeder-{os.getuid()}"
