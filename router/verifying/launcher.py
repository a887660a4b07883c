"""Runs one command where there is no network, no home and no other process; a script of its own, standard library only.

It becomes nobody where it is root, enters namespaces of its own, builds a root folder in memory of what may be seen,
and starts the command in it under limits. A step that fails ends it before the command was started.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

UNISOLATED = 125
NOT_STARTED = 127
NOBODY = 65534

_OLD = "/old"
DEVICES = ("null", "zero", "full", "random", "urandom")

# From linux/sched.h, linux/mount.h and linux/prctl.h.
_CLONE = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "names": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "processes": 0x20000000,
    "network": 0x40000000,
}
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 0x2, 0x4, 0x8
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_MNT_DETACH = 2
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 0x1, 0x2, 0x4
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38


class Order(TypedDict):
    """What to run and under which limits; the answer is the standard input."""

    argv: list[str]
    visible: list[tuple[str, str]]
    folder: str
    answer: str
    path: str
    parent: int
    cpu_s: int
    memory_bytes: int
    disk_bytes: int
    file_bytes: int
    processes: int
    open_files: int


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


class _Kernel:
    """The system calls that the standard library lacks; each raises OSError that names itself."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def __call__(self, name: str, *arguments: object, of: str = "") -> None:
        if getattr(self._libc, name)(*arguments) == -1:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), of or name)

    def mount(self, source: str, target: str, kind: str, flags: int, data: str = "") -> None:
        words = (source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())
        self("mount", *words, of=f"mount {target}")

    def seal(self, target: str) -> None:
        """Make a mount and all below it read-only, without devices and set-user-id programs."""
        attributes = _MountAttributes(_ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV, 0, 0, 0)
        size = ctypes.c_size_t(ctypes.sizeof(attributes))
        words = (_AT_FDCWD, target.encode(), _AT_RECURSIVE, ctypes.byref(attributes), size)
        self("syscall", _MOUNT_SETATTR, *words, of=f"mount_setattr {target}")

    def set(self, option: int, value: int) -> None:
        self("prctl", option, value, 0, 0, 0)


def main(order: Order) -> int:
    """Run the command of an order and return its exit code, as a shell would."""
    try:
        kernel = _Kernel()
        _enter(kernel, order)
    except OSError as error:
        return _refuse(error)
    return _forked(lambda: _first_process(kernel, order))


def _enter(kernel: _Kernel, order: Order) -> None:
    if os.getuid() == 0:
        # The kernel counts no processes of root, so a fork bomb of its would not be bounded.
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        kernel.set(_PR_SET_DUMPABLE, 1)
    kernel.set(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != order["parent"]:
        raise ProcessLookupError(0, "the process that asked for this has gone", "getppid")
    user, group = os.getuid(), os.getgid()
    kernel("unshare", sum(_CLONE.values()))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _first_process(kernel: _Kernel, order: Order) -> int:
    """Be the first process of the namespace: when it ends, the kernel ends all the others."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        kernel.set(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _build_root(kernel, order)
        _place_answer(order)
    except OSError as error:
        return _refuse(error)
    return _forked(lambda: _start(kernel, order))


def _build_root(kernel: _Kernel, order: Order) -> None:
    kernel.mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    size = f"size={order['disk_bytes']},nr_inodes=4096,mode=755"
    kernel.mount("tmpfs", "/tmp", "tmpfs", _MS_NOSUID | _MS_NODEV, size)  # noqa: S108 - any folder that is always there
    os.chdir("/tmp")  # noqa: S108
    for folder in ("old", "proc", "dev", "tmp"):
        Path(folder).mkdir()
    kernel("pivot_root", b".", b"old")
    os.chdir("/")
    for source, target in order["visible"]:
        _show(kernel, source, target)
    Path("/dev/shm").mkdir()  # noqa: S108 - in the root folder of its own
    for device in DEVICES:
        Path("/dev", device).touch()
        kernel.mount(f"{_OLD}/dev/{device}", f"/dev/{device}", "", _MS_BIND)
    kernel.mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    # Another user namespace would give the command all rights within it, and more of the kernel to attack.
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    kernel("umount2", _OLD.encode(), _MNT_DETACH)
    Path(_OLD).rmdir()


def _show(kernel: _Kernel, source: str, target: str) -> None:
    """Make a file or folder of the old root visible, read-only; a link stays a link."""
    before = Path(_OLD + source)
    if before.is_symlink():
        Path(target).symlink_to(before.readlink())
    elif before.is_dir():
        Path(target).mkdir(parents=True, exist_ok=True)
        kernel.mount(str(before), target, "", _MS_BIND | _MS_REC)
        kernel.seal(target)
    else:
        before.stat()
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).touch()
        kernel.mount(str(before), target, "", _MS_BIND)
        kernel.seal(target)


def _place_answer(order: Order) -> None:
    Path(order["folder"]).mkdir()
    os.chdir(order["folder"])
    Path(order["answer"]).write_bytes(sys.stdin.buffer.read())
    os.dup2(os.open(order["answer"], os.O_RDONLY), 0)


def _start(kernel: _Kernel, order: Order) -> int:
    """Become the command; return only where that fails."""
    try:
        # Where memory runs out, this goes before the daemon does.
        Path("/proc/self/oom_score_adj").write_text("1000")
        _limit(order)
        # Python ignores these, and a command would inherit that.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        os.closerange(3, order["open_files"])
        kernel.set(_PR_SET_NO_NEW_PRIVS, 1)
    except (OSError, ValueError) as error:
        return _refuse(error)
    program = order["argv"][0]
    try:
        os.execvpe(program, order["argv"], {"PATH": order["path"]})  # noqa: S606 - no shell is the point
    except OSError as error:
        return _say(
            f"{program} cannot be started: {error.strerror}; is it in a folder that the command may read?", NOT_STARTED
        )


def _limit(order: Order) -> None:
    cpu_s, memory, files = order["cpu_s"], order["memory_bytes"], order["open_files"]
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_bytes"], order["file_bytes"]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_NPROC, (order["processes"], order["processes"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _forked(work: Callable[[], int]) -> int:
    """Do work in a child and return its exit code; whatever else ends meanwhile is reaped."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(work())
        finally:
            # Whatever went wrong, no child comes back into its parent's code.
            os._exit(UNISOLATED)
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _refuse(error: Exception) -> int:
    return _say(f"the command cannot be isolated: {error}", UNISOLATED)


def _say(line: str, code: int) -> int:
    os.write(2, f"{line}\n".encode())
    return code


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
