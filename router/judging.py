"""What a policy asks of local answers: how much of one is held back, and what is verified of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from registry.settings import PolicySettings
from router.policy_check import Problem
from router.verifying.commands import CommandRunner, CommandVerifier, open_runner
from router.verifying.finding import Verifier
from router.verifying.holding import Hold
from router.verifying.looking import unreadable_arguments
from router.verifying.patterns import PatternVerifier
from router.verifying.sandbox import Command
from router.verifying.verification import PolicyCheck, Verification


@dataclass(frozen=True, slots=True)
class Judge:
    """How local answers are judged."""

    hold: Hold = field(default_factory=lambda: Hold(None))
    verification: Verification = field(default_factory=Verification)
    problems: tuple[Problem, ...] = ()
    """What is wrong with checks that can be made all the same."""


async def open_judge(policy: PolicySettings) -> Judge:
    """Return the judge of a policy.

    Raises:
        ConfigError: a pattern cannot be used, or the program of a command cannot be started.
        IsolationError: a rule names a command, and no command can be isolated on this machine.

    """
    rules = policy.verify
    runner = await open_runner() if any(rule.command for rule in rules) else None
    checks: list[PolicyCheck] = []
    problems: list[Problem] = []
    for rule in rules:
        verifier: Verifier
        if rule.command is None or runner is None:
            verifier = PatternVerifier(rule.name, rule.pattern or "")
        else:
            command = Command(rule.name, rule.command, rule.timeout_s, rule.memory_mb, rule.readable)
            problems += await _command_problems(runner, command)
            verifier = CommandVerifier(runner, command)
        checks.append(PolicyCheck(rule.name, verifier, rule.workflow))
    return Judge(Hold.of(policy.hold), Verification(tuple(checks)), tuple(problems))


async def _command_problems(runner: CommandRunner, command: Command) -> list[Problem]:
    unread = await unreadable_arguments(runner, command)
    said = "its argument {!r} is a file that it may not read; add the file or its folder to readable"
    return [Problem(None, said.format(file), command.name) for file in unread]
