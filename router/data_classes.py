"""Which data class a request is of, where nobody says so: by what redaction finds, by paths, by patterns, by code.

The narrowest holds: a local-only class before any other, any other before public, whatever the client hints.
Of others the user's own rules come before a hint, and that before code which is seen. Paths and patterns are looked for
in linear time, wherever they stand: in diffs, titles of code, calls of tools or plain words. They are looked for in the
masked texts, and where something was masked in the texts as they came too: a path that is masked tells its class all
the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import orjson

from registry.entities import Json
from registry.errors import ConfigError
from registry.settings import PUBLIC, DataClassSettings, PolicySettings
from router.chat import JsonObject
from router.chat_turns import objects, spoken
from router.diffs import has_diff
from router.verifying.patterns import MAX_SUBJECT_CHARS, Matcher, UnusablePatternError, compile_pattern

CODE = "code"
_SAID_IN = ("messages", "system", "instructions", "input", "prompt")
"""Fields of the dialects that hold what was said; tools and options describe no data."""
_OVERLAP = 2048
"""Characters that two pieces of a text too long for one look have in common."""
_URL = re.compile(r"\b(?:https?|wss?|s?ftp|git|ssh)://[^\s\"'<>]+", re.IGNORECASE)
_FENCE = re.compile(r"^[ \t>]{0,8}(?:`{3,}|~{3,})[ \t]*([A-Za-z0-9_+#./-]{1,200})", re.MULTILINE)
_LANGUAGES = frozenset(
    {
        "asm", "awk", "bash", "bat", "c", "c#", "c++", "cc", "clj", "clojure", "cmake", "cpp", "cs", "csharp", "css",
        "cu", "cuda", "cxx", "dart", "diff", "dockerfile", "elixir", "elm", "erl", "erlang", "ex", "f#", "fish",
        "fortran", "fs", "fsharp", "glsl", "go", "golang", "gradle", "graphql", "groovy", "h", "haskell", "hcl", "hpp",
        "hs", "java", "javascript", "jl", "js", "jsx", "julia", "kotlin", "kt", "kts", "less", "lisp", "lua", "m",
        "makefile", "matlab", "mjs", "ml", "nim", "nix", "objc", "ocaml", "pas", "pascal", "patch", "perl", "php", "pl",
        "powershell", "prolog", "proto", "protobuf", "ps1", "py", "python", "python3", "r", "rb", "rs", "ruby", "rust",
        "sass", "scala", "scm", "scss", "sh", "shell", "solidity", "sql", "svelte", "swift", "tcl", "terraform", "tf",
        "ts", "tsx", "typescript", "v", "vb", "verilog", "vhdl", "vim", "vue", "wat", "zig", "zsh",
    }
)  # fmt: skip
"""What a fence is called, or its file ends in, where code stands behind it; text, data and markup are no code."""

_HEAD = r"(?:^|[^A-Za-z0-9_.~@%+-])"
_TAIL = r"(?:$|[^A-Za-z0-9_/\\-])"
_SLASH, _NAME = r"[/\\]+", r"[^/\\\s\"'`<>|:*?]"


@dataclass(frozen=True, slots=True)
class _Rule:
    """One class of the user's policy, as it is looked for."""

    name: str
    types: frozenset[str]
    paths: tuple[Matcher, ...]
    patterns: tuple[Matcher, ...]


class DataClasses:
    """Finds data classes; one per policy."""

    def __init__(self, policy: PolicySettings, types: Collection[str]) -> None:
        """Compile the policy's classes; ConfigError for a bad pattern, or a type that redaction does not look for."""
        _check_types(policy, types)
        self._local_only = frozenset(policy.local_only_classes)
        self._rules = tuple(map(_compiled, policy.classes))
        self._looks = any(rule.paths or rule.patterns for rule in self._rules)

    def narrowest(
        self,
        hint: str | None,
        body: JsonObject,
        chat: JsonObject,
        findings: Mapping[str, int],
        unmasked: Callable[[JsonObject], object] | None = None,
    ) -> str:
        """Return the class of a request.

        Args:
            hint: what the client says.
            body: the masked request in its own dialect.
            chat: the same in the chat form.
            findings: masked values by type.
            unmasked: puts the masked values back, where they are known.

        """
        told = self._said(body, unmasked if any(findings.values()) else None)
        code = [CODE] if holds_code(objects(chat.get("messages"))) else []
        # Of classes that may leave, the user's own count before a hint, which would lead around the policy else.
        own, hinted = list(self._found(told, findings)), hint or PUBLIC
        first = [hinted, *own] if hinted in self._local_only else [*own, hinted]
        return max((*first, *code), key=self._rank)

    def _rank(self, name: str) -> int:
        return 2 if name in self._local_only else int(name != PUBLIC)

    def _said(self, body: JsonObject, unmasked: Callable[[JsonObject], object] | None) -> str:
        if not self._looks:
            return ""
        masked: JsonObject = {field: body[field] for field in _SAID_IN if field in body}
        return "\n".join(_texts([masked, cast("Json", unmasked(masked)) if unmasked else None]))

    def _found(self, said: str, findings: Mapping[str, int]) -> Iterator[str]:
        pieces = list(_pieces(said))
        for rule in self._rules:
            told = any(findings.get(kind, 0) for kind in rule.types)
            if told or any(rule_holds(piece, rule.patterns, rule.paths) for piece in pieces):
                yield rule.name


