"""Passwords on command lines, where the command alone tells what an option is: `mysql -p...`, `redis-cli -a ...`.

A search starts at a command and stays within its line, some 200 characters at most.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from router.redaction.passwords import is_harmless
from router.redaction.scanning import Scan, searchable
from router.redaction.spans import Span, merge

# What may stand between a command and its option; a backslash joins lines.
_ANY: Final = r"(?:[^\n|;&\\]|\\\r?\n|\\(?=\S)){0,200}?[ \t]"
_PIPED: Final = r"(?=[^\n|]{1,140}\|[ \t]*"
# commands, in RE2's syntax -> what stands between one and its password
_BEFORE: Final[Mapping[str, str]] = MappingProxyType(
    {
        r"mysql(?:dump|admin|check|import|show)?|mariadb(?:-[a-z]+)?|7z[ar]?|rar": rf"{_ANY}-h?p=?",
        r"sshpass": rf"{_ANY}-p[ \t]*",
        r"mongo(?:sh|dump|restore|export|import)?|pgcli|mycli|influx|cqlsh|twine upload"
        r"|(?:docker|podman|nerdctl|buildah|skopeo|helm registry|oras|az|oc) login": rf"{_ANY}-p(?:[ \t]+|(?=['\"]))",
        r"(?:redis|valkey|keydb)-(?:cli|benchmark)": rf"{_ANY}-a[ \t]+",
        r"ldap(?:search|modify|add|delete|passwd|whoami)": rf"{_ANY}-w[ \t]*",
        r"sqlcmd|bcp|osql|tsql|unzip|zip": rf"{_ANY}-P[ \t]*",
        r"htpasswd": r"[ \t]+-[A-Za-z0-9]*b[A-Za-z0-9]*(?:[ \t]+-[A-Za-z0-9]+)*(?:[ \t]+[^\s-]\S*){1,2}?[ \t]+"
        r"(?=\S+[ \t]*(?:[\n#|;&]|\Z))",
        r"net use": rf"{_ANY}/user:\S+[ \t]+(?!/)|[ \t]+(?:\S:[ \t]+)?\\\\\S+[ \t]+(?!/)",
        r"net user": r"[ \t]+\S+[ \t]+(?![/*])",
        r"(?:smb|rpc)client|smbmap|net rpc": rf"{_ANY}-U[ \t]*[\"']?[\w.\\/@-]+%",
        r"[xw]l?freerdp3?": rf"{_ANY}/p:",
        r"requirepass|masterauth|(?:root|bind_?)pw|bindpasswd": r"[ \t]+(?=\S*[0-9])",
        r"openssl": rf"{_ANY}-pass(?:in|out)?[ \t]+[\"']?pass:",
        r"echo": rf"[ \t]+(?:-n[ \t]+)?(?:{_PIPED}(?:sudo[ \t]+-S|[^\n|]{{0,100}}--(?:password-)?stdin))"
        rf"|[\"']?[\w.-]+:{_PIPED}(?:sudo[ \t]+)?chpasswd))",
    }
)
_VALUE: Final = (
    r"""(?:(?P<quote>["'])(?P<quoted>(?:(?!(?P=quote))[^\n]){4,128})(?P=quote)"""
    r"""|(?P<bare>[^\s"'`|;<>&-][^\s"'`|;<>&]{3,127}))"""
)
_RULES: Final = tuple(
    re.compile(rf"(?:{command})(?:{before}){_VALUE}", re.IGNORECASE if command.startswith("net") else re.NOFLAG)
    for command, before in _BEFORE.items()
)


class CommandLines:
    """Finds the passwords that commands take as arguments."""

    def __init__(self) -> None:
        self.marks = rf"\b(?:{'|'.join(_BEFORE)}|NET USER?)[ \t]"
        self._commands = Scan(self.marks)

    def find(self, text: str) -> list[Span]:
        """Return passwords without their quotes; variables and templates are none."""
        return merge(
            span for start, _ in self._commands.spans(searchable(text)) for span in [_argument(text, start)] if span
        )


def _argument(text: str, start: int) -> Span | None:
    for rule in _RULES:
        if found := rule.match(text, start):
            group = "quoted" if found["quote"] else "bare"
            return None if is_harmless(found[group]) else Span(*found.span(group), "SECRET", "command-line")
    return None
