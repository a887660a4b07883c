"""Commands are started without a shell, end when they must, take all that they started with them, and leave nothing.

Real processes, in every sandbox that works on this machine; where none does, these tests are skipped and say so.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from registry.errors import ConfigError, RefusedError
from router.verifying.commands import KEPT_BYTES, CommandRunner, CommandVerifier, Ran, open_runner
from router.verifying.finding import Finding, Reply
from router.verifying.sandbox import (
    FOLDER,
    Command,
    IsolationError,
    Namespaces,
    Sandbox,
)
from tests.router.verifying.running import PATIENCE_S, children, eventually, found, gone, run, started


def test_the_answer_is_the_standard_input_and_a_file_of_the_folder(sandbox: Sandbox) -> None:
    said = run(sandbox, "sh", "-c", "pwd; cat; echo; cat answer; echo; cat answer", answer="größe\0x".encode())

    assert said == Ran(0, f"{FOLDER} größe\0x größe\0x größe\0x")


@pytest.mark.parametrize(
    ("argv", "code", "tail"),
    [
        (("true",), 0, ""),
        (("false",), 1, ""),
        (("sh", "-c", "echo out; echo err >&2; exit 7"), 7, "out err"),
        (("sh", "-c", "kill -9 $$"), 137, ""),
        (("sh", "-c", "kill -6 $$"), 134, ""),
    ],
)
def test_a_command_ends_as_a_shell_would_say(sandbox: Sandbox, argv: tuple[str, ...], code: int, tail: str) -> None:
    assert run(sandbox, *argv) == Ran(code, tail)


def test_a_program_that_is_not_there_fails_and_is_named(sandbox: Sandbox) -> None:
    ran = run(sandbox, "no-such-program", "argument")

    assert ran.code not in (0, None)
    assert "no-such-program" in ran.tail


def test_arguments_go_to_the_program_as_they_are_and_no_shell_reads_them(sandbox: Sandbox) -> None:
    ran = run(sandbox, "printf", "%s|", "$(id)", "; rm -rf /", "a b", "", "*")

    assert ran.tail == "$(id)|; rm -rf /|a b||*|"


def test_large_output_is_read_to_the_end_and_only_its_end_is_kept(sandbox: Sandbox) -> None:
    ran = run(sandbox, "sh", "-c", "seq 4000000; echo; exit 5")

    assert ran.code == 5
    assert ran.tail.endswith("3999998 3999999 4000000")
    assert len(ran.tail) <= KEPT_BYTES
    assert len(ran.tail.split()[0]) == len("4000000")


def test_what_runs_on_after_the_command_is_killed(sandbox: Sandbox, mark: str) -> None:
    assert run(sandbox, "sh", "-c", f"setsid sleep {mark} & setsid -f sleep {mark}; exit 0") == Ran(0, "")
    assert gone(mark)


def test_a_timeout_kills_children_that_hide_in_sessions_of_their_own(sandbox: Sandbox, mark: str) -> None:
    ran = run(
        sandbox, "sh", "-c", f"trap '' TERM; setsid sh -c 'setsid sleep {mark} & wait' & sleep {mark}", timeout_s=2
    )

    assert ran == Ran(None, "")
    assert gone(mark)


def test_a_timeout_comes_although_the_output_never_ends(sandbox: Sandbox) -> None:
    assert run(sandbox, "yes", timeout_s=2) == Ran(None, "")


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_cancelled_task_kills_its_command(
    sandbox: Sandbox, mark: str, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def cancel() -> None:
        command = Command("test", ("sh", "-c", f"setsid sleep {mark} & yes"), PATIENCE_S)
        task = asyncio.create_task(CommandRunner(sandbox).run(command, b""))
        assert await asyncio.to_thread(eventually, lambda: found(mark))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(cancel())
    assert gone(mark)


def test_a_command_does_not_outlive_a_killed_daemon(sandbox: Sandbox, mark: str) -> None:
    source = f"""
        import asyncio
        from router.verifying.commands import CommandRunner
        from router.verifying.sandbox import Bubblewrap, Command, Namespaces
        command = Command("test", ("sh", "-c", "setsid sleep {mark} & sleep {mark}"), 3600)
        asyncio.run(CommandRunner({sandbox!r}).run(command, b""))
    """
    with started(sys.executable, "-c", textwrap.dedent(source)):
        assert eventually(lambda: found(mark))
    assert gone(mark)


def test_nothing_is_left_open(sandbox: Sandbox) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    run(sandbox, "true")
    before = count()
    for argv in (("true",), ("false",), ("no-such-program",), ("yes",)):
        run(sandbox, *argv, timeout_s=1)
    assert count() == before


def test_commands_run_a_few_at_a_time(sandbox: Sandbox) -> None:
    strangers = children()

    async def most_at_once() -> int:
        runner = CommandRunner(sandbox, asyncio.Semaphore(2))
        most = 0

        async def one() -> None:
            await runner.run(Command("test", ("sleep", "0.1")), b"")

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, len(children() - strangers))
                await asyncio.sleep(0.005)

        watcher = asyncio.create_task(watch())
        await asyncio.gather(*(one() for _ in range(6)))
        watcher.cancel()
        return most

    assert asyncio.run(most_at_once()) <= 2


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("grep", "-q", "needle"), ""),
        (("sh", "-c", "echo 'two\n lines'; exit 3"), "sh exited with 3: two lines"),
        (("sh", "-c", "kill -11 $$"), "sh was killed by SIGSEGV"),
        (("sleep", "60"), "sleep did not end within 2 s"),
    ],
)
def test_the_verifier_says_how_a_command_judged(sandbox: Sandbox, argv: tuple[str, ...], why: str) -> None:
    verifier = CommandVerifier(
        CommandRunner(sandbox), Command("compiles", argv, 2.0 if argv[0] == "sleep" else PATIENCE_S)
    )

    judged = asyncio.run(verifier.verify(Reply("hay, a needle, hay"), {}))
    assert judged == Finding(ok=why == "", name="compiles", why=why)


def test_a_command_that_cannot_be_run_is_logged_once_for_each_reason_and_no_answer_is(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    async def judged(*answers: str) -> None:
        asked = CommandVerifier(CommandRunner(sandbox), Command("c", ("sh", "-c", "cat; exit $(cat answer)")))
        for answer in answers:
            await asked.verify(Reply(answer), {})

    with caplog.at_level(logging.WARNING, "modelbreeder.router"):
        asyncio.run(judged("0", "1", "127", "126", "127", "127"))

    assert [line.partition(": it ended")[0] for line in caplog.messages] == [
        "policy.verify 'c': sh cannot check answers, which are taken for weak"
    ] * 2
    assert [line.count("127") for line in caplog.messages] == [1, 0]


def test_a_sandbox_that_is_gone_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    verifier = CommandVerifier(CommandRunner(Broken("/no/such/sandbox")), Command("c", ("true",)))

    async def twice() -> list[Finding]:
        return [await verifier.verify(Reply("x"), {}) for _ in range(2)]

    with caplog.at_level(logging.WARNING, "modelbreeder.router"):
        found = asyncio.run(twice())

    assert [finding.ok for finding in found] == [False, False]
    assert len(caplog.messages) == 1
    assert "/no/such/sandbox cannot be started" in caplog.messages[0]


class Broken:
    """A sandbox whose means are missing, or that fails to set itself up."""

    def __init__(self, *argv: str) -> None:
        self._argv = list(argv)

    def argv(self, command: Command, answer_fd: int) -> list[str]:
        return self._argv


def test_where_nothing_isolates_a_command_it_is_refused_with_every_reason() -> None:
    with pytest.raises(RefusedError, match=r"no kernel support.*unprivileged user namespaces"):
        asyncio.run(open_runner([Broken("sh", "-c", "echo no kernel support; exit 1"), Broken("false")]))
    with pytest.raises(RefusedError, match="exit code 1"):
        asyncio.run(open_runner([Broken("false")]))
    with pytest.raises(IsolationError, match="cannot be started"):
        asyncio.run(open_runner([Broken("/no/such/sandbox")]))
    with pytest.raises(IsolationError, match="no command can be isolated"):
        asyncio.run(open_runner([]))


class Hindered:
    """Namespaces on a kernel that lets nobody make them."""

    def argv(self, command: Command, answer_fd: int) -> list[str]:
        forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
        return [
            "unshare",
            "--user",
            "--map-root-user",
            "sh",
            "-c",
            forbid,
            "sh",
            *Namespaces().argv(command, answer_fd),
        ]


def test_a_command_is_never_started_where_the_kernel_refuses(sandbox: Sandbox) -> None:
    ran = run(Hindered(), "sh", "-c", "echo started")
    assert ran.code == 125
    assert "cannot be isolated" in ran.tail
    assert "started" not in ran.tail
    with pytest.raises(IsolationError, match="cannot be isolated"):
        asyncio.run(open_runner([Hindered()]))


@pytest.mark.parametrize(
    ("argv", "readable", "why"),
    [
        ((), (), "is empty"),
        (("",), (), "is empty"),
        (("x",), (Path("checks"),), "whole path"),
        (("x",), (Path("/"),), "'/'"),
    ],
)
def test_a_policys_bad_command_is_an_error_of_its_configuration(
    argv: tuple[str, ...], readable: tuple[Path, ...], why: str
) -> None:
    with pytest.raises(ConfigError, match=f"policy.verify 'c'.*{why}"):
        Command("c", argv, readable=readable)
