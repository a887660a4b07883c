"""The words of the project as values: tasks, decisions, ledger events, specialists, evaluations, promotions.

Everything here is frozen and free of I/O. Money is US dollars, times are aware UTC, ids are UUIDv7 strings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class Durability(StrEnum):
    """What a commit survives: `full` a power cut, `normal` only the death of the process (SQLite)."""

    FULL = "full"
    NORMAL = "normal"


class Lane(StrEnum):
    """Where a task goes."""

    LOCAL_FAST = "local_fast"
    LOCAL_PRIVATE = "local_private"
    CLOUD_ESCALATION = "cloud_escalation"
    NO_OP = "no_op"


class Purpose(StrEnum):
    """Why a model was called; only `user` prompts (`rehearsal` in a rehearsal home) are ever mined."""

    USER = "user"
    SHADOW = "shadow"
    EVALUATION = "evaluation"
    TEACHER = "teacher"
    REHEARSAL = "rehearsal"


class Status(StrEnum):
    """How an interaction ended."""

    OK = "ok"
    ESCALATED = "escalated"
    ERROR = "error"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    CLIENT_CANCELLED = "client_cancelled"
    INTERRUPTED = "interrupted"


class EvidenceType(StrEnum):
    """Why an interaction matters to breeding."""

    ESCALATION = "escalation"
    FALLBACK = "fallback"
    SLOW_PATH = "slow_path"
    WEAK_ANSWER = "weak_answer"
    REJECTED = "rejected"
    REPEATED_ESCALATION = "repeated_escalation"


class FeedbackVerdict(StrEnum):
    """A later judgement on an answer."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CORRECTED = "corrected"


class SpecialistKind(StrEnum):
    """How a specialist is made; `lora` shares a base, `merged` brings its own GGUF."""

    BASE = "base"
    FEW_SHOT = "few_shot"
    LORA = "lora"
    MERGED = "merged"
    TABLE = "table"
    LINEAR = "linear"


class Verdict(StrEnum):
    """What the gate says; only `pass` may promote by itself."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class PromotionAction(StrEnum):
    """How the champion pointer moved."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    DEMOTE = "demote"
    RETIRE = "retire"


@dataclass(frozen=True, slots=True)
class TaskEnvelope:
    """One request as the inspectable features that policy may look at."""

    task_id: str
    summary: str
    workflow: str | None = None
    match_score: float = 0.0
    data_class: str = "public"
    contains_customer_data: bool = False
    requires_external_knowledge: bool = False
    changed_files: int = 0
    retry_count: int = 0
    estimated_tokens: int = 0
    has_tools: bool = False
    in_tool_loop: bool = False
    multimodal: bool = False
    allows_escalation: bool = True
    minimum_margin: float = -0.05
    deadline_ms: int | None = None
    requested_lane: Lane | None = None
    requested_model: str = "auto"
    session: str | None = None
    task_type: str | None = None
    """What kind of work its instruction asks for; None where that is not clear."""
    opening_tokens: int = 0
    """Estimated tokens up to the last user's turn: what a tool loop began with."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model that could have served a task, and why it was not chosen (empty when it was)."""

    model: str
    lane: Lane
    margin: float | None = None
    coverage: float | None = None
    age_days: float | None = None
    usd_per_million_tokens: float | None = None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class ContextCut:
    """How much of a request's context stayed here: files and messages left out, estimated tokens before and after."""

    files: int
    messages: int
    tokens_before: int
    tokens_after: int


@dataclass(frozen=True, slots=True)
class RouteDecision:
    """Which lane, runtime and model serve a task, by which rule, and why in one sentence."""

    lane: Lane
    selected_runtime: str
    selected_model_or_stack: str
    local_reason: str
    rule: str
    redaction_required: bool
    evidence_required: bool
    fallback_target: str | None
    candidates: tuple[Candidate, ...]
    policy_digest: str
    route_created_at_utc: datetime
    context: ContextCut | None = None
    """What the model that is asked does not see of the request; None where it sees all."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts and where they come from: `upstream`, `tokenizer` or `estimate`."""

    prompt_tokens: int
    completion_tokens: int
    source: str


