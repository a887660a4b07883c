"""One request from arrival to recorded answer: route, serve, escalate what is weak, fall back from what failed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from registry.entities import (
    Candidate,
    EvidenceType,
    Json,
    Lane,
    Purpose,
    RouteDecision,
    Specialist,
    SpecialistKind,
    Status,
)
from registry.errors import (
    ArtifactError,
    ConfigError,
    EngineError,
    ModelBreederError,
    RedactionError,
    RefusedError,
    UpstreamError,
)
from registry.ids import Clock, NewId
from registry.settings import EMBEDDED
from router.attempts import Attempt, headers_of, intent_of
from router.cloud_lane import CloudLane
from router.exchange import CutStreamError, Incoming, TurnError, Wire
from router.failures import kind_of
from router.local_lane import LocalLane
from router.masker_memory import MaskerMemory
from router.naming import Target
from router.offers import BaseOffer
from router.policy import HUMAN_REVIEW
from router.problems import UnservedError
from router.recording import Recorder
from router.routing import Routed, Router
from router.unreadable import unreadable
from router.upstream import UpstreamStatusError

WEAK_ANSWER_RULE = "weak-answer"
LOCAL_FAILED_RULE = "local-failed"
CLOUD_FAILED_RULE = "cloud-failed"
CLOUD_FALLBACK_RULE = "cloud-fallback"


@dataclass(frozen=True, slots=True)
class Turns:
    """Serves requests; one per process."""

    router: Router
    local: LocalLane
    cloud: CloudLane
    recorder: Recorder
    memory: MaskerMemory
    purpose: Purpose
    clock: Clock
    new_id: NewId
    monotonic: Callable[[], float]

    async def respond(self, incoming: Incoming, wire: Wire) -> None:
        """Answer one request through its wire.

        Raises:
            TurnError: there is no answer; its cause says why, and its headers how the request was routed.
            CutStreamError: the stream broke after its first frame and must not be ended.

        """
        routed = await self._route(incoming)
        self.memory.remember(routed.interaction_id, routed.redaction.masker)
        aimed = routed.aimed_at_base() if routed.chose_base else routed
        attempt = self._attempt(aimed, routed.decision, routed.interaction_id, wire)
        try:
            if routed.decision.lane is Lane.NO_OP:
                await self._refuse(attempt)
            elif routed.decision.selected_runtime == EMBEDDED:
                await self._local_first(attempt)
            elif routed.chose_base:
                await self._base_first(attempt, routed)
            else:
                await self._cloud_first(attempt)
        except (CutStreamError, TurnError):
            raise
        except ModelBreederError as error:
            raise TurnError(error, attempt.headers) from error

    async def _route(self, incoming: Incoming) -> Routed:
        interaction_id, now = self.new_id(), self.clock()
        try:
            return self.router.route(incoming, interaction_id, now)
        except RedactionError as error:
            facts = {"interaction_id": interaction_id, "policy_digest": self.router.policy_digest}
            intent, outcome = unreadable(incoming, error, now=now, purpose=self.purpose, **facts)
            await self.recorder.record(intent, outcome)
            raise TurnError(error, headers_of(intent)) from error

    def _attempt(
        self, routed: Routed, decision: RouteDecision, interaction_id: str, wire: Wire, *, parent_id: str | None = None
    ) -> Attempt:
        intent = intent_of(routed, decision, interaction_id, self.clock(), self.purpose, parent_id=parent_id)
        now_s = self.monotonic()
        attempt = Attempt(routed, intent, (), wire, self.monotonic, self.clock, started_s=now_s, arrived_s=now_s)
        if routed.spared is not None:
            spared = routed.spared.target
            attempt.spared = lambda usage: self.cloud.prices.cost(spared, usage, intent.at_utc)
        return attempt

    async def _refuse(self, attempt: Attempt) -> None:
        decision = attempt.routed.decision
        reason = f"{decision.rule}: {decision.local_reason}"
        await self.recorder.record(attempt.intent, attempt.outcome(Status.REFUSED, error=reason))
        raise RefusedError(reason) if attempt.routed.route.forbidden else UnservedError(reason)

    async def _local_first(self, attempt: Attempt) -> None:
        decision, cloud, base = attempt.routed.decision, attempt.routed.cloud, _base_behind_table(attempt.routed)
        escalates = cloud is not None and decision.fallback_target == cloud.target.name
        why = await self.local.serve(attempt, escalates=escalates or base is not None)
        if not why:
            return
        rule = LOCAL_FAILED_RULE if attempt.first_token_s is None else WEAK_ANSWER_RULE
        detail: Json = {"parent": attempt.id, "specialist": attempt.specialist.name, "why": why}
        if escalates or base is None:
            sent_on = _escalated(decision, attempt.target, rule, why)
            child = self._child(attempt, sent_on, EvidenceType.ESCALATION, detail)
        else:
            stays, aimed = _handed_on(decision, base.target, rule, why), attempt.routed.aimed_at_base()
            child = self._child(attempt, stays, EvidenceType.FALLBACK, detail, aimed)
        await self._serve_child(child, self.cloud.serve(child))

    async def _base_first(self, attempt: Attempt, routed: Routed) -> None:
        """Ask the general base; what it fails to answer goes on to the cloud, where the decision says so."""
        decision, cloud = routed.decision, routed.cloud
        try:
            await self.cloud.serve(attempt)
        except (UpstreamError, ConfigError) as error:
            if cloud is None or decision.fallback_target != cloud.target.name:
                raise
            # The base saw the real values, and its complaint may quote them.
            why = attempt.mask_error(str(error))
            detail: Json = {"parent": attempt.id, "model": decision.selected_model_or_stack, "why": why}
            sent_on = _escalated(decision, cloud.target, LOCAL_FAILED_RULE, why)
            child = self._child(attempt, sent_on, EvidenceType.ESCALATION, detail, routed)
            failure = self.recorder.note(attempt.id, EvidenceType.FALLBACK, {"error": why})
            child.notes = (failure, *child.notes)
            await self._serve_child(child, self.cloud.serve(child))

    async def _cloud_first(self, attempt: Attempt) -> None:
        decision = attempt.routed.decision
        if decision.evidence_required:
            detail: Json = {"rule": decision.rule, "why": decision.local_reason}
            attempt.notes = (self.recorder.note(attempt.id, EvidenceType.ESCALATION, detail),)
        try:
            await self.cloud.serve(attempt)
        except (UpstreamError, ConfigError) as error:
            if await self._fell_back(attempt, error):
                return
            if not _has_stand_in(attempt.routed) or _is_about_the_request(error):
                raise
            why = attempt.mask_error(str(error))
            detail = {"parent": attempt.id, "why": why}
            child = self._child(attempt, _stand_in(decision, attempt.specialist, why), EvidenceType.FALLBACK, detail)
            try:
                await self._serve_child(child, self.local.serve(child, escalates=False))
            except TurnError as failed:
                if not isinstance(failed.cause, EngineError | ArtifactError):
                    raise
                # What the cloud said, and when to ask again, helps more than why nobody could stand in.
                raise error from failed

    async def _fell_back(self, attempt: Attempt, error: UpstreamError | ConfigError) -> bool:
        """Ask the policy's fallbacks, one after the other; say whether one has answered."""
        asked = [attempt.target]
        while routed := self.router.fall_back(attempt.routed, kind_of(error), asked, self.cloud.egress.resting):
            assert routed.cloud is not None
            why, target = attempt.mask_error(str(error)), routed.cloud.target
            asked.append(target)
            detail: Json = {"parent": attempt.id, "model": target.name, "why": why}
            handed_on = _handed_on(attempt.routed.decision, target, CLOUD_FALLBACK_RULE, why)
            child = self._child(attempt, handed_on, EvidenceType.FALLBACK, detail, routed)
            try:
                await self._serve_child(child, self.cloud.serve(child))
            except TurnError as failed:
                if not isinstance(failed.cause, UpstreamError | ConfigError):
                    raise
                error = failed.cause
            else:
                return True
        return False

    async def _serve_child(self, child: Attempt, serving: Awaitable[object]) -> None:
        """Serve a second attempt, whose headers then tell how the request ended."""
        try:
            await serving
        except CutStreamError:
            raise
        except ModelBreederError as error:
            raise TurnError(error, child.headers) from error

    def _child(
        self,
        attempt: Attempt,
        decision: RouteDecision,
        kind: EvidenceType,
        detail: Json,
        routed: Routed | None = None,
    ) -> Attempt:
        child = self._attempt(routed or attempt.routed, decision, self.new_id(), attempt.wire, parent_id=attempt.id)
        child.arrived_s = attempt.arrived_s
        child.notes = (self.recorder.note(child.id, kind, detail),)
        self.memory.remember(child.id, attempt.routed.redaction.masker)
        return child


