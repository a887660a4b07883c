"""The text of a commented `modelbreeder.toml`, made of the settings' own fields, defaults and docstrings.

File and code cannot drift: nothing here knows a key by name, but for the values that unset keys show as examples.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Literal, TypeAlias, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from registry.errors import ConfigError, ConflictError
from registry.settings import Settings

Values: TypeAlias = Mapping[str, object]
Notes: TypeAlias = Mapping[str, Sequence[str]]

_WIDTH = 118
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEAD = """\
ModelBreeder's settings. Below are all keys with their defaults; change what you like, delete what you do not.
A line that begins with # and a key is unset, and shows an example. Unknown keys are errors.
Environment variables win: MODELBREEDER_DAEMON__PORT=9000 is daemon.port."""
_EXAMPLES: Mapping[str, object] = {
    "daemon.tls_cert": "/etc/modelbreeder/cert.pem",
    "daemon.tls_key": "/etc/modelbreeder/key.pem",
    "local.threads": 2,
    "ledger.url": "/var/lib/modelbreeder/ledger.db",
    "ledger.key_file": "/home/me/.config/modelbreeder/ledger.key",
    "ledger.retention.default_days": 365,
    "upstreams.base_url": "https://api.openai.com/v1",
    "upstreams.api_key_env": "OPENAI_API_KEY",
    "upstreams.responses": True,
    "upstreams.context": 32768,
    "upstreams.tools": True,
    "upstreams.vision": True,
    "upstreams.json_schema": True,
    "upstreams.usd_per_million_input": 2.5,
    "upstreams.usd_per_million_output": 15.0,
    "upstreams.max_concurrency": 8,
    "redaction.ner_model": "/opt/models/en_core_web_sm",
    "policy.cloud": "openai/gpt-5.4",
    "policy.budget.day_usd": 5.0,
    "policy.budget.session_usd": 1.0,
    "policy.classes.name": "client",
    "policy.verify.name": "has-a-verb",
    "policy.verify.workflow": "commit-message",
    "policy.verify.pattern": "^(add|fix|remove) ",
    "policy.verify.command": ["python3", "/home/me/check.py"],
    "policy.rules.name": "plans-to-the-cloud",
    "policy.rules.when": {"task_type": "plan", "estimated_tokens": "> 200"},
    "policy.rules.lane": "cloud_escalation",
}
"""What unset and required keys show; a key that is missing here shows a value of its type."""


def config_text(values: Values, notes: Notes, model: type[BaseModel] = Settings) -> str:
    """Return the whole file.

    Args:
        values: what differs from the defaults, nested as in the file.
        notes: paragraphs to put as comments under the head of a section, by its path, as in `policy.rules`.
        model: what the file is read as.

    """
    lines = [*_comment(_HEAD.splitlines()), ""]
    lines += _body(model, "", values, notes)
    return "\n".join(lines).rstrip() + "\n"


def write_config(file: Path, text: str, *, force: bool) -> None:
    """Write a configuration, mode 0600, whole or not at all.

    Raises:
        ConflictError: there is one already, and `force` is not given.
        ConfigError: the folder cannot be written.

    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".modelbreeder-", dir=file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as partial:
                partial.write(text)
                partial.flush()
                os.fsync(partial.fileno())
            _put(Path(name), file, force=force)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}; name a folder of yours with --home") from error


def _put(temporary: Path, file: Path, *, force: bool) -> None:
    if force:
        temporary.replace(file)
        return
    try:
        # A link, unlike a rename, fails where somebody else was first.
        file.hardlink_to(temporary)
    except FileExistsError as error:
        raise ConflictError(f"{file} exists, so nothing was written; --force writes it anew") from error


