"""What the cloud may still cost: by day, by client and day, by session. One per process.

What was spent is read from the ledger once and counted in memory from then on: several processes on one database each
see what the others spent only when they start, on a new day or in a new session. Money that a call may need is set
aside before it, so that many calls at once do not each believe that the rest is theirs.
"""

from __future__ import annotations

import logging
import math
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from registry.entities import Event, Outcome
from registry.policies import BudgetSettings
from registry.spending import Spent, is_unpriced
from registry.tokens import Client

_log = logging.getLogger("modelbreeder.router")
_SESSIONS_HELD = 1024
_DAYS_HELD = 3
"""Today, what began yesterday, and one more for a clock that is set wrong for a while."""
_DAY = timedelta(days=1)
_CENT = 0.01


class SpendingReader(Protocol):
    """What the ledger says; `registry.spending.Spending` is the real one."""

    def by_client(self, since: datetime, until: datetime) -> Mapping[str, Spent]:
        """Return what the cloud tasks that began in a time cost, by client."""
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

    def refusal(self, estimate_usd: float) -> str:
        """Say why a call that costs about so much, which is more than is left, may not be made."""
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
class _Line:
    """A budget that applies to a call: its limit, and the account on which the call goes."""

    kind: str
    limit_usd: float
    account: _Account
    client: str
    day: datetime | None = None

    def has(self, estimate_usd: float) -> bool:
        """Whether a call of about so much may be made."""
        left = self.limit_usd - self.account.spent - self.account.reserved
        return left > 0 and estimate_usd <= left

    def is_low(self, warn_at: float) -> bool:
        return self.account.spent >= warn_at * self.limit_usd

    def shown(self) -> Budget:
        words = {"day": "today's budget", "session": "the session's budget"}
        name = words.get(self.kind, f"client {self.client}'s budget of today")
        account, resets = self.account, None if self.day is None else self.day + _DAY
        return Budget(self.kind, name, self.limit_usd, account.spent, account.reserved, account.unpriced, resets)


@dataclass(frozen=True, slots=True)
class _Reserve:
    lines: Sequence[_Line]
    usd: float
    warn_at: float


