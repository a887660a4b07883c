"""An encrypted ledger: what lies on the disk, who can open it, and what a change that is cut off leaves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

import registry.migrations
from registry.database import open_database
from registry.database_key import CREDENTIAL, Credential, DatabaseKey, KeyFile, KeyringEntry, key_place
from registry.encryption import cipher_driver, opens, unlock_connections
from registry.encryption_change import Changed, change_key, remove_leftovers
from registry.entities import Durability
from registry.errors import ConfigError, ConflictError, LedgerError, RefusedError
from registry.home import Home, find_home
from registry.home_database import find_key, open_home_database
from registry.ids import new_id
from registry.ledger import Ledger
from registry.settings import LedgerSettings
from tests.registry.making import intent

pytest.importorskip("sqlcipher3")
KEY, OTHER = (DatabaseKey.fresh(lambda count, fill=fill: bytes([fill]) * count) for fill in (0xA1, 0xB2))
WORD = "zanzibar"
PLAIN = b"SQLite format 3\0"
ENVIRON = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def filled(file: Path, key: DatabaseKey | None, events: int = 3) -> Path:
    """Make a ledger of some events that say a word."""
    with closing(open_database(file, key=key)) as database:
        ledger = Ledger(database, "w", new_id)
        for _ in range(events):
            ledger.append(intent(new_id(), text=WORD * 40))
    return file


def events_in(file: Path, key: DatabaseKey | None) -> int:
    """Return how many events a ledger has; they must verify, and it must have a write-ahead log."""
    with closing(open_database(file, key=key)) as database:
        with database.read() as connection:
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        report = Ledger(database, "r", new_id).verify()
    assert report.problems == ()
    return report.events


def bytes_below(folder: Path) -> bytes:
    """Return all bytes of a folder's files."""
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


def test_file_log_and_head_are_random_and_hold_no_word(tmp_path: Path):
    file = tmp_path / "ledger.db"
    with closing(open_database(file, key=KEY)) as database:
        Ledger(database, "w", new_id).append(intent(text=WORD))
        assert {path.name for path in tmp_path.iterdir()} == {"ledger.db", "ledger.db-wal", "ledger.db-shm"}
        assert WORD.encode() not in bytes_below(tmp_path)
        assert not file.read_bytes().startswith(PLAIN)
    second = filled(tmp_path / "second.db", KEY)
    assert file.read_bytes()[:16] != second.read_bytes()[:16]
    assert WORD.encode() not in bytes_below(tmp_path)
    assert events_in(second, KEY) == 3


@pytest.mark.parametrize(("durability", "level"), [(Durability.FULL, 2), (Durability.NORMAL, 1)])
def test_an_encrypted_connection_keeps_every_promise_of_a_plain_one(tmp_path: Path, durability: Durability, level: int):
    database = open_database(tmp_path / "ledger.db", durability=durability, busy_timeout_ms=1234, key=KEY)
    names = ("synchronous", "journal_mode", "foreign_keys", "secure_delete", "busy_timeout", "wal_autocheckpoint")
    with closing(database), database.read() as connection:
        found = {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in names}
    assert found == {
        "synchronous": level, "journal_mode": "wal", "foreign_keys": 1, "secure_delete": 1, "busy_timeout": 1234,
        "wal_autocheckpoint": 4000,
    }  # fmt: skip


def test_a_log_that_was_reserved_is_read_again_after_a_death(tmp_path: Path):
    file = tmp_path / "ledger.db"
    script = (
        "import os, sys; from pathlib import Path; from registry.database import open_database;"
        "from registry.database_key import DatabaseKey; from registry.ids import new_id;"
        "from registry.ledger import Ledger; from tests.registry.making import intent;"
        f"ledger = Ledger(open_database(Path({str(file)!r}), key=DatabaseKey({KEY.digits!r})), 'w', new_id);"
        "[ledger.append(intent(new_id())) for _ in (1, 2)]; ledger.reserve();"
        "ledger.append(intent(new_id())); os._exit(0)"
    )
    subprocess.run([sys.executable, "-P", "-c", script], check=True, env=ENVIRON)
    assert Path(f"{file}-wal").stat().st_size > 10**7
    assert events_in(file, KEY) == 3


def test_the_copy_before_a_migration_is_as_encrypted(tmp_path: Path):
    file = tmp_path / "ledger.db"
    make_first_version(file, KEY)
    open_database(file, key=KEY).close()
    (copy,) = tmp_path.glob("ledger.db.before-*")
    assert not copy.read_bytes().startswith(PLAIN)
    assert opens(copy, KEY)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert events_in(file, KEY) == 0


