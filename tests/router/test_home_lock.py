"""One daemon a home, however the last one ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from registry.errors import ConfigError, ConflictError
from registry.home import Home
from router.home_lock import held

_HOLDER = """
import sys, time
from pathlib import Path
from registry.home import Home
from router.home_lock import held
with held(Home.at(Path(sys.argv[1])), "http://127.0.0.1:1"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_daemon_is_told_who_serves_the_home(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    with (
        held(home, "http://127.0.0.1:8484"),
        pytest.raises(ConflictError, match=f"process {os.getpid()} at http://127.0.0.1:8484 serves the home"),
        held(home, "http://127.0.0.1:9"),
    ):
        pass
    with held(home, "http://127.0.0.1:9"):
        pass


def test_a_daemon_that_was_killed_leaves_nothing_stale(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConflictError, match=f"process {holder.pid}"), held(Home.at(tmp_path), "x"):
            pass
        holder.send_signal(signal.SIGKILL)
    with held(Home.at(tmp_path), "x"):
        assert (tmp_path / "data" / "daemon.lock").read_text() == f"process {os.getpid()} at x"


def test_a_conflict_of_the_daemons_own_is_not_taken_for_a_held_home(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), held(Home.at(tmp_path), "x"):
        raise BlockingIOError


def test_a_home_that_cannot_be_locked_is_a_setting_to_mend(tmp_path: Path) -> None:
    (tmp_path / "data" / "daemon.lock").mkdir(parents=True)
    with pytest.raises(ConfigError, match="daemon.lock cannot be written"), held(Home.at(tmp_path), "x"):
        pass
