"""Telling a dead process from a living one, and from another that took its id."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from registry.processes import ProcessMark, _started, this_process


def test_the_calling_process_is_not_dead():
    assert not this_process().is_dead


def test_a_process_that_ended_is_dead():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = ProcessMark(this_process().host, child.pid, _started(child.pid))
    assert not mark.is_dead
    child.communicate(b"\n", timeout=30)
    assert mark.is_dead


def test_a_reused_id_does_not_bring_the_dead_back():
    assert replace(this_process(), started="another-boot:17").is_dead


def test_nothing_is_claimed_of_another_host():
    assert not ProcessMark("elsewhere.invalid", 2**22 + 1, "").is_dead


def test_a_process_of_another_user_counts_as_alive():
    assert not ProcessMark(this_process().host, 1, _started(1)).is_dead
