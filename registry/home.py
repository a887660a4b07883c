"""Where things live: `--home` or MODELBREEDER_HOME as one folder, else the XDG directories of the user.

This is the one module of `registry` that reads the environment, besides `settings`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from registry.errors import ConfigError

CONFIG_NAME = "modelbreeder.toml"


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one installation; nothing is created before it is needed."""

    config_file: Path
    data: Path
    mlruns: Path

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
        """Create the private folders, 0700; ConfigError where they cannot be made."""
        try:
            for folder in (self.data, self.artifacts, self.datasets, self.runs):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the home {self.data.parent} cannot be used: {error.strerror} ({error.filename}); "
                "name a folder of yours with --home or MODELBREEDER_HOME"
            ) from error
        for folder in (self.artifacts, self.datasets, self.runs):
            folder.chmod(0o700)


def find_home(explicit: Path | None, environ: Mapping[str, str]) -> Home:
    """Return the home that the flag, MODELBREEDER_HOME or XDG name, in this order."""
    chosen = explicit or (Path(environ["MODELBREEDER_HOME"]) if environ.get("MODELBREEDER_HOME") else None)
    if chosen is not None:
        return Home.at(chosen)
    config = Path(platformdirs.user_config_dir("modelbreeder"))
    data = Path(platformdirs.user_data_dir("modelbreeder"))
    return Home(config / CONFIG_NAME, data / "data", data / "mlruns")


def socket_folder(environ: Mapping[str, str]) -> Path:
    """Return a short private parent for unix sockets, whose paths must stay under 108 bytes."""
    parent = environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(parent) / f"modelbreeder-{os.getuid()}"