def rule_holds(text: str, patterns: Iterable[Matcher], paths: Iterable[Matcher]) -> bool:
    """Say whether a text has what a class is told by; a path in the address of a web page is none."""
    return any(matches(text) for matches in patterns) or any(
        matches(text) and matches(_URL.sub(" ", text)) for matches in paths
    )


def holds_code(turns: Sequence[JsonObject]) -> bool:
    """Say whether users or tools show code: a diff, a patch, or a block that is marked as code."""
    shown = (spoken(turn.get("content")) for turn in turns if turn.get("role") in ("user", "tool", "function"))
    return any(_has_fence(text) or has_diff(text) for text in shown)


def path_pattern(glob: str) -> str:
    """Return the regular expression of paths that fit a glob, anywhere in a text.

    `*` and `?` stay within a name, `**` is any folders and what is in them. A glob fits from any folder on, so that it
    fits a whole path too; one that begins with a slash fits whole paths alone.
    """
    pieces = re.split(r"(\*\*/|/\*\*\Z|\*\*|\*|\?|/)", glob.removeprefix("/"))
    body = "".join(_GLOB.get(piece, re.escape(piece)) for piece in pieces)
    head = r"(?:^|[\s\"'`(=:,<>])" + _SLASH if glob.startswith("/") else _HEAD
    return f"(?i){head}{body}{_TAIL}"


_GLOB = {
    "**/": f"(?:{_NAME}+{_SLASH})*",
    "/**": f"{_SLASH}(?:{_NAME}+{_SLASH})*{_NAME}*",
    "**": f"(?:{_NAME}+{_SLASH})*{_NAME}*",
    "*": f"{_NAME}*",
    "?": _NAME,
    "/": _SLASH,
}


def _check_types(policy: PolicySettings, known: Collection[str]) -> None:
    """Refuse a type that nothing is ever masked as: it would tell no class."""
    for rule in policy.classes:
        unknown = [kind for kind in rule.types if kind not in known]
        if unknown:
            types = ", ".join(sorted(known))
            raise ConfigError(
                f"policy.classes {rule.name!r}: no redaction rule finds {unknown[0]!r}; known types: {types}"
            )


def _compiled(given: DataClassSettings) -> _Rule:
    make = partial(_matchers, given.name)
    return _Rule(
        given.name,
        frozenset(given.types),
        make("paths", given.paths, path_pattern),
        make("patterns", given.patterns, str),
    )


def _matchers(name: str, key: str, values: Collection[str], pattern_of: Callable[[str], str]) -> tuple[Matcher, ...]:
    try:
        return tuple(compile_pattern(pattern_of(value)) for value in values)
    except UnusablePatternError as error:
        raise ConfigError(f"policy.classes {name!r}, {key}: {error}") from error


def _texts(value: Json) -> Iterator[str]:
    """Yield every string in a value, also those in text that is JSON, such as the arguments of a tool."""
    if isinstance(value, str):
        inner = _parsed(value)
        yield from [value] if inner is None else _texts(inner)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _parsed(text: str) -> Json:
    """Return the object or list that a text is as JSON, None where it is none."""
    if text.lstrip(" \t\r\n")[:1] not in ("{", "["):
        return None
    try:
        inner: Json = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return inner


def _pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces that can be matched; what is longer would match nothing."""
    step = MAX_SUBJECT_CHARS - _OVERLAP
    return (text[at : at + MAX_SUBJECT_CHARS] for at in range(0, max(len(text) - _OVERLAP, 1), step))


def _has_fence(text: str) -> bool:
    if "```" not in text and "~~~" not in text:
        return False
    return any(re.split(r"[./]", found[1].lower())[-1] in _LANGUAGES for found in _FENCE.finditer(text))
