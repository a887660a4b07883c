"""`ledger encrypt|decrypt|rekey`: make the ledger's file what `ledger.encryption` says, or plain, or of another key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import typer

from registry.errors import ConfigError, RefusedError
from router.cli.frame import home_of, say, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from registry.database_key import DatabaseKey, KeyPlace
    from registry.encryption_change import Changed


app = typer.Typer()


@app.command()
def encrypt(context: typer.Context) -> None:
    """Encrypt the ledger with the key of ledger.encryption, which is made where there is none."""
    from registry.database import open_database
    from registry.database_key import DatabaseKey
    from registry.encryption import cipher_driver, is_plain
    from registry.encryption_change import change_key, remove_leftovers
    from registry.home_database import find_key
    from registry.ids import new_id

    with _alone(context, "encrypt") as (place, file):
        cipher_driver()
        keys = place.read()
        plain = is_plain(file)
        if not keys and plain is not False:
            keys = [DatabaseKey.fresh()]
            place.write(keys)
        if plain:
            _tell(f"{file} is encrypted", change_key(file, None, keys[0], new_id))
        else:
            open_database(file, key=find_key(place, file)).close()
            say(f"{file} is encrypted" + (" already" if plain is False else ", and empty"))
            _tell_removed(remove_leftovers(file))
        say(f"The key is in {place.label}. Keep a copy of it elsewhere: without it nothing opens the ledger.")


@app.command()
def decrypt(context: typer.Context) -> None:
    """Decrypt the ledger; its key stays where it is."""
    from registry.encryption import is_plain
    from registry.encryption_change import change_key, remove_leftovers
    from registry.home_database import find_key
    from registry.ids import new_id

    with _alone(context, "decrypt") as (place, file):
        if is_plain(file) is False:
            key = find_key(place, file)
            _refuse_raw(file, key)
            _tell(f"{file} is plain", change_key(file, key, None, new_id))
        else:
            say(f"{file} is not encrypted")
            _tell_removed(remove_leftovers(file))
    remove = " and remove ledger.key_file" if settings_of(home_of(context)).ledger.key_file else ""
    say(f'Set ledger.encryption = "none"{remove}, else nothing opens it.')


@app.command()
def rekey(context: typer.Context) -> None:
    """Give the encrypted ledger a new key, which replaces the old one where that is kept."""
    from registry.database_key import DatabaseKey
    from registry.encryption_change import change_key
    from registry.home_database import find_key
    from registry.ids import new_id

    with _alone(context, "rekey") as (place, file):
        current = find_key(place, file)
        new = place.read()[0]
        if new == current:
            new = DatabaseKey.fresh()
            # Until the file has changed its key, both are needed: a crash may come before or behind that.
            place.write([new, current])
        changed = change_key(file, current, new, new_id)
        with suppress(RefusedError):
            place.write([new])
    _tell(f"{file} has a new key, in {place.label}", changed)


@contextmanager
def _alone(context: typer.Context, command: str) -> Iterator[tuple[KeyPlace, Path]]:
    """Hold the home, which has no daemon then, and give the key's place and the ledger's file."""
    from registry.database import sqlite_file
    from registry.database_key import key_place
    from router.home_lock import held

    home = home_of(context)
    settings = settings_of(home).ledger
    file = sqlite_file(settings.url or home.database_url)
    place = key_place(home, settings, file) if file is not None else None
    if place is None or file is None:
        raise ConfigError(
            f'ledger.encryption is "none" in {home.config_file}, so there is no key; '
            'set it to "keyring", "credential" or "file", then try again'
        )
    with held(home, f"`modelbreeder ledger {command}`"):
        yield place, file


def _refuse_raw(file: Path, key: DatabaseKey) -> None:
    """Raise RefusedError where unmasked requests would stand in a plain file."""
    from registry.database import open_database
    from registry.ledger_reading import count_raw

    database = open_database(file, key=key)
    try:
        kept = count_raw(database)
    finally:
        database.close()
    if kept:
        raise RefusedError(f"{file} keeps {kept} requests unmasked; `modelbreeder ledger forget` those first")


def _tell(what: str, changed: Changed) -> None:
    say(f"{what}; its {changed.events} events verify")
    _tell_removed(changed.removed)


def _tell_removed(names: list[str]) -> None:
    if names:
        say(f"written over and removed: {', '.join(sorted(names))}")
        say("Disks that do not write in place, snapshots and backups may still have what they held.")
