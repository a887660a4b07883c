"""The ways to run a command of the user's own policy apart from everything else; where none works, it is refused.

What the command sees: the system's programs and libraries and the folders that its rule names, all read-only, a folder
in memory that is gone with it, and no network. Linux only.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from registry.errors import ConfigError, RefusedError
from router.verifying.launcher import DEVICES, NOBODY, Order

SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
FOLDER = "/sandbox"
ANSWER = "answer"
SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
    "/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime",
)  # fmt: skip
"""What every command may read."""
DISK_BYTES = 64 << 20
FILE_BYTES = 16 << 20
PROCESSES = 64
OPEN_FILES = 256


class IsolationError(RefusedError):
    """A command cannot be kept apart from the machine, so it is not run."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the user's own policy; `readable` are the folders and files that it may see beside the system's."""

    name: str
    argv: tuple[str, ...]
    timeout_s: float = 10.0
    memory_mb: int = 1024
    readable: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what would start nothing or show everything; ConfigError says which."""
        if not self.argv or not self.argv[0]:
            raise ConfigError(f"policy.verify {self.name!r}: the command is empty; write its program and arguments")
        for path in self.readable:
            if not path.is_absolute() or path == Path("/"):
                raise ConfigError(
                    f"policy.verify {self.name!r}: readable {str(path)!r} must be the whole path of one folder or file"
                )


class Sandbox(Protocol):
    """One way to isolate a command."""

    def argv(self, command: Command, answer_fd: int, /) -> list[str]:
        """Return what to start for a command; the answer is its standard input and open at `answer_fd` once more."""
        ...


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Linux namespaces, entered by a script of our own under this interpreter."""

    python: str = sys.executable

    def argv(self, command: Command, _answer_fd: int) -> list[str]:
        """Return the launcher with its order."""
        order: Order = {
            "argv": list(command.argv),
            "visible": _visible(command),
            "folder": FOLDER,
            "answer": ANSWER,
            "path": SEARCH_PATH,
            "parent": os.getpid(),
            "cpu_s": cpu_s(command),
            "memory_bytes": command.memory_mb << 20,
            "disk_bytes": DISK_BYTES,
            "file_bytes": FILE_BYTES,
            "processes": PROCESSES,
            "open_files": OPEN_FILES,
        }
        launcher = Path(__file__).with_name("launcher.py")
        return [self.python, "-I", "-S", str(launcher), json.dumps(order)]


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """The `bwrap` program, for systems that let only it make namespaces; limits are set by util-linux."""

    bwrap: str

    def argv(self, command: Command, answer_fd: int) -> list[str]:
        """Return bwrap with its options, which sets the limits and then starts the command."""
        memory, cpu = command.memory_mb << 20, cpu_s(command)
        return [
            *_as_nobody(),
            *(self.bwrap, "--unshare-user", "--unshare-all", "--disable-userns", "--die-with-parent", "--new-session"),
            *("--clearenv", "--setenv", "PATH", SEARCH_PATH),
            *("--proc", "/proc", "--size", str(DISK_BYTES), "--tmpfs", "/tmp"),  # noqa: S108 - made afresh
            *("--size", str(DISK_BYTES), "--tmpfs", FOLDER, "--file", str(answer_fd), f"{FOLDER}/{ANSWER}"),
            *(word for device in DEVICES for word in ("--dev-bind", f"/dev/{device}", f"/dev/{device}")),
            *_shown(_visible(command)),
            *("--remount-ro", "/", "--chdir", FOLDER, "--"),
            *("choom", "-n", "1000", "--"),
            *("prlimit", f"--cpu={cpu}:{cpu + 1}", f"--as={memory}", f"--fsize={FILE_BYTES}", "--core=0"),
            *(f"--nofile={OPEN_FILES}", f"--nproc={PROCESSES}", "--"),
            *command.argv,
        ]


def sandboxes() -> tuple[Sandbox, ...]:
    """Return the ways to isolate a command that this machine may know, in the order in which to try them.

    Raises:
        IsolationError: this is no Linux.

    """
    if sys.platform != "linux":
        raise IsolationError(f"commands that verify answers run isolated on Linux only, not on {sys.platform}")
    bwrap = shutil.which("bwrap", path=SEARCH_PATH)
    return (*((Bubblewrap(bwrap),) if bwrap else ()), Namespaces())


def cpu_s(command: Command) -> int:
    """Return the seconds of processor time that each process of a command may use."""
    return math.ceil(command.timeout_s)


def _visible(command: Command) -> list[tuple[str, str]]:
    """Return what a command may read: where it lies, and where it is seen."""
    system = [(path, path) for path in SYSTEM if os.path.lexists(path)]
    return [*system, *((str(path.resolve()), str(path)) for path in command.readable)]


def _shown(visible: Iterable[tuple[str, str]]) -> Iterator[str]:
    for source, target in visible:
        if Path(source).is_symlink():
            yield from ("--symlink", str(Path(source).readlink()), target)
        else:
            yield from ("--ro-bind", source, target)


def _as_nobody() -> tuple[str, ...]:
    """Return how root gives up its rights: the kernel counts no processes of root, so a fork bomb would not end."""
    if os.getuid() != 0:
        return ()
    return ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")
