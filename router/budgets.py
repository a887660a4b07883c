"""What the cloud may still cost: by day, by client and day, by session. One per process.

What was spent is read from the ledger once and counted in memory from then on: several processes on one database each
see what the others spent only when they start, on a new day or in a new session. Money that a call may need is set
aside before it, so that many calls at once do not each believe that the rest is theirs.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from registry.entities import Event, Outcome
from registry.policies import BudgetSettings
from registry.spending import Spent, is_unpriced
from registry.tokens import Client

_log = logging.getLogger("modelbreeder.router")
_SESSIONS_HELD = 1024
_CENT = 0.01


class SpendingReader(Protocol):
    """What the ledger says; `registry.spending.Spending` is the real one."""

    def by_client(self, since: datetime) -> Mapping[str, Spent]:
        """Return what the cloud tasks that began since a time cost, by client."""
        ...

    def in_session(self, client: str, session: str) -> Spent:
        """Return what a client's session cost."""
        ...


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays for a task, and what the policy in force allows."""

    limits: BudgetSettings
    client: Client
    session: str | None = None

    @property
    def is_limited(self) -> bool:
        """Whether any budget applies."""
        session = self.limits.session_usd is not None and self.session is not None
        return session or self.limits.day_usd is not None or self.client.day_usd is not None


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget at one moment, in US dollars; `reserved` is set aside for calls that have not ended."""

    kind: str
    """day, client or session."""
    name: str
    """In words, as in "today's budget"."""
    limit_usd: float
    spent_usd: float
    reserved_usd: float
    unpriced_calls: int
    """Calls whose cost nobody knows, which are in no sum."""
    resets_at_utc: datetime | None
    """When it is whole again; None for a session, which never is."""

    @property
    def left_usd(self) -> float:
        """What a further call may cost."""
        return self.limit_usd - self.spent_usd - self.reserved_usd

    def bars(self, estimate_usd: float) -> str:
        """Say why a call that costs about so much may not be made, empty where it may."""
        if self.left_usd > 0 and estimate_usd <= self.left_usd:
            return ""
        unknown = f" and {self.unpriced_calls} calls of unknown price" if self.unpriced_calls else ""
        reserved = f", {usd(self.reserved_usd)} set aside for calls under way" if self.reserved_usd >= _CENT else ""
        used = f"{usd(self.spent_usd)} spent{unknown}{reserved}"
        renewal = "a new session has a new one"
        if self.resets_at_utc is not None:
            renewal = f"it resets at {self.resets_at_utc:%Y-%m-%d %H:%M} UTC"
        if self.left_usd <= 0:
            return f"{self.name} of {usd(self.limit_usd)} is used up ({used}); {renewal}"
        needs = f"about {usd(estimate_usd)} for this task is more than is left"
        return f"{needs} of {self.name} of {usd(self.limit_usd)} ({used}); {renewal}"


@dataclass(slots=True)
class _Account:
    spent: float = 0.0
    unpriced: int = 0
    reserved: float = 0.0
    warned_of: float | None = None
    """The limit whose end was warned of."""


@dataclass(frozen=True, slots=True)
class _Reserve:
    payer: Payer
    at: datetime
    usd: float


