"""Turn one workflow's interactions into labelled rows; every interaction that is left out has a reason.

Pure: takes interactions, returns rows. Prompts and answers are the ledger's masked text, as served.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from registry.entities import Feedback, FeedbackVerdict, Interaction, Lane, Status
from registry.prompting import Prompt, prompt_of
from registry.settings import PUBLIC
from registry.tokens import TrustTier
from router.dialects.known import dialect_of
from router.fitness import foreign_field


class Tier(StrEnum):
    """How much a row's answer is worth, best first: judged by a person, only given by the cloud, not to be trusted.

    An `open` row's answer was rejected, is a specialist's own that nobody confirmed, or the cloud's to less than the
    whole task: never a target, but its task belongs to the sample of all tasks that a holdout is.
    """

    CORRECTED = "corrected"
    ACCEPTED = "accepted"
    CLOUD = "cloud"
    OPEN = "open"


_MOST_REPEATS = 20_000
_RANK = {Tier.CORRECTED: 0, Tier.ACCEPTED: 1, Tier.CLOUD: 2, Tier.OPEN: 3}


@dataclass(frozen=True, slots=True)
class Row:
    """One (prompt, answer) pair and where it came from."""

    interaction_id: str
    at_utc: datetime
    prompt: Prompt
    answer: str
    tier: Tier
    session: str | None
    client: str
    trust_tier: str
    data_class: str = PUBLIC

    @property
    def judged(self) -> bool:
        """Say whether a person vouches for the answer."""
        return self.tier in (Tier.CORRECTED, Tier.ACCEPTED)

    @property
    def place(self) -> tuple[datetime, str]:
        """Its place in time; the id orders what came in the same moment."""
        return self.at_utc, self.interaction_id


@dataclass(frozen=True, slots=True)
class Mined:
    """Rows oldest first, one a prompt, and how many interactions were left out for which reason.

    `repeats` are the newest rows that gave way to another of the same prompt: they show how often tasks come again.
    """

    rows: tuple[Row, ...]
    dropped: Mapping[str, int]
    repeats: tuple[Row, ...] = ()
    quarantined: Mapping[str, str] = field(default_factory=dict)
    """Why a row, by its interaction, is no target until a person accepts its answer."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds today, whatever held when a task was recorded.

    `local_only` are the data classes that must stay, `tiers` the trust in clients that have, or had, a token.
    """

    local_only: frozenset[str] = frozenset()
    tiers: Mapping[str, TrustTier] = field(default_factory=dict)

    def trust(self, client: str, recorded: str = "") -> TrustTier:
        """Return how far a client is trusted: as it is now, else as it was; older records know trusted ones alone."""
        was = TrustTier(recorded) if recorded in _TIERS else TrustTier.TRUSTED
        return self.tiers.get(client, was)


_TIERS = frozenset(tier.value for tier in TrustTier)
ANYTHING = Terms()
"""Nothing must stay but what was kept, and everybody is trusted as recorded."""


def mine(interactions: Iterable[Interaction], terms: Terms = ANYTHING) -> Mined:
    """Return the usable rows of one workflow's interactions, one for each distinct prompt."""
    dropped: Counter[str] = Counter()
    best: dict[Prompt, Row] = {}
    repeats: deque[Row] = deque(maxlen=_MOST_REPEATS)
    for interaction in interactions:
        row = _row(interaction, terms)
        if isinstance(row, str):
            dropped[row] += 1
            continue
        kept = best.get(row.prompt)
        replaces = kept is None or better(row, kept)
        if replaces:
            best[row.prompt] = row
        if kept is not None:
            dropped["same prompt as a better or newer row"] += 1
            repeats.append(kept if replaces else row)
    rows = sorted(best.values(), key=lambda row: row.place)
    return Mined(tuple(rows), dict(dropped), tuple(repeats))


