"""The `[policy]` section of `modelbreeder.toml`: where tasks go, and what is verified of the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from registry.entities import Lane

PUBLIC = "public"
"""The data class of a task of which nothing else was said."""
LOCAL_ONLY_CLASSES = ("client", "patient", "student", "voice", "biometric", "trade_secret")
TaskType: TypeAlias = Literal[
    "plan", "review", "generate-from-spec", "unit-tests", "summarize", "extract", "convert", "boilerplate",
    "commit-message", "translate", "draft",
]  # fmt: skip
DATA_CLASS = r"^[a-z0-9][a-z0-9._-]{0,79}$"
# A hint is read in lower case, so under another name no task would ever be told to be of the class.
_ClassName: TypeAlias = Annotated[
    str,
    BeforeValidator(lambda name: name.strip().lower() if isinstance(name, str) else name),
    Field(pattern=DATA_CLASS),
]
Choice: TypeAlias = Literal["cheapest", "fastest", "best"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PolicyRule(_Section):
    """One named rule of the user: when all conditions hold, the lane is taken."""

    name: str
    """Name, which is the reason that `explain` gives."""
    when: dict[str, str | int | float | bool]
    """Envelope feature to a value, or to a comparison such as "> 8"."""
    lane: Lane
    """Lane to take."""


class VerifySettings(_Section):
    """One check of local answers: a pattern that the text must have, or a command that must end with 0."""

    name: str
    """Name, which the ledger and the reason of an escalation give."""
    workflow: str | None = None
    """The workflow whose answers are checked; unset checks every answer with text."""
    pattern: str | None = None
    """Regular expression that the text must have a match of; linear time, so without look-around."""
    command: tuple[str, ...] | None = None
    """Program and arguments, run without a shell, isolated and without network; the answer is its standard input and
    the file `answer` of its folder."""
    timeout_s: float = Field(10.0, gt=0, le=600)
    """Seconds that the command may take."""
    memory_mb: int = Field(1024, ge=16)
    """Memory that each process of the command may take."""
    readable: tuple[Path, ...] = ()
    """Whole paths of what the command may read beside the system's own programs."""

    @model_validator(mode="after")
    def _checks_one_thing(self) -> VerifySettings:
        if (self.pattern is None) == (self.command is None):
            raise ValueError(f"policy.verify {self.name!r} needs either a pattern or a command")
        return self


class BudgetSettings(_Section):
    """What the cloud may cost; a budget that is spent bars it, so that tasks are served locally or refused."""

    day_usd: float | None = Field(None, ge=0)
    """US dollars that all tasks which begin within one day, in UTC, may cost; unset is no limit."""
    session_usd: float | None = Field(None, ge=0)
    """US dollars that the tasks of one session may cost; a session is what its client calls so. Unset is no limit."""
    warn_at: float = Field(0.8, gt=0, le=1)
    """Share of a budget from which on the log and the answers' headers warn of its end."""


class DataClassSettings(_Section):
    """One data class, and what tells it where the client does not; a class that is local-only wins over others."""

    name: str = Field(pattern=DATA_CLASS)
    """Class that such a task is of, as in client."""
    types: tuple[str, ...] = ()
    """Placeholder types whose finding tells it, as in PATIENT of your own redaction.rules."""
    paths: tuple[str, ...] = ()
    """Globs of files, as in clients/** or *.chart.pdf; a request that mentions such a path anywhere is of the class."""
    patterns: tuple[str, ...] = ()
    """Regular expressions of what stands in such a request, as it came or once it is masked; linear time, so without
    look-around."""


