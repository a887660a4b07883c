"""What the built-in rules do and which keys of `[policy]` steer them, and what the features of a task say.

In words, for the file that `init` writes, for `policy check` and for docs/policy.md; tests hold that none is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from registry.entities import Lane
from registry.settings import PolicyRule, PolicySettings
from router.conditions import FEATURES
from router.policy import compile_policy

OWN_RULES = "your own rules"


@dataclass(frozen=True, slots=True)
class RuleNote:
    """A built-in rule in words: its name, what it does, and the keys that steer it."""

    name: str
    what: str = ""
    keys: tuple[str, ...] = ()


_RULES = {
    note.name: note
    for note in (
        RuleNote(
            "local-only",
            "A task of a data class in local_only_classes, or in which customer data was found, is served on your own "
            "machines or not at all. No hint, failure or later rule can move it.",
            ("local_only_classes", "classes", "customer_data_types"),
        ),
        RuleNote("offline", "Where offline is set, every task is served here or not at all.", ("offline",)),
        RuleNote(
            "explicit-lane",
            "A client that asks for a lane, a specialist, workflow:NAME or UPSTREAM/MODEL gets that, or a refusal.",
        ),
        RuleNote(
            "tool-loop",
            "A conversation in the middle of calling tools keeps the lane in which it began, if that may still serve.",
        ),
        RuleNote(
            OWN_RULES, "Each [[policy.rules]] in the order of the file; all its conditions must hold.", ("rules",)
        ),
        RuleNote(
            "images",
            "Images, files and sound, in which nothing can be masked, go to a general local base that sees them, or "
            "nowhere; where images is allow, this rule is passed over.",
            ("images",),
        ),
        RuleNote(
            "external-knowledge",
            "A task that asks for a web search, or for what only the world outside knows, goes to the cloud.",
        ),
        RuleNote(
            "many-changed-files",
            "A task that touches more than max_changed_files files goes to the cloud.",
            ("max_changed_files",),
        ),
        RuleNote("retried", "A task that was asked again max_retries times goes to the cloud.", ("max_retries",)),
        RuleNote(
            "champion",
            "The promoted specialist of the task's workflow serves, where its evaluation is fresh, its fitness margin "
            "is at least what policy and task demand, and the request fits it.",
            ("minimum_margin",),
        ),
        RuleNote(
            "general-local",
            "The general local base (local.runtime) serves the task types listed here, and calls tools where its "
            "upstream is able to, below max_local_tokens.",
            ("local_task_types", "max_local_tokens"),
        ),
        RuleNote(
            "either-lane",
            "Public tasks of types that either lane does well enough: choose decides between general base and cloud.",
            ("either_task_types", "choose", "max_local_tokens"),
        ),
        RuleNote(
            "budget",
            "Where the money for the day or the session is spent, nothing more goes to a cloud that costs: your own "
            "machines serve it, or nobody does.",
            ("budget",),
        ),
        RuleNote(
            "escalation",
            "All else goes to the cloud, masked: to the model that the client names, else to cloud.",
            ("cloud", "fallbacks", "content_policy_fallbacks", "minimum_context", "max_context_tokens", "keep_turns"),
        ),
        RuleNote("refused", "What may not go there, or has no cloud to go to, is refused with the reasons."),
    )
}

FEATURE_NOTES: Mapping[str, str] = {
    "task_id": "the client's id of the task, else the interaction's",
    "summary": "the first 120 characters of the last user's text, masked",
    "workflow": "the workflow that it belongs to: named by the client, known by its template or by likeness",
    "match_score": "how surely it belongs there: 1 by name or template, 0.5 to 0.99 by likeness, 0 to none",
    "data_class": "the narrowest class that the client says, classes tell or code shows, as in client; else public",
    "contains_customer_data": "a value of a type in customer_data_types was found",
    "requires_external_knowledge": "it asks for a web search, or for what only the world outside knows",
    "changed_files": "files that its diffs change, or more where the client says so",
    "retry_count": "times that the same was asked before in its session, or more where the client says so",
    "estimated_tokens": "tokens of all its messages, estimated",
    "has_tools": "it offers tools to call",
    "in_tool_loop": "results of tools have come since the model last spoke",
    "multimodal": "it has images, audio or files",
    "allows_escalation": "false where the client said that it must not go to the cloud",
    "minimum_margin": "what a specialist must have earned: the policy's, or a higher one that the client asks for",
    "deadline_ms": "milliseconds that the client gives it",
    "requested_lane": "the lane that the client asks for; rule explicit-lane decides those before your own rules",
    "requested_model": "the model name as the client sent it",
    "session": "the session that the client names",
    "task_type": "the kind of work that its instruction asks for, in English, as in summarize or plan",
    "opening_tokens": "tokens up to the last user's message: what a tool loop began with",
}


_ORDER = (
    "Rules are tried in this order; the first that matches decides, and its name is the reason that "
    "`modelbreeder explain` gives:"
)
_CONDITIONS = (
    'Conditions compare a feature with a value, as in "public", true or 3, or with a comparison, as in "> 8", '
    f'"<= 200" or "!= public". Lanes: {", ".join(Lane)}. Features:'
)


def rule_notes() -> tuple[RuleNote, ...]:
    """Return the built-in rules in the order in which they are tried, the user's own in their place."""
    own = PolicyRule(name=OWN_RULES, when={"multimodal": True}, lane=Lane.NO_OP)
    tried = compile_policy(PolicySettings(rules=(own,)))
    return tuple(_RULES.get(rule.name, RuleNote(rule.name)) for rule in tried)


def file_notes() -> dict[str, Sequence[str]]:
    """Return the comments that stand in `modelbreeder.toml` beside those of the keys."""
    width = max(map(len, FEATURES))
    return {
        "policy": (
            "",
            _ORDER,
            *(_numbered(number, note) for number, note in enumerate(rule_notes(), 1)),
            "",
        ),
        "policy.rules": (
            _CONDITIONS,
            *(f"  {name:{width}}  {FEATURE_NOTES.get(name, '')}".rstrip() for name in FEATURES),
        ),
    }


def _numbered(number: int, note: RuleNote) -> str:
    keys = f" Keys: {', '.join(note.keys)}." if note.keys else ""
    return f"  {number}. {note.name}: {note.what}{keys}"
