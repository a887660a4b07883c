"""What holds for all tests: none is timed, as the machine may be busy with other work; Ctrl-C is heard.

They work in a folder of their own: in the checkout, a demo's modelbreeder.toml would count as a project's.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A shell without job control has its background jobs ignore SIGINT, and what they start inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def away_from_the_checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Work elsewhere."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("away"))
    yield
    os.chdir(before)


@pytest.fixture(autouse=True)
def umask_as_it_was() -> Iterator[None]:
    """Undo what commands that a test runs in its own process do: they keep what they write to its owner."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)
