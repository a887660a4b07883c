"""The database of a home, opened as its settings say: plain, or with the key from where they say that it is."""

from __future__ import annotations

from pathlib import Path

from registry.database import Database, open_database, sqlite_file
from registry.database_key import DatabaseKey, KeyPlace, key_place
from registry.encryption import check_kind, is_plain, opens
from registry.errors import ConfigError
from registry.home import Home
from registry.settings import LedgerSettings


def open_home_database(home: Home, settings: LedgerSettings) -> Database:
    """Open the database of ledger and catalog, creating or migrating it.

    Raises:
        ConfigError: it cannot be used, or there is no key that opens it.
        LedgerError: it cannot be reached.
    """
    url = settings.url or home.database_url
    file = sqlite_file(url)
    place = key_place(home, settings, file) if file is not None else None
    return open_database(url, key=find_key(place, file) if place is not None and file is not None else None)


def find_key(place: KeyPlace, file: Path) -> DatabaseKey:
    """Return the key at a place that opens a file, the newest one for a file that is still to be made.

    Raises:
        ConfigError: there is none, none opens it, or it is not encrypted.
    """
    keys = place.read()
    check_kind(file, encrypted=True)
    if not keys:
        made = is_plain(file) is None
        next_step = "`modelbreeder ledger encrypt` makes one" if made else "put it back, without it nothing opens it"
        raise ConfigError(f"{place.label} holds no key for {file}; {next_step}")
    if is_plain(file) is None:
        return keys[0]
    for key in keys:
        if opens(file, key):
            return key
    raise ConfigError(f"the key of {place.label} does not open {file}; put back the right one, or a file of that key")
