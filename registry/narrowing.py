"""What of a project's `modelbreeder.toml` counts: all of a trusted one, of any other what keeps more on this machine.

Whoever wrote the repository wrote that file; `NARROWING` is the whole list of what it may say. One that cannot be read
may have meant to narrow, so under it nothing leaves the machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel, ValidationError

from registry.policies import PolicySettings
from registry.project_file import Project, Values, shown
from registry.setting_problems import problem_in
from registry.settings import RedactionSettings, Settings, load_settings

_MAX_LINES = 20
_NAME, _PATH = "PIINAME", "REPOPATH"

_Narrowed: TypeAlias = "tuple[Any, str]"
"""The narrower of two values, and what of the project's is not taken, empty for none."""


class _Asked(BaseModel):
    """The sections that an untrusted file may say something in."""

    policy: PolicySettings = PolicySettings()
    redaction: RedactionSettings = RedactionSettings()


def settings_under(
    project: Project | None, config_file: Path, *, must_exist: bool = False
) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings that hold in a project, and one line for each thing of its file that does not count.

    Raises:
        ConfigError: the user's own file, or a trusted one on top of it, cannot be used.

    """
    if project is not None and project.trusted:
        return load_settings(config_file, must_exist=must_exist, over=project.values), ()
    settings = load_settings(config_file, must_exist=must_exist)
    return (settings, ()) if project is None else narrowed(settings, project)


def narrowed(settings: Settings, project: Project) -> tuple[Settings, tuple[str, ...]]:
    """Return settings as an untrusted file narrows them, and what of it is not taken."""
    problem, asked = project.problem, _Asked()
    known = {key: _at(project.values, key) for key in NARROWING if _at(project.values, key) is not None}
    try:
        asked = _Asked.model_validate({name: _section(known, name) for name in _Asked.model_fields})
    except ValidationError as error:
        problem = problem or shown(problem_in(error, _Asked, project.values))
    name = shown(str(project.file))
    if problem:
        line = f"{name} cannot be used, so nothing leaves this machine from here: {problem}; mend or remove it"
        return _with(settings, {"policy.offline": True}), (line,)
    found: dict[str, Any] = {}
    lines = [f"{key} is ignored" for key in _foreign_keys(settings, project.values)]
    for key, narrow in NARROWING.items():
        if key in known:
            found[key], why = narrow(_get(_with(settings, found), key), _get(asked, key))
            lines += [f"{key}: {why}"] if why else []
    kept = _kept_here(settings.redaction, asked.policy, asked.redaction)
    found |= {key: _more(_get(_with(settings, found), key), more)[0] for key, more in kept.items()}
    more = [f"{len(lines) - _MAX_LINES} more are ignored"] if len(lines) > _MAX_LINES else []
    hint = f"it is not trusted, so it may only narrow; `modelbreeder trust {shown(str(project.file.parent))}` shows it"
    said = [*lines[:_MAX_LINES], *more, *([hint] if lines else [])]
    both = _with(settings, found)
    if known:
        # What of it turns out to be unusable only where it is compiled is told as what this file says.
        both.read_from(Path(f"{settings.file} as {name} narrows it"))
    return both, tuple(f"{name}: {line}" for line in said)


def changes(project: Project, config_file: Path) -> list[str]:
    """Return one line for each key that would differ if a file were trusted, whole: a command may hide in its end.

    Raises:
        ConfigError: the user's own file, or this one on top of it, cannot be used.

    """
    before = _flat(load_settings(config_file))
    after = _flat(load_settings(config_file, over=project.values))
    keys = sorted(key for key in before | after if before.get(key) != after.get(key))
    return [f"{_one_line(key)}: {_json(before.get(key))} -> {_json(after.get(key))}" for key in keys]


def _flat(settings: Settings) -> dict[str, object]:
    return dict(_leaves(settings.model_dump(mode="json")))


def _json(value: object) -> str:
    """Return a value in ASCII, so that nothing in it can hide."""
    return "unset" if value is None else json.dumps(value)


def _one_line(text: str) -> str:
    return text if text.isascii() and text.isprintable() else ascii(text)


def _more(now: tuple[Any, ...], asked: tuple[Any, ...]) -> _Narrowed:
    missing = [str(one) for one in now if one not in asked]
    why = f"only adds, so {', '.join(missing)} still hold" if missing else ""
    return (*now, *(one for one in asked if one not in now)), why


def _also(now: tuple[Any, ...], asked: tuple[Any, ...]) -> _Narrowed:
    return _more(now, asked)[0], ""


def _rules(now: Mapping[str, str], asked: Mapping[str, str]) -> _Narrowed:
    changed = [shown(name) for name in asked if name in now and now[name] != asked[name]]
    why = f"your own {', '.join(changed)} still hold" if changed else ""
    return {**asked, **now}, why


def _offline(now: bool, asked: bool) -> _Narrowed:
    return now or asked, "stays true" if now and not asked else ""


def _images(now: str, asked: str) -> _Narrowed:
    return ("refuse" if asked == "refuse" else now), ("stays refuse" if now != asked == "allow" else "")


def _margin(now: float, asked: float) -> _Narrowed:
    return max(now, asked), f"may only rise, so {now} holds" if asked < now else ""


def _dollars(now: float | None, asked: float | None) -> _Narrowed:
    least = min((one for one in (now, asked) if one is not None), default=None)
    return least, f"may only fall, so {now} holds" if least != asked else ""


NARROWING: Mapping[str, Callable[[Any, Any], _Narrowed]] = {
    "policy.offline": _offline,
    "policy.local_only_classes": _more,
    "policy.customer_data_types": _more,
    "policy.classes": _also,
    "policy.images": _images,
    "policy.minimum_margin": _margin,
    "policy.budget.day_usd": _dollars,
    "policy.budget.session_usd": _dollars,
    "redaction.rules": _rules,
    "redaction.names": _also,
    "redaction.paths": _also,
}
"""Every key that an untrusted file may narrow, and how; no other key of it counts."""


def _kept_here(own: RedactionSettings, policy: PolicySettings, redaction: RedactionSettings) -> dict[str, Any]:
    """Return by key what keeps local all that an untrusted file's additions find.

    A rule of its may cover what one of the user's would have found, and so hide a class that must stay here; and a
    class that need not stay may be one that a rule of the user's sends to a cloud.
    """
    rules = (name for name in redaction.rules if name not in own.rules and "rules" in redaction.model_fields_set)
    names = [_NAME] if set(redaction.names) - set(own.names) else []
    paths = [_PATH] if set(redaction.paths) - set(own.paths) else []
    return {
        "policy.customer_data_types": (*rules, *names, *paths),
        "policy.local_only_classes": tuple(one.name for one in policy.classes),
    }


def _foreign_keys(settings: Settings, values: Values) -> Iterator[str]:
    """Yield the keys of a file that are no narrowing ones and would change something."""
    for key, value in _leaves(values):
        narrowing = any(f"{key}.".startswith(f"{one}.") and _at(values, one) is not None for one in NARROWING)
        if not narrowing and _plain(_get(settings, key)) != _plain(value):
            yield shown(key)


def _leaves(values: Values, at: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        key = f"{at}{name}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value


def _get(source: object, key: str) -> Any:
    """Return what stands at a dotted key of settings, None where there is none."""
    for name in key.split("."):
        # Of a model its fields alone: whoever wrote the key may have meant what Python keeps beside them.
        held = dict(source) if isinstance(source, BaseModel) else source
        source = held.get(name) if isinstance(held, Mapping) else None
    return source


def _at(values: object, key: str) -> object:
    for name in key.split("."):
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _section(known: Values, name: str) -> dict[str, Any]:
    """Return the nested values of one section from dotted keys."""
    section: dict[str, Any] = {}
    for key, value in known.items():
        head, *middle, last = key.split(".")
        if head == name:
            inner = section
            for part in middle:
                inner = inner.setdefault(part, {})
            inner[last] = value
    return section


def _with(settings: Settings, found: Mapping[str, Any]) -> Settings:
    """Return settings with values at dotted keys, which were validated before."""
    policy, redaction, budget = settings.policy, settings.redaction, settings.policy.budget
    for key, value in found.items():
        head, *middle, last = key.split(".")
        if middle:
            budget = budget.model_copy(update={last: value})
        elif head == "policy":
            policy = policy.model_copy(update={last: value})
        else:
            redaction = redaction.model_copy(update={last: value})
    policy = policy.model_copy(update={"budget": budget})
    return settings.model_copy(update={"policy": policy, "redaction": redaction})


def _plain(value: object) -> object:
    """Return a value as TOML would give it, so that a default that a file repeats is no change."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value