def make_first_version(file: Path, key: DatabaseKey) -> None:
    """Make an encrypted database as the first version of the project would have."""
    config = Config()
    config.set_main_option("script_location", str(Path(registry.migrations.__file__).parent))
    engine = create_engine(f"sqlite:///{file}", module=cipher_driver())
    unlock_connections(engine, key)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()


def test_a_change_of_an_older_version_brings_it_up_to_date_and_leaves_no_copy(tmp_path: Path):
    file = tmp_path / "ledger.db"
    make_first_version(file, KEY)
    assert change_key(file, KEY, OTHER, new_id).events == 0
    assert {path.name for path in tmp_path.iterdir()} == {"ledger.db"}
    assert events_in(file, OTHER) == 0


def home_with(tmp_path: Path, **ledger: object) -> tuple[Home, LedgerSettings, Path]:
    home = Home.at(tmp_path / "home")
    home.prepare()
    settings = LedgerSettings.model_validate(ledger)
    return home, settings, Path(home.database_url)


def keyed(tmp_path: Path, *keys: DatabaseKey) -> tuple[Home, LedgerSettings, Path]:
    """Return a home whose key is in a file."""
    found = home_with(tmp_path, encryption="file", key_file=tmp_path / "elsewhere" / "ledger.key")
    if keys:
        KeyFile(tmp_path / "elsewhere" / "ledger.key").write(keys)
    return found


def test_a_home_is_opened_with_the_key_of_its_file(tmp_path: Path):
    home, settings, file = keyed(tmp_path, KEY)
    with closing(open_home_database(home, settings)) as database:
        Ledger(database, "w", new_id).append(intent())
    assert events_in(file, KEY) == 1
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "elsewhere" / "ledger.key").stat().st_mode & 0o777 == 0o600


REFUSED: Sequence[tuple[str, DatabaseKey | None, tuple[DatabaseKey, ...], str]] = (
    ("wrong", KEY, (OTHER,), "does not open"),
    ("missing", KEY, (), "put it back"),
    ("plain", None, (KEY,), "is not encrypted, though"),
    ("missing for a new one", None, (), "is not encrypted, though"),
)


@pytest.mark.parametrize(("name", "of_file", "kept", "said"), REFUSED, ids=[one[0] for one in REFUSED])
def test_what_does_not_fit_is_one_line_and_harms_nothing(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    name: str,
    of_file: DatabaseKey | None,
    kept: tuple[DatabaseKey, ...],
    said: str,
):
    home, settings, file = keyed(tmp_path, *kept)
    filled(file, of_file)
    before = file.read_bytes()
    with pytest.raises(ConfigError, match=said) as refused:
        open_home_database(home, settings).close()
    assert "\n" not in str(refused.value)
    assert not any(key.digits in f"{refused.value!r}" for key in (KEY, OTHER))
    # The library would write to standard error by itself.
    assert capfd.readouterr() == ("", "")
    assert file.read_bytes() == before
    assert events_in(file, of_file) == 3


def test_an_encrypted_file_without_settings_is_one_line(tmp_path: Path):
    file = filled(tmp_path / "ledger.db", KEY)
    before = file.read_bytes()
    with pytest.raises(ConfigError, match="or it is encrypted"):
        open_database(file)
    assert file.read_bytes() == before


def test_no_key_is_made_by_opening(tmp_path: Path):
    home, settings, _ = keyed(tmp_path)
    with pytest.raises(ConfigError, match="ledger encrypt"):
        open_home_database(home, settings)
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path):
    home, settings, file = keyed(tmp_path, KEY)
    filled(file, KEY)
    (tmp_path / "elsewhere" / "ledger.key").chmod(0o640)
    with pytest.raises(ConfigError, match="can be read by others") as refused:
        open_home_database(home, settings)
    assert KEY.digits not in str(refused.value)


@pytest.mark.parametrize("kept", ["short", "x" * 64, KEY.digits.upper(), f"{KEY.digits} and more"])
def test_what_is_no_key_is_not_shown(tmp_path: Path, kept: str):
    file = tmp_path / "key"
    file.write_text(kept)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="64 hexadecimal digits") as refused:
        KeyFile(file).read()
    assert kept not in str(refused.value)


def test_a_key_is_in_no_text_of_it(tmp_path: Path):
    assert KEY.digits not in f"{KEY!r} {KEY}"
    with closing(open_database(tmp_path / "ledger.db", key=KEY)) as database:
        assert KEY.digits not in f"{database.label} {database!r} {database.engine!r} {database.engine.url!r}"


