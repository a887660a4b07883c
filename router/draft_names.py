"""Names in a draft, and those that it uses but never says the meaning of; found by how they are written, pure.

A name is what no plain word looks like: `quoted` code, snake_case, camelCase, call(), CONSTANT, an acronym. Code in
fences may define names; its own ones are not asked for.
"""

from __future__ import annotations

import builtins
import keyword
import re
import sys
from dataclasses import dataclass

_FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n]*\n.*?^ {0,3}\1[`~]*[ \t]*$", re.DOTALL | re.MULTILINE)
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://\S+")
_QUOTED = re.compile(r"`([^`\n]{1,80})`")
_NAME = re.compile(r"[A-Za-z_$][\w$]*(?:[.:-]{0,2}[A-Za-z_$][\w$]*)*")
_TELLING = re.compile(
    r"(?<![\w$/.@-])("
    r"[A-Za-z$][\w$]*_[\w$]+|_\w+|[a-z][a-z0-9]*(?:[A-Z][a-z0-9]+)+|(?:[A-Z][a-z0-9]+){2,}|[A-Z][A-Z0-9]{1,9}|"
    r"[A-Za-z_$][\w$]*(?=\(\)))(?![\w$/@])"
)
_KNOWN_TEXT = """
    AI AM AND ANY ALL ALWAYS API ASCII AWS BUT CD CEO CI CLI CPU CSS CSV DB DNS EU FALSE FAQ FOR FTP GB GCP GET GPU GUI
    HEAD HTML HTTP HTTPS ID IDE IDS IO IP IT JSON JSONL JWT KB LAN LLM LTS MAY MB MD ML MUST MVP NEVER NOT NULL OAUTH OK
    ONLY OR OS PATCH PDF PM PNG POST PR PUT QA RAM README REST RFC ROI RPC RSS SDK SHA SHALL SHOULD SMTP SQL SSD SSE SSH
    SSL TB TCP THE TLS TODO TOML TRUE TTL TXT UDP UI UK UML URI URL US USA USB USD UTC UTF UTF8 UUID UX VAT VM VPN XML
    YAML ZIP
    DevOps FastAPI GitHub GitLab GraphQL JavaScript LinkedIn ModelBreeder MongoDB MySQL NumPy OAuth OpenAI PayPal
    PostgreSQL PyPI SQLite TypeScript WebSocket WebSockets YouTube eBay iOS iPhone macOS
"""
_KNOWN = frozenset(_KNOWN_TEXT.split())
_FILE = re.compile(
    r"[\w@./\\-]*[\w-]\.(?:py|js|ts|tsx|go|rs|c|h|cpp|java|rb|php|md|txt|csv|jsonl?|toml|ya?ml|xml|html|css|sql|sh|pdf|log|"
    r"ini|cfg|env|lock|db|gz|zip|png|jpg|svg)\b(?!\()"
)
_KEYWORDS = (
    r"def|class|func|fn|function|method|struct|enum|interface|type|const|let|var|val|table|field|column|parameter|"
    r"argument|option|flag|endpoint|setting|variable|environment variable|file|folder|module|service|command|header"
)
_MARKS = r"[`\"'*]*"
_SAID_OF = rf"NAME{_MARKS}(?:[ \t]*\([^()\n]*\))?,?[ \t]+(?:which[ \t]+|that[ \t]+)?"
_VERBS = "means|stands for|refers to|denotes|holds|contains|returns|takes|consists|maps|lists|describes|defaults to"
_MAKING = "called|named|let|define[ds]?|introduce[ds]?|where|adds?|create[ds]?|implement|write|build|new"
# The name at the start of a line, in a list or a table, then what it is.
_ENTRY = (
    rf"^[ \t]*(?:[-*+|#]+|[0-9]+[.)])?[ \t]*[*_`\"']*NAME{_MARKS}(?:[ \t]*\([^()\n]*\))?{_MARKS}"
    r"[ \t]*(?:[:=|\u2013\u2014]|->?[ \t])"
)
_DEFINING = (
    _ENTRY,
    r"^#+[ \t][^\n]*NAME",
    rf"{_SAID_OF}(?:is|are|be)[ \t]+(?:an?\b|the\b|one\b|our\b|their\b|set\b|called\b|defined\b|[0-9\"'`(\[{{])",
    rf"{_SAID_OF}(?:{_VERBS})\b",
    rf"\b(?i:{_MAKING}|{_KEYWORDS})[ \t]+(?:[a-z]+[ \t]+){{0,3}}{_MARKS}NAME",
    rf"NAME{_MARKS}[ \t]*(?::=|=(?!=))[ \t]*\S",
    rf"NAME{_MARKS}[ \t]*\((?:[^()\n]*[a-z]{{3}}[^()\n]*)\)",
    rf"[a-z]{{3,}}{_MARKS}[ \t]*\({_MARKS}NAME{_MARKS}\)",
    r"\b(?:def|func|fn|function)[ \t]+\w+[ \t]*\([^)\n]*NAME",
)


@dataclass(frozen=True, slots=True)
class Name:
    """A name, and the lines of the draft, from 1, where it stands."""

    text: str
    lines: tuple[int, ...]


def names_in(draft: str) -> list[Name]:
    """Return the names that a text uses outside of its code, in the order in which they first stand there."""
    prose = _FILE.sub(" ", _URL.sub(" ", _FENCED.sub(_blank, draft)))
    found: dict[str, list[int]] = {}
    for number, line in enumerate(prose.split("\n"), 1):
        for name in _names(line):
            if number not in found.setdefault(name, []):
                found[name].append(number)
    return [Name(name, tuple(lines)) for name, lines in found.items()]


def undefined_names(draft: str) -> list[Name]:
    """Return the names that a draft uses without saying anywhere what they are."""
    return [name for name in names_in(draft) if not _is_defined(name.text, draft)]


def _names(line: str) -> list[str]:
    quoted = [name for piece in _QUOTED.findall(line) if (name := piece.removesuffix("()")) and _NAME.fullmatch(name)]
    said = [found[1] for found in _TELLING.finditer(_QUOTED.sub(_telling_part, line))]
    return [name for name in (*quoted, *said) if not _is_known(name)]


def _telling_part(quoted: re.Match[str]) -> str:
    """Return what is looked into of a quoted piece: nothing, where it is one name."""
    return " " if _NAME.fullmatch(quoted[1].removesuffix("()")) else f" {quoted[1]} "


def _is_known(name: str) -> bool:
    singular = name[:-1] if name.endswith("s") and name[:-1].isupper() else name
    python = hasattr(builtins, name) or keyword.iskeyword(name) or name in sys.stdlib_module_names
    return len(name) == 1 or singular in _KNOWN or python


def _is_defined(name: str, draft: str) -> bool:
    exact = rf"(?<![\w$]){re.escape(name)}(?![\w$])"
    forms = (form.replace("NAME", exact) for form in _DEFINING)
    return any(re.search(form, draft, re.MULTILINE) for form in forms)


def _blank(found: re.Match[str]) -> str:
    return "\n" * found[0].count("\n")
