"""What is wrong with a configuration, in one line: the key as its file writes it, what belongs there, what was found.

Nothing here speaks of pydantic, and no value is shown that may be a secret.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from registry.upstreams import looks_like_a_key

Values: TypeAlias = Mapping[str, object]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_URLS = frozenset({"base_url", "url"})
_UNSHOWN = frozenset({"api_key_env"})
"""Keys at which people leave the secret itself."""
_SHOWN_CHARS = 80
_HIDDEN = "…"
_WANTED: Mapping[str, str] = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of a usual size",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "a text in quotes",
    "path_type": "a path in quotes",
    "tuple_type": "a list, as in [ … ]",
    "list_type": "a list, as in [ … ]",
    "dict_type": "a table, as in { … }",
    "model_type": "a table, as in { … }",
    "model_attributes_type": "a table, as in { … }",
}
_BOUNDED: Mapping[str, tuple[str, str]] = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def problem_in(error: ValidationError, settings: type[BaseModel], values: Values) -> str:
    """Return the first thing that is wrong with the values of a file, in one line.

    Args:
        error: what reading them as settings said.
        settings: the model that they were read as.
        values: what the file holds; rows of it are called by their names.

    """
    found = error.errors()
    # A misspelt key comes with the complaint that the key it was meant for is missing.
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    place = _Place(first["loc"], settings, values)
    source = _variable(first, place)
    if first["type"] == "extra_forbidden":
        return f"{place.unknown_key()}{source}"
    # The members of a union complain one by one, each under a name of its own below the key.
    same = [one for one in found if _Place(one["loc"], settings, values).key == place.key]
    return f"{_told(place, same)}{source}"


def is_known(parts: Sequence[str], settings: type[BaseModel]) -> bool:
    """Say whether settings have a key, given by its parts; rows and tables may be called by any name."""
    kind: object = settings
    for part in parts:
        if (found := _inside(kind)) is None:
            return True
        if (kind := found(part)) is None:
            return False
    return True


def _variable(problem: ErrorDetails, place: _Place) -> str:
    """Name the environment variable that a wrong value came from, which wins over the file; empty for the file."""
    plain = place.key and not place.in_row and problem["type"] != "missing"
    if not plain or place.in_file is problem["input"] or place.in_file == problem["input"]:
        return ""
    parts = place.key.upper().split(".")
    names = [f"MODELBREEDER_{'__'.join(parts[:count])}" for count in range(len(parts), 0, -1)]
    # A whole section may be in one variable, as JSON.
    source = next((name for name in names if name in map(str.upper, os.environ)), names[0])
    return f" (by the environment variable {source})"


class _Place:
    """Where something is wrong: the keys and rows that lead there, and the model or table that holds the last one."""

    def __init__(self, loc: Sequence[int | str], settings: type[BaseModel], values: Values) -> None:
        self.key = ""
        self.holder = ""
        self.name = ""
        self.in_row = self.of_row = self.is_row = False
        self._known: Sequence[str] = ()
        kind: object = settings
        value: object = values
        for part in loc:
            if (found := _inside(kind)) is None:
                break
            self._known = sorted(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else ()
            kind, value = found(part), _item(value, part)
            self._enter(part, value)
        self.in_file = value

    def _enter(self, part: int | str, value: object) -> None:
        self.holder, self.name = self.key, _HIDDEN if looks_like_a_key(str(part)) else str(part)
        self.of_row, self.is_row = self.is_row, isinstance(part, int)
        if isinstance(part, int):
            self.in_row = True
            called = value.get("name") if isinstance(value, Mapping) else None
            self.key += f" {called!r}" if isinstance(called, str) and called else f" number {part + 1}"
        else:
            written = self.name if _BARE.fullmatch(self.name) else repr(self.name)
            self.key += (": " if self.of_row else "." if self.key else "") + written

    def unknown_key(self) -> str:
        """Say that there is no such key here, and which there are."""
        near = difflib.get_close_matches(self.name, self._known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(self._known)}"
        shown = f"{self.name!r} of {self.holder}" if self.of_row else repr(self.key)
        return f"unknown key {shown}; {hint}"


def _inside(kind: object) -> Callable[[int | str], object] | None:
    """Return what gives the type of a part of a section, row or list; None for a plain value, which has no parts."""
    arguments = [one for one in get_args(kind) if one is not type(None)]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = kind.model_fields
        return lambda part: fields[str(part)].annotation if part in fields else None
    if get_origin(kind) is dict:
        return lambda _: arguments[1]
    if get_origin(kind) is tuple:
        return lambda _: arguments[0]
    if len(arguments) == 1 and len(get_args(kind)) > 1:
        return _inside(arguments[0])
    return None


def _item(value: object, part: int | str) -> object:
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return None


def _told(place: _Place, problems: Sequence[ErrorDetails]) -> str:
    first = problems[0]
    shown = "" if place.name in _UNSHOWN else _shown(first["input"], is_url=place.name in _URLS)
    if first["type"] == "missing":
        return f"{place.key} is missing; add it"
    if first["type"] == "value_error":
        said = first["msg"].removeprefix("Value error, ")
        if place.is_row or not place.key:
            return said
        return f"{place.key}: {said}{shown and f' (it is {shown})'}"
    wanted = " or ".join(_wanted(problems))
    return f"{place.key} must be {wanted}{shown and f'; it is {shown}'}{_next_step(problems)}"


def _wanted(problems: Sequence[ErrorDetails]) -> Iterator[str]:
    """Yield what may stand there, each once."""
    all_of_them = dict.fromkeys(_one_wanted(problem) for problem in problems)
    for one in all_of_them:
        if not (one == "a whole number" and "a number" in all_of_them):
            yield one


def _one_wanted(problem: ErrorDetails) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in _WANTED:
        return _WANTED[kind]
    if kind in _BOUNDED:
        words, bound = _BOUNDED[kind]
        return f"{words} {float(context[bound]):.10g}"
    if kind in ("literal_error", "enum"):
        return str(context["expected"])
    if kind == "string_pattern_mismatch":
        return f"a text that matches {context['pattern']}"
    return problem["msg"].replace("Input should be", "").replace("Input should", "what can").strip()


def _next_step(problems: Sequence[ErrorDetails]) -> str:
    """Return a hint at the nearest of the allowed words, else to change the value."""
    for problem in problems:
        if problem["type"] in ("literal_error", "enum"):
            allowed = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
            near = difflib.get_close_matches(str(problem["input"]), allowed, n=1)
            if near:
                return f"; did you mean {near[0]!r}?"
    return "; change it"


def _shown(value: object, *, is_url: bool = False) -> str:
    """Return a value as a TOML file has it, short, without what may be a secret."""
    match value:
        case bool():
            return str(value).lower()
        case Mapping():
            return "a table"
        case list() | tuple():
            return "a list"
        case str() if looks_like_a_key(value):
            return "a text that looks like a key, which is not shown"
        case str():
            return repr(_without_credentials(value) if is_url or "//" in value else value)[:_SHOWN_CHARS]
        case _:
            return str(value)[:_SHOWN_CHARS]


def _without_credentials(url: str) -> str:
    """Return a URL, or what was meant for one, without all that stands before its last @ or behind a ? or #."""
    start = url.find("//") + 2 if "//" in url else 0
    user, _, rest = url[start:].rpartition("@")
    place, *query = re.split("[?#]", rest, maxsplit=1)
    return f"{url[:start]}{f'{_HIDDEN}@' if user else ''}{place}{f'?{_HIDDEN}' if query else ''}"
