"""The folders of a home, which are their owner's alone."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from registry.artifacts import ArtifactStore
from registry.home import Home, find_home


@pytest.fixture
def no_umask() -> Iterator[None]:
    """Let new files be open to all, unless who makes them says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def wide(*tops: Path) -> list[str]:
    """Return what others may do anything with, below and at some paths."""
    paths = [path for top in tops for path in (top, *top.rglob("*"))]
    return [str(path) for path in paths if not path.is_symlink() and path.lstat().st_mode & 0o077]


@pytest.mark.usefixtures("no_umask")
def test_a_new_home_is_private_up_to_the_first_folder_that_was_there(tmp_path: Path):
    home = Home.at(tmp_path / "new" / "home")
    home.prepare()
    (tmp_path / "source").write_bytes(b"weights")
    ArtifactStore(home.artifacts).add(tmp_path / "source")
    assert wide(tmp_path / "new") == []
    assert stat.S_IMODE(home.artifacts.stat().st_mode) == 0o700


@pytest.mark.usefixtures("no_umask")
def test_a_home_that_others_could_read_is_closed_and_that_is_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    home = Home.at(tmp_path)
    for file in ("data/ledger.db.before-0002-0001", "data/datasets/a/rows.jsonl", "data/runs/x.json", "mlruns/1/meta"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("x")
    home.config_file.write_text("")
    (tmp_path / "mlruns" / "1" / "meta").chmod(0o755)
    with caplog.at_level(logging.WARNING, "modelbreeder.registry"):
        home.prepare()
        home.prepare()
    assert wide(home.data, home.mlruns, home.config_file) == []
    assert stat.S_IMODE((tmp_path / "mlruns" / "1" / "meta").stat().st_mode) == 0o700
    assert caplog.messages == [f"11 files and folders of the home {tmp_path} could be read by others; now only by you"]


@pytest.mark.usefixtures("no_umask")
def test_what_a_checkout_ships_and_what_links_lead_to_stays_as_it_is(tmp_path: Path):
    home = Home.at(tmp_path / "home")
    (home.data / "seedling").mkdir(parents=True)
    (home.data / "samples").mkdir()
    (home.data / "seedling" / "base.gguf").write_text("x")
    (tmp_path / "outside").write_text("x")
    (home.data / "link").symlink_to(tmp_path / "outside")
    (home.data / "gone").symlink_to(tmp_path / "nothing")
    home.prepare()
    shipped = {str(home.data / name) for name in ("seedling", "samples", "seedling/base.gguf")}
    assert set(wide(home.data)) == shipped
    assert stat.S_IMODE((tmp_path / "outside").stat().st_mode) == 0o666


@pytest.mark.usefixtures("no_umask")
def test_what_is_below_a_closed_folder_is_hidden_by_it_and_not_looked_at_again(tmp_path: Path):
    home = Home.at(tmp_path)
    home.prepare()
    (home.runs / "later.json").write_text("x")
    home.prepare()
    assert (home.runs / "later.json").stat().st_mode & 0o077
    home.data.chmod(0o750)
    home.prepare()
    assert wide(home.data) == []


@pytest.mark.usefixtures("no_umask")
def test_a_folder_elsewhere_that_mlruns_links_to_stays_as_it_is(tmp_path: Path):
    home, elsewhere = Home.at(tmp_path / "home"), tmp_path / "shared"
    elsewhere.mkdir()
    (elsewhere / "meta").write_text("x")
    home.data.mkdir(parents=True)
    home.mlruns.symlink_to(elsewhere)
    home.prepare()
    assert wide(elsewhere) == [str(elsewhere), str(elsewhere / "meta")]


@contextmanager
def nobody_special(folder: Path) -> Iterator[None]:
    """Go on as a user who is not root, and owns a folder."""
    before = os.geteuid()
    if before != 0:
        yield
        return
    os.chown(folder, 65534, 65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_configuration_that_is_another_users_is_used_and_said_to_be_open(caplog: pytest.LogCaptureFixture):
    roots = Path("/etc/passwd")
    # What pytest makes is below a folder that only root enters.
    with TemporaryDirectory() as root, nobody_special(Path(root)):
        home = Home(roots, Path(root) / "data", Path(root) / "mlruns")
        home.prepare()

        assert roots.stat().st_mode & 0o044 == 0o044
        assert stat.S_IMODE(home.data.stat().st_mode) == 0o700
    (said,) = caplog.messages
    assert said.startswith("/etc/passwd is open to others, and that cannot be changed (")


def test_where_systemd_puts_credentials_is_known_to_every_home(tmp_path: Path):
    environ = {"CREDENTIALS_DIRECTORY": "/run/credentials/x"}
    assert find_home(tmp_path, environ).credentials == Path("/run/credentials/x")
    assert find_home(None, environ).credentials == Path("/run/credentials/x")
    assert find_home(tmp_path, {}).credentials is None
