"""The key of an encrypted ledger: 256 random bits, from the desktop's keyring, a systemd credential or a private file.

No setting, command line or environment variable holds it, and no message shows it. A place may hold several, newest
first: while a key is being changed the old one has to be there as well, since no crash may leave a file without one.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from registry.errors import ConfigError, RefusedError
from registry.home import Home
from registry.settings import LedgerSettings

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

INSTALL = "pip install 'modelbreeder[encrypt]'"
CREDENTIAL = "modelbreeder-ledger-key"
_SERVICE = "modelbreeder"
_KEY_BYTES = 32
_HEX = re.compile(r"[0-9a-f]{64}")
_WANTED = "it takes 64 hexadecimal digits"


@dataclass(frozen=True, slots=True)
class DatabaseKey:
    """One key; its digits are for the database library alone."""

    digits: str = field(repr=False)

    @classmethod
    def fresh(cls, random_bytes: Callable[[int], bytes] = os.urandom) -> DatabaseKey:
        """Draw a new key."""
        return cls(random_bytes(_KEY_BYTES).hex())


class KeyPlace(Protocol):
    """Where the key of one database is kept."""

    @property
    def label(self) -> str:
        """The place, as messages call it."""

    def read(self) -> list[DatabaseKey]:
        """Return the keys, newest first; none where none was put there. ConfigError where it cannot be asked."""

    def write(self, keys: Sequence[DatabaseKey], /) -> None:
        """Keep these instead, durably; RefusedError where the place is not ours to change."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file of one's own, 0600."""

    path: Path

    @property
    def label(self) -> str:
        """The file."""
        return f"the file {self.path}"

    def read(self) -> list[DatabaseKey]:
        """Read it; ConfigError where others could too."""
        try:
            with self.path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                if mode & 0o077:
                    raise ConfigError(
                        f"{self.path} can be read by others (mode {mode & 0o777:04o}), so its key is not used; "
                        f"chmod 600 it, and `modelbreeder ledger rekey` where somebody may have read it"
                    )
                return _keys(file.read().decode(errors="replace"), self.label)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be read: {error.strerror}; check ledger.key_file") from error

    def write(self, keys: Sequence[DatabaseKey]) -> None:
        """Write it, whole or not at all."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".key-", dir=self.path.parent)
            try:
                with os.fdopen(descriptor, "w", encoding="ascii") as partial:
                    partial.writelines(f"{key.digits}\n" for key in keys)
                    partial.flush()
                    os.fsync(partial.fileno())
                Path(name).replace(self.path)
                sync_folder(self.path.parent)
            finally:
                Path(name).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written: {error.strerror}; check ledger.key_file") from error


@dataclass(frozen=True, slots=True)
class Credential:
    """What systemd hands to a service by LoadCredential= or LoadCredentialEncrypted=."""

    folder: Path | None

    @property
    def label(self) -> str:
        """The credential."""
        return f"the systemd credential {CREDENTIAL}"

    def read(self) -> list[DatabaseKey]:
        """Read what systemd put there; others cannot."""
        if self.folder is None:
            raise ConfigError(
                f"{self.label} is not there, as nothing set CREDENTIALS_DIRECTORY; "
                "start this by a unit with LoadCredential=, or set ledger.encryption to another place"
            )
        try:
            return _keys((self.folder / CREDENTIAL).read_text(encoding="ascii", errors="replace"), self.label)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigError(f"{self.label} cannot be read: {error.strerror}; check the unit") from error

    def write(self, _keys: Sequence[DatabaseKey], /) -> None:
        """Refuse: only the administrator can."""
        raise RefusedError(
            f"{self.label} is systemd's, so its key cannot be written here; {_WANTED}, as `openssl rand -hex 32` "
            "prints, and to change it, a line with the new key above the one with the old key"
        )


@dataclass(frozen=True, slots=True)
class KeyringEntry:
    """An entry of the desktop's keyring, named after the database file."""

    file: Path

    @property
    def label(self) -> str:
        """The entry."""
        return f"the keyring's entry {_SERVICE} {self.file}"

    def read(self) -> list[DatabaseKey]:
        """Ask the keyring."""
        return _keys(self._asked(lambda ring: ring.get_password(_SERVICE, str(self.file))) or "", self.label)

    def write(self, keys: Sequence[DatabaseKey]) -> None:
        """Put it into the keyring."""
        digits = " ".join(key.digits for key in keys)
        self._asked(lambda ring: ring.set_password(_SERVICE, str(self.file), digits))

    def _asked(self, question: Callable[[KeyringBackend], str | None]) -> str | None:
        try:
            from keyring import get_keyring
            from keyring.errors import KeyringError
        except ImportError as error:
            raise ConfigError(f"{self.label} cannot be asked, as keyring is not installed; {INSTALL}") from error
        try:
            return question(get_keyring())
        except (KeyringError, OSError) as error:
            # By type alone, as some keyrings quote what they were given.
            why = type(error).__name__
            raise ConfigError(
                f"{self.label} cannot be used ({why}); unlock the keyring, or keep the key in a file: ledger.key_file"
            ) from error


def key_place(home: Home, settings: LedgerSettings, file: Path) -> KeyPlace | None:
    """Return where the key of a home's ledger file is, None where the ledger is not to be encrypted."""
    match settings.encryption:
        case "file":
            return KeyFile(home.config_file.parent / (settings.key_file or Path()).expanduser())
        case "credential":
            return Credential(home.credentials)
        case "keyring":
            return KeyringEntry(file)
        case "none":
            return None


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _keys(text: str, label: str) -> list[DatabaseKey]:
    words = text.split()
    if not all(_HEX.fullmatch(word) for word in words):
        raise ConfigError(f"{label} holds no key; {_WANTED}")
    return [DatabaseKey(word) for word in words]