class Budgets:
    """Counts what the cloud costs and says when a budget is used up; to be used from one thread."""

    def __init__(self, spending: SpendingReader) -> None:
        self._spending = spending
        self._today: datetime | None = None
        self._days: dict[str | None, _Account] = {}
        self._sessions: OrderedDict[tuple[str, str], _Account] = OrderedDict()
        self._reserves: dict[str, _Reserve] = {}
        self.warnings: Counter[str] = Counter()
        """How often the log was warned, by kind of budget."""

    def of(self, payer: Payer, now: datetime) -> tuple[Budget, ...]:
        """Return the budgets that apply to a payer."""
        return tuple(self._shown(kind, payer, account, now) for kind, account in self._accounts(payer, now))

    def today(self, limits: BudgetSettings, now: datetime) -> tuple[Budget, ...]:
        """Return the budget of the day, none where there is no limit; for who watches from outside."""
        return self.of(Payer(limits, Client()), now)

    def why_barred(self, payer: Payer, estimate_usd: float | None, now: datetime) -> str:
        """Say why no cloud call of a payer may be made, empty where one may; an unknown estimate counts as nothing."""
        return next((why for budget in self.of(payer, now) if (why := budget.bars(estimate_usd or 0.0))), "")

    def reserve(self, interaction_id: str, payer: Payer, estimate_usd: float | None, now: datetime) -> str:
        """Set money aside for a call that begins now; or say why not, as `why_barred` does."""
        if not payer.is_limited:
            return ""
        why = self.why_barred(payer, estimate_usd, now)
        if not why:
            reserve = self._reserves[interaction_id] = _Reserve(payer, now, estimate_usd or 0.0)
            self._move(reserve, reserve.usd)
        return why

    def release(self, interaction_id: str) -> None:
        """Give back what is set aside for a call that came to nothing: it never left."""
        reserve = self._reserves.pop(interaction_id, None)
        if reserve is not None:
            self._move(reserve, -reserve.usd)

    def observe(self, events: Sequence[Event], _took_s: float, _error: BaseException | None) -> None:
        """Count what calls cost that ended, also where the ledger could not record it; for `Recorder.watch`."""
        for event in events:
            if isinstance(event, Outcome) and event.interaction_id in self._reserves:
                self._settle(self._reserves.pop(event.interaction_id), event)

    def warning(self, payer: Payer, now: datetime) -> str:
        """Return what an answer's header says of the budgets that near their end, empty where none does."""
        if not payer.is_limited:
            return ""
        return ", ".join(_header(budget) for budget in self.of(payer, now) if _is_low(budget, payer.limits.warn_at))

    def _settle(self, reserve: _Reserve, outcome: Outcome) -> None:
        self._move(reserve, -reserve.usd)
        for kind, account in self._accounts(reserve.payer, reserve.at):
            account.spent += outcome.cost_usd or 0.0
            account.unpriced += is_unpriced(outcome)
            self._warn(self._shown(kind, reserve.payer, account, reserve.at), account, reserve.payer.limits.warn_at)

    def _move(self, reserve: _Reserve, amount_usd: float) -> None:
        for _, account in self._accounts(reserve.payer, reserve.at):
            account.reserved = max(0.0, account.reserved + amount_usd)

    def _warn(self, budget: Budget, account: _Account, warn_at: float) -> None:
        """Write one line to the log when a budget first nears its end."""
        if account.warned_of == budget.limit_usd or not _is_low(budget, warn_at):
            return
        account.warned_of = budget.limit_usd
        self.warnings[budget.kind] += 1
        # A session's name is its client's own text, which no line of the log holds.
        _log.warning(
            "%s: %s of %s are spent, %d calls had no known price",
            budget.name, usd(budget.spent_usd), usd(budget.limit_usd), budget.unpriced_calls,
        )  # fmt: skip

    def _accounts(self, payer: Payer, at: datetime) -> Iterator[tuple[str, _Account]]:
        """Yield the accounts that apply; a day that is over has none."""
        limits = payer.limits
        if limits.day_usd is not None and self._is_today(at):
            yield "day", self._days.setdefault(None, _Account())
        if payer.client.day_usd is not None and self._is_today(at):
            yield "client", self._days.setdefault(payer.client.name, _Account())
        if limits.session_usd is not None and payer.session is not None:
            yield "session", self._session(payer.client.name, payer.session)

    def _is_today(self, at: datetime) -> bool:
        day = _day_of(at)
        if self._today is None or day > self._today:
            found = self._spending.by_client(day)
            self._days = {client: _Account(spent.usd, spent.unpriced) for client, spent in found.items()}
            self._days[None] = _Account(
                sum(spent.usd for spent in found.values()), sum(spent.unpriced for spent in found.values())
            )
            self._today = day
        return day == self._today

    def _session(self, client: str, session: str) -> _Account:
        key = client, session
        if key not in self._sessions:
            spent = self._spending.in_session(client, session)
            self._sessions[key] = _Account(spent.usd, spent.unpriced)
            # One that is pushed out is read again: the ledger forgets nothing.
            if len(self._sessions) > _SESSIONS_HELD:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(key)
        return self._sessions[key]

    def _shown(self, kind: str, payer: Payer, account: _Account, at: datetime) -> Budget:
        names = {
            "day": ("today's budget", payer.limits.day_usd),
            "client": (f"client {payer.client.name}'s budget of today", payer.client.day_usd),
            "session": ("the session's budget", payer.limits.session_usd),
        }
        name, limit = names[kind]
        resets = None if kind == "session" else _day_of(at) + timedelta(days=1)
        return Budget(kind, name, limit or 0.0, account.spent, account.reserved, account.unpriced, resets)


def usd(amount: float) -> str:
    """Return US dollars with two to six decimals, as many as are needed."""
    whole, _, cents = f"{amount:,.6f}".partition(".")
    return f"${whole}.{cents.rstrip('0').ljust(2, '0')}"


def _day_of(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _is_low(budget: Budget, warn_at: float) -> bool:
    return budget.spent_usd >= warn_at * budget.limit_usd


def _header(budget: Budget) -> str:
    shown = f"{budget.kind}; spent={budget.spent_usd:.6g}; limit={budget.limit_usd:.6g}"
    unpriced = f"; unpriced={budget.unpriced_calls}" if budget.unpriced_calls else ""
    return shown + unpriced + (f"; resets={budget.resets_at_utc:%Y-%m-%dT%H:%MZ}" if budget.resets_at_utc else "")