def answer_text(response: object) -> str | None:
    """Return the first choice's text of an OpenAI chat completion, or None where there is none or it was cut off.

    What is said beside the call of a tool is no answer.
    """
    match response:
        case {"choices": [{"message": {"content": str(text), **message}, **choice}, *_]} if text.strip():
            whole = choice.get("finish_reason") in (None, "stop")
            return text if whole and not message.get("tool_calls") and not message.get("function_call") else None
        case _:
            return None


def _row(interaction: Interaction, terms: Terms) -> Row | str:
    """Return the row that an interaction gives, or why it gives none."""
    intent, why_not = interaction.intent, _why_none(interaction, terms)
    if why_not:
        return why_not
    received = intent.request_received
    request = dialect_of(intent.surface).to_chat(received) if isinstance(received, dict) else None
    prompt = prompt_of(request.get("messages")) if request is not None else None
    if request is not None and foreign_field(request):
        return "asks for what specialists do not serve"
    if prompt is None:
        return "not a single turn of text"
    labelled = _label(interaction, terms)
    if labelled is None:
        return "no text in the answer"
    answer, tier = labelled
    return Row(
        interaction_id=intent.interaction_id,
        at_utc=intent.at_utc,
        prompt=prompt,
        answer=answer.strip(),
        tier=tier,
        session=intent.envelope.session,
        client=intent.client,
        trust_tier=intent.trust_tier,
        data_class=intent.envelope.data_class,
    )


def _why_none(interaction: Interaction, terms: Terms) -> str:
    """Say why an interaction gives no row whatever was asked, empty where it may."""
    intent, outcome = interaction.intent, interaction.outcome
    if interaction.erased:
        return "its content was erased"
    if _must_stay(interaction, terms):
        return "must stay on this machine, so no cloud can be its baseline"
    if terms.trust(intent.client, intent.trust_tier) is TrustTier.UNTRUSTED:
        return "of a client that is not trusted"
    if outcome is None or outcome.status is not Status.OK:
        return f"no complete answer ({outcome.status if outcome else 'open'})"
    return ""


def _must_stay(interaction: Interaction, terms: Terms) -> bool:
    envelope = interaction.intent.envelope
    kept = interaction.intent.decision.lane is Lane.LOCAL_PRIVATE or not envelope.allows_escalation
    return kept or envelope.contains_customer_data or envelope.data_class in terms.local_only


def _heard(feedback: Feedback | None, terms: Terms) -> Feedback | None:
    """Return a verdict that counts: only who is trusted vouches, as for rows of its own; the untrusted say nothing."""
    if feedback is None or (trust := terms.trust(feedback.client)) is TrustTier.TRUSTED:
        return feedback
    rejects = feedback.verdict is FeedbackVerdict.REJECTED
    return feedback if rejects and trust is TrustTier.NORMAL else None


def _label(interaction: Interaction, terms: Terms) -> tuple[str, Tier] | None:
    feedback = _heard(interaction.feedback, terms)
    verdict = feedback.verdict if feedback else None
    if feedback is not None and verdict is FeedbackVerdict.CORRECTED and feedback.corrected:
        return feedback.corrected, Tier.CORRECTED
    answer = answer_text(interaction.outcome.response if interaction.outcome else None)
    if answer is None:
        return None
    if verdict is FeedbackVerdict.ACCEPTED:
        return answer, Tier.ACCEPTED
    intent = interaction.intent
    decision = intent.decision
    if terms.trust(intent.client, intent.trust_tier) is not TrustTier.TRUSTED:
        return answer, Tier.OPEN
    # With a part of its context left out the cloud answered another prompt than the one that is mined.
    knew_all = decision.lane is Lane.CLOUD_ESCALATION and decision.context is None
    return answer, Tier.CLOUD if knew_all and verdict is None else Tier.OPEN


def better(row: Row, kept: Row) -> bool:
    """Say whether a row of the same prompt replaces the one kept so far: a better tier, else a newer one."""
    return (_RANK[row.tier], -row.at_utc.timestamp()) <= (_RANK[kept.tier], -kept.at_utc.timestamp())
