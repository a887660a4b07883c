"""Finds out, before any answer, whether a command of the policy can be started: looks from within its own sandbox.

Its program is not run for that. What an interpreter's first line or a library lacks is found at the first answer only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from registry.errors import ConfigError
from router.verifying.commands import CommandRunner
from router.verifying.sandbox import SEARCH_PATH, Command

_PATIENCE_S = 60.0
_LOOK = """\
programs=$1; shift; place=0; found=missing
for file; do
    place=$((place + 1))
    if [ $place -le $programs ]; then [ -f "$file" ] && [ -x "$file" ] && found=there
    elif ! [ -r "$file" ]; then echo $((place - programs - 1)); fi
done
echo $found"""
"""Prints the places of the files that cannot be read, from 0, then whether one of the programs is there."""


async def unreadable_arguments(runner: CommandRunner, command: Command) -> list[str]:
    """Return the arguments that are files of this machine, but none that the command may read.

    Raises:
        ConfigError: its program cannot be started, or nothing can be with what the command may read.
        IsolationError: what isolates it cannot be started.

    """
    if any("\0" in word for word in command.argv):
        raise ConfigError(f"policy.verify {command.name!r}: its command holds a zero byte; take it out")
    for path in command.readable:
        if not _is(path, Path.exists):
            raise ConfigError(f"policy.verify {command.name!r}: readable {str(path)!r} is not there; mend or remove it")
    program, *arguments = command.argv
    programs = [program] if "/" in program else [f"{folder}/{program}" for folder in SEARCH_PATH.split(":")]
    # A relative one is below the command's own folder, whatever lies below ours.
    files = [argument for argument in arguments if argument.startswith("/") and _is(Path(argument), Path.is_file)]
    look = ("sh", "-c", _LOOK, "sh", str(len(programs)), *programs, *files)
    ran = await runner.run(Command(command.name, look, _PATIENCE_S, readable=command.readable), b"")
    if ran.code != 0:
        # The launcher tells paths as it sees them, below the root folder that it leaves.
        said = ran.tail.replace("'/old/", "'/") or f"nothing was seen within {_PATIENCE_S:g} s"
        step = "everybody must be allowed to read what readable names" if command.readable else "try it by hand"
        raise ConfigError(f"policy.verify {command.name!r}: its command cannot be run: {said}; {step}")
    *unread, found = ran.tail.split()
    if found != "there":
        raise ConfigError(f"policy.verify {command.name!r}: its program {program!r} {_why_missing(program)}")
    return [files[int(place)] for place in unread]


def _why_missing(program: str) -> str:
    if "/" not in program:
        *folders, last = SEARCH_PATH.split(":")
        where = f"{', '.join(folders)} or {last}"
        return f"is not in {where}; install it there, or write its whole path and add its folder to readable"
    if not program.startswith("/"):
        return "is no whole path; write it from / on, and add its folder to readable"
    if not _is(Path(program), Path.exists):
        return "is not there; write the path of a program that is"
    if not os.access(program, os.X_OK) or _is(Path(program), Path.is_dir):
        return "is no program; make it executable, or write the program that runs it before it"
    return "is there, but the command may not read it; add it or its folder to readable"


def _is(path: Path, what: Callable[[Path], bool]) -> bool:
    """Ask something of a path, which may lie where nobody may look, or be no path at all."""
    try:
        return what(path)
    except (OSError, ValueError):
        return False
