"""The sandboxes that work on this machine, and marks by which processes are found again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import uuid
from collections.abc import Iterator

import pytest

from router.verifying.commands import open_runner
from router.verifying.sandbox import SEARCH_PATH, Bubblewrap, IsolationError, Namespaces, Sandbox
from tests.router.verifying.running import BWRAP, marked


@pytest.fixture(scope="module", params=["namespaces", "bubblewrap"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    if request.param == "bubblewrap" and not BWRAP:
        pytest.skip("bwrap is not installed")
    found: Sandbox = Bubblewrap(BWRAP or "") if request.param == "bubblewrap" else Namespaces()
    try:
        asyncio.run(open_runner([found]))
    except IsolationError as error:
        pytest.skip(str(error))
    return found


@pytest.fixture
def python() -> str:
    if not (found := shutil.which("python3", path=SEARCH_PATH)):
        pytest.skip("the system has no python3 of its own")
    return found


@pytest.fixture
def mark() -> Iterator[str]:
    """A number of seconds to sleep, by which a process is found again; none of them outlives a test."""
    seconds = str(10**9 + uuid.uuid4().int % 10**9)
    yield seconds
    left = marked(seconds)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left
