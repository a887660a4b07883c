"""What trusting a project's `modelbreeder.toml` would change, in words: what lets more leave or run comes first."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias, get_args

from pydantic import BaseModel

from registry.config_file import field_comments
from registry.narrowing import leaves, narrowed
from registry.project_file import Project
from registry.settings import RedactionSettings, Settings, load_settings

LOOSENS = "loosens"

_Words: TypeAlias = Callable[[object, object], str]
"""What a change of a value lets happen that did not before, empty for nothing."""


def changes(project: Project, config_file: Path) -> list[str]:
    """Return one line for each key that would differ if a file were trusted, whole: a command may hide in its end.

    How the file narrows now is compared with how all of it would count.

    Raises:
        ConfigError: the user's own file, or this one on top of it, cannot be used.

    """
    after = _flat(load_settings(config_file, over=project.values))
    before = _flat(narrowed(load_settings(config_file), project)[0])
    # What a new row does not say itself is as in any other.
    said = before.keys() | dict(leaves(project.values)).keys()
    keys = [key for key in sorted(before | after) if before.get(key) != after.get(key) and key in said]
    lines = [_line(key, before.get(key), after.get(key)) for key in keys]
    return sorted(lines, key=lambda line: not line.startswith(LOOSENS))


def _line(key: str, before: object, after: object) -> str:
    loosens = _loosens(key, before, after)
    mark = f"{LOOSENS}: " if loosens else ""
    return f"{mark}{_ascii(key)}: {_json(before)} -> {_json(after)} ({_ascii(loosens or _about(key))})"


def _loosens(key: str, before: object, after: object) -> str:
    head, *rest = key.split(".")
    general = f"{head}.{rest[-1]}" if head == "upstreams" and rest else key
    words = next((words for start, words in _LOOSENING.items() if f"{general}.".startswith(f"{start}.")), None)
    return words(before, after) if words else ""


def _about(key: str) -> str:
    """Return what a key is, as its comment begins in the file that `init` writes."""
    text = ""
    model: object = Settings
    for part in key.split("."):
        if isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            kind = model.model_fields[part].annotation
            text, model = field_comments(model).get(part, ""), get_args(kind)[-1] if get_args(kind) else kind
    return text.partition(". ")[0].removesuffix(".")


def _gone(words: str) -> _Words:
    """Say it of what a list or a pattern has no longer, and nothing of what it only gains."""

    def say(before: object, after: object) -> str:
        were, now = (one if isinstance(one, list) else [one] for one in (before, after))
        gone = [_name(one) for one in were if one is not None and one not in now]
        return words.format(", ".join(gone)) if gone else ""

    return say


def _come(words: str) -> _Words:
    return lambda before, after: _gone(words)(after, before)


def _name(one: object) -> str:
    return str(one.get("name")) if isinstance(one, Mapping) else str(one)


def _rises(words: str) -> _Words:
    """Say it where a number grows, or is no longer limited."""

    def say(before: object, after: object) -> str:
        more = before is not None and (after is None or float(str(after)) > float(str(before)))
        return words if more else ""

    return say


def _falls(words: str) -> _Words:
    return lambda before, after: _rises(words)(after, before)


_LEAVES = "is masked and may be sent to a cloud, where now it stays here"
_MORE_CONTEXT = "more of what is not needed for a task is sent to a cloud with it"
_LOOSENING: Mapping[str, _Words] = {
    "policy.offline": lambda before, after: "tasks may be sent to a cloud" if before and not after else "",
    "policy.images": lambda _, after: "images, files and sound may be sent to a cloud" if after == "allow" else "",
    "policy.local_only_classes": _gone(f"a task of class {{}} {_LEAVES}"),
    "policy.customer_data_types": _gone(f"a task in which {{}} is found {_LEAVES}"),
    "policy.classes": _gone("what tells class {} now tells it no more, so that such a task may be sent to a cloud"),
    "policy.budget.day_usd": _rises("more money may be spent on clouds"),
    "policy.budget.session_usd": _rises("more money may be spent on clouds"),
    "policy.minimum_margin": _rises("fewer tasks are served by specialists, and more are sent to a cloud"),
    "policy.local_task_types": _gone("tasks of type {} are sent to a cloud"),
    "policy.max_local_tokens": _falls("shorter tasks than before are sent to a cloud"),
    "policy.max_changed_files": _falls("tasks of fewer changed files than before are sent to a cloud"),
    "policy.max_retries": _falls("tasks are sent to a cloud after fewer tries"),
    "policy.minimum_context": lambda _, after: _MORE_CONTEXT if after != "escalations" else "",
    "policy.max_context_tokens": _rises(_MORE_CONTEXT),
    "policy.keep_turns": _rises(_MORE_CONTEXT),
    "policy.cloud": _come("tasks that leave go to {}"),
    "policy.fallbacks": _come("tasks that leave may go to {}"),
    "policy.content_policy_fallbacks": _come("tasks that leave may go to {}"),
    "policy.rules": _come("{} decides on tasks before the built-in rules, and may send them to a cloud"),
    "policy.verify": _come("{} runs its command on this machine, on answers"),
    "redaction.off": _come("{} is sent as it is, not masked"),
    "redaction.allow": _come("{} is sent as it is, not masked"),
    "redaction.rules": _gone("what {} finds is sent as it is, not masked"),
    "redaction.names": _gone("{} is sent as it is, not masked"),
    "redaction.paths": _gone("{} is sent as it is, not masked"),
    "redaction.presidio": lambda before, after: "what it finds is sent as it is" if before and not after else "",
    "redaction.presidio_score": _rises("of what Presidio finds less is masked"),
    "redaction.ner_model": _gone("what {} finds is sent as it is"),
    "upstreams.base_url": _come("requests are sent to {}"),
    "upstreams.api_key_env": _come("the key in {} is sent along"),
    "upstreams.pass_fields": _come("what requests have in {} is sent along"),
    "upstreams.internal": lambda _, after: "its name may lead to an address of your own network" if after else "",
    "upstreams.trust": lambda _, after: "it gets what must stay here, not masked" if after == "private" else "",
    "local.runtime": _come("{} gets what must stay here, not masked"),
    "ledger.url": _come("records are kept in {}"),
    "ledger.encryption": lambda _, after: "records are kept as they are, not encrypted" if after == "none" else "",
    "ledger.keep_raw": lambda _, after: "requests are kept unmasked" if after else "",
    "ledger.retention": _rises("records are kept for longer"),
    "daemon.host": _come("the daemon listens on {}"),
    "daemon.hosts": _come("callers may reach the daemon as {}"),
    "daemon.behind_proxy": lambda _, after: "callers are trusted to come through a proxy" if after else "",
}


def _flat(settings: Settings) -> dict[str, object]:
    # Rules that come with us stay, unless others of the same name replace them.
    rules = {f"redaction.rules.{name}": rule for name, rule in RedactionSettings().rules.items()}
    keys = leaves(settings.model_dump(mode="json"))
    return {**rules, **{key: value for key, value in keys if value != {}}}


def _json(value: object) -> str:
    """Return a value in ASCII, so that nothing in it can hide."""
    return "unset" if value is None else json.dumps(value)


def _ascii(text: str) -> str:
    return text if text.isascii() and text.isprintable() else ascii(text)