def _has_stand_in(routed: Routed) -> bool:
    return routed.local is not None and routed.decision.fallback_target == routed.local.specialist.name


def _base_behind_table(routed: Routed) -> BaseOffer | None:
    """Return the general base where it can serve what a table does not know."""
    if routed.local is None or routed.local.specialist.kind is not SpecialistKind.TABLE:
        return None
    return None if routed.base is None or routed.base.unfit else routed.base


def _is_about_the_request(error: ModelBreederError) -> bool:
    return isinstance(error, UpstreamStatusError) and error.is_about_the_request


def _stand_in(decision: RouteDecision, specialist: Specialist, why: str) -> RouteDecision:
    """Return the decision to let a specialist answer what the cloud failed to."""
    return replace(
        decision,
        lane=Lane.LOCAL_FAST,
        selected_runtime=EMBEDDED,
        selected_model_or_stack=specialist.name,
        rule=CLOUD_FAILED_RULE,
        local_reason=why,
        fallback_target=HUMAN_REVIEW,
    )


def _escalated(decision: RouteDecision, target: Target, rule: str, why: str) -> RouteDecision:
    """Return the decision to let a cloud model answer what its first choice did not."""
    sent_on = _handed_on(decision, target, rule, why)
    return replace(sent_on, lane=Lane.CLOUD_ESCALATION, redaction_required=True, evidence_required=True)


def _handed_on(decision: RouteDecision, target: Target, rule: str, why: str) -> RouteDecision:
    """Return the decision to let an upstream's model answer, in the same lane, what its first choice did not."""
    return replace(
        decision,
        selected_runtime=target.upstream,
        selected_model_or_stack=target.name,
        rule=rule,
        local_reason=why,
        fallback_target=HUMAN_REVIEW,
        candidates=tuple(_judged(candidate, target, why) for candidate in decision.candidates),
    )


def _judged(candidate: Candidate, target: Target, why: str) -> Candidate:
    return replace(candidate, why_not="" if candidate.model == target.name else candidate.why_not or why)
