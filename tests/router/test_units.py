"""The systemd unit: what it says, that systemd takes it, and where it goes."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from registry.errors import ConfigError
from registry.home import Home, find_home
from registry.settings import DaemonSettings, LedgerSettings, Settings
from router.units import Unit, install, quoted, user_unit
from tests.router.daemon import environment, run_command, write_config


def unit(home: Home, given: Settings | None = None, **environ: str) -> Unit:
    return user_unit(home, given or Settings(), [sys.executable, "-m", "router.cli"], ["--port", "9000"], environ)


def parsed(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    parser.read_string(text)
    return parser


def test_the_unit_serves_the_home_and_may_write_nothing_else(tmp_path: Path) -> None:
    service = parsed(unit(Home.at(tmp_path / "my home")).text)["Service"]
    root = tmp_path.resolve() / "my home"

    assert shlex.split(service["ExecStart"]) == [
        sys.executable, "-m", "router.cli", "--home", str(root), "serve", "--port", "9000"
    ]  # fmt: skip
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert shlex.split(service["ReadWritePaths"]) == [str(root)]
    assert (service["Type"], service["Restart"], service["RestartSec"]) == ("notify", "always", "3")
    assert (service["ProtectSystem"], service["NoNewPrivileges"], service["PrivateTmp"]) == ("strict", "yes", "yes")
    assert "MemoryMax" in service
    assert "Environment" not in service


def test_systemd_waits_longer_than_the_daemon_drains(tmp_path: Path) -> None:
    slow = Settings(daemon=DaemonSettings(drain_s=30.5))

    assert int(parsed(unit(Home.at(tmp_path), slow).text)["Service"]["TimeoutStopSec"]) >= 30.5 + 5 + 10


def test_a_ledger_elsewhere_may_be_written_and_one_on_a_server_needs_no_folder(tmp_path: Path) -> None:
    def writable(url: str) -> list[str]:
        text = unit(Home.at(tmp_path), Settings(ledger=LedgerSettings(url=url))).text
        return shlex.split(parsed(text)["Service"]["ReadWritePaths"])

    root = str(tmp_path.resolve())
    assert writable("/srv/ledger/l.db") == [root, "/srv/ledger"]
    assert writable("sqlite:////srv/ledger/l.db") == [root, "/srv/ledger"]
    assert writable(f"{root}/data/other.db") == [root]
    assert writable("postgresql+psycopg://host/db") == [root]


def test_a_home_in_the_xdg_folders_is_found_by_systemd_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "c"), "XDG_DATA_HOME": str(tmp_path / "d")}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    made = unit(find_home(None, {}), **environ)

    assert made.path == tmp_path / "c" / "systemd" / "user" / "modelbreeder.service"
    assert f"Environment=XDG_CONFIG_HOME={tmp_path}/c\nEnvironment=XDG_DATA_HOME={tmp_path}/d\n" in made.text
    assert "--home" not in made.text
    assert f"ReadWritePaths={tmp_path}/d/modelbreeder\n" in made.text


@pytest.mark.parametrize(
    ("word", "read"),
    [("/plain", "/plain"), ("/a b", '"/a b"'), ("/50%", "/50%%"), ('/a"b', r'"/a\"b"'), ("/a\\b", r'"/a\\b"')],
)
def test_words_are_quoted_for_systemd(word: str, read: str) -> None:
    assert quoted(word) == read


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
@pytest.mark.parametrize(("place", "home"), [("plain", "home"), ("a 50% $HOME", 'a "b" 50% $HOME')])
def test_systemd_takes_the_unit(tmp_path: Path, place: str, home: str) -> None:
    program = tmp_path / place / "modelbreeder"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    made = user_unit(Home.at(tmp_path / home), Settings(), [str(program)], [], {"XDG_CONFIG_HOME": str(tmp_path)})
    install(made)
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    verdict = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(made.path)],
        capture_output=True, text=True, env=environ, check=False, timeout=60,
    )  # fmt: skip

    assert (verdict.returncode, verdict.stdout, verdict.stderr) == (0, "", "")


def test_no_variable_is_looked_for_but_in_the_programs_path_where_systemd_looks_for_none() -> None:
    text = user_unit(Home.at(Path("/my $HOME")), Settings(), ["/opt/$x/modelbreeder"], [], {}).text

    assert 'ExecStart=/opt/$x/modelbreeder --home "/my $$HOME" serve\n' in text
    assert 'ReadWritePaths="/my $HOME"\n' in text


def test_installing_keeps_keys_that_are_there_and_makes_their_file_private(tmp_path: Path) -> None:
    made = unit(Home.at(tmp_path / "home"), XDG_CONFIG_HOME=str(tmp_path / "c"))
    install(made)
    fresh = made.keys.stat().st_mode & 0o777
    made.keys.write_text("OPENAI_API_KEY=x\n")
    install(made)

    assert (fresh, made.keys.read_text()) == (0o600, "OPENAI_API_KEY=x\n")
    assert made.path.read_text() == made.text


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "systemd").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be written"):
        install(unit(Home.at(tmp_path), XDG_CONFIG_HOME=str(tmp_path)))


def test_a_dry_run_prints_the_unit_and_writes_nothing(tmp_path: Path) -> None:
    write_config(tmp_path / "home", "http://127.0.0.1:9/v1")
    environ = environment(XDG_CONFIG_HOME=str(tmp_path / "c"))
    told = run_command(tmp_path / "home", "serve", "--install", "--dry-run", env=environ)

    assert told.returncode == 0
    assert told.stdout.startswith(f"# {tmp_path}/c/systemd/user/modelbreeder.service\n[Unit]\n")
    assert parsed(told.stdout)["Service"]["Type"] == "notify"
    assert not (tmp_path / "c").exists()


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="systemd runs this machine")
def test_without_systemd_the_command_to_run_by_hand_is_printed(tmp_path: Path) -> None:
    write_config(tmp_path / "home", "http://127.0.0.1:9/v1")
    environ = environment(XDG_CONFIG_HOME=str(tmp_path / "c"))
    told = run_command(tmp_path / "home", "serve", "--install", "--port", "9000", env=environ)

    assert told.returncode == 69
    assert "systemd does not run this machine" in told.stdout
    assert told.stdout.rstrip().endswith(f"--home {tmp_path}/home serve --port 9000")
    assert not (tmp_path / "c").exists()


def test_a_dry_run_of_nothing_is_a_usage_error(tmp_path: Path) -> None:
    assert run_command(tmp_path, "serve", "--dry-run").returncode == 2
