"""Which project files the user trusts: by place and by digest of their content, so that a change ends the trust.

The store is a private file of the home; one that others could have written counts for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import orjson

from registry.columns import utc_text
from registry.config_file import write_config
from registry.errors import ConfigError, NotFoundError
from registry.own_secrets import read_own

TRUST_FILE = "trusted.json"
_LARGEST = 1 << 20


class TrustStore:
    """The trusted files of one home."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def all(self) -> Mapping[str, Mapping[str, str]]:
        """Return `sha256` and `trusted_at_utc` by path; ConfigError where the store cannot be used."""
        try:
            found = orjson.loads(read_own(self._file, _LARGEST))
            return {str(path): {"sha256": str(row["sha256"]), "trusted_at_utc": str(row["trusted_at_utc"])}
                    for path, row in found.items()}  # fmt: skip
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigError(f"{self._file} cannot be read: {error.strerror}; remove it and trust anew") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{self._file} is no trust store of ours; remove it and trust anew") from error

    def is_trusted(self, file: Path, digest: str) -> bool:
        """Say whether a file was trusted with this content."""
        row = self.all().get(str(file))
        return row is not None and row["sha256"] == digest

    def trust(self, file: Path, digest: str, at: datetime) -> None:
        """Trust a file with this content from now on."""
        self._write({**self.all(), str(file): {"sha256": digest, "trusted_at_utc": utc_text(at)}})

    def revoke(self, file: Path) -> None:
        """Trust a file no longer; NotFoundError where it was not trusted."""
        known = dict(self.all())
        if known.pop(str(file), None) is None:
            raise NotFoundError(f"{file} is not trusted; `modelbreeder trust --list` shows what is")
        self._write(known)

    def _write(self, rows: Mapping[str, Mapping[str, str]]) -> None:
        write_config(self._file, orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode() + "\n", force=True)
