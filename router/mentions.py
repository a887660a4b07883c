"""Whether a task speaks of a file: by its path, its name, its folder, or something that it defines. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from router.file_blocks import is_path

_WORD = re.compile(r"[A-Za-z_$][\w$]*")
_NAME = re.compile(r"[\w.@+~$-]+")
_AS_CODE = re.compile(r"`[^`\n]{1,200}`|\b[A-Za-z_$][\w$]*(?=\()|(?<=\.)[A-Za-z_]\w*")
# What a plain English word hardly looks like: snake_case, camelCase, digits.
_IDENTIFIER = re.compile(r"\w*(?:_\w|[a-z][A-Z]|[A-Z]{2}[a-z]|[A-Za-z][0-9])\w*")
_ENTRY = re.compile(r"[\s│├└─|`*+-]*([\w.@+~/\\-]+)[ \t]*")
_LONGEST_LIST = 8
_MOST_IDENTIFIERS = 200
_ALL_FILES = re.compile(
    r"\b(?:all|each|every|both|these|those|the|following|whole|entire)[ \t]+(?:[\w-]+[ \t]+){0,2}"
    r"(?:files|file|documents?|modules|scripts|sources|code ?base|repo(?:sitory)?|project)\b",
    re.IGNORECASE,
)
_ONE_FILE = re.compile(r"\bthe[ \t]+(?:[\w-]+[ \t]+){0,2}(?:file|document)\b", re.IGNORECASE)
_DEFINES = (
    r"(?:\b(?:def|class|func|fn|function|struct|enum|interface|trait|type|impl|mod|module|namespace|const|let|var|val|"
    r"macro_rules!|define|table|view|index|procedure)[ \t]+(?:if[ \t]+not[ \t]+exists[ \t]+)?"
    r"(?:\([^)\n]{0,80}\)[ \t]*)?"
    r"(?:%s)\b)"
    r"|^[ \t]*+(?:[\w:<>,*&\[\]?@]++[ \t]++){1,6}[*&]?(?:[\w<>~]++::)?(?:%s)[ \t]*\("
    r"|^[ \t]*+[\"']?(?:%s)[\"']?[ \t]*(?:\([^\n]{0,200}\)[ \t]*\{|[:=])"
)


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked, as files can be looked for in it."""

    text: str
    names: frozenset[str]
    words: frozenset[str]
    telling: tuple[str, ...]
    """Words that look like names in code."""
    definition: re.Pattern[str] | None
    speaks_of_all: bool
    """Whether it may speak of its files together, without naming them."""

    def mentions(self, path: str, content: str) -> bool:
        """Say whether the task names a file, or something that is defined in it."""
        parts = [part for part in re.split(r"[/\\]", path) if part not in ("", ".", "..")]
        if not parts or parts[-1] in self.names or path in self.text:
            return True
        folders = ("/".join(parts[:end]) + "/" for end in range(1, len(parts)))
        if any(f"{folder}" in self.text for folder in folders):
            return True
        dotted = ".".join([*parts[:-1], parts[-1].rsplit(".", 1)[0]])
        if len(parts) > 1 and dotted in self.text:
            return True
        # Most files have none of the words at all, and a search for plain text costs a tenth of one by the pattern.
        if self.definition is None or not any(word in content for word in self.telling):
            return False
        return self.definition.search(content) is not None

    def nearness(self, content: str) -> int:
        """Return how many different words the task shares with a file."""
        return len(self.words & {word.lower() for word in _WORD.findall(content)})


def task_of(text: str) -> Task:
    """Return what a text without its files asks."""
    said = _without_listings(text)
    coded = {word for piece in _AS_CODE.findall(said) for word in _WORD.findall(piece)}
    words = frozenset(_WORD.findall(said))
    telling = sorted(coded | {word for word in words if _IDENTIFIER.fullmatch(word)})
    named = tuple([word for word in telling if len(word) > 1][:_MOST_IDENTIFIERS])
    either = "|".join(map(re.escape, named))
    return Task(
        text=said,
        names=frozenset(name.rstrip(".") for name in _NAME.findall(said)),
        words=frozenset(word.lower() for word in words if len(word) > 2),
        telling=named,
        definition=re.compile(_DEFINES % (either, either, either), re.MULTILINE) if either else None,
        speaks_of_all=_ALL_FILES.search(_ONE_FILE.sub("", said)) is not None,
    )


def _without_listings(text: str) -> str:
    """Return a text less its long lists of paths, one a line: a listing of a folder asks for none of them."""
    kept: list[str] = []
    listed: list[str] = []
    for line in [*text.split("\n"), "."]:
        entry = _ENTRY.fullmatch(line)
        if entry and (is_path(entry[1]) or entry[1].endswith(("/", "\\"))):
            listed.append(line)
            continue
        kept += listed if len(listed) <= _LONGEST_LIST else []
        listed = []
        kept.append(line)
    return "\n".join(kept[:-1])
