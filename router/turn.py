"""One request from arrival to recorded answer: route, serve, escalate what is weak, fall back from what failed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from registry.entities import EvidenceNote, EvidenceType, Json, Lane, Purpose, RouteDecision, Status
from registry.errors import (
    ArtifactError,
    ConfigError,
    EngineError,
    ModelBreederError,
    NotFoundError,
    RedactionError,
    RefusedError,
    UpstreamError,
)
from registry.ids import Clock, NewId
from registry.settings import EMBEDDED
from router.attempts import Attempt, headers_of, intent_of
from router.base_lane import BaseLane
from router.cloud_lane import CloudLane
from router.exchange import CutStreamError, Incoming, TurnError, Wire
from router.failures import kind_of
from router.handing_on import (
    CLOUD_FALLBACK_RULE,
    LOCAL_FAILED_RULE,
    WEAK_ANSWER_RULE,
    base_behind_table,
    escalated,
    handed_on,
    has_stand_in,
    is_about_the_request,
    kept_unsure,
    sent_nowhere,
    stand_in,
)
from router.inspection import Inspectors, inspected
from router.local_answer import LocalAnswer
from router.local_lane import LocalLane
from router.masker_memory import MaskerMemory
from router.problems import InvalidRequestError, UnservedError
from router.recording import Recorder
from router.routed import Routed
from router.routing import Router
from router.uninspected import kept_home, kept_names
from router.unreadable import unreadable

_BUG = "the daemon failed on this request; see its log"
_NOBODY_ELSE = (UpstreamError, ConfigError, RefusedError, InvalidRequestError)
"""Why a cloud model gave no answer: it is down, not set up, not allowed or not paid for, or has no words for it."""
_log = logging.getLogger("modelbreeder.router")


@dataclass(frozen=True, slots=True)
class Turns:
    """Serves requests; one per process."""

    router: Router
    local: LocalLane
    cloud: CloudLane
    base: BaseLane
    recorder: Recorder
    memory: MaskerMemory
    inspectors: Inspectors
    purpose: Purpose
    clock: Clock
    new_id: NewId
    monotonic: Callable[[], float]
    keeps_raw: bool = False
    """Whether the (encrypted) ledger has each request as it came, too."""

    async def respond(self, incoming: Incoming, wire: Wire) -> None:
        """Answer one request through its wire.

        Raises:
            TurnError: there is no answer; its cause says why, and its headers how the request was routed.
            CutStreamError: the stream broke after its first frame and must not be ended.

        """
        arrived_s = self.monotonic()
        routed = await self._route(incoming)
        self.memory.remember(routed.interaction_id, routed.redaction.masker)
        aimed = routed.aimed_at_base() if routed.chose_base else routed
        attempt = await self._first_attempt(aimed, wire)
        attempt.arrived_s = arrived_s
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
        except Exception as error:  # the request boundary: a bug must leave no interaction open
            raise await self._bug(attempt, error) from error
        self.router.answered(routed)

    async def _bug(self, attempt: Attempt, bug: Exception) -> TurnError:
        """Log a bug, record how its attempt ended, and return what the client hears."""
        _log.error("interaction %s failed", attempt.id, exc_info=bug)
        outcome = attempt.outcome(Status.ERROR, error=f"a bug of the router: {type(bug).__name__}; see its log")
        # It may have an outcome, which stands, or no intent yet.
        with suppress(ModelBreederError):
            try:
                await self.recorder.record(outcome, *attempt.notes)
            except NotFoundError:
                await self.recorder.record(attempt.intent, outcome, *attempt.notes)
        return TurnError(ModelBreederError(_BUG), attempt.headers)

    async def _route(self, incoming: Incoming) -> Routed:
        """Decide on a request; one that cannot be inspected, or not in time, stays, and is recorded without content."""
        interaction_id, now = self.new_id(), self.clock()
        try:
            return await inspected(self.router, self.inspectors, incoming, interaction_id, now, self.monotonic)
        except RedactionError as failed:
            if home := kept_home(self.router, incoming, failed, interaction_id, now):
                return home
            facts = {"interaction_id": interaction_id, "policy_digest": self.router.policy_digest}
            kept = kept_names(self.router, incoming)
            intent, outcome = unreadable(kept, failed, now=now, purpose=self.purpose, **facts)
            await self.recorder.record(intent, outcome)
            raise TurnError(failed, headers_of(intent)) from failed

    async def _first_attempt(self, routed: Routed, wire: Wire) -> Attempt:
        """Return the attempt that policy decided for; one that its model's dialect has no words for ends here."""
        try:
            return self._attempt(routed, routed.decision, routed.interaction_id, wire)
        except InvalidRequestError as error:
            attempt = self._attempt(routed, sent_nowhere(routed.decision), routed.interaction_id, wire)
            await self.recorder.record(attempt.intent, attempt.outcome(Status.REFUSED, error=str(error)))
            raise TurnError(error, attempt.headers) from error

    def _attempt(
        self, routed: Routed, decision: RouteDecision, interaction_id: str, wire: Wire, *, parent_id: str | None = None
    ) -> Attempt:
        keeps_raw = self.keeps_raw and parent_id is None
        intent = intent_of(
            routed, decision, interaction_id, self.clock(), self.purpose, parent_id=parent_id, keeps_raw=keeps_raw
        )
        self.router.loops.took(routed.loop, decision.lane, began=parent_id is None)
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
        decision, cloud, base = attempt.routed.decision, attempt.routed.cloud, base_behind_table(attempt.routed)
        escalates = cloud is not None and decision.fallback_target == cloud.target.name
        handed = await self.local.serve(attempt, escalates=escalates or base is not None)
        if handed is None:
            return
        rule, why = _rule_of(attempt), handed.why
        detail: Json = {"parent": attempt.id, "specialist": attempt.specialist.name, "why": why}
        if escalates or base is None:
            sent_on = escalated(decision, attempt.target, rule, why)
            try:
                await self._escalate(attempt, sent_on, detail, attempt.routed)
            except (TurnError, InvalidRequestError) as failed:
                if not (handed.is_unsure and await self._gave_unsure(attempt, handed.unsure, failed)):
                    raise
            return
        stays, aimed = handed_on(decision, base.target, rule, why), attempt.routed.aimed_at_base()
        child = self._child(attempt, stays, EvidenceType.FALLBACK, detail, aimed)
        await self._serve_child(child, self.base.serve(child, escalates=False))

    async def _base_first(self, attempt: Attempt, routed: Routed) -> None:
        """Ask the general base; what it fails to answer goes on to the cloud, where the decision says so."""
        decision, cloud = routed.decision, routed.cloud
        escalates = cloud is not None and decision.fallback_target == cloud.target.name
        notes: tuple[EvidenceNote, ...] = ()
        try:
            why, rule = await self.base.serve(attempt, escalates=escalates), _rule_of(attempt)
        except (UpstreamError, ConfigError) as error:
            if not escalates or attempt.late:
                raise
            # The base saw the real values, and its complaint may quote them.
            rule, why = LOCAL_FAILED_RULE, attempt.mask_error(str(error))
            notes = (self.recorder.note(attempt.id, EvidenceType.FALLBACK, {"error": why}),)
        if not why or cloud is None:
            return
        detail: Json = {"parent": attempt.id, "model": decision.selected_model_or_stack, "why": why}
        await self._escalate(attempt, escalated(decision, cloud.target, rule, why), detail, routed, notes)

    async def _escalate(
        self,
        attempt: Attempt,
        sent_on: RouteDecision,
        detail: Json,
        routed: Routed,
        notes: tuple[EvidenceNote, ...] = (),
    ) -> None:
        """Let the cloud answer what a local model did not; where it fails, the policy's fallbacks."""
        aimed = replace(routed, route=replace(routed.route, decision=sent_on))
        child = self._child(attempt, sent_on, EvidenceType.ESCALATION, detail, aimed)
        child.notes = (*notes, *child.notes)
        try:
            await self._serve_child(child, self.cloud.serve(child))
        except TurnError as failed:
            cause = failed.cause
            if not (isinstance(cause, UpstreamError | ConfigError) and await self._fell_back(child, cause)):
                raise

    async def _gave_unsure(self, attempt: Attempt, answer: LocalAnswer | None, failed: ModelBreederError) -> bool:
        """Give a specialist's unsure answer where nobody surer could be asked; say whether it was fit to be given."""
        cause = failed.cause if isinstance(failed, TurnError) else failed
        if not isinstance(cause, _NOBODY_ELSE) or is_about_the_request(cause):
            return False
        why = attempt.mask_error(str(cause))
        detail: Json = {"parent": attempt.id, "specialist": attempt.specialist.name, "why": why}
        decision = kept_unsure(attempt.routed.decision, attempt.specialist, why)
        child = self._child(attempt, decision, EvidenceType.FALLBACK, detail)
        try:
            await self._serve_child(child, self.local.stand_in(child, answer))
        except TurnError as refused:
            if not isinstance(refused.cause, EngineError | ArtifactError):
                raise
            return False
        return True

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
            if not has_stand_in(attempt.routed) or is_about_the_request(error):
                raise
            why = attempt.mask_error(str(error))
            detail = {"parent": attempt.id, "why": why}
            child = self._child(attempt, stand_in(decision, attempt.specialist, why), EvidenceType.FALLBACK, detail)
            try:
                await self._serve_child(child, self.local.stand_in(child))
            except TurnError as failed:
                if not isinstance(failed.cause, EngineError | ArtifactError):
                    raise
                # What the cloud said, and when to ask again, helps more than why nobody could stand in.
                raise error from failed

    async def _fell_back(self, attempt: Attempt, error: UpstreamError | ConfigError) -> bool:
        """Ask the policy's fallbacks, one after the other; say whether one has answered."""
        asked, rests = [attempt.target], self.cloud.egress.resting
        while not attempt.late and (routed := self.router.fall_back(attempt.routed, kind_of(error), asked, rests)):
            assert routed.cloud is not None
            why, target = attempt.mask_error(str(error)), routed.cloud.target
            asked.append(target)
            detail: Json = {"parent": attempt.id, "model": target.name, "why": why}
            passed_on = handed_on(attempt.routed.decision, target, CLOUD_FALLBACK_RULE, why)
            try:
                child = self._child(attempt, passed_on, EvidenceType.FALLBACK, detail, routed)
            except InvalidRequestError:
                # What this model's dialect has no words for the next one's may have.
                continue
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
        except Exception as error:  # the request boundary, for a second attempt
            raise await self._bug(child, error) from error

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


def _rule_of(attempt: Attempt) -> str:
    """Return the rule by which an attempt that answered nobody is handed on."""
    return LOCAL_FAILED_RULE if attempt.first_token_s is None else WEAK_ANSWER_RULE
