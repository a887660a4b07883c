"""What the daemon counts, for Prometheus. Labels are words of ours or of the configuration, never a client's own.

A registry belongs to one process and is made where its parts are; memory follows the labels, not the traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from registry.entities import EvidenceType, Lane, Outcome, Status
from registry.settings import EMBEDDED, Settings
from router.admission import InFlight
from router.budgets import Budget
from router.retrying import AttemptNote

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_OTHER = "other"
_ANSWER_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_WRITE_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)


def metrics_body(registry: CollectorRegistry) -> bytes:
    """Return the body of `/metrics`, whose content type is `CONTENT_TYPE`."""
    return generate_latest(registry)


class Metrics:
    """The counts of one daemon since it started."""

    def __init__(self, settings: Settings, in_flight: InFlight) -> None:
        self.registry = CollectorRegistry()
        self._upstreams = frozenset(settings.upstreams)
        self._models = _configured_models(settings)
        self._read_when_asked(in_flight)
        self._requests = self._counter(
            "requests",
            "Dispatches that ended; a request that escalates or falls back is two.",
            ("surface", "lane", "rule", "status"),
        )
        self._seconds = self._histogram("request_seconds", "Time to a whole answer.", ("lane",))
        self._first_token_s = self._histogram("first_token_seconds", "Time to an answer's first token.", ("lane",))
        self._tokens = self._counter("tokens", "Tokens of prompts and answers.", ("lane", "model", "kind", "source"))
        self._cost = self._counter("cost_usd", "US dollars spent, where a price is known.", ("lane", "model"))
        self._unpriced = self._counter("unpriced", "Dispatches that used tokens at no known price.", ("lane", "model"))
        self._cloud_cost = self._counter(
            "cloud_cost_usd", "US dollars that the cloud would have cost for the same, where known.", ("lane",)
        )
        self._evidence = self._counter("evidence", "Escalations, fallbacks, weak answers and the like.", ("type",))
        self._redactions = self._counter("redactions", "Values masked, by the type of placeholder.", ("type",))
        self._attempts = self._counter(
            "upstream_attempts", "Times a request was sent; result is ok or a kind of failure.", ("upstream", "result")
        )
        self._write_s = Histogram(
            "modelbreeder_ledger_write_seconds", "Time to durable.", buckets=_WRITE_S, registry=self.registry
        )
        self._ledger_failures = self._counter("ledger_failures", "Writes that the ledger could not make durable.")

    def ended(self, surface: str, lane: Lane, rule: str, outcome: Outcome) -> None:
        """Count a dispatch that ended."""
        self._requests.labels(surface, lane.value, rule, outcome.status.value).inc()
        # What failed says nothing of speed.
        if outcome.status is Status.OK and outcome.latency_ms is not None:
            self._seconds.labels(lane.value).observe(outcome.latency_ms / 1000)
        if outcome.status is Status.OK and outcome.ttft_ms is not None:
            self._first_token_s.labels(lane.value).observe(outcome.ttft_ms / 1000)
        self._spent(lane, self._model(outcome), outcome)

    def noted(self, kind: EvidenceType) -> None:
        """Count a note of evidence."""
        self._evidence.labels(kind.value).inc()

    def redacted(self, counts: Mapping[str, int]) -> None:
        """Count what was masked in a request, by type of placeholder."""
        for kind, count in counts.items():
            self._redactions.labels(kind).inc(count)

    def attempted(self, note: AttemptNote) -> None:
        """Count one time that a request was sent to an upstream."""
        upstream = note.target.partition("/")[0]
        result = "ok" if note.failure is None else note.failure.value
        self._attempts.labels(upstream if upstream in self._upstreams else _OTHER, result).inc()

    def ledger_wrote(self, took_s: float) -> None:
        """Count a write to the ledger that is durable."""
        self._write_s.observe(took_s)

    def ledger_failed(self) -> None:
        """Count a write that the ledger could not make durable."""
        self._ledger_failures.inc()

    def watch_engines(self, deaths: Callable[[], int]) -> None:
        """Show how often local engines died; each is started again when it is next asked."""
        about = "Times that a local engine died."
        self.registry.register(_Reading(CounterMetricFamily, "engine_deaths", about, deaths))

    def watch_policy(
        self, reloads: Callable[[], int], failures: Callable[[], int], refused: Callable[[], bool]
    ) -> None:
        """Show how often a changed policy was put in force or refused, and whether the file is refused now."""
        for family, name, about, read in (
            (CounterMetricFamily, "policy_reloads", "Times that a policy was put in force anew.", reloads),
            (CounterMetricFamily, "policy_reload_failures", "Times that a changed file could not be used.", failures),
            (GaugeMetricFamily, "policy_file_refused", "1 while an older policy than the file's is in force.", refused),
        ):
            self.registry.register(_Reading(family, name, about, read))

    def watch_budgets(self, today: Callable[[], Sequence[Budget]], warnings: Mapping[str, int]) -> None:
        """Show the budget of the day, and how often the log was warned of a budget's end."""
        self.registry.register(_Budgets(today, warnings))

    def _read_when_asked(self, in_flight: InFlight) -> None:
        ProcessCollector(registry=self.registry)
        for family, name, about, read in (
            (GaugeMetricFamily, "in_flight", "Requests that are being served.", lambda: in_flight.count),
            (GaugeMetricFamily, "waiting", "Requests that wait for a place.", lambda: in_flight.waiting),
            (CounterMetricFamily, "admission_refused", "Requests that got no place.", lambda: in_flight.refused),
        ):
            self.registry.register(_Reading(family, name, about, read))

    def _counter(self, name: str, about: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"modelbreeder_{name}", about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, labels: tuple[str, ...]) -> Histogram:
        return Histogram(f"modelbreeder_{name}", about, labels, buckets=_ANSWER_S, registry=self.registry)

    def _spent(self, lane: Lane, model: str, outcome: Outcome) -> None:
        usage = outcome.usage
        if usage is not None:
            self._tokens.labels(lane.value, model, "prompt", usage.source).inc(usage.prompt_tokens)
            self._tokens.labels(lane.value, model, "completion", usage.source).inc(usage.completion_tokens)
            if outcome.cost_usd is None:
                self._unpriced.labels(lane.value, model).inc()
        if outcome.cost_usd is not None:
            self._cost.labels(lane.value, model).inc(outcome.cost_usd)
        if outcome.cloud_cost_usd is not None:
            self._cloud_cost.labels(lane.value).inc(outcome.cloud_cost_usd)

    def _model(self, outcome: Outcome) -> str:
        """Return a configured model's name; a client may name any model, and specialists come and go."""
        if outcome.runtime == EMBEDDED:
            return "specialist"
        if outcome.model in self._models:
            return outcome.model
        return f"{outcome.runtime}/{_OTHER}" if outcome.runtime in self._upstreams else _OTHER


