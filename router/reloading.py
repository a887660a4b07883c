"""Reads settings into a rulebook, at the start and again whenever modelbreeder.toml changes.

A file that cannot be used, or that is gone, leaves the rulebook as it is; keys that the process was built of are only
named.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from registry.errors import ConfigError, ModelBreederError
from registry.settings import Settings, check_targets, load_settings
from router.judging import open_judge
from router.routing import Router
from router.rulebook import Rulebook, compile_rulebook

_log = logging.getLogger("modelbreeder.router")
LOOK_EVERY_S = 1.0
_SWAPPED = frozenset({"policy", "redaction"})
ReadSettings: TypeAlias = Callable[[Path, bool], Settings]
"""Reads settings from a file, which must exist or need not."""
_Mark: TypeAlias = "tuple[int, int, int] | None"


async def open_rulebook(settings: Settings, before: Rulebook | None = None) -> Rulebook:
    """Return the rulebook of settings; ConfigError, which names their file, where a rule or a check cannot be used.

    What masks is taken over from the one before, where it is the same.
    """
    redactor = before.redactor if before and before.settings.redaction == settings.redaction else None
    try:
        judge = await open_judge(settings.policy)
        # Rules are compared pair by pair, which takes 0.2 s for fifty of them; a daemon goes on serving meanwhile.
        return await asyncio.to_thread(compile_rulebook, settings, judge, redactor)
    except ConfigError as error:
        raise ConfigError(f"{settings.file}: {error}" if settings.file else str(error)) from error


def in_doubt(rulebook: Rulebook) -> list[str]:
    """Return one line for each rule and check in force that does not do what it says."""
    where = rulebook.settings.file or "the policy"
    return [f"{where} is in force, but {problem.line}" for problem in rulebook.problems]


@dataclass(frozen=True, slots=True)
class FileState:
    """What became of the file when it was last read: why it was not used, and which changes wait for a restart."""

    problem: str = ""
    waiting: tuple[str, ...] = ()


class Reloader:
    """Keeps a router's rulebook as its file says; one per daemon."""

    def __init__(self, file: Path, router: Router, read: ReadSettings | None = None) -> None:
        self._file = file
        self._read = read or (lambda file, must_exist: load_settings(file, must_exist=must_exist))
        self._router = router
        self._built_of = router.rulebook.settings
        self._mark = self._pending = _mark(file)
        self._existed = self._mark is not None
        self._at_start = self._reading()
        self._asked = asyncio.Event()
        self.state = FileState()
        self.reloads = 0
        self.failures = 0

    def ask(self) -> None:
        """Have the file read at once, changed or not."""
        self._asked.set()

    async def watch(self, every_s: float = LOOK_EVERY_S) -> None:
        """Look at the file again and again, until cancelled."""
        if isinstance(self._at_start, Settings) and _swapped(self._at_start) != _swapped(self._built_of):
            await self.reload()
        while True:
            asked = await self._wait(every_s)
            if asked or await asyncio.to_thread(self._changed):
                await self.reload()

    async def reload(self) -> None:
        """Read the file, and put what it says in force if all of it can be used; in any case say what came of it."""
        self._mark = self._pending = _mark(self._file)
        self._existed = self._existed or self._mark is not None
        read = await asyncio.to_thread(self._reading)
        try:
            if isinstance(read, ConfigError):
                raise read
            rulebook = await open_rulebook(self._merged(read), self._router.rulebook)
        except ModelBreederError as error:
            self.failures += 1
            self.state = FileState(str(error), self.state.waiting)
            _log.error("policy %s stays in force: %s", self._router.policy_digest[:12], str(error))
            return
        self._router.rulebook = rulebook
        self.reloads += 1
        self._tell(self._unlike(read))

    async def _wait(self, every_s: float) -> bool:
        """Return whether somebody asked, after so many seconds at the latest."""
        try:
            async with asyncio.timeout(every_s):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    def _changed(self) -> bool:
        """Say whether the file is another one than was read, and the same as at the last look.

        One that still changes is being written: half of a policy may parse, and would open what the rest closes.
        """
        now, before = _mark(self._file), self._pending
        self._pending = now
        return now == before and now != self._mark

    def _reading(self) -> Settings | ConfigError:
        try:
            # Without a file the defaults hold, but a file that goes away must not take its policy along.
            return self._read(self._file, self._existed)
        except ConfigError as error:
            return error

    def _merged(self, read: Settings) -> Settings:
        """Return what this process was built of with the policy of a file; ConfigError where they do not fit."""
        try:
            check_targets(read.policy, self._built_of.upstreams)
        except ValueError as error:
            raise ConfigError(f"{self._file}: {error}; an upstream that is new needs a restart") from error
        return self._built_of.model_copy(update={name: getattr(read, name) for name in _SWAPPED})

    def _unlike(self, read: Settings) -> tuple[str, ...]:
        """Return the keys that differ from those at the start and need a restart."""
        if not isinstance(self._at_start, Settings):
            return ()
        before, now = (settings.model_dump(exclude=set(_SWAPPED)) for settings in (self._at_start, read))
        return tuple(_unlike(before, now))

    def _tell(self, waiting: tuple[str, ...]) -> None:
        digest = self._router.policy_digest[:12]
        _log.info("%s was read again: policy %s is in force for new requests", self._file, digest)
        for line in in_doubt(self._router.rulebook):
            _log.warning("%s", line)
        if waiting and waiting != self.state.waiting:
            _log.warning("these changes wait for a restart of the daemon: %s", ", ".join(waiting))
        self.state = FileState("", waiting)


def _mark(file: Path) -> _Mark:
    """Return what changes with a file, None where there is none to be seen."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _swapped(settings: Settings) -> tuple[object, ...]:
    return tuple(getattr(settings, name) for name in sorted(_SWAPPED))


def _unlike(before: Mapping[str, object], now: Mapping[str, object], path: str = "") -> Iterator[str]:
    """Yield the dotted keys at which two settings differ."""
    for key in sorted(before.keys() | now.keys()):
        old, new, at = before.get(key), now.get(key), f"{path}{key}"
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _unlike(old, new, f"{at}.")
        elif old != new:
            yield at
