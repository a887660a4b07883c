"""What holds for all tests: none of them is timed, since the machine may be busy with other work; Ctrl-C is heard."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A shell without job control has its background jobs ignore SIGINT, and what they start inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def umask_as_it_was() -> Iterator[None]:
    """Undo what commands that a test runs in its own process do: they keep what they write to its owner."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)
