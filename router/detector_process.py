"""Runs a detector that no promise bounds, such as Presidio or a model of names, in a child that can be killed.

Neither a regular expression without end nor a crash of native code stops the daemon: a child that is late is killed,
the text counts as not inspected, and after some such failures in a row nobody waits for it for a while.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from registry.errors import ConfigError, ModelBreederError
from router.redaction.spans import Span

LIMIT_S: Final = 5.0
"""For one text; where the event loop itself waits, see `ON_LOOP_S`."""
ON_LOOP_S: Final = 1.0
START_S: Final = 60.0
"""To import what it needs, which may be a large model."""
FAILURES: Final = 3
REST_S: Final = 30.0
_KEPT: Final = ("HOME", "LANG", "LC_ALL", "PATH", "SYSTEMROOT", "TMPDIR", "VIRTUAL_ENV")
_OFFLINE: Final = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}

ends_at: ContextVar[float | None] = ContextVar("ends_at", default=None)
"""When the inspection of the whole request must be over, on the monotonic clock; None where nothing is said."""


class DetectorFailedError(ModelBreederError):
    """The detector died, was late or said something else than findings; whoever asked must take it for a refusal."""


class DetectorProcess:
    """A `Detector` whose `find` runs `MAKER(*ARGUMENTS)` of another process, one text at a time."""

    unbounded: Final = True

    def __init__(
        self,
        maker: str,
        *arguments: object,
        limit_s: float = LIMIT_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take `MODULE:NAME` of what makes the detector, and its arguments, which JSON can hold; start nothing yet."""
        self._order = {"maker": maker, "arguments": arguments}
        self._limit_s = limit_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._failures = 0
        self._rests_until_s = 0.0

    def find(self, text: str) -> list[Span]:
        """Return the findings.

        Raises:
            DetectorFailedError: it died, was late, or rests after it was so again and again.
            ConfigError: it cannot be made.

        """
        with self._turn() as limit_s:
            answer = self._ready(limit_s if _on_loop() else START_S).ask(text, self._at_most(limit_s))
            spans = answer.get("spans")
            if not isinstance(spans, list):
                raise DetectorFailedError(f"detector {self._order['maker']} failed with {answer.get('failed')}")
            return [Span(*one) for one in spans]

    def prepare(self) -> None:
        """Start the child and wait until it is ready; raise as `find` does."""
        with self._turn():
            self._ready(START_S)

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._drop()

    @contextmanager
    def _turn(self) -> Iterator[float]:
        """Give the seconds that an answer may take, to one asker at a time; count and end what fails."""
        limit_s = min(self._limit_s, ON_LOOP_S) if _on_loop() else self._limit_s
        if self._monotonic() < self._rests_until_s:
            raise DetectorFailedError(f"detector {self._order['maker']} failed {FAILURES} times in a row and rests")
        if not self._lock.acquire(timeout=self._at_most(limit_s)):
            raise DetectorFailedError(f"detector {self._order['maker']} is busy with other texts for too long")
        try:
            yield limit_s
            self._failures = 0
        except (OSError, ValueError, TypeError, AttributeError) as error:
            # That its turn came late in a long request is not held against it; but it still works on that.
            was_asked = self._child is not None and self._child.is_ready
            out_of_time = (ends_at.get() or float("inf")) <= self._monotonic()
            is_late = was_asked and out_of_time and isinstance(error, TimeoutError)
            (self._drop if is_late else self._fail)()
            raise DetectorFailedError(f"detector {self._order['maker']} {_how(error)}") from None
        finally:
            self._lock.release()

    def _fail(self) -> None:
        self._drop()
        self._failures += 1
        if self._failures >= FAILURES:
            self._failures, self._rests_until_s = 0, self._monotonic() + REST_S

    def _drop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _at_most(self, limit_s: float) -> float:
        """Return how many of some seconds are left to the inspection of the whole request."""
        return max(0.01, min(limit_s, (ends_at.get() or float("inf")) - self._monotonic()))

    def _ready(self, limit_s: float) -> _Child:
        """Return the child when it has made its detector.

        That may take longer than the inspection of any request; the child goes on with it, for those that come later.
        """
        child = self._child = self._child or _Child(self._order, self._monotonic() + START_S)
        if child.is_ready:
            return child
        try:
            answer = child.answer(self._at_most(limit_s))
        except TimeoutError:
            if self._monotonic() >= child.ready_by_s:
                raise
            raise DetectorFailedError(f"detector {self._order['maker']} is not ready yet; ask again") from None
        child.is_ready = "ready" in answer
        if not child.is_ready:
            self._fail()
            said, why = answer.get("unusable"), answer.get("failed")
            raise ConfigError(str(said)) if said else DetectorFailedError(f"{self._order['maker']} fails with {why}")
        return child


class _Child:
    """A running child, which makes its detector at first."""

    def __init__(self, order: Mapping[str, object], ready_by_s: float) -> None:
        """Start it; by `ready_by_s`, on its owner's clock, it must have made its detector."""
        self.ready_by_s = ready_by_s
        self.is_ready = False
        self._socket, theirs = socket.socketpair()
        self._rest = b""
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "router.detector_child"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # A Ctrl-C is the daemon's to handle: what is in flight is inspected to its end.
                start_new_session=True,
                env=_environment(),
            )
        self.kill = weakref.finalize(self, _end, self._socket, self._process)
        """Ends it, whatever it does; at the latest when nobody has it any more."""
        self._send(order, 1.0)

    def ask(self, value: object, limit_s: float) -> dict[str, object]:
        """Return what it answers; raise OSError where it is late or dead, ValueError where it says no JSON."""
        until_s = time.monotonic() + limit_s
        self._send(value, limit_s)
        return self.answer(max(0.001, until_s - time.monotonic()))

    def _send(self, value: object, limit_s: float) -> None:
        self._socket.settimeout(limit_s)
        self._socket.sendall(json.dumps(value).encode() + b"\n")

    def answer(self, limit_s: float) -> dict[str, object]:
        """Return what it answers next; raise as `ask`."""
        until_s = time.monotonic() + limit_s
        while b"\n" not in self._rest:
            self._socket.settimeout(max(0.001, until_s - time.monotonic()))
            piece = self._socket.recv(1 << 16)
            if not piece:
                raise ConnectionResetError
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, object] = json.loads(line)
        return answer


def _end(connection: socket.socket, process: subprocess.Popen[bytes]) -> None:
    connection.close()
    process.kill()
    process.wait()


def in_child(made: type, *arguments: object) -> DetectorProcess:
    """Return a detector of a class in a child that is ready; raise ConfigError where it cannot be made.

    Its arguments are such as JSON can hold, or paths, which it gets as text.
    """
    given = [str(one) if isinstance(one, Path) else one for one in arguments]
    process = DetectorProcess(f"{made.__module__}:{made.__qualname__}", *given)
    process.prepare()
    return process


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, **_OFFLINE, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _how(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "was not ready in time and was ended"
        case OSError():
            return "has died"
        case _:
            return "said something else than findings"
