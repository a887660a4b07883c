"""What the daemon tells of each event that became durable: its counts to Prometheus, and one line to the log."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from registry.entities import Event, EvidenceNote, Intent, Lane, Outcome, Status
from registry.errors import LedgerError
from router.log_lines import FACTS
from router.metrics import Metrics

_log = logging.getLogger("modelbreeder.router.requests")
_HELD = 8192
"""Intents that are remembered for their outcome; one whose outcome was never recorded must not stay for ever."""
_FINE = frozenset({Status.OK, Status.ESCALATED, Status.CLIENT_CANCELLED})


@dataclass(frozen=True, slots=True)
class Begun:
    """What an outcome does not say of its interaction: none of it is a client's choice of words."""

    surface: str
    lane: Lane
    rule: str


class EventWatch:
    """Watches the recorder of one process."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._begun: OrderedDict[str, Begun] = OrderedDict()

    def observe(self, events: Sequence[Event], took_s: float, error: BaseException | None) -> None:
        """Tell of events that were given to the ledger: it took so long, and failed if there is an error."""
        if error is None:
            self._metrics.ledger_wrote(took_s)
        elif isinstance(error, LedgerError):
            self._metrics.ledger_failed()
        for event in events:
            if isinstance(event, Outcome):
                begun = self._begun.pop(event.interaction_id, None)
                if begun is not None and error is None:
                    self._end(begun, event)
            elif error is None and isinstance(event, Intent):
                self._begin(event)
            elif error is None and isinstance(event, EvidenceNote):
                self._metrics.noted(event.type)

    def _begin(self, intent: Intent) -> None:
        decision = intent.decision
        self._begun[intent.interaction_id] = Begun(intent.surface, decision.lane, decision.rule)
        if len(self._begun) > _HELD:
            self._begun.popitem(last=False)
        # What was masked was masked once; a second attempt takes it over.
        if intent.parent_id is None:
            self._metrics.redacted(intent.redactions)

    def _end(self, begun: Begun, outcome: Outcome) -> None:
        self._metrics.ended(begun.surface, begun.lane, begun.rule, outcome)
        level = logging.INFO if outcome.status in _FINE else logging.WARNING
        if _log.isEnabledFor(level):
            _log.log(level, "request", extra={FACTS: _facts(begun, outcome)})


def _facts(begun: Begun, outcome: Outcome) -> dict[str, object]:
    """Return what a log line says of a request; not why it failed, as that may quote it."""
    facts = {
        "interaction": outcome.interaction_id,
        "status": outcome.status.value,
        "surface": begun.surface,
        "lane": begun.lane.value,
        "rule": begun.rule,
        "ms": None if outcome.latency_ms is None else round(outcome.latency_ms, 1),
        "ttft_ms": None if outcome.ttft_ms is None else round(outcome.ttft_ms, 1),
        "cost_usd": outcome.cost_usd,
    }
    return {name: value for name, value in facts.items() if value is not None}