@dataclass(frozen=True, slots=True)
class Intent:
    """What is about to be done, durable before the first byte leaves. Content fields are masked text."""

    interaction_id: str
    at_utc: datetime
    purpose: Purpose
    envelope: TaskEnvelope
    decision: RouteDecision
    request_received: Json
    request_sent: Json
    client: str = "local"
    trust_tier: str = "user"
    surface: str = "openai.chat"
    parent_id: str | None = None
    redactions: Mapping[str, int] = field(default_factory=dict)
    request_raw: Json = field(default=None, repr=False)
    """The request unmasked, where the user keeps it; written, and read by `Ledger.raw_request` alone."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an intent ended. `cost_usd` is None when no price is known; never 0 for unknown."""

    interaction_id: str
    at_utc: datetime
    status: Status
    runtime: str
    model: str
    response: Json
    usage: Usage | None = None
    cost_usd: float | None = None
    cloud_cost_usd: float | None = None
    latency_ms: float | None = None
    ttft_ms: float | None = None
    confidence: float | None = None
    verification: Json = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """A later verdict on an interaction; `corrected` holds the right answer, masked."""

    interaction_id: str
    at_utc: datetime
    verdict: FeedbackVerdict
    corrected: str | None = None
    score: float | None = None
    comment: str | None = None
    client: str = "local"


@dataclass(frozen=True, slots=True)
class EvidenceNote:
    """Why an interaction matters to breeding, with inspectable detail."""

    interaction_id: str
    at_utc: datetime
    type: EvidenceType
    detail: Json = None


Event: TypeAlias = Intent | Outcome | Feedback | EvidenceNote


@dataclass(frozen=True, slots=True)
class Interaction:
    """One routed request as the ledger's events tell it; the latest feedback wins."""

    intent: Intent
    outcome: Outcome | None
    feedback: Feedback | None
    evidence: tuple[EvidenceNote, ...] = ()
    erased: bool = False
    """Whether what it said is gone for good, and only its facts are left."""


@dataclass(frozen=True, slots=True)
class PromptTrim:
    """The constant part of a workflow's prompts, which its specialist never sees: it is in the weights.

    `system` None means that the system text varies and is seen; else it must be exactly this, and is trimmed.
    """

    system: str | None = None
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Workflow:
    """A narrow repeated kind of task; `fingerprints` are of the prompt templates that it is known by.

    `likeness` tells prompts that are made like its own, as `router.likeness` writes it; empty where none is known.
    `rebreed` says why it is to be bred again; empty where it need not.
    """

    name: str
    fingerprints: tuple[str, ...]
    scorer: str
    created_at_utc: datetime
    likeness: str = ""
    rebreed: str = ""


@dataclass(frozen=True, slots=True)
class Specialist:
    """An immutable, versioned local model for one workflow; file fields are sha256 digests in the artifact store.

    `grammar` is the GBNF that its answers are decoded under, its first line a comment that names it; empty where
    answers are free. `withdrawn` says why it must not serve any more; empty where it may. That alone ever changes, and
    what quotes rows that were forgotten.
    """

    workflow: str
    version: int
    kind: SpecialistKind
    base_sha256: str
    created_at_utc: datetime
    adapter_sha256: str | None = None
    adapter_source_sha256: str | None = None
    examples: tuple[tuple[str, str], ...] = ()
    trim: PromptTrim = PromptTrim()
    threshold: float = float("-inf")
    max_tokens: int = 256
    grammar: str = ""
    generation: int = 0
    parents: tuple[str, ...] = ()
    recipe_digest: str = ""
    dataset_digest: str = ""
    template_digest: str = ""
    quantization: str = ""
    mlflow_run_id: str | None = None
    withdrawn: str = ""

    @property
    def name(self) -> str:
        """The public name, `commit-type@3`."""
        return f"{self.workflow}@{self.version}"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One measured comparison of a specialist with its cloud baseline on a frozen holdout."""

    evaluation_id: str
    specialist: str
    at_utc: datetime
    expires_at_utc: datetime
    verdict: Verdict
    reason: str
    n: int
    served: int
    coverage: float
    specialist_score: float
    cloud_score: float
    mean_difference: float
    margin_lower: float
    alpha_spent: float
    threshold: float
    holdout_digest: str
    cloud_model: str
    engine_build: str
    cost_usd: float | None = None
    tokens_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Promotion:
    """An append-only move of a workflow's champion pointer; `specialist` None means the cloud serves."""

    workflow: str
    sequence: int
    action: PromotionAction
    specialist: str | None
    previous: str | None
    evaluation_id: str | None
    by: str
    reason: str
    at_utc: datetime


@dataclass(frozen=True, slots=True)
class Champion:
    """What the router needs to serve a workflow: the specialist and the evaluation that earned its place."""

    workflow: Workflow
    specialist: Specialist
    evaluation: Evaluation | None