class Budgets:
    """Counts what the cloud costs and says when a budget is used up; to be used from one thread."""

    def __init__(self, spending: SpendingReader) -> None:
        self._spending = spending
        self._days: OrderedDict[datetime, dict[str | None, _Account]] = OrderedDict()
        self._sessions: OrderedDict[tuple[str, str], _Account] = OrderedDict()
        self._reserves: dict[str, _Reserve] = {}
        self.warnings: Counter[str] = Counter()
        """How often the log was warned, by kind of budget."""

    def of(self, payer: Payer, now: datetime) -> tuple[Budget, ...]:
        """Return the budgets that apply to a payer."""
        return tuple(line.shown() for line in self._lines(payer, now))

    def today(self, limits: BudgetSettings, now: datetime) -> tuple[Budget, ...]:
        """Return the budget of the day, none where there is no limit; for who watches from outside."""
        return self.of(Payer(limits, Client()), now)

    def why_barred(self, payer: Payer, estimate_usd: float | None, now: datetime) -> str:
        """Say why no cloud call of a payer may be made, empty where one may; an unknown estimate counts as nothing."""
        return _why_barred(self._lines(payer, now), estimate_usd or 0.0)

    def reserve(self, interaction_id: str, payer: Payer, estimate_usd: float | None, now: datetime) -> str:
        """Set money aside for a call that begins now; or say why not, as `why_barred` does."""
        lines, estimate = tuple(self._counted(payer, now)), estimate_usd or 0.0
        why = _why_barred(lines, estimate)
        if lines and not why:
            self._reserves[interaction_id] = _Reserve(lines, estimate, payer.limits.warn_at)
            for line in lines:
                line.account.reserved += estimate
        return why

    def release(self, interaction_id: str) -> None:
        """Give back what is set aside for a call that came to nothing: it never left."""
        if interaction_id in self._reserves:
            _give_back(self._reserves.pop(interaction_id))

    def observe(self, events: Sequence[Event], _took_s: float, _error: BaseException | None) -> None:
        """Count what calls cost that ended, also where the ledger could not record it; for `Recorder.watch`."""
        for event in events:
            if isinstance(event, Outcome) and event.interaction_id in self._reserves:
                self._settle(self._reserves.pop(event.interaction_id), event)

    def warning(self, payer: Payer, now: datetime) -> str:
        """Return what an answer's header says of the budgets that near their end, empty where none does."""
        if not payer.is_limited:
            return ""
        return ", ".join(_header(line.shown()) for line in self._lines(payer, now) if line.is_low(payer.limits.warn_at))

    def _settle(self, reserve: _Reserve, outcome: Outcome) -> None:
        _give_back(reserve)
        for line in reserve.lines:
            line.account.spent += outcome.cost_usd or 0.0
            line.account.unpriced += is_unpriced(outcome)
            if line.is_low(reserve.warn_at) and line.account.warned_of != line.limit_usd:
                self._warn(line)

    def _warn(self, line: _Line) -> None:
        """Write one line to the log when a budget first nears its end."""
        line.account.warned_of = line.limit_usd
        self.warnings[line.kind] += 1
        budget = line.shown()
        # A session's name is its client's own text, which no line of the log holds.
        _log.warning(
            "%s: %s of %s are spent, %d calls had no known price",
            budget.name, usd(budget.spent_usd), usd(budget.limit_usd), budget.unpriced_calls,
        )  # fmt: skip

    def _lines(self, payer: Payer, at: datetime) -> Iterator[_Line]:
        """Yield the budgets that apply to a call that begins at a time."""
        limits, client = payer.limits, payer.client
        if limits.day_usd is not None or client.day_usd is not None:
            day = _day_of(at)
            accounts = self._day(day)
            if limits.day_usd is not None:
                yield _Line("day", limits.day_usd, accounts[None], client.name, day)
            if client.day_usd is not None:
                account = accounts.setdefault(client.name, _Account())
                yield _Line("client", client.day_usd, account, client.name, day)
        if limits.session_usd is not None and payer.session is not None:
            yield _Line("session", limits.session_usd, self._session(client.name, payer.session), client.name)

    def _counted(self, payer: Payer, at: datetime) -> Iterator[_Line]:
        """Yield the budgets that apply to a call, and those kept without limit: a reload may set one at any time."""
        lines = list(self._lines(payer, at))
        yield from lines
        limited, name, day = {id(line.account) for line in lines}, payer.client.name, _day_of(at)
        accounts = self._days.get(day)
        kept = {} if accounts is None else {"day": accounts[None], "client": accounts.setdefault(name, _Account())}
        if payer.session is not None and (name, payer.session) in self._sessions:
            kept["session"] = self._sessions[name, payer.session]
        for kind, account in kept.items():
            if id(account) not in limited:
                limited.add(id(account))
                yield _Line(kind, math.inf, account, name, day)

    def _day(self, day: datetime) -> dict[str | None, _Account]:
        """Return the accounts of a day by client, of all clients under None; a clock that jumps back finds its own."""
        if day not in self._days:
            found = self._spending.by_client(day, day + _DAY)
            accounts: dict[str | None, _Account] = {
                name: _Account(one.usd, one.unpriced) for name, one in found.items()
            }
            accounts[None] = _Account(
                sum(one.usd for one in found.values()), sum(one.unpriced for one in found.values())
            )
            self._days[day] = accounts
            if len(self._days) > _DAYS_HELD:
                self._days.popitem(last=False)
        return self._days[day]

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


def _why_barred(lines: Iterable[_Line], estimate_usd: float) -> str:
    return next((line.shown().refusal(estimate_usd) for line in lines if not line.has(estimate_usd)), "")


def _give_back(reserve: _Reserve) -> None:
    for line in reserve.lines:
        # What is left of sums of fractions must not stay set aside for ever.
        line.account.reserved = max(0.0, line.account.reserved - reserve.usd)


def usd(amount: float) -> str:
    """Return US dollars with two to six decimals, as many as are needed."""
    whole, _, cents = f"{amount:,.6f}".partition(".")
    return f"${whole}.{cents.rstrip('0').ljust(2, '0')}"


def _day_of(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _header(budget: Budget) -> str:
    shown = f"{budget.kind}; spent={budget.spent_usd:.6g}; limit={budget.limit_usd:.6g}"
    unpriced = f"; unpriced={budget.unpriced_calls}" if budget.unpriced_calls else ""
    return shown + unpriced + (f"; resets={budget.resets_at_utc:%Y-%m-%dT%H:%MZ}" if budget.resets_at_utc else "")
