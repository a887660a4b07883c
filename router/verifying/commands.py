"""Runs a command of the user's own policy on an answer, isolated; kills all of it on a timeout and when cancelled.

It leaves nothing behind: the answer is handed over in memory, and the command's folder is gone with it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

from router.chat import JsonObject
from router.verifying.finding import Finding, Reply
from router.verifying.sandbox import SEARCH_PATH, Command, IsolationError, Sandbox, sandboxes

_log = logging.getLogger("modelbreeder.router")
KEPT_BYTES = 2048
"""How much of the end of a command's output is kept; the rest is read and dropped."""
MAX_ANSWER_BYTES = 8 << 20
AT_ONCE = 2
PROBE = Command("probe", ("true",))
_UNRUN = {
    125: "it ended with 125, as where it cannot be isolated",
    126: "it ended with 126, as where a program cannot be started",
    127: "it ended with 127, as where a program is not found",
}
"""Exit codes of commands that were not run, or that say so of another program; what they print may be of an answer."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended: its exit code as a shell has it, None where its time was up, and the end of its output."""

    code: int | None
    tail: str


@dataclass(frozen=True, slots=True)
class CommandRunner:
    """Runs commands in one kind of sandbox, a few at a time."""

    sandbox: Sandbox
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def run(self, command: Command, answer: bytes) -> Ran:
        """Run a command with an answer as its standard input and as the file `answer` of its folder.

        Raises:
            IsolationError: what isolates it cannot be started.

        """
        async with self.slots:
            return await _run(self.sandbox, command, answer)


async def open_runner(candidates: Iterable[Sandbox] | None = None) -> CommandRunner:
    """Return a runner in the first sandbox that is seen to work here.

    Raises:
        IsolationError: none does; the message says why of each.

    """
    reasons: list[str] = []
    for sandbox in sandboxes() if candidates is None else candidates:
        ran = await _run(sandbox, PROBE, b"")
        if ran.code == 0:
            return CommandRunner(sandbox)
        reasons.append(f"{type(sandbox).__name__.lower()}: {ran.tail or f'exit code {ran.code}'}")
    raise IsolationError(
        f"no command can be isolated here ({'; '.join(reasons)}), so none is run; install bubblewrap or allow "
        "unprivileged user namespaces, or take the commands out of policy.verify"
    )


@dataclass(frozen=True, slots=True)
class CommandVerifier:
    """Finds an answer ok on which a command exits with 0."""

    runner: CommandRunner
    command: Command
    told: set[str] = field(default_factory=set)
    """Why it could not be run, as far as the log has it."""

    async def verify(self, reply: Reply, _request: JsonObject) -> Finding:
        """Run the command on the text of an answer."""
        flaw = await self._flaw(reply.text.encode(errors="replace"))
        return Finding(not flaw, self.command.name, flaw)

    async def _flaw(self, answer: bytes) -> str:
        if len(answer) > MAX_ANSWER_BYTES:
            return f"the answer has {len(answer):,} bytes, a command gets at most {MAX_ANSWER_BYTES:,}"
        try:
            ran = await self.runner.run(self.command, answer)
        except IsolationError as error:
            self._tell(str(error))
            return str(error)
        if ran.code in _UNRUN:
            self._tell(_UNRUN[ran.code])
        program = self.command.argv[0]
        if ran.code is None:
            return f"{program} did not end within {self.command.timeout_s:g} s"
        said = f": {ran.tail}" if ran.tail else ""
        return f"{program} {_ending(ran.code)}{said}" if ran.code else ""

    def _tell(self, why: str) -> None:
        """Warn, once for each reason: local answers that cannot be checked are weak, all of them."""
        if why not in self.told:
            self.told.add(why)
            named = f"policy.verify {self.command.name!r}: {self.command.argv[0]} cannot check answers"
            _log.warning("%s, which are taken for weak: %s; try it with `modelbreeder policy check`", named, why)


def _ending(code: int) -> str:
    with suppress(ValueError):
        return f"was killed by {signal.Signals(code - 128).name}"
    return f"exited with {code}"


async def _run(sandbox: Sandbox, command: Command, answer: bytes) -> Ran:
    with _in_memory(answer) as (stdin, again):
        argv = sandbox.argv(command, again)
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=stdin,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=(again,),
                env={"PATH": SEARCH_PATH},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise IsolationError(f"{argv[0]} cannot be started: {error.strerror}; no command is run") from error
    try:
        async with asyncio.timeout(command.timeout_s):
            tail = await _tail(process)
            return Ran(_shell_code(await process.wait()), tail)
    except TimeoutError:
        return Ran(None, "")
    finally:
        await _end(process)


@contextmanager
def _in_memory(answer: bytes) -> Iterator[tuple[int, int]]:
    """Give two descriptors that both read an answer from its beginning, and that no disk ever holds."""
    with ExitStack() as stack:
        first = os.memfd_create("answer")
        stack.callback(os.close, first)
        with os.fdopen(first, "wb", closefd=False) as file:
            file.write(answer)
        os.lseek(first, 0, os.SEEK_SET)
        second = os.open(f"/proc/self/fd/{first}", os.O_RDONLY)
        stack.callback(os.close, second)
        yield first, second


async def _tail(process: asyncio.subprocess.Process) -> str:
    """Read all output, keep the end of it, and return it in one line, from its first whole word on.

    Half a word may be half a secret, which nobody would find and mask.
    """
    kept, cut = b"", False
    while process.stdout is not None and (chunk := await process.stdout.read(1 << 16)):
        kept, cut = (kept + chunk)[-KEPT_BYTES:], cut or len(kept) + len(chunk) > KEPT_BYTES
    words = kept.decode(errors="replace").split()
    return " ".join(words[cut:])


def _shell_code(code: int) -> int:
    return code if code >= 0 else 128 - code


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill what is left; the first process of the namespace takes all others with it, wherever they have gone."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # A reader that has paused would not see the pipe's end, and newer asyncio waits for that as well.
        await _tail(process)
        await process.wait()