class PolicySettings(_Section):
    """Where tasks go."""

    cloud: str | None = None
    """Upstream and model of the cloud lane, as in openai/gpt-5.4."""
    fallbacks: tuple[str, ...] = ()
    """Upstreams and models to ask, in this order, where the first one fails before its answer began; for a prompt that
    is too long only those of a larger context."""
    content_policy_fallbacks: tuple[str, ...] = ()
    """Upstreams and models to ask, in this order, where one refuses a prompt for its content; none are by default."""
    local_only_classes: tuple[_ClassName, ...] = LOCAL_ONLY_CLASSES
    """Data classes that never leave the machine."""
    classes: tuple[DataClassSettings, ...] = ()
    """What tells data classes where the client does not."""
    customer_data_types: tuple[str, ...] = ("CUSTOMER",)
    """Placeholder types whose finding marks a task as customer data, which never leaves the machine, masked or not."""
    images: Literal["refuse", "allow"] = "refuse"
    """Whether images, files and sound may go to a cloud: nothing in them can be masked. Refused ones still go to a
    general local base that is listed with vision."""
    offline: bool = False
    """True keeps every task on this machine."""
    max_changed_files: int = Field(8, ge=0)
    """A task that touches more files than this goes to the cloud."""
    max_retries: int = Field(2, ge=1)
    """A task asked this many times again goes to the cloud."""
    minimum_margin: float = Field(-0.05, ge=-1, le=1)
    """Smallest fitness margin that a specialist must have earned to serve."""
    local_task_types: tuple[TaskType, ...] = (
        "generate-from-spec", "unit-tests", "summarize", "extract", "convert", "boilerplate", "commit-message",
        "translate",
    )  # fmt: skip
    """Task types that the general local base serves, where one is configured."""
    either_task_types: tuple[TaskType, ...] = ("draft",)
    """Task types of which either lane will do, where the data are public; `choose` decides."""
    choose: Choice = "cheapest"
    """What decides where either lane will do: price, measured latency or quality. No quality of a general base is
    measured, so `best` takes the cloud today."""
    max_local_tokens: int = Field(12_000, ge=1)
    """A task of this many tokens or more is too long for the general local base."""
    hold: Literal["none", "answer"] | Annotated[int, Field(ge=1, le=100_000)] = "answer"
    """How much of a streamed local answer is held back until it is known not to be weak: none, its first so many
    tokens, or the whole answer. What must be verified is always held whole."""
    minimum_context: Literal["off", "unnamed", "escalations"] = "unnamed"
    """Which requests lose what their task does not need before they go to a cloud: files that it does not mention, and
    old turns. None; those without tools that leave the choice of model to the router (auto, local, workflow:NAME); or
    all that policy sends there, also under a vendor's name. One that asks for the cloud itself leaves as it came."""
    max_context_tokens: int = Field(8_000, ge=0)
    """A request of no more tokens than this keeps its whole context; of a longer one old turns are folded until it is
    reached."""
    keep_turns: int = Field(6, ge=1)
    """How many of the latest turns of a conversation are never folded."""
    verify: tuple[VerifySettings, ...] = ()
    """Checks of local answers beside what the request itself asks for; one that fails is handed on as weak."""
    budget: BudgetSettings = BudgetSettings()
    """What the cloud may cost."""
    rules: tuple[PolicyRule, ...] = ()
    """The user's own rules, tried before the default ones that route by fitness."""

    _offline_by: str = PrivateAttr("")

    @property
    def why_offline(self) -> str:
        """Why every task is kept on this machine, empty where policy does not keep it."""
        return f"policy.offline is set{self._offline_by}" if self.offline else ""

    def made_offline(self, by: str) -> PolicySettings:
        """Return this policy with `offline` set by something else than its own file, said in words."""
        policy = self.model_copy(update={"offline": True})
        policy._offline_by = by  # noqa: SLF001 - its own copy
        return policy

    @property
    def data_classes(self) -> frozenset[str]:
        """The data classes that a task may be said to have: the project's own, and those that this policy names."""
        ruled = (str(rule.when["data_class"]).lstrip("!= ") for rule in self.rules if "data_class" in rule.when)
        own = (one.name for one in self.classes)
        return frozenset((PUBLIC, "code", *LOCAL_ONLY_CLASSES, *self.local_only_classes, *own, *ruled))
