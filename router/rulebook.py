"""What decides on requests, as one value: policy, redactor, judge. A reload puts a new one in its place."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from registry.errors import ConfigError
from registry.settings import PolicySettings, Settings
from router.budgets import Payer
from router.data_classes import DataClasses
from router.detector_process import in_child
from router.exchange import Incoming
from router.judging import Judge
from router.policy import Rules, compile_policy, digest_of
from router.policy_check import Problem, problems
from router.redaction.redactor import RuleRedactor, redactor_of
from router.setting_notes import redaction_problems


@dataclass(frozen=True, slots=True)
class Rulebook:
    """A policy ready to decide; a request keeps the one with which it began."""

    settings: Settings
    rules: Rules
    digest: str
    """The digest of the policy, which every decision names."""
    redactor: RuleRedactor
    classes: DataClasses
    judge: Judge
    problems: tuple[Problem, ...] = ()
    """What of the policy does not do what it says, though it can be decided by."""

    def payer(self, incoming: Incoming) -> Payer:
        """Return who pays for a request, and within which budgets."""
        return Payer(self.policy.budget, incoming.client, incoming.hints.session)

    @property
    def policy(self) -> PolicySettings:
        """The policy that it was made of."""
        return self.settings.policy


def compile_rulebook(settings: Settings, judge: Judge | None = None, redactor: RuleRedactor | None = None) -> Rulebook:
    """Return the rulebook of settings; without a judge it decides, and nothing is verified of the answers.

    A redactor of the same settings may be given: what it found and its processes, perhaps large, need not be made anew.

    Raises:
        ConfigError: a rule or a pattern cannot be used.

    """
    policy, judging = settings.policy, judge or Judge()
    redactor = redactor or redactor_of(settings.redaction, in_child)
    _check_customer_types(policy.customer_data_types, redactor.types)
    classes, rules = DataClasses(policy, redactor.types), compile_policy(policy)
    found = (*problems(policy), *judging.problems, *redaction_problems(settings.redaction))
    return Rulebook(settings, rules, digest_of(policy), redactor, classes, judging, found)


def _check_customer_types(named: Collection[str], known: Collection[str]) -> None:
    """Refuse a type that nothing is ever masked as: it would keep no customer data at home."""
    unknown = [name for name in named if name not in known]
    if unknown:
        types = ", ".join(sorted(known))
        raise ConfigError(f"policy.customer_data_types: no redaction rule finds {unknown[0]!r}; known types: {types}")
