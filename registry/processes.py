"""Which process wrote something, and whether it still lives; a reused process id is told apart by its start time."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """One process on one host; `started` is empty where the system does not tell (anything but Linux)."""

    host: str
    pid: int
    started: str

    @property
    def is_dead(self) -> bool:
        """Whether the process surely ended; False for another host, of which nothing is known here."""
        return self.host == platform.node() and (not _exists(self.pid) or self.started != _started(self.pid))


def this_process() -> ProcessMark:
    """Return the mark of the calling process."""
    return ProcessMark(platform.node(), os.getpid(), _started(os.getpid()))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> str:
    """Return boot id and start tick, which no two processes share."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # The command name in field 2 may hold spaces and brackets; what follows its last bracket is regular.
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return f"{boot}:{after_name[19]}"