class _Reading(Collector):
    """A number that is read off its owner each time that Prometheus asks."""

    def __init__(
        self,
        family: type[GaugeMetricFamily | CounterMetricFamily],
        name: str,
        about: str,
        read: Callable[[], int],
    ) -> None:
        self._family = family
        self._name = f"modelbreeder_{name}"
        self._about = about
        self._read = read

    @override
    def collect(self) -> Iterator[Metric]:
        yield self._family(self._name, self._about, value=self._read())


class _Budgets(Collector):
    """Money that is read off its owner each time that Prometheus asks; without a budget there is none to show."""

    def __init__(self, today: Callable[[], Sequence[Budget]], warnings: Mapping[str, int]) -> None:
        self._today = today
        self._warnings = warnings

    @override
    def collect(self) -> Iterator[Metric]:
        about = "US dollars of today's budget: its limit, what is spent, what is set aside for calls under way."
        money = GaugeMetricFamily("modelbreeder_budget_usd", about, labels=("budget", "amount"))
        unknown = "Calls of today whose cost nobody knows, and which no budget counts."
        unpriced = GaugeMetricFamily("modelbreeder_budget_unpriced_calls", unknown, labels=("budget",))
        for budget in self._today():
            money.add_metric((budget.kind, "limit"), budget.limit_usd)
            money.add_metric((budget.kind, "spent"), budget.spent_usd)
            money.add_metric((budget.kind, "reserved"), budget.reserved_usd)
            unpriced.add_metric((budget.kind,), budget.unpriced_calls)
        warned = CounterMetricFamily("modelbreeder_budget_warnings", "Warnings in the log.", labels=("budget",))
        for kind in ("day", "client", "session"):
            warned.add_metric((kind,), self._warnings.get(kind, 0))
        yield from (money, unpriced, warned)


def _configured_models(settings: Settings) -> frozenset[str]:
    """Return the names UPSTREAM/MODEL that the configuration has."""
    policy, local = settings.policy, settings.local
    listed = {f"{name}/{model}" for name, upstream in settings.upstreams.items() for model in upstream.models}
    aimed = {policy.cloud, *policy.fallbacks, *policy.content_policy_fallbacks} - {None}
    general = {f"{local.general_upstream}/{local.base}"} if local.general_upstream else set()
    return frozenset(listed | {str(name) for name in aimed} | general)
