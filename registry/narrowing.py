"""What of a project's `modelbreeder.toml` counts: all of a trusted one, of any other what keeps more on this machine.

Whoever wrote the repository wrote that file; `NARROWING` is the whole list of what it may say. One that cannot be read,
or in which a word is misspelt that could narrow, may have meant to, so under it nothing leaves the machine.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel, ValidationError

from registry.policies import PolicySettings
from registry.project_file import Project, Values, shown
from registry.setting_problems import is_known, problem_in
from registry.settings import RedactionSettings, Settings, load_settings, overlaid

_NAMED = 3
"""So many of the keys that do not count are named in the line that says so."""
_NAME, _PATH = "PIINAME", "REPOPATH"
_LIKE_SECTION, _LIKE_KEY = 0.7, 0.8
_LONG = 6
"""Letters of a key that narrows, above which whatever is like it was meant as it."""

_Narrowed: TypeAlias = "tuple[Any, str]"
"""The narrower of two values, and what of the project's is not taken, empty for none."""


class _Asked(BaseModel):
    """The sections that an untrusted file may say something in."""

    policy: PolicySettings = PolicySettings()
    redaction: RedactionSettings = RedactionSettings()


def settings_under(
    projects: Sequence[Project], config_file: Path, *, must_exist: bool = False
) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings that hold in a folder of a project, and one line for each file that does not count whole.

    Args:
        projects: its files, that of the outermost folder first; the untrusted ones narrow together.
        config_file: the user's own file.
        must_exist: whether the defaults do not do for it.

    Raises:
        ConfigError: the user's own file, or a trusted one on top of it, cannot be used.

    """
    over: dict[str, Any] = {}
    for project in projects:
        over = overlaid(over, project.values) if project.trusted else over
    settings = load_settings(config_file, must_exist=must_exist, over=over)
    said: list[str] = []
    for project in projects:
        if not project.trusted:
            settings, line = narrowed(settings, project)
            said += [line] if line else []
    return settings, tuple(said)


def narrowed(settings: Settings, project: Project) -> tuple[Settings, str]:
    """Return settings as an untrusted file narrows them, and what of it is not taken, empty for nothing."""
    name = shown(str(project.file))
    asked, problem = _asked(project)
    if problem:
        line = f"{name} cannot be used, so nothing leaves this machine from here: {problem}; mend or remove it"
        return _made_offline(settings, settings, ", as the project's own modelbreeder.toml cannot be used"), line
    known = [key for key in NARROWING if _at(project.values, key) is not None]
    found: dict[str, Any] = {}
    ignored: list[str] = []
    for key in known:
        found[key], why = NARROWING[key](_get(_with(settings, found), key), _get(asked, key))
        ignored += [f"{key} ({why})"] if why else []
    kept = _kept_here(settings.redaction, asked.policy, asked.redaction)
    found |= {key: _more(_get(_with(settings, found), key), more)[0] for key, more in kept.items()}
    ignored += _foreign_keys(settings, project.values)
    both = _with(settings, found)
    if both.policy.offline:
        both = _made_offline(both, settings, " by the project's own modelbreeder.toml")
    if known:
        # What of it turns out to be unusable only where it is compiled is told as what this file says.
        both.read_from(Path(f"{settings.file} as {name} narrows it"))
    return both, _told(project, ignored)


def _made_offline(settings: Settings, before: Settings, by: str) -> Settings:
    """Return settings that are offline; where they were so before, for the reason that they had."""
    if before.policy.offline:
        return settings
    return settings.model_copy(update={"policy": settings.policy.made_offline(by)})


def _told(project: Project, ignored: Sequence[str]) -> str:
    if not ignored:
        return ""
    file, folder = shown(str(project.file)), shown(str(project.file.parent))
    more = f" and {len(ignored) - _NAMED} more" if len(ignored) > _NAMED else ""
    return (
        f"{file} is not trusted, so it may only narrow; ignored: {', '.join(ignored[:_NAMED])}{more}; "
        f"`modelbreeder trust {folder}` shows it all"
    )


def _asked(project: Project) -> tuple[_Asked, str]:
    """Return what a file says in the sections that may narrow, and why it cannot be used, empty where it can."""
    problem = project.problem or _misspelt(project.values)
    if problem:
        return _Asked(), problem
    sections = {name: project.values[name] for name in _Asked.model_fields if name in project.values}
    try:
        return _Asked.model_validate(sections), ""
    except ValidationError as error:
        return _Asked(), shown(problem_in(error, _Asked, project.values))


def _misspelt(values: Values) -> str:
    """Name a key that there is not, outside of the sections that may narrow, which was probably meant to narrow."""
    for parts in _paths(values):
        if parts[0] not in _Asked.model_fields and not is_known(parts, Settings) and (meant := _meant(parts)):
            section, _, key = meant.partition(".")
            return f"unknown key {shown('.'.join(parts))!r}; did you mean {key} of [{section}]?"
    return ""


def _meant(parts: Sequence[str]) -> str | None:
    """Return the key that one which there is not was probably meant to be, None for none that narrows."""
    head, *rest = ".".join(parts).split(".")
    section = difflib.get_close_matches(head, _Asked.model_fields, n=1, cutoff=_LIKE_SECTION)
    if section and rest:
        return shown(".".join([section[0], *rest]))
    names = {key.rpartition(".")[2]: key for key in NARROWING}
    last = parts[-1]
    near = [last] if last in names else difflib.get_close_matches(last, names, n=1, cutoff=_LIKE_KEY)
    return names[near[0]] if near and (near[0] == last or len(near[0]) > _LONG) else None


def _paths(values: Values, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _paths(value, (*at, name))
        else:
            yield (*at, name)


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


def _dollars(now: float | None, asked: float | None) -> _Narrowed:
    least = min((one for one in (now, asked) if one is not None), default=None)
    return least, f"may only fall, so {now} holds" if least != asked else ""


NARROWING: Mapping[str, Callable[[Any, Any], _Narrowed]] = {
    "policy.offline": _offline,
    "policy.local_only_classes": _more,
    "policy.customer_data_types": _more,
    "policy.classes": _also,
    "policy.images": _images,
    "policy.budget.day_usd": _dollars,
    "policy.budget.session_usd": _dollars,
    "redaction.rules": _rules,
    "redaction.names": _also,
    "redaction.paths": _also,
}
"""Every key that an untrusted file may narrow, and how; no other key of it counts.

A higher minimum margin is none: tasks that a specialist would have answered here would go to a cloud for it.
"""


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
    for key, value in leaves(values):
        narrowing = any(f"{key}.".startswith(f"{one}.") and _at(values, one) is not None for one in NARROWING)
        if not narrowing and _plain(_get(settings, key)) != _plain(value):
            yield shown(key)


def leaves(values: Values, at: str = "") -> Iterator[tuple[str, object]]:
    """Yield the dotted keys of nested tables with what stands there."""
    for name, value in values.items():
        key = f"{at}{name}"
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{key}.")
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