def field_comments(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring under each field of a model, on one line."""
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if issubclass(cls, BaseModel) and not cls.__module__.startswith("pydantic"):
            found |= _docstrings(cls)
    return {name: text for name, text in found.items() if name in model.model_fields}


def _docstrings(cls: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield the annotated names of a class body that a string follows, with that string."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    for statement, after in zip(body.body, body.body[1:], strict=False):
        match statement, after:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, " ".join(text.split())


def _body(model: type[BaseModel], path: str, values: Values, notes: Notes) -> Iterator[str]:
    """Yield the keys of a section, then the sections in it: TOML has no way back from those."""
    comments = field_comments(model)
    inner = {name: nested for name, field in model.model_fields.items() if (nested := _model_in(field.annotation))}
    for name, field in model.model_fields.items():
        if name not in inner:
            yield from _comment([comments[name]] if name in comments else [])
            yield from _key(name, field, _join(path, name), values)
    for name, nested in inner.items():
        yield ""
        yield from _section(nested, model.model_fields[name], _join(path, name), values.get(name), notes)


def _section(model: type[BaseModel], field: FieldInfo, path: str, given: object, notes: Notes) -> Iterator[str]:
    """Yield a section with its head; rows of a user's own naming are shown as one example, then those that are set."""
    about = [" ".join((model.__doc__ or "").split()), *notes.get(path, ())]
    yield from _comment(about)
    if get_origin(field.annotation) is dict:
        yield from _commented_out(_example(model, f"[{path}.example]", path))
        for name, row in (given if isinstance(given, Mapping) else {}).items():
            yield from ("", f"[{path}.{_quoted(name)}]")
            yield from (line for key, value in row.items() for line in _assigned(key, value))
    elif get_origin(field.annotation) in (tuple, list):
        yield from _commented_out(_example(model, f"[[{path}]]", path))
    else:
        lines = [f"[{path}]", *_body(model, path, given if isinstance(given, Mapping) else {}, notes)]
        absent = field.default is None and given is None
        yield from _commented_out(lines) if absent else lines


def _example(model: type[BaseModel], head: str, path: str) -> Iterator[str]:
    yield head
    yield from _body(model, path, {}, {})


def _commented_out(lines: Sequence[str] | Iterator[str]) -> Iterator[str]:
    yield from (line if line.startswith("#") or not line else f"#{line}" for line in lines)


def _key(name: str, field: FieldInfo, path: str, values: Values) -> Iterator[str]:
    """Yield a key with its value, else its default, else commented out with an example."""
    if name in values:
        yield from _assigned(name, values[name])
    elif field.is_required() or field.get_default(call_default_factory=True) is None:
        shown = _EXAMPLES[path] if path in _EXAMPLES else _sample(field.annotation)
        yield from _commented_out(_assigned(name, shown))
    else:
        yield from _assigned(name, field.get_default(call_default_factory=True))


def _assigned(name: str, value: object) -> list[str]:
    line = f"{_quoted(name)} = {toml_value(value)}"
    if len(line) <= _WIDTH or not isinstance(value, Sequence) or isinstance(value, str):
        return [line]
    items = textwrap.wrap(", ".join(map(toml_value, value)), _WIDTH - 4, break_long_words=False)
    return [f"{_quoted(name)} = [", *(f"    {item}" for item in items), "]"]


def toml_value(value: object) -> str:
    """Return a value as TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case Enum():
            return toml_value(value.value)
        case int() | float():
            return str(value)
        case Mapping():
            return f"{{ {', '.join(f'{_quoted(str(key))} = {toml_value(item)}' for key, item in value.items())} }}"
        case str() | Path():
            # A JSON string is a TOML string, but for one character that only TOML forbids.
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
        case Sequence() | set() | frozenset():
            return f"[{', '.join(map(toml_value, value))}]"
        case _:
            raise TypeError(f"{value!r} has no form in TOML")


def _quoted(key: str) -> str:
    return key if _BARE.fullmatch(key) else toml_value(key)


def _comment(paragraphs: Sequence[str]) -> Iterator[str]:
    for paragraph in paragraphs:
        first = "# " + " " * (len(paragraph) - len(paragraph.lstrip()))
        hanging = first if first == "# " else f"{first}    "
        lines = textwrap.wrap(paragraph, _WIDTH, initial_indent="# ", subsequent_indent=hanging, break_on_hyphens=False)
        yield from lines or ["#"]


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model that a section, or each row of it, is read as; None for a plain key."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(argument) for argument in get_args(annotation))
    return next((model for model in found if model is not None), None)


def _sample(annotation: object) -> object:
    """Return a value of a type, for a key that has neither a default nor an example."""
    samples: Mapping[object, object] = {bool: True, int: 1, float: 1.0, Path: "…", tuple: [], dict: {}}
    kind, inner = get_origin(annotation) or annotation, get_args(annotation)
    if kind in samples:
        return samples[kind]
    if kind is Literal:
        return inner[0]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    return _sample(inner[0]) if inner else "…"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