def test_a_credential_of_systemd_opens_a_home_and_is_not_written(tmp_path: Path):
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / CREDENTIAL).write_text(f"{KEY.digits}\n")
    home = find_home(tmp_path / "home", {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")})
    settings = LedgerSettings(encryption="credential")
    home.prepare()
    filled(Path(home.database_url), KEY)
    open_home_database(home, settings).close()
    place = key_place(home, settings, Path(home.database_url))
    assert place is not None
    with pytest.raises(RefusedError, match="systemd's"):
        place.write([OTHER])
    with pytest.raises(ConfigError, match="CREDENTIALS_DIRECTORY"):
        open_home_database(find_home(tmp_path / "home", {}), settings)
    assert Credential(tmp_path).read() == []


@pytest.fixture
def keyring() -> Iterator[dict[tuple[str, str], str]]:
    """Give what the desktop's keyring holds."""
    import keyring as real
    from keyring.backend import KeyringBackend
    from keyring.errors import KeyringLocked

    held: dict[tuple[str, str], str] = {}

    class InMemory(KeyringBackend):
        priority = 1  # type: ignore[assignment]  # the base has a property of classes

        def get_password(self, service: str, username: str) -> str | None:
            if ("locked", "") in held:
                raise KeyringLocked(KEY.digits)
            return held.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            held[service, username] = password

    before = real.get_keyring()
    real.set_keyring(InMemory())
    yield held
    real.set_keyring(before)


def test_the_keyring_holds_the_key_of_each_file_apart(tmp_path: Path, keyring: dict[tuple[str, str], str]):
    home, settings, file = home_with(tmp_path, encryption="keyring")
    place = key_place(home, settings, file)
    assert place == KeyringEntry(file)
    assert place.read() == []
    place.write([KEY, OTHER])
    assert keyring == {("modelbreeder", str(file)): f"{KEY.digits} {OTHER.digits}"}
    filled(file, OTHER)
    open_home_database(home, settings).close()
    keyring["locked", ""] = ""
    with pytest.raises(ConfigError, match="KeyringLocked") as refused:
        open_home_database(home, settings)
    assert KEY.digits not in str(refused.value)


@pytest.mark.parametrize(("old", "new"), [(None, KEY), (KEY, None), (KEY, OTHER)])
def test_a_change_keeps_every_event_and_leaves_nothing_of_before(
    tmp_path: Path, old: DatabaseKey | None, new: DatabaseKey | None
):
    file = filled(tmp_path / "ledger.db", old)
    copy = filled(tmp_path / "ledger.db.before-0009-0001", old)
    with copy.open("rb") as held, file.open("rb") as old_file:
        changed = change_key(file, old, new, new_id)
        assert changed == Changed(3, ["ledger.db as it was", copy.name])
        # What other names, or the free blocks of the disk, still lead to.
        assert WORD.encode() not in held.read() + old_file.read()
    assert {path.name for path in tmp_path.iterdir()} == {"ledger.db"}
    assert file.stat().st_mode & 0o777 == 0o600
    assert (WORD.encode() in file.read_bytes()) is (new is None)
    assert events_in(file, new) == 3
    filled(file, new, 1)
    assert events_in(file, new) == 4


@contextmanager
def other_process(file: Path) -> Iterator[None]:
    """Have another process hold a ledger open."""
    script = (
        "import sys; from registry.database import open_database; from pathlib import Path\n"
        f"database = open_database(Path({str(file)!r}))\n"
        "with database.read() as connection:\n"
        "    connection.exec_driver_sql('SELECT count(*) FROM events').scalar()\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-P", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ENVIRON,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.kill()


def test_a_ledger_that_somebody_has_open_is_not_changed(tmp_path: Path):
    file = filled(tmp_path / "ledger.db", None)
    with other_process(file), pytest.raises(ConflictError, match="is in use"):
        change_key(file, None, KEY, new_id)
    assert events_in(file, None) == 3
    assert {path.name for path in tmp_path.iterdir()} == {"ledger.db"}


def test_a_ledger_whose_chain_is_broken_stays(tmp_path: Path):
    file = filled(tmp_path / "ledger.db", None)
    with closing(open_database(file)) as database, database.write() as connection:
        connection.execute(text("UPDATE events SET at_utc = '2020-01-01T00:00:00.000000Z' WHERE seq = 2"))
    with pytest.raises(LedgerError, match="does not verify"):
        change_key(file, None, KEY, new_id)
    assert file.read_bytes().startswith(PLAIN)
    assert {path.name for path in tmp_path.iterdir()} == {"ledger.db"}


DEATHS = ("_copy", "_verified", "sync_folder", "shred")


@pytest.mark.parametrize("where", DEATHS)
@pytest.mark.parametrize(("old", "new"), [(None, KEY), (KEY, None)])
def test_a_change_that_is_killed_leaves_the_old_ledger_or_the_new_one(
    tmp_path: Path, where: str, old: DatabaseKey | None, new: DatabaseKey | None
):
    file = filled(tmp_path / "ledger.db", old)
    keys = ", ".join("None" if key is None else f"DatabaseKey({key.digits!r})" for key in (old, new))
    script = (
        "import os; from pathlib import Path; import registry.encryption_change as change;"
        "from registry.database_key import DatabaseKey; from registry.ids import new_id;"
        f"change.{where} = lambda *_: os._exit(9);"
        f"change.change_key(Path({str(file)!r}), {keys}, new_id)"
    )
    died = subprocess.run([sys.executable, "-P", "-c", script], check=False, env=ENVIRON)
    assert died.returncode == 9
    changed = where in ("sync_folder", "shred")
    assert events_in(file, new if changed else old) == 3
    filled(file, new if changed else old, 1)
    if changed:
        assert remove_leftovers(file) == ["ledger.db as it was"]
    else:
        assert change_key(file, old, new, new_id).events == 4
    assert {path.name for path in tmp_path.iterdir()} == {"ledger.db"}
    assert (WORD.encode() in bytes_below(tmp_path)) is (new is None)


def test_a_change_that_is_killed_at_its_end_leaves_no_plain_copy_of_a_migration(tmp_path: Path):
    file = filled(tmp_path / "ledger.db", None)
    for ending in ("before-0009-0001", "before-0009-0001.partial"):
        filled(tmp_path / f"ledger.db.{ending}", None)
    script = (
        "import os; from pathlib import Path; import registry.encryption_change as change;"
        "from registry.database_key import DatabaseKey; from registry.ids import new_id;"
        "change.sync_folder = lambda *_: os._exit(9);"
        f"change.change_key(Path({str(file)!r}), None, DatabaseKey({KEY.digits!r}), new_id)"
    )
    assert subprocess.run([sys.executable, "-P", "-c", script], check=False, env=ENVIRON).returncode == 9
    assert remove_leftovers(file) == ["ledger.db as it was"]
    assert {path.name for path in tmp_path.iterdir()} == {"ledger.db"}
    assert events_in(file, KEY) == 3


def test_of_several_keys_the_one_that_opens_is_taken(tmp_path: Path):
    _, _, file = keyed(tmp_path, KEY, OTHER)
    place = KeyFile(tmp_path / "elsewhere" / "ledger.key")
    filled(file, OTHER)
    assert find_key(place, file) == OTHER
    change_key(file, OTHER, KEY, new_id)
    assert find_key(place, file) == KEY


def test_without_the_extra_one_line_says_what_to_install(tmp_path: Path):
    script = (
        "import sys; sys.modules['sqlcipher3'] = None; sys.modules['keyring'] = None\n"
        "from pathlib import Path; from registry.database_key import DatabaseKey, KeyringEntry\n"
        "from registry.database import open_database; from registry.errors import ConfigError; said = []\n"
        "for act in (lambda: KeyringEntry(Path('x')).read(),\n"
        f"            lambda: open_database({str(tmp_path / 'ledger.db')!r}, key=DatabaseKey('a' * 64))):\n"
        "    try: act()\n"
        "    except ConfigError as error: said.append(str(error))\n"
        "import json; print(json.dumps(said))"
    )
    ran = subprocess.run(
        [sys.executable, "-P", "-c", script],
        capture_output=True,
        check=True,
        env=ENVIRON,
    )
    said = json.loads(ran.stdout)
    assert len(said) == 2
    assert all("modelbreeder[encrypt]" in line for line in said)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"encryption": "file"}, "ledger.key_file is not set"),
        ({"key_file": "/k"}, "ledger.encryption is 'none'; remove ledger.key_file"),
        ({"encryption": "keyring", "key_file": "/k"}, "ledger.encryption is 'keyring'; remove ledger.key_file"),
        ({"encryption": "keyring", "url": "postgresql+psycopg://host/ledger"}, "let the server of ledger.url"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values: dict[str, str], told: str):
    with pytest.raises(ValueError, match=re.escape(told)):
        LedgerSettings.model_validate(values)


def test_opening_a_plain_ledger_imports_no_cipher(tmp_path: Path):
    script = (
        "import sys; from registry.database import open_database;"
        f"open_database({str(tmp_path / 'ledger.db')!r}).close();"
        "sys.exit(bool({'sqlcipher3', 'keyring'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-P", "-c", script], check=True, env=ENVIRON)
