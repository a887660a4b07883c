"""All that is verified of an answer: what its request asks for, then what the user's policy names, in its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from router.chat import JsonObject
from router.verifying.contract import contract_names, contract_verifiers, uncheckable
from router.verifying.finding import Finding, Reply, Verifier, verify_all
from router.verifying.schemas import SchemaShelf


@dataclass(frozen=True, slots=True)
class PolicyCheck:
    """A verifier that the policy names, for one workflow or, where that is None, for every answer with text."""

    name: str
    verifier: Verifier
    workflow: str | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What a router verifies; it keeps the schemas that it has compiled."""

    checks: Sequence[PolicyCheck] = ()
    shelf: SchemaShelf = field(default_factory=SchemaShelf)

    def names(self, request: JsonObject, workflow: str | None) -> list[str]:
        """Return what would be verified of an answer with text to a chat request."""
        return [*contract_names(request), *(check.name for check in self.checks if check.workflow in (None, workflow))]

    async def uncheckable(self, request: JsonObject) -> str:
        """Say why no answer to a chat request could be verified, empty where one can."""
        return await uncheckable(request, self.shelf)

    async def findings(self, reply: Reply, request: JsonObject, workflow: str | None) -> tuple[Finding, ...]:
        """Verify an answer to a chat request, up to the first flaw; nothing is found where nothing applies."""
        has_text = bool(reply.text) or not reply.calls
        named = [check.verifier for check in self.checks if has_text and check.workflow in (None, workflow)]
        return await verify_all([*contract_verifiers(request, reply, self.shelf), *named], reply, request)
