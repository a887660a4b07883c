"""Judges local answers: how much of one is held back, and what is verified of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from registry.settings import PolicySettings, VerifySettings
from router.attempts import Attempt, printable
from router.verifying.commands import CommandRunner, CommandVerifier, open_runner
from router.verifying.finding import Finding, Reply, Verifier
from router.verifying.holding import Hold
from router.verifying.patterns import PatternVerifier
from router.verifying.sandbox import Command
from router.verifying.verification import PolicyCheck, Verification

MAX_WHY = 2400
"""Characters that are kept of a masked reason; the end of a command's output is no longer."""
HELD_HEADER = "x-modelbreeder-held"
_WEAK_HEADER = "x-modelbreeder-weak"


@dataclass(frozen=True, slots=True)
class Judge:
    """What the policy asks of local answers."""

    hold: Hold = field(default_factory=lambda: Hold(None))
    verification: Verification = field(default_factory=Verification)

    def verifies(self, attempt: Attempt) -> bool:
        """Say whether anything is verified of this answer."""
        return bool(self.verification.names(attempt.routed.chat, attempt.routed.envelope.workflow))

    async def findings(self, attempt: Attempt, reply: Reply) -> tuple[Finding, ...]:
        """Verify an answer that holds the real values; what is found is masked, as the ledger keeps it."""
        incoming = attempt.routed.incoming
        request = incoming.dialect.to_chat(incoming.request.body)
        found = await self.verification.findings(reply, request, attempt.routed.envelope.workflow)
        return tuple(replace(finding, why=attempt.mask_error(finding.why)[:MAX_WHY]) for finding in found)


async def open_judge(policy: PolicySettings) -> Judge:
    """Return the judge of a policy.

    Raises:
        ConfigError: a pattern or a command cannot be used.
        IsolationError: a rule names a command, and no command can be isolated on this machine.

    """
    rules = policy.verify
    runner = await open_runner() if any(rule.command for rule in rules) else None
    checks = tuple(PolicyCheck(rule.name, _verifier(rule, runner), rule.workflow) for rule in rules)
    return Judge(Hold.of(policy.hold), Verification(checks))


def _verifier(rule: VerifySettings, runner: CommandRunner | None) -> Verifier:
    if rule.command is None or runner is None:
        return PatternVerifier(rule.name, rule.pattern or "")
    return CommandVerifier(runner, Command(rule.name, rule.command, rule.timeout_s, rule.memory_mb, rule.readable))


def flaw_of(findings: Iterable[Finding]) -> str:
    """Return why an answer is not as asked for, empty where it is."""
    return next((f"{finding.name}: {finding.why}" for finding in findings if not finding.ok), "")


def weak_header(weakness: str) -> dict[str, str]:
    """Return the header of a weak answer that is given all the same, nothing for any other."""
    return {_WEAK_HEADER: printable(weakness)} if weakness else {}
